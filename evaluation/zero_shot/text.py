"""From text to the token ids that a model was trained on, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from move37.evaluation.data import Corpus


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


def held_out_text(corpus: Corpus) -> str:
    """Return the held-out text as it reads."""
    return ByteTokenizer(corpus).decode(corpus.held_out.tolist())
