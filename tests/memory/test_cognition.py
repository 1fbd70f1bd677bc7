from __future__ import annotations

import gc
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from move37.memory.cognition import CognitionBase
from move37.memory.embedding import DIMENSIONS, WordLlama
from move37.memory.library import PAPERS, load_library, load_paper
from move37.memory.vocabulary import MECHANISMS, PRACTICES
from move37.records import UserError

PAPER = '''
id = "one"
arxiv_id = "2406.06484"
title = "A title"
first_author = "Somebody"
year = 2024
venue = "arXiv"
family = "delta-rule"

[[cognition]]
scenario = "The memory never forgets what it has written to it, whatever comes."
algorithm = """
S_t = a S_{t-1} + k_t v_t^T, o_t = S_t^T q_t, with a learned a in (0, 1) for each head.
The state has K V numbers a head, and a step costs O(K V).
"""
context = "A scalar decay costs next to nothing and bounds the norm of the state for any length."
mechanisms = ["scalar-decay"]
try_with = ["op:chunk_simple_gla", "template:ret_net"]
'''


@pytest.fixture
def base(tmp_path: Path) -> Iterator[CognitionBase]:
    opened = CognitionBase(tmp_path / "chroma")
    yield opened
    opened.close()


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "one.toml").write_text(PAPER)
    two = PAPER.replace('"one"', '"two"').replace("never forgets", "forgets too much of")
    (folder / "two.toml").write_text(two)
    return folder


def test_an_observation_finds_the_lesson_that_answers_it(base: CognitionBase) -> None:
    assert base.build().changed == len(base.lessons())
    found = base.search("parity and counting stay at chance level", k=5)
    assert "negative-eigenvalues" in [one.paper_id for one in found]
    assert len({one.paper_id for one in found}) == 5
    assert all(set(one.mechanisms) <= {*MECHANISMS, *PRACTICES} for one in found)


def test_families_and_years_narrow_a_search_down(base: CognitionBase) -> None:
    base.build()
    query = "recall of early keys falls"
    found = base.search(query, k=8, families=["ssm", "gated-rnn"], since=2022)
    assert len(found) == 8
    assert {one.family for one in found} == {"ssm", "gated-rnn"}
    assert min(one.year for one in found) >= 2022
    assert {one.family for one in base.search(query, k=3, families=["benchmark"])} == {"benchmark"}


def test_an_unbuilt_base_is_searched_by_its_words_alone(base: CognitionBase) -> None:
    assert base.search("parity and counting", mode="dense") == ()
    found = base.search("parity and counting")
    assert found == base.search("parity and counting", mode="lexical")
    assert found


def test_a_query_without_a_word_finds_nothing_by_words(base: CognitionBase) -> None:
    assert base.search('"* OR (', mode="lexical") == ()


def test_building_again_changes_only_what_changed(papers: Path, tmp_path: Path) -> None:
    base = CognitionBase(tmp_path / "chroma", [papers])
    assert [base.build().changed, base.build().changed] == [2, 0]
    base.close()
    (papers / "two.toml").write_text(PAPER.replace('"one"', '"two"'))
    (papers / "one.toml").unlink()
    again = CognitionBase(tmp_path / "chroma", [papers])
    assert again.build() == (1, 1, 1)
    assert [one.id for one in again.search("memory")] == ["two-1"]
    again.close()


def test_a_base_of_another_embedding_stays_until_it_is_to_be_replaced(
    papers: Path, tmp_path: Path
) -> None:
    path = tmp_path / "chroma"
    client = chromadb.PersistentClient(path, Settings(anonymized_telemetry=False))
    old = client.create_collection(
        "move37-cognition", metadata={"embedding": "other"}, embedding_function=None
    )
    old.add(ids=["old"], embeddings=np.ones((1, 2), dtype=np.float32), metadatas=[{"hash": "x"}])
    with pytest.raises(UserError, match=r"model other, not .* `move37 cognition build --rebuild`"):
        CognitionBase(path, [papers])
    assert client.get_collection("move37-cognition", embedding_function=None).count() == 1
    base = CognitionBase(path, [papers], replace=True)
    assert base.build() == (2, 0, 2)
    assert len(base.search("memory")) == 2
    fresh = client.get_collection("move37-cognition", embedding_function=None)
    assert fresh.metadata == {"embedding": WordLlama.name}
    base.close()


def test_threads_may_open_and_search_at_once(papers: Path, tmp_path: Path) -> None:
    found: list[list[str]] = []

    def work() -> None:
        base = CognitionBase(tmp_path / "chroma", [papers])
        base.build()
        found.extend([one.id for one in base.search("it forgets too much")] for _ in range(5))
        base.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["two-1", "one-1"]] * 30


