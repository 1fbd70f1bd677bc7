"""Byte-level BPE (1508.07909, over bytes, as in GPT-2), by the library `tokenizers`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from move37.evaluation.data.corpus import Array
from move37.records import UserError

END = "<|endoftext|>"
INSTALL = "pip install 'move37[data]'"
# A word of a text is far shorter, so a document is cut at line ends near this many characters.
PIECE = 1 << 18
BATCH = 256


def library(name: str) -> Any:  # noqa: ANN401 - a module of an optional package
    """Import an optional package, or say how to get it.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"the package {name} is needed for datasets ({error}): {INSTALL}") from None


class Bpe:
    """A tokenizer and the id that ends a document."""

    def __init__(self, tokenizer: Any, name: str) -> None:  # noqa: ANN401 - of an optional package
        self._tokenizer = tokenizer
        self._name = name
        ending = tokenizer.token_to_id(END)
        self._end = [ending] if ending is not None else tokenizer.encode("\n\n").ids

    @property
    def vocabulary(self) -> int:
        """The number of its ids."""
        return int(self._tokenizer.get_vocab_size())

    def require(self, vocabulary: int) -> None:
        """Refuse a tokenizer of another size than the tier's vocabulary.

        Raises:
            UserError: it has more or fewer ids.
        """
        if self.vocabulary != vocabulary:
            raise UserError(
                f"tokenizer {self._name} has {self.vocabulary} ids, the tier has a vocabulary of "
                f"{vocabulary}: set text.vocabulary to {self.vocabulary}, or name another tokenizer"
            )

    @property
    def end(self) -> int:
        """The id that stands last in a document, and so before the next."""
        return int(self._end[-1])

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, with nothing before or behind."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of some ids; an empty line stands between documents."""
        told = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return str(told).replace(END, "\n\n")

    def save(self, path: Path) -> None:
        """Write it down beside its shards."""
        self._tokenizer.save(str(path))

    def encode(self, documents: Iterable[str]) -> Iterator[Array]:
        """Return the ids of each document, with the id that ends it."""
        batch: list[str] = []
        for document in documents:
            batch.append(document)
            if len(batch) == BATCH:
                yield from self._encode(batch)
                batch = []
        yield from self._encode(batch)

    def _encode(self, batch: list[str]) -> Iterator[Array]:
        cut = [list(_cut(document)) for document in batch]
        pieces = [piece for parts in cut for piece in parts]
        # What some tokenizers put before a text would stand before each piece of a document.
        found = iter(self._tokenizer.encode_batch(pieces, add_special_tokens=False))
        for parts in cut:
            ids = [number for _ in parts for number in next(found).ids]
            yield np.array([*ids, *self._end], np.uint16)


def _cut(document: str) -> Iterator[str]:
    start = 0
    while len(document) - start > PIECE:
        end = document.find("\n", start + PIECE)
        if end < 0:
            break
        yield document[start:end]
        start = end
    yield document[start:]


def train_bpe(documents: Iterable[str], vocabulary: int) -> Bpe:
    """Train a byte-level BPE of exactly `vocabulary` ids.

    Raises:
        UserError: the documents hold too little text for so many.
    """
    tokenizers = library("tokenizers")
    models, pre = library("tokenizers.models"), library("tokenizers.pre_tokenizers")
    decoders, trainers = library("tokenizers.decoders"), library("tokenizers.trainers")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((p for d in documents for p in _cut(d)), trainer)
    bpe = Bpe(tokenizer, "trained on the data")
    if bpe.vocabulary != vocabulary:
        raise UserError(
            f"too little text for a BPE of {vocabulary} ids, it gives {bpe.vocabulary}; "
            f"set text.vocabulary to {bpe.vocabulary} or less, or take more text"
        )
    return bpe


def load_bpe(path: Path) -> Bpe:
    """Read a tokenizer's file.

    Raises:
        UserError: it cannot be read as one.
    """
    tokenizers = library("tokenizers")
    try:
        return Bpe(tokenizers.Tokenizer.from_file(str(path)), path.name)
    except Exception as error:  # noqa: BLE001 - the library raises the bare class
        raise UserError(f"tokenizer {path} cannot be read: {error}") from None
