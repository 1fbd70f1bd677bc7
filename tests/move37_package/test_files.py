"""Writing files whole."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from move37.files import write_atomically


def test_a_reader_never_meets_a_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "text"
    texts = ["a" * 200_000, "b" * 200_000]
    write_atomically(path, texts[0])

    def write_often(text: str) -> None:
        for _ in range(30):
            write_atomically(path, text)

    writers = [threading.Thread(target=write_often, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert [p.name for p in path.parent.iterdir()] == ["text"]


def test_a_failed_write_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "text"
    write_atomically(path, "old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "a\ud800b")
    assert (tmp_path / "text").read_text() == "a\\ud800b"
