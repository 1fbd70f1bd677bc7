"""Text and recall as arrays of token ids; no torch here, the trusted side owns the data.

Batches are drawn from a seed alone, so a candidate and its baseline see the same tokens in the
same order. Held-out windows are fixed and come from other documents than the training text.
"""

from move37.evaluation.data.corpus import (
    Array,
    Batches,
    Corpus,
    encipher,
    secret_number,
    split_corpus,
)
from move37.evaluation.data.files import find_text
from move37.evaluation.data.load import check_length, load_corpus
from move37.evaluation.data.losses import token_losses
from move37.evaluation.data.recall import recall_batches, recall_surprises
from move37.evaluation.data.windows import (
    held_out_windows,
    in_chunks,
    text_batches,
    text_chunks,
)

__all__ = [
    "Array",
    "Batches",
    "Corpus",
    "check_length",
    "encipher",
    "find_text",
    "held_out_windows",
    "in_chunks",
    "load_corpus",
    "recall_batches",
    "recall_surprises",
    "secret_number",
    "split_corpus",
    "text_batches",
    "text_chunks",
    "token_losses",
]
