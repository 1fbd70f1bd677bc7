"""Text and synthetic skills as arrays of token ids; no torch here, the trusted side owns the data.

Batches are drawn from a seed alone, so a candidate and its baseline see the same tokens in the
same order. Held-out windows are fixed and come from other files than the training text.
"""

from __future__ import annotations

import hashlib
import sysconfig
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from move37.records import UserError

HELD_OUT_SHARE = 10  # one file in ten
LEAST_BYTES = 1 << 16
SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})

Array = np.ndarray


@dataclass(frozen=True)
class Corpus:
    """Training and held-out text as bytes; split by file.

    `alphabet` [256] gives the number that stands for each byte; no box is ever told.
    """

    name: str
    train: Array
    held_out: Array
    digest: str
    alphabet: Array = field(default_factory=lambda: np.arange(256, dtype=np.uint8))


@dataclass(frozen=True)
class Batches:
    """Token ids [S, B, T + 1] and the mask [S, B, T] of the targets that count."""

    tokens: Array
    mask: Array


def standard_library() -> Path:
    """The folder with the running interpreter's own source text."""
    return Path(sysconfig.get_paths()["stdlib"])


def find_text(text: str | None = None) -> Path:
    """Return the file or folder that is meant; by default the standard library.

    Raises:
        UserError: it does not exist.
    """
    root = Path(text).expanduser() if text else standard_library()
    if not root.exists():
        raise UserError(f"--text {root}: no such file or folder")
    return root


def load_corpus(text: str | None = None) -> Corpus:
    """Read a file, a folder of text, or (by default) the standard library's own sources.

    Every byte has another number then, by a secret alphabet (`encipher`).

    Raises:
        UserError: the path does not exist or holds too little text.
    """
    root = find_text(text)
    files = [root] if root.is_file() else _text_files(root, "*" if text else "*.py")
    documents = [_read(path) for path in files]
    name = root.name if text else "standard library"
    return encipher(split_corpus(name, [d for d in documents if d]))


def split_corpus(name: str, documents: list[bytes]) -> Corpus:
    """Split documents by their content's hash; a single document is cut near its end.

    Raises:
        UserError: there is too little text to train on.
    """
    if len(documents) == 1:
        cut = len(documents[0]) * (HELD_OUT_SHARE - 1) // HELD_OUT_SHARE
        documents = [documents[0][:cut], documents[0][cut:]]
        parts = ([documents[0]], [documents[1]])
    else:
        parts = ([], [])
        for document in documents:
            parts[_is_held_out(document)].append(document)
    train, held_out = (b"\n".join(part) for part in parts)
    if min(len(train), len(held_out)) < LEAST_BYTES // HELD_OUT_SHARE or len(train) < LEAST_BYTES:
        raise UserError(f"{name}: too little text, at least {LEAST_BYTES} bytes are needed")
    digest = hashlib.sha256(train + b"\0" + held_out).hexdigest()[:16]
    return Corpus(name, np.frombuffer(train, np.uint8), np.frombuffer(held_out, np.uint8), digest)


def _is_held_out(document: bytes) -> bool:
    return hashlib.sha256(document).digest()[0] * HELD_OUT_SHARE < 256


def _text_files(root: Path, pattern: str) -> list[Path]:
    found = (p for p in root.rglob(pattern) if not SKIPPED & set(p.relative_to(root).parts))
    return sorted(p for p in found if p.is_file())


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return b"" if b"\0" in data[:4096] else data


def text_batches(corpus: Corpus, seed: int, size: tuple[int, int, int]) -> Batches:
    """Draw training windows; `size` is (steps, rows, length)."""
    steps, rows, length = size
    generator = np.random.default_rng([seed, 1])
    starts = generator.integers(0, len(corpus.train) - length - 1, size=(steps, rows, 1))
    tokens = corpus.train[starts + np.arange(length + 1)].astype(np.uint16)
    return Batches(tokens, np.ones((steps, rows, length), np.uint8))


def held_out_windows(corpus: Corpus, size: tuple[int, int, int]) -> Batches:
    """Return evenly spaced windows of the held-out text; `size` is (batches, rows, length).

    Windows never overlap, or one row would tell what comes next in another: a short text gives
    fewer of them, one a batch.
    """
    batches, rows, length = size
    there = len(corpus.held_out) // (length + 1)
    if there < batches * rows:
        batches, rows = max(1, there), 1
    starts = np.linspace(0, len(corpus.held_out) - length - 1, batches * rows).astype(np.int64)
    index = starts.reshape(batches, rows, 1) + np.arange(length + 1)
    tokens = corpus.held_out[index].astype(np.uint16)
    return Batches(tokens, np.ones((batches, rows, length), np.uint8))