BUILDING = """
import sys
from pathlib import Path
from move37.memory.cognition import CognitionBase
base = CognitionBase(Path(sys.argv[1]))
print("open", flush=True)
base.build()
print("built", flush=True)
for _ in range(int(sys.argv[2])):
    assert len(base.search("recall of early keys falls", 8)) == 8
"""


def start(path: Path, searches: int = 0) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", BUILDING, str(path), str(searches)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_while_it_builds_the_base_is_whole_after_the_next_build(tmp_path: Path) -> None:
    dice = random.Random(5)
    for _ in range(8):
        process = start(tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
    base = CognitionBase(tmp_path)
    built = base.build()
    assert built.total == len(base.lessons())
    query = "recall of early keys falls"
    found = [one.id for one in base.search(query, 20, mode="dense")]
    base.close()
    fresh = CognitionBase(tmp_path / "fresh")
    fresh.build()
    assert found == [one.id for one in fresh.search(query, 20, mode="dense")]
    fresh.close()


@pytest.mark.slow
def test_two_processes_build_and_search_one_base(tmp_path: Path) -> None:
    processes = [start(tmp_path, searches=50) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert out.split() == ["open", "built"]
    base = CognitionBase(tmp_path)
    assert base.build().changed == 0
    base.close()


def test_papers_of_one_s_own_stand_beside_those_of_the_package(
    papers: Path, tmp_path: Path
) -> None:
    base = CognitionBase(tmp_path / "chroma", [PAPERS, papers])
    base.build()
    found = base.search("The memory never forgets what it has written to it, whatever comes.")
    assert "one" in [lesson.paper_id for lesson in found]
    base.close()
    (papers / "mamba.toml").write_text(PAPER.replace('"one"', '"mamba"'))
    with pytest.raises(UserError, match="another paper has the id 'mamba'"):
        CognitionBase(tmp_path / "chroma", [PAPERS, papers])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"scalar-decay"]', '"decays"]', "mechanisms: .*'decays' is no tag"),
        ('family = "delta-rule"', 'family = "deltas"', "family: .*'deltas' is none of"),
        ('"op:chunk', '"ops.chunk', "try_with.0: String should match"),
        ("year = 2024", "year = 2024\nyears = 1", "years: Extra inputs"),
        ("year = 2024", "year =", "is not TOML"),
        ('id = "one"', 'id = "three"', "name the file three.toml"),
        ("[[cognition]]", "[[cognitions]]", "cognition: Field required"),
    ],
)
def test_a_paper_that_breaks_the_format_is_refused(
    papers: Path, old: str, new: str, said: str
) -> None:
    path = papers / "one.toml"
    path.write_text(PAPER.replace(old, new, 1))
    with pytest.raises(UserError, match=said):
        load_paper(path)


def test_a_path_or_server_that_cannot_be_used_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        CognitionBase(tmp_path / "file" / "chroma")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "chroma.sqlite3").write_text("no database " * 100)
    with pytest.raises(UserError, match="file is not a database"):
        CognitionBase(broken)
    with pytest.raises(UserError, match="no Chroma server answers"):
        CognitionBase("http://127.0.0.1:9")


def test_embeddings_have_unit_length_and_do_not_depend_on_their_neighbours() -> None:
    texts = ["the delta rule", "a much longer text about decay and gates " * 20, ""]
    vectors = WordLlama().embed(texts)
    assert vectors.shape == (3, DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0, 0.0])
    assert np.array_equal(vectors[:1], WordLlama().embed(texts[:1]))
    assert WordLlama().embed([]).shape == (0, DIMENSIONS)


def test_embedding_leaves_logging_as_it_was() -> None:
    script = (
        "import logging; from move37.memory.embedding import WordLlama; WordLlama().embed(['x']);"
        "assert logging.getLogger().handlers == [], logging.getLogger().handlers;"
        "assert logging.getLogger().level == logging.WARNING"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert logging.getLogger().level == logging.WARNING


def test_every_paper_stands_in_the_package() -> None:
    assert PAPERS.is_dir()
    assert {paper.id for paper in load_library()} == {path.stem for path in PAPERS.glob("*.toml")}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real Chroma server on the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = Path(sys.executable).with_name("chroma")
    arguments = ["run", "--path", str(tmp_path / "data"), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [command, *arguments, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(150):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.mark.slow
def test_a_server_holds_the_same_base(server: str, tmp_path: Path) -> None:
    query = "recall of early keys falls"

    def found(where: Path | str) -> list[str]:
        with closing(CognitionBase(where)) as base:
            assert base.build().changed == len(base.lessons())
            assert base.build().changed == 0
            return [one.id for one in base.search(query, 20)]

    assert found(server) == found(tmp_path / "own")
    # A socket left open would show here.
    gc.collect()
