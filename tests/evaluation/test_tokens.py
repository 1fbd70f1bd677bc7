"""Datasets in their real formats, as tokens; nothing is fetched."""

from __future__ import annotations

import importlib.util
import json
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from move37.evaluation.data import load_corpus
from move37.evaluation.data.corpus import alphabet
from move37.evaluation.data.prepare import prepare
from move37.evaluation.data.shards import TOKENIZER
from move37.evaluation.data.tokens import END, load_bpe, train_bpe
from move37.evaluation.tiers import Dataset, Tier, load_tier
from move37.records import UserError

LIBRARIES = [importlib.util.find_spec(name) for name in ("datasets", "tokenizers", "pyarrow")]
needs_data = pytest.mark.skipif(None in LIBRARIES, reason="needs the extra `data`")
FORMATS = {"parquet": "parquet", "json": "jsonl", "arrow": "arrow"}


def texts() -> list[str]:
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:60]
    return [file.read_text() for file in files]


def write(path: Path, column: str, rows: list[str]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({column: rows, "number": list(range(len(rows)))})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
    else:
        path.write_text("".join(json.dumps({column: row}) + "\n" for row in rows))
    return path


def tier_of(vocabulary: int = 512, **data: Any) -> Tier:
    smoke = load_tier("smoke")
    spec = Dataset.model_validate({"path": "parquet", "tokens": 300_000, **data})
    text = smoke.text.model_copy(update={"vocabulary": vocabulary})
    return smoke.model_copy(update={"data": spec, "text": text})


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_dataset_becomes_tokens_that_decode_to_its_documents(kind: str, tmp_path: Path) -> None:
    import tokenizers

    rows = texts()
    file = write(tmp_path / f"d.{FORMATS[kind]}", "body", rows)
    tier = tier_of(path=kind, files=[str(file)], field="body")
    prepare(tier, None, tmp_path)
    corpus = load_corpus(None, tier, tmp_path)
    assert len(corpus.train) == 300_000
    assert corpus.vocabulary == 512
    assert corpus.train.dtype == np.uint16
    (place,) = (tmp_path / "data").glob(f"*/{TOKENIZER}")
    tokenizer = tokenizers.Tokenizer.from_file(str(place))
    usual = np.argsort(alphabet(corpus))
    told = tokenizer.decode(usual[corpus.train].tolist(), skip_special_tokens=False)
    found = told.split(END)[:-1]
    held_out = tokenizer.decode(usual[corpus.held_out].tolist(), skip_special_tokens=False)
    assert found
    assert set(found) <= set(rows)
    assert set(held_out.split(END)[:-1]) <= set(rows)
    assert not set(held_out.split(END)[:-1]) & set(found)
    assert 1.5 < corpus.bytes_per_token < 6


@needs_data
@pytest.mark.slow
def test_shards_whose_tokenizer_was_exchanged_are_one_line(tmp_path: Path) -> None:
    tier = tier_of(files=[str(write(tmp_path / "d.parquet", "text", texts()))])
    prepare(tier, None, tmp_path)
    (place,) = (tmp_path / "data").glob(f"*/{TOKENIZER}")
    own = tier_of(vocabulary=600, files=tier.data.model_dump()["files"], tokenizer=str(place))
    with pytest.raises(UserError, match="has 512 ids, the tier has a vocabulary of 600"):
        prepare(own, None, tmp_path)
    place.write_text(place.read_text() + " ")
    with pytest.raises(UserError, match="the tokenizer does not match its shards"):
        prepare(tier, None, tmp_path)
    with pytest.raises(UserError, match="the tokenizer does not match its shards"):
        load_corpus(None, tier, tmp_path)


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": 90_000_000}, "lower data.tokens"),
        ({"field": "body"}, "no column 'body'; it has number, text"),
        ({"field": "number"}, "holds no text"),
        ({"split": "validation"}, "cannot be read"),
        ({"path": "json"}, "cannot be read"),
    ],
)
def test_a_dataset_that_is_not_as_the_tier_says_is_one_line(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "d.parquet", "text", texts()[:20])
    tier = tier_of(**{"files": [str(file)], **change})
    with pytest.raises(UserError, match=said) as caught:
        prepare(tier, None, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="has not been prepared"):
        load_corpus(None, tier, tmp_path)


@needs_data
@pytest.mark.slow
def test_an_empty_dataset_is_one_line(tmp_path: Path) -> None:
    tier = tier_of(files=[str(write(tmp_path / "d.parquet", "text", ["", ""]))])
    with pytest.raises(UserError, match="holds no text"):
        prepare(tier, None, tmp_path)


def test_a_local_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        prepare(tier_of(files=[str(tmp_path / "absent.parquet")]), None, tmp_path)


def test_a_package_that_is_missing_is_named_with_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"datasets is needed .*: pip install 'move37\[data\]'"):
        prepare(tier_of(path="some/dataset"), None, tmp_path)


@needs_data
def test_what_a_tokenizer_puts_before_a_text_stands_in_no_document(tmp_path: Path) -> None:
    import tokenizers
    from tokenizers.processors import TemplateProcessing

    plain = train_bpe(texts(), 300)
    plain.save(tmp_path / "plain.json")
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "plain.json"))
    start = (END, tokenizer.token_to_id(END))
    tokenizer.post_processor = TemplateProcessing(single=f"{END} $A", special_tokens=[start])
    tokenizer.save(str(tmp_path / "starting.json"))
    bpe = load_bpe(tmp_path / "starting.json")
    (ids,) = bpe.encode(["import os"])
    assert ids.tolist() == [*bpe.ids("import os"), bpe.end]
    assert bpe.text(bpe.ids("import os")) == "import os"
