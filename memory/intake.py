"""A user's own paper or note on its way into the cognition base: reading it, and writing its file.

What is read is untrusted text: it is shown to a model as data, and nothing in it is run.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import tomli_w

from move37.files import write_atomically
from move37.memory.library import Paper, load_library
from move37.memory.vocabulary import FAMILIES
from move37.records import UserError

# About 25,000 tokens: a paper without its appendix. What is behind it is not read.
TEXT_LIMIT = 100_000
FILE_LIMIT = 64 << 20
ARXIV = re.compile(r"^(?:arxiv:|https?://arxiv\.org/(?:abs|pdf)/)?(\d{4}\.\d{4,5})(?:v\d+)?$", re.I)
ARXIV_URL = "https://export.arxiv.org/api/query"
ARXIV_SECONDS = 30.0
ATOM = "{http://www.w3.org/2005/Atom}"


class Source(NamedTuple):
    """A text, and the facts about it that are known without reading it (keys of `Paper`)."""

    name: str
    text: str
    facts: Mapping[str, str | int]


def read_source(given: str, arxiv_url: str = ARXIV_URL) -> Source:
    """Read a text file, a PDF, or the title and abstract of an arXiv id.

    Raises:
        UserError: there is nothing to read, or arXiv does not answer.
    """
    if identity := arxiv_id(given):
        return _from_arxiv(identity, arxiv_url)
    path = Path(given).expanduser()
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise UserError(
            f"{given} is neither a file that can be read ({error.strerror}) nor an arXiv id"
        ) from None
    text = _pdf(path) if data.startswith(b"%PDF") else _decoded(path, data)
    if not text.strip():
        raise UserError(f"{given} holds no text: a scanned PDF has to be read by hand")
    return Source(path.stem, text[:TEXT_LIMIT], {})


def arxiv_id(given: str) -> str:
    """Return the bare arXiv id of an id or address, or nothing for anything else."""
    found = ARXIV.match(given.strip())
    return found.group(1) if found and not Path(given).exists() else ""


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise UserError(f"{path} has over {FILE_LIMIT >> 20} MB: give a smaller file")
    return data


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is neither text in UTF-8 nor a PDF") from None


def _pdf(path: Path) -> str:
    # Imported here: a campaign never reads one.
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    text: list[str] = []
    try:
        for page in PdfReader(path).pages:
            text.append(page.extract_text())
            if sum(map(len, text)) > TEXT_LIMIT:
                break
    # The library meets broken files with errors of every kind of its own and of Python.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is a PDF that cannot be read ({reason}): give its text") from None
    return "\n".join(text)


def _from_arxiv(identity: str, url: str) -> Source:
    import httpx

    try:
        answer = httpx.get(url, params={"id_list": identity}, timeout=ARXIV_SECONDS)
        answer.raise_for_status()
        entry = ET.fromstring(answer.text).find(f"{ATOM}entry")
    except (httpx.HTTPError, ET.ParseError) as error:
        raise UserError(
            f"arXiv did not answer for {identity} ({type(error).__name__}): "
            "give the paper's PDF or text instead"
        ) from None
    title = _told(entry, "title")
    abstract = _told(entry, "summary")
    if entry is None or not abstract or title == "Error":
        raise UserError(f"arXiv knows no paper {identity}")
    author = entry.find(f"{ATOM}author")
    facts: dict[str, str | int] = {
        "arxiv_id": identity,
        "title": title,
        "first_author": _told(author, "name"),
        "year": int(_told(entry, "published")[:4] or 0),
        "venue": "arXiv",
    }
    known = {key: value for key, value in facts.items() if value}
    return Source(identity.replace(".", "-"), f"{title}\n\n{abstract}", known)


def _told(entry: ET.Element | None, name: str) -> str:
    found = entry.find(f"{ATOM}{name}") if entry is not None else None
    return " ".join((found.text or "").split()) if found is not None else ""


# --- writing -----------------------------------------------------------------------------------


def slug(title: str) -> str:
    """Return an id for a title: at most 40 lower-case letters, digits and hyphens."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    found = ""
    for word in words:
        if len(found) + len(word) > 39:
            break
        found = f"{found}-{word}".lstrip("-")
    return found if len(found) > 1 else "own-note"


def add_paper(paper: Paper, folder: Path, *known: Path) -> Path:
    """Write a paper into the user's folder and return its file.

    Raises:
        UserError: the base holds it already.
    """
    for other in load_library(*known):
        same = paper.arxiv_id and paper.arxiv_id == other.arxiv_id
        if same or paper.id == other.id or paper.title.casefold() == other.title.casefold():
            raise UserError(f"the base holds {paper.title!r} already, as {other.id}")
    path = folder / f"{paper.id}.toml"
    content = paper.model_dump(mode="json", exclude_defaults=True) | {"arxiv_id": paper.arxiv_id}
    write_atomically(path, tomli_w.dumps(content, multiline_strings=True))
    return path


def write_form(source: Source, folder: Path) -> Path:
    """Write a form for a person to fill in, with the facts that are known, and return its file."""
    facts = {"title": "", "first_author": "", "year": 0, "venue": "", "arxiv_id": ""}
    facts |= source.facts
    name = slug(str(facts["title"]) or source.name)
    path = folder / "forms" / f"{name}.toml"
    if path.exists():
        raise UserError(f"{path} is there already: fill it in, or delete it")
    head = tomli_w.dumps({"id": name, **facts})
    write_atomically(path, head + FORM.format(families=", ".join(FAMILIES)))
    return path


FORM = '''# One of: {families}.
family = ""

# One to three of these. The scenario is what is searched: the weakness that an experiment shows.
[[cognition]]
# The symptom in an analyst's words: what was measured, when, on which tokens. 60-500 characters.
scenario = """
"""
# The recurrence or formula in plain mathematics, its cost and its state. 120-2400 characters.
algorithm = """
"""
# What it improved on, where it fails, what followed it. 60-1200 characters.
context = """
"""
# One to eight tags of memory/vocabulary.py; `move37 cognition tags` lists them.
mechanisms = []
# Where it can be tried, such as "op:chunk_delta_rule" or "template:delta_net"; may stay empty.
try_with = []
'''
