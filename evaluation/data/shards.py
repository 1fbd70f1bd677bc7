"""Corpora on the disk: two files of token ids and a manifest, mapped into memory when used.

They are written once, next to each other in a folder that is named by what they were made of, and
renamed into place when they are whole. The ids on the disk are enciphered already.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError

from move37.evaluation.data.corpus import Array, Corpus, alphabet, digest_of, require_enough
from move37.evaluation.data.files import PIECE, pieces
from move37.records import Finite, UserError, Value

MANIFEST, TRAIN, HELD_OUT = "manifest.json", "train.bin", "held_out.bin"
TOKENIZER = "tokenizer.json"
FORMAT: Literal[1] = 1
DTYPES: dict[str, np.dtype[Any]] = {"bytes": np.dtype("<u1"), "tokens": np.dtype("<u2")}


class Manifest(Value):
    """What a folder of shards holds.

    `train` and `held_out` are numbers of ids. `digest` names the ids before they were enciphered,
    `key` (hexadecimal) is the secret that follows from the held-out ones. `tokenizer` is the
    SHA-256 of the tokenizer's file, empty for bytes.
    """

    format: Literal[1] = FORMAT
    name: str
    unit: Literal["bytes", "tokens"]
    vocabulary: int = Field(ge=2, le=65_536)
    train: int
    held_out: int
    documents: int
    bytes_per_token: Finite
    digest: str
    key: str
    tokenizer: str = ""


class Writer:
    """Takes documents for both parts, then puts the whole folder in its place."""

    def __init__(self, folder: Path, unit: Literal["bytes", "tokens"]) -> None:
        self._folder = folder
        self.draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        self._unit: Literal["bytes", "tokens"] = unit
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self.counts = [0, 0]
        self.documents = 0

    def __enter__(self) -> Self:
        self.draft.mkdir(parents=True, exist_ok=True)
        self._files = ((self.draft / TRAIN).open("wb"), (self.draft / HELD_OUT).open("wb"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files or ():
            file.close()
        # Nothing is left of it once it stands in its place.
        shutil.rmtree(self.draft, ignore_errors=True)

    def write(self, ids: bytes | Array, *, held_out: bool) -> None:
        """Append bytes, or ids of tokens, to one of the parts."""
        assert self._files is not None
        raw = ids if isinstance(ids, bytes) else ids.astype(DTYPES[self._unit]).tobytes()
        self._files[held_out].write(raw)
        self.counts[held_out] += len(raw) // DTYPES[self._unit].itemsize

    def finish(
        self, name: str, vocabulary: int = 256, bytes_per_token: float = 1.0, tokenizer: str = ""
    ) -> Manifest:
        """Encipher what was written, and put it in its place.

        Raises:
            UserError: it is too little to train on.
        """
        assert self._files is not None
        for file in self._files:
            file.close()
        require_enough(name, self.counts[0], self.counts[1], self._unit)
        places = self.draft / TRAIN, self.draft / HELD_OUT
        manifest = Manifest(
            name=name,
            unit=self._unit,
            vocabulary=vocabulary,
            train=self.counts[0],
            held_out=self.counts[1],
            documents=self.documents,
            bytes_per_token=bytes_per_token,
            digest=digest_of(pieces(places[0]), pieces(places[1])),
            key=_hash(places[1]),
            tokenizer=tokenizer,
        )
        names = alphabet(_opened(self.draft, manifest))
        for place in places:
            _rename_ids(place, names)
        (self.draft / MANIFEST).write_text(manifest.model_dump_json(indent=1))
        shutil.rmtree(self._folder, ignore_errors=True)
        self.draft.rename(self._folder)
        return manifest


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _rename_ids(path: Path, names: Array) -> None:
    with path.open("r+b") as file:
        while piece := file.read(PIECE):
            file.seek(-len(piece), os.SEEK_CUR)
            file.write(names[np.frombuffer(piece, names.dtype)].tobytes())


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder of shards; None where there is none yet.

    Raises:
        UserError: shards and manifest, or shards and tokenizer, do not belong together.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise _spoilt(folder, "the manifest cannot be read") from None
    size = DTYPES[manifest.unit].itemsize
    for part, count in ((TRAIN, manifest.train), (HELD_OUT, manifest.held_out)):
        place = folder / part
        if not place.is_file() or place.stat().st_size != count * size:
            raise _spoilt(folder, f"{part} is not as long as its manifest says")
    if manifest.tokenizer:
        place = folder / TOKENIZER
        if not place.is_file() or _hash(place) != manifest.tokenizer:
            raise _spoilt(folder, "the tokenizer does not match its shards")
    return manifest


def _spoilt(folder: Path, why: str) -> UserError:
    return UserError(f"{folder}: {why}; delete that folder, and it is made anew")


def open_shards(folder: Path) -> Corpus:
    """Map shards that were written before.

    Raises:
        UserError: they are missing, or do not belong together.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(f"{folder}: the data of this tier has not been prepared")
    corpus = _opened(folder, manifest)
    return replace(corpus, names=alphabet(corpus))


def _opened(folder: Path, manifest: Manifest) -> Corpus:
    maps = tuple(_mapped(folder / part) for part in (TRAIN, HELD_OUT))
    train, held_out = (np.frombuffer(m, DTYPES[manifest.unit]) for m in maps)
    return Corpus(
        name=manifest.name,
        train=train,
        held_out=held_out,
        digest=manifest.digest,
        vocabulary=manifest.vocabulary,
        bytes_per_token=manifest.bytes_per_token,
        key=bytes.fromhex(manifest.key),
        maps=maps,
        tokenizer=folder / TOKENIZER if manifest.tokenizer else None,
    )


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
