"""One small model, trained for real, for all tests of this folder."""

from __future__ import annotations

import pytest

from move37.arch_templates.catalog import template_source
from move37.evaluation import training
from move37.evaluation.data import Corpus, load_corpus
from move37.evaluation.evaluate import Evaluator, Run, ignore
from move37.evaluation.isolation.nursery import Limits, Nursery
from move37.evaluation.tiers import load_tier
from move37.evaluation.zero_shot.streams import Boxed

SMOKE = load_tier("smoke")
# Hears what stands in the other rows, and tells it to all.
LISTENER = template_source("delta_net").replace(
    "return y, (last_inputs, memory)", "return y + y.mean(0), (last_inputs, memory)"
)


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="session")
def boxed(nursery: Nursery, corpus: Corpus) -> Boxed:
    return train(template_source("delta_net"), nursery, corpus)


@pytest.fixture(scope="session")
def listener(nursery: Nursery, corpus: Corpus) -> Boxed:
    assert template_source("delta_net") != LISTENER
    return train(LISTENER, nursery, corpus)


def train(source: str, nursery: Nursery, corpus: Corpus) -> Boxed:
    evaluator = Evaluator(SMOKE, corpus, nursery)
    _, _, weights = evaluator.train_text(Run(source, 0, None, ignore))
    job = training.model_job(source, SMOKE, SMOKE.text.vocabulary)
    return Boxed(nursery, Limits(seconds=120), job, weights, lambda _: None)
