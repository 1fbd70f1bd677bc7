"""Text of any size as mapped shards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from move37.evaluation.data import encipher, load_corpus, split_corpus, text_batches, windows
from move37.evaluation.data.shards import HELD_OUT, MANIFEST, TRAIN
from move37.records import UserError


def made(count: int) -> list[bytes]:
    return [f"document {i} of a made text. ".encode() * 300 for i in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "text"
    place.mkdir()
    for number, document in enumerate(made(60)):
        (place / f"{number:03}.txt").write_bytes(document)
    return place


def test_mapped_text_has_the_parts_and_the_digest_of_text_in_memory(
    folder: Path, tmp_path: Path
) -> None:
    mapped, plain = load_corpus(str(folder), cache=tmp_path), split_corpus("text", made(60))
    assert mapped.digest == plain.digest
    names = dict(zip(plain.train.tolist(), mapped.train.tolist(), strict=True))
    assert len(set(names.values())) == len(names)
    assert mapped.held_out.tolist() == [names[byte] for byte in plain.held_out.tolist()]
    assert (mapped.train != plain.train).mean() > 0.9


def test_a_single_file_is_cut_where_text_in_memory_is(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_bytes(b"".join(made(60)))
    mapped = load_corpus(str(file), cache=tmp_path)
    plain = split_corpus("one.txt", [file.read_bytes()])
    assert mapped.digest == plain.digest
    assert len(mapped.held_out) == len(plain.held_out)


def test_shards_are_written_once_and_again_when_a_file_has_changed(
    folder: Path, tmp_path: Path
) -> None:
    first = load_corpus(str(folder), cache=tmp_path)
    (manifest,) = (tmp_path / "data").glob(f"*/{MANIFEST}")
    written = manifest.stat().st_mtime_ns
    assert load_corpus(str(folder), cache=tmp_path).digest == first.digest
    assert manifest.stat().st_mtime_ns == written
    (folder / "000.txt").write_bytes(b"another text " * 999)
    assert load_corpus(str(folder), cache=tmp_path).digest != first.digest
    assert len(list((tmp_path / "data").glob(f"*/{MANIFEST}"))) == 2
    assert not list((tmp_path / "data").glob(".*"))


@pytest.mark.parametrize("part", [TRAIN, HELD_OUT])
def test_a_shard_that_lost_its_end_is_one_line(folder: Path, tmp_path: Path, part: str) -> None:
    load_corpus(str(folder), cache=tmp_path)
    (shard,) = (tmp_path / "data").glob(f"*/{part}")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"not as long as its manifest says; delete"):
        load_corpus(str(folder), cache=tmp_path)


def test_a_folder_without_text_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "text"
    place.mkdir()
    (place / "picture.bin").write_bytes(b"\0" * 200_000)
    with pytest.raises(UserError, match="too little text"):
        load_corpus(str(place), cache=tmp_path)
    assert not list((tmp_path / "data").glob(f"*/{TRAIN}"))


def test_windows_are_the_same_however_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus, size = encipher(split_corpus("text", made(60))), (7, 3, 32)
    whole = text_batches(corpus, 4, size)
    monkeypatch.setattr(windows, "CHUNK_TOKENS", 200)
    chunks = list(windows.text_chunks(corpus, 4, size))
    assert len(chunks) == 4
    assert np.array_equal(np.concatenate([c.tokens for c in chunks]), whole.tokens)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_text_of_two_hundred_megabytes_takes_less_than_fifty_of_memory(tmp_path: Path) -> None:
    place = tmp_path / "text"
    place.mkdir()
    sources = b"".join(p.read_bytes() for p in sorted(Path(np.__file__).parent.glob("*.py")))
    for number in range(200):
        piece = f"# copy {number}\n".encode() + sources
        (place / f"{number}.txt").write_bytes(piece * (1_000_000 // len(piece) + 1))
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from move37.evaluation.data import *\n"
        "def now(what):\n"
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(re.search(what + r':\\s+(\\d+)', status)[1])\n"
        "before = now('VmRSS')\n"
        "corpus = load_corpus(sys.argv[1], cache=Path(sys.argv[2]))\n"
        "for chunk in text_chunks(corpus, 0, (600, 8, 128)):\n"
        "    del chunk\n"
        "held_out_windows(corpus, (24, 8, 128))\n"
        "secret_number(corpus, 'a')\n"
        "print(now('VmHWM') - before, len(corpus.train) + len(corpus.held_out))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(place), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    kilobytes, size = map(int, done.stdout.split())
    assert size > 200_000_000
    assert kilobytes < 50_000
