"""Sentence embeddings from a model that an ordinary package carries; nothing is downloaded.

WordLlama averages static token vectors: word order is lost, and a text costs well under a
millisecond. `benchmarks/embedding.py` compares it with a sentence transformer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wordllama import WordLlamaInference

EMBEDDING_NAME = "wordllama-l2_supercat-256"
DIMENSIONS = 256

_loading = threading.Lock()


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one vector of unit length for each text, [N, 256]; an empty text gives zeros."""
    vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    with _loading:
        model = _model()
    for place, text in enumerate(texts):
        # One text at a time: padding in a batch would change the last bits of a vector.
        vector = model.embed([text])[0]
        length = float(np.linalg.norm(vector))
        if length > 0.0:
            vectors[place] = vector / length
    return vectors


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
