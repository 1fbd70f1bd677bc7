"""From text to the token ids that a model was trained on, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from move37.evaluation.data import Corpus
from move37.evaluation.data.tokens import load_bpe

# Far more than a thousand items are made of; held-out text may be of any length.
MOST = 1 << 24


class Tokenizer(Protocol):
    """The tokens of a tier; `start` stands between documents, so it begins a text without context.

    Bytes of a text that cannot be decoded become replacement characters.
    """

    @property
    def start(self) -> int:
        """The id that a model sees before the first token of a document."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids."""


class ByteTokenizer:
    """Bytes of UTF-8, each under its number in the corpus's secret alphabet."""

    def __init__(self, corpus: Corpus) -> None:
        self._number = corpus.names
        self._byte = np.argsort(corpus.names).astype(np.uint8)

    @property
    def start(self) -> int:
        """A newline: documents of a corpus are joined by one."""
        return int(self._number[ord("\n")])

    def encode(self, text: str) -> list[int]:
        """Return an id for each byte."""
        raw = np.frombuffer(text.encode(), np.uint8)
        return [int(number) for number in self._number[raw]]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some bytes."""
        return bytes(self._byte[np.array(ids, np.int64)]).decode("utf-8", "replace")


class BpeTokenizer:
    """The tier's BPE, each of its ids under its number in the corpus's secret alphabet."""

    def __init__(self, corpus: Corpus) -> None:
        assert corpus.tokenizer is not None
        self._bpe = load_bpe(corpus.tokenizer)
        self._number = corpus.names
        self._id = np.argsort(corpus.names)

    @property
    def start(self) -> int:
        """The token that ends a document."""
        return int(self._number[self._bpe.end])

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return [int(number) for number in self._number[np.array(self._bpe.ids(text), np.int64)]]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids."""
        return self._bpe.text(self._id[np.array(ids, np.int64)].tolist())


def tokenizer_of(corpus: Corpus) -> Tokenizer:
    """Return what turns text into the tokens of a corpus.

    Raises:
        UserError: the package that reads its tokenizer is not installed.
    """
    return ByteTokenizer(corpus) if corpus.tokenizer is None else BpeTokenizer(corpus)


def held_out_text(corpus: Corpus) -> str:
    """Return the held-out text as it reads, as far as tasks need it."""
    return tokenizer_of(corpus).decode(corpus.held_out[:MOST].tolist())
