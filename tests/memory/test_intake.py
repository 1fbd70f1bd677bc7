from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from move37.memory.intake import (
    TEXT_LIMIT,
    Source,
    add_paper,
    arxiv_id,
    read_source,
    slug,
    write_form,
)
from move37.memory.library import PAPERS, Paper, load_library, load_paper
from move37.records import UserError

ENTRY = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><entry>
<published>2031-02-03T00:00:00Z</published><title>A memory
 of memories</title><summary>It remembers.</summary>
<author><name>Ada Byron</name></author><author><name>Other</name></author></entry></feed>"""
UNKNOWN = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Error</title>
<summary>incorrect id format</summary></entry></feed>"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = (500, "") if "0500" in self.path else (200, ENTRY)
        body = UNKNOWN if "0404" in self.path else "<feed" if "0001" in self.path else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture(scope="module")
def arxiv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/query"
    server.shutdown()
    server.server_close()


def pdf(*lines: str) -> bytes:
    """Return a PDF of one page that shows these lines."""
    shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
    stream = f"BT /F1 12 Tf 72 720 Td {shown} ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return body + head + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(body)


def test_a_text_and_a_pdf_are_read(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("﻿Heads forget too fast. é", encoding="utf-8")
    (tmp_path / "paper.pdf").write_bytes(pdf("The state decays.", "Heads differ."))
    assert read_source(str(tmp_path / "note.md")) == Source("note", "Heads forget too fast. é", {})
    found = read_source(str(tmp_path / "paper.pdf"))
    assert found.text.split() == ["The", "state", "decays.", "Heads", "differ."]
    (tmp_path / "long.txt").write_text("x" * (TEXT_LIMIT + 9))
    assert len(read_source(str(tmp_path / "long.txt")).text) == TEXT_LIMIT


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("scan.pdf", pdf(), "holds no text"),
        ("broken.pdf", b"%PDF-1.4 and nothing else", "a PDF that cannot be read"),
        ("cut.pdf", pdf("a line")[:200], "a PDF that cannot be read|holds no text"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "neither text in UTF-8 nor a PDF"),
        ("empty.txt", b"  \n", "holds no text"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_source(str(tmp_path / name))


def test_neither_a_file_nor_an_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nor an arXiv id"):
        read_source(str(tmp_path / "nothing.txt"))
    with pytest.raises(UserError, match="neither a file"):
        read_source(str(tmp_path))


def test_ids_and_addresses_of_arxiv_are_known() -> None:
    for given in ("2412.06464", "arXiv:2412.06464v3", "https://arxiv.org/abs/2412.06464"):
        assert arxiv_id(given) == "2412.06464"
    assert arxiv_id("notes.2412") == ""


def test_arxiv_tells_title_author_year_and_abstract(arxiv: str) -> None:
    found = read_source("2412.00002", arxiv)
    assert found.facts == {
        "arxiv_id": "2412.00002",
        "title": "A memory of memories",
        "first_author": "Ada Byron",
        "year": 2031,
        "venue": "arXiv",
    }
    assert found.text.endswith("It remembers.")


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("2412.00404", "knows no paper"),
        ("2412.00500", "arXiv did not answer"),
        ("2412.00001", "arXiv did not answer"),
    ],
)
def test_arxiv_without_an_answer_is_one_clear_line(arxiv: str, identity: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_source(identity, arxiv)


def test_arxiv_that_is_down_names_the_way_out() -> None:
    with pytest.raises(UserError, match="give the paper's PDF or text"):
        read_source("2412.00002", "http://127.0.0.1:9/api")


def test_a_paper_is_written_so_that_it_reads_back_the_same(tmp_path: Path) -> None:
    known = load_library()[0]
    text = 'A "quoted" \\ text\nof two lines, ' + known.cognition[0].algorithm
    entry = known.cognition[0].model_copy(update={"algorithm": text})
    own = {"id": "own", "title": "Mine", "arxiv_id": "", "cognition": (entry,)}
    paper = Paper.model_validate(known.model_copy(update=own).model_dump())
    path = add_paper(paper, tmp_path, PAPERS, tmp_path)
    assert path == tmp_path / "own.toml"
    assert load_paper(path) == paper


def test_a_paper_that_the_base_holds_is_refused(tmp_path: Path) -> None:
    known = load_library()[0]
    with pytest.raises(UserError, match=f"already, as {known.id}"):
        add_paper(known.model_copy(update={"id": "other"}), tmp_path, PAPERS)
    assert list(tmp_path.iterdir()) == []


def test_a_form_holds_what_is_known_and_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    source = Source("x", "text", {"title": 'The "best" of all', "year": 2030})
    form = write_form(source, tmp_path)
    assert form == tmp_path / "forms" / "the-best-of-all.toml"
    with pytest.raises(UserError, match="first_author"):
        load_paper(form)
    with pytest.raises(UserError, match="is there already"):
        write_form(source, tmp_path)
    filled = form.read_text()
    for field, value in (("first_author", "Me"), ("venue", "note"), ("family", "ssm")):
        filled = filled.replace(f'{field} = ""', f'{field} = "{value}"')
    for field in ("scenario", "algorithm", "context"):
        filled = filled.replace(f'{field} = """\n', f'{field} = """\n{"word " * 40}\n')
    form.write_text(filled.replace("mechanisms = []", 'mechanisms = ["scalar-decay"]'))
    assert load_paper(form).title == 'The "best" of all'


def test_slugs_are_ids() -> None:
    assert slug("Gated Delta-Networks: Improving!") == "gated-delta-networks-improving"
    assert len(slug("word " * 40)) <= 40
    assert slug("注意") == "own-note"
