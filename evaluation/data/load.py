"""Which corpus a tier trains on: the standard library, one's own text, or prepared shards."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock

from move37.evaluation.data.corpus import (
    Corpus,
    cut_of,
    encipher,
    is_held_out,
    split_corpus,
)
from move37.evaluation.data.files import find_text, is_text, pieces, sha256, stamp, text_files
from move37.evaluation.data.shards import FORMAT, Writer, open_shards, read_manifest
from move37.evaluation.tiers import Dataset, Tier
from move37.records import UserError, content_id
from move37.settings import load_settings


def load_corpus(
    text: str | None = None, tier: Tier | None = None, cache: Path | None = None
) -> Corpus:
    """Open what a tier trains on; the default is the standard library's sources as bytes.

    `text` names a file or folder instead, of any size: it is copied once into shards in the cache
    of this machine, which are mapped. The tokens of a dataset must have been prepared
    (`prepare.prepare`). Every token has another number then, by a secret alphabet (`encipher`).

    Raises:
        UserError: the path does not exist, holds too little text, or cannot be read.
    """
    place = cache or load_settings().cache.expanduser()
    if tier is not None and isinstance(tier.data, Dataset):
        return open_shards(token_folder(tier, text, place))
    root = find_text(text)
    if text is None:
        documents = [b"".join(pieces(path)) for path in text_files(root, "*.py")]
        kept = [d for d in documents if d and b"\0" not in d[:4096]]
        return encipher(split_corpus("standard library", kept))
    return _own_text(root, place)


def _own_text(root: Path, cache: Path) -> Corpus:
    files = text_files(root)
    folder = cache / "data" / f"bytes-{content_id(FORMAT, root.name, stamp(files), length=16)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if read_manifest(folder) is None:
            with Writer(folder, "bytes") as writer:
                _copy([f for f in files if is_text(f)], writer)
                writer.finish(root.name)
    return open_shards(folder)


def _copy(files: list[Path], writer: Writer) -> None:
    """Copy documents into the part that the hash of each decides; one alone is cut near its end."""
    writer.documents = len(files)
    if len(files) == 1:
        size = os.stat(files[0]).st_size  # noqa: PTH116 - the file was just opened
        for part, (start, end) in enumerate(((0, cut_of(size)), (cut_of(size), size))):
            for piece in pieces(files[0], start, end):
                writer.write(piece, held_out=bool(part))
        return
    for file in files:
        part = is_held_out(sha256(file))
        if writer.counts[part]:
            writer.write(b"\n", held_out=part)
        for piece in pieces(file):
            writer.write(piece, held_out=part)


def token_folder(tier: Tier, text: str | None, cache: Path) -> Path:
    """Return the folder of a tier's token shards: its name is a hash of all that they follow from.

    A dataset of the hub goes by its name and revision; local files by their state.

    Raises:
        UserError: a local file, or the text, does not exist.
    """
    data = tier.data
    assert isinstance(data, Dataset)
    named = [Path(name) for name in (*data.files, *filter(None, [data.tokenizer]))]
    for path in named:
        if not path.is_file():
            raise UserError(f"tier {tier.name}, data: {path}: no such file")
    own = stamp(text_files(find_text(text))) if text else ""
    key = content_id(FORMAT, data.model_dump(), tier.text.vocabulary, stamp(named), own, length=16)
    return cache / "data" / f"tokens-{key}"


def check_length(corpus: Corpus, tier: Tier) -> None:
    """Refuse a corpus that is shorter than a window of the tier.

    Raises:
        UserError: training or held-out text is too short.
    """
    need = tier.text.length + 2
    if min(len(corpus.train), len(corpus.held_out)) < need:
        raise UserError(f"{corpus.name}: too little text for windows of {tier.text.length} tokens")
