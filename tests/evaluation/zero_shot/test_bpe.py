"""Benchmarks at a tier whose text is tokens of a BPE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation.data import load_corpus
from move37.evaluation.data.prepare import prepare
from move37.evaluation.evaluate import Evaluator
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.zero_shot.judge import BenchmarkJudge
from move37.evaluation.zero_shot.results import BenchmarkRun
from move37.evaluation.zero_shot.text import held_out_text, tokenizer_of
from tests.evaluation.test_tokens import needs_data, texts, tier_of, write


@needs_data
@pytest.mark.slow
def test_tokens_of_a_dataset_are_asked_as_they_were_trained_on(
    tmp_path: Path, nursery: Nursery
) -> None:
    rows = texts()
    tier = tier_of(files=[str(write(tmp_path / "d.parquet", "text", rows))])
    prepare(tier, None, tmp_path)
    corpus = load_corpus(None, tier, tmp_path)
    tokenizer = tokenizer_of(corpus)

    text = 'naïve = "π"\n'
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(rows[0])) < len(rows[0])
    # The numbers are those of the shards: a document is found in them, and what starts one.
    first = np.flatnonzero(corpus.train == tokenizer.start)[0]
    document = tokenizer.decode(corpus.train[:first].tolist())
    assert document in rows
    assert tokenizer.encode(document) == corpus.train[:first].tolist()
    assert "import " in held_out_text(corpus)

    judge = BenchmarkJudge(Evaluator(tier, corpus, nursery), corpus, nursery)
    run = judge.run(template_source("delta_net"), 0, ["identifier_recall"], 50)
    assert isinstance(run, BenchmarkRun), run
    (task,) = run.tasks
    assert {metric.name for metric in task.metrics} >= {"acc", "bits_per_byte"}
