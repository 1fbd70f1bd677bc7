"""Files of text as documents: found, stamped, read piece by piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from move37.evaluation.data.corpus import standard_library
from move37.records import UserError, content_id

SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})
PIECE = 1 << 20
HEAD = 4096


def find_text(text: str | None = None) -> Path:
    """Return the file or folder that is meant; by default the standard library.

    Raises:
        UserError: it does not exist.
    """
    root = Path(text).expanduser() if text else standard_library()
    if not root.exists():
        raise UserError(f"--text {root}: no such file or folder")
    return root


def text_files(root: Path, pattern: str = "*") -> list[Path]:
    """Return the files of text below a folder, or the file itself; in a fixed order."""
    if root.is_file():
        return [root]
    found = (p for p in root.rglob(pattern) if not SKIPPED & set(p.relative_to(root).parts))
    return sorted(p for p in found if p.is_file())


def is_text(path: Path) -> bool:
    """Whether a file holds anything, and nothing that text does not hold.

    Raises:
        UserError: it cannot be read.
    """
    head = next(pieces(path, 0, HEAD), b"")
    return bool(head) and b"\0" not in head


def pieces(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Read a file from `start` to `end` in pieces of at most a mebibyte.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            left = end - start if end is not None else None
            while left is None or left > 0:
                piece = file.read(PIECE if left is None else min(PIECE, left))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def sha256(path: Path) -> bytes:
    """Return the hash of a file."""
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.digest()


def stamp(files: list[Path]) -> str:
    """Name the state of files by their places, sizes and times of change, without reading them."""
    try:
        states = [(str(f.resolve()), *_state(os.stat(f))) for f in files]  # noqa: PTH116 - faster
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return content_id(states, length=16)


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
