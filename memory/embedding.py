"""Sentence embeddings: a model that an ordinary package carries, or another one handed in.

WordLlama averages static token vectors: word order is lost, and a text costs well under a
millisecond. Nothing is downloaded. `benchmarks/retrieval.py` compares it with a sentence
transformer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wordllama import WordLlamaInference

DIMENSIONS = 256

_loading = threading.Lock()


class Embedder(Protocol):
    """A model that turns texts into vectors; `name` tells its vectors from those of another."""

    @property
    def name(self) -> str:
        """The name under which a collection remembers who embedded it."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, [N, D]; an empty text gives zeros."""


class WordLlama:
    """The default: static vectors that come with the package, 16 MB."""

    name = "wordllama-l2_supercat-256"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length for each text, [N, 256]; an empty text gives zeros."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        with _loading:
            model = _model()
        for place, text in enumerate(texts):
            # One text at a time: padding in a batch would change the last bits of a vector.
            vectors[place] = unit(model.embed([text]))[0]
        return vectors


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows [N, D] at length one; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: NDArray[np.float32] = np.divide(
        vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0.0
    )
    return found


@cache
def _model() -> WordLlamaInference:
    # The package calls logging.basicConfig() when it is imported, which would set up the root
    # logger of the whole program; with any handler in place that call does nothing.
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    try:
        import wordllama
    finally:
        root.removeHandler(guard)
    carried = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=carried, disable_download=True)