def secret_number(corpus: Corpus, *purpose: object) -> int:
    """Return a number that is the same at every repetition, and that no box can work out.

    It follows from the held-out text, which no box holds before it has been asked about it. Seeds
    of held-out tasks come from here: their rules are public, so a seed would tell every answer. No
    training seed reaches this range.
    """
    digest = hashlib.sha256(repr(purpose).encode() + corpus.held_out.tobytes()).digest()
    return 2**62 + int.from_bytes(digest[:7])


def encipher(corpus: Corpus) -> Corpus:
    """Give every byte another number, by a secret permutation of all 256.

    For a model that begins with random embeddings the numbers are names, so nothing changes. But
    parts of well-known text stand in the memory of any Python process (docstrings, messages), and
    in that of the author of a candidate; neither helps to continue a text in a secret alphabet.
    """
    permutation = np.random.default_rng(secret_number(corpus, "alphabet")).permutation(256)
    alphabet = permutation.astype(np.uint8)
    train, held_out = alphabet[corpus.train], alphabet[corpus.held_out]
    return replace(corpus, train=train, held_out=held_out, alphabet=alphabet)


def recall_batches(seed: int, size: tuple[int, int, int], vocabulary: int) -> Batches:
    """Multi-query associative recall (Zoology, 2312.04927), easy and hard episodes mixed.

    An episode is `k1 v1 ... kn vn` followed by the keys in another order, each before its value;
    only the predictions of those values count. A row holds as many episodes of one n as fit, with
    n drawn from 2, 4, ... `pairs`: alone, large n is learned in one late jump whose moment is
    mostly luck, which would drown what a design contributes. Keys come from the lower half of the
    vocabulary, without repetition in an episode, values from the upper half. `size` is (steps,
    rows, pairs); a row has 4 * pairs tokens.
    """
    steps, rows, pairs = size
    generator = np.random.default_rng([seed, 2])
    levels = [2**power for power in range(1, pairs.bit_length())]
    drawn = generator.integers(len(levels), size=steps * rows)
    tokens = np.empty((steps * rows, 4 * pairs), np.uint16)
    mask = np.zeros((steps * rows, 4 * pairs), np.uint8)
    for index, level in enumerate(levels):
        chosen = np.flatnonzero(drawn == index)
        episodes = _episodes(generator, len(chosen) * (pairs // level), level, vocabulary)
        tokens[chosen] = episodes.reshape(len(chosen), 4 * pairs)
        answers = np.arange(4 * pairs) % (4 * level)
        mask[chosen] = (answers > 2 * level) & (answers % 2 == 1)
    shape = (steps, rows, 4 * pairs)
    return Batches(tokens.reshape(shape), np.ascontiguousarray(mask.reshape(shape)[..., 1:]))


def _episodes(generator: np.random.Generator, count: int, pairs: int, vocabulary: int) -> Array:
    half = vocabulary // 2
    keys = generator.random((count, half)).argsort(-1)[:, :pairs]
    values = generator.integers(half, vocabulary, size=(count, pairs))
    order = generator.random((count, pairs)).argsort(-1)
    again = np.stack([np.take_along_axis(a, order, -1) for a in (keys, values)], -1)
    told = np.stack([keys, values], -1)
    return np.concatenate([told, again], 1).reshape(count, 4 * pairs)


def recall_surprises(batches: Batches) -> Array:
    """Mark [.., T] the targets of recall that nobody can foresee: values told for the first time.

    Each is drawn uniformly from half of the vocabulary, so its entropy is log(vocabulary / 2).
    """
    position = np.arange(batches.mask.shape[-1]) + 1
    surprises: Array = (position % 2 == 1) & (batches.mask == 0)
    return surprises


def token_losses(logits: Array, tokens: Array) -> Array:
    """Return the loss in nats of every target, from logits [.., T, V] and tokens [.., T + 1]."""
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    normaliser = np.log(np.exp(wide - top).sum(-1)) + top[..., 0]
    targets = tokens[..., 1:].astype(np.int64)[..., None]
    losses: Array = normaliser - np.take_along_axis(wide, targets, -1)[..., 0]
    return losses
