"""Token shards, made once a machine: documents, split, tokenizer, ids, hash.

`python -m move37.evaluation.data.prepare` does it in a process of its own, which ends afterwards:
neither the judge nor the orchestrator loads the libraries, or keeps the memory, that it takes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from filelock import FileLock

from move37.evaluation.data import hub
from move37.evaluation.data.corpus import cut_of, is_held_out
from move37.evaluation.data.files import find_text, is_text, pieces, text_files
from move37.evaluation.data.load import token_folder
from move37.evaluation.data.shards import TOKENIZER, Writer, read_manifest
from move37.evaluation.data.tokens import INSTALL, Bpe, load_bpe, train_bpe
from move37.evaluation.tiers import Dataset, Tier
from move37.records import UserError, Value

PACKAGES = ("datasets", "tokenizers")
TELL_EVERY = 5_000_000
# The packages load torch where it is installed, which has no business here.
QUIET = {"USE_TORCH": "0", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "1"}


class Order(Value):
    """What is to be made, and where."""

    tier: Tier
    text: str | None
    folder: Path


def prepare(tier: Tier, text: str | None, cache: Path) -> None:
    """Make the token shards of a tier, if it has a dataset and they are not there yet.

    Raises:
        UserError: the dataset is missing, too short or empty, a package is missing, or a
            tokenizer does not match.
    """
    if not isinstance(tier.data, Dataset):
        return
    folder = token_folder(tier, text, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if read_manifest(folder) is not None:
            return
        require_packages(text)
        _apart(Order(tier=tier, text=text, folder=folder))


def require_packages(text: str | None) -> None:
    """Name a package that is missing, with the line that installs it."""
    for name in PACKAGES[text is not None :]:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"the package {name} is needed for datasets: {INSTALL}")


def _apart(order: Order) -> None:
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-m", "move37.evaluation.data.prepare"],
        input=order.model_dump_json(),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    told = done.stdout.strip().splitlines()
    if done.returncode or not told:
        raise RuntimeError(f"preparing the data ended with status {done.returncode}")
    if refused := json.loads(told[-1])["refused"]:
        raise UserError(refused)


# --- in the process apart ----------------------------------------------------------------------


class Document(Value):
    """A text, and whether it is held out."""

    text: str
    held_out: bool


def make(order: Order) -> None:
    """Train or load the tokenizer, and write the shards."""
    data, vocabulary = order.tier.data, order.tier.text.vocabulary
    assert isinstance(data, Dataset)

    def documents() -> Iterator[Document]:
        return _own(order.text) if order.text else _of(hub.documents(data))

    first = next(documents(), None)
    name = Path(order.text).name if order.text else data.path
    if first is None:
        raise UserError(f"{name}: holds no text")
    if data.tokenizer:
        bpe = load_bpe(Path(data.tokenizer))
    else:
        sample = _first_bytes(documents(), data.tokenizer_bytes)
        bpe = train_bpe(sample, vocabulary)
    bpe.require(vocabulary)
    with Writer(order.folder, "tokens") as writer:
        size = _write(documents(), bpe, writer, None if order.text else data.tokens)
        if not order.text and writer.counts[0] < data.tokens:
            raise UserError(
                f"dataset {name} has {writer.counts[0]:,} tokens to train on, the tier asks for "
                f"{data.tokens:,}: lower data.tokens"
            )
        bpe.save(writer.draft / TOKENIZER)
        tokenizer = hashlib.sha256((writer.draft / TOKENIZER).read_bytes()).hexdigest()
        # What a loss in nats a token means in bits a byte.
        share = size / max(1, sum(writer.counts))
        writer.finish(name, vocabulary, share, tokenizer)


def _write(documents: Iterator[Document], bpe: Bpe, writer: Writer, limit: int | None) -> int:
    """Write ids until there are `limit` to train on; return the bytes of text that they stand for.

    Documents alternate between the parts as they come, so both end at the same place.
    """
    size = told = 0
    kept: list[Document] = []

    def texts() -> Iterator[str]:
        for document in documents:
            kept.append(document)
            yield document.text

    for ids in bpe.encode(texts()):
        document = kept.pop(0)
        room = None if document.held_out or limit is None else limit - writer.counts[0]
        writer.write(ids[:room], held_out=document.held_out)
        writer.documents += 1
        size += len(document.text.encode(errors="replace")) * len(ids[:room]) // len(ids)
        if writer.counts[0] - told >= TELL_EVERY:
            told = writer.counts[0]
            _tell(f"{told:,} tokens" + (f" of {limit:,}" if limit else ""))
        if limit is not None and writer.counts[0] >= limit:
            break
    return size


def _tell(line: str) -> None:
    sys.stderr.write(f"data: {line}\n")


def _first_bytes(documents: Iterator[Document], limit: int) -> Iterator[str]:
    """Return training documents until they have so many bytes."""
    size = 0
    for document in documents:
        if document.held_out:
            continue
        yield document.text
        size += len(document.text)
        if size >= limit:
            return


def _of(texts: Iterator[str]) -> Iterator[Document]:
    """Split by document; a single one is cut near its end."""
    first, second = next(texts, None), next(texts, None)
    if first is None:
        return
    if second is None:
        yield from _halves(first)
        return
    for text in chain((first, second), texts):
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        yield Document(text=text, held_out=is_held_out(digest))


def _own(text: str) -> Iterator[Document]:
    """Documents of one's own: a file each."""
    files = [f for f in text_files(find_text(text)) if is_text(f)]
    return _of(b"".join(pieces(f)).decode(errors="replace") for f in files)


def _halves(text: str) -> Iterator[Document]:
    cut = cut_of(len(text))
    yield Document(text=text[:cut], held_out=False)
    yield Document(text=text[cut:], held_out=True)


def main() -> None:
    """Read an order from standard input, carry it out, and say what came of it."""
    order = Order.model_validate_json(sys.stdin.read())
    # What a library prints belongs to the log, not to the answer.
    out, sys.stdout = sys.stdout, sys.stderr
    refused = ""
    try:
        make(order)
    except UserError as error:
        refused = str(error)
    out.write(json.dumps({"refused": refused}) + "\n")
    out.flush()
    # Threads of the libraries that fetch would keep whoever waits.
    os._exit(0)


if __name__ == "__main__":
    main()
