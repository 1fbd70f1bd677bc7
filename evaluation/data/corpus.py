"""Text as arrays of token ids; no torch here, the trusted side owns the data.

Held-out text comes from other documents than the training text, and every token has another
number than its usual one, by a secret permutation.
"""

from __future__ import annotations

import hashlib
import mmap
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from move37.records import UserError

HELD_OUT_SHARE = 10  # one document in ten
LEAST_TOKENS = 1 << 16
BYTES = 256

Array = np.ndarray


@dataclass(frozen=True)
class Corpus:
    """Training and held-out token ids; split by document.

    `maps` are the memory maps behind the arrays, if there are any. `key` is a secret that
    follows from the held-out text, where that is too long to be read for each secret number.
    `names` [vocabulary] gives the number that stands for each token; no box is ever told.
    `tokenizer` is the file that made the tokens, None where they are bytes.
    """

    name: str
    train: Array
    held_out: Array
    digest: str
    vocabulary: int = BYTES
    bytes_per_token: float = 1.0
    key: bytes = b""
    names: Array = field(default_factory=lambda: np.arange(BYTES, dtype=np.uint8))
    maps: tuple[mmap.mmap, ...] = ()
    tokenizer: Path | None = None

    def release(self) -> None:
        """Give the pages of mapped text back, so that text of any size takes little memory."""
        if sys.platform != "win32":
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class Batches:
    """Token ids [S, B, T + 1] and the mask [S, B, T] of the targets that count."""

    tokens: Array
    mask: Array


def standard_library() -> Path:
    """The folder with the running interpreter's own source text."""
    return Path(sysconfig.get_paths()["stdlib"])


def split_corpus(name: str, documents: list[bytes]) -> Corpus:
    """Split documents by their content's hash; a single document is cut near its end.

    Raises:
        UserError: there is too little text to train on.
    """
    if len(documents) == 1:
        cut = cut_of(len(documents[0]))
        documents = [documents[0][:cut], documents[0][cut:]]
        parts = ([documents[0]], [documents[1]])
    else:
        parts = ([], [])
        for document in documents:
            parts[is_held_out(hashlib.sha256(document).digest())].append(document)
    train, held_out = (b"\n".join(part) for part in parts)
    require_enough(name, len(train), len(held_out), "bytes")
    digest = digest_of([train], [held_out])
    return Corpus(name, np.frombuffer(train, np.uint8), np.frombuffer(held_out, np.uint8), digest)


def cut_of(size: int) -> int:
    """Return where a single document of this size is cut."""
    return size * (HELD_OUT_SHARE - 1) // HELD_OUT_SHARE


def is_held_out(digest: bytes) -> bool:
    """Whether the document with this SHA-256 is held out."""
    return digest[0] * HELD_OUT_SHARE < 256


def require_enough(name: str, train: int, held_out: int, unit: str) -> None:
    """Refuse text that is empty or too short to train on and to score."""
    if min(train, held_out) < LEAST_TOKENS // HELD_OUT_SHARE or train < LEAST_TOKENS:
        raise UserError(
            f"{name}: too little text, at least {LEAST_TOKENS} {unit} to train on and "
            f"{LEAST_TOKENS // HELD_OUT_SHARE} held out are needed; it has {train} and {held_out}"
        )


def digest_of(train: Iterable[bytes], held_out: Iterable[bytes]) -> str:
    """Return the hash that names a corpus, from its two parts, piece by piece."""
    digest = hashlib.sha256()
    for piece in train:
        digest.update(piece)
    digest.update(b"\0")
    for piece in held_out:
        digest.update(piece)
    return digest.hexdigest()[:16]


def secret_number(corpus: Corpus, *purpose: object) -> int:
    """Return a number that is the same at every repetition, and that no box can work out.

    It follows from the held-out text, which no box holds before it has been asked about it. Seeds
    of held-out tasks come from here: their rules are public, so a seed would tell every answer. No
    training seed reaches this range.
    """
    secret = corpus.key or corpus.held_out.tobytes()
    digest = hashlib.sha256(repr(purpose).encode() + secret).digest()
    return 2**62 + int.from_bytes(digest[:7])


def alphabet(corpus: Corpus) -> Array:
    """Return the secret number of each token id."""
    generator = np.random.default_rng(secret_number(corpus, "alphabet"))
    return generator.permutation(corpus.vocabulary).astype(corpus.train.dtype)


def encipher(corpus: Corpus) -> Corpus:
    """Give every token another number, by a secret permutation of all of them.

    For a model that begins with random embeddings the numbers are names, so nothing changes. But
    parts of well-known text stand in the memory of any Python process (docstrings, messages), and
    in that of the author of a candidate; neither helps to continue a text in a secret alphabet.
    """
    names = alphabet(corpus)
    train, held_out = names[corpus.train], names[corpus.held_out]
    return replace(corpus, train=train, held_out=held_out, names=names)
