"""The harness itself, on our tasks and on models whose answers are known."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from move37.evaluation.data import Corpus, token_losses
from move37.evaluation.scoring import stream_logits
from move37.evaluation.zero_shot import harness
from move37.evaluation.zero_shot.harness import OURS, Harness
from move37.evaluation.zero_shot.local import CHANCE
from move37.evaluation.zero_shot.results import BITS, compare_runs
from move37.evaluation.zero_shot.streams import Boxed
from move37.evaluation.zero_shot.text import ByteTokenizer, held_out_text
from move37.records import UserError
from tests.evaluation.zero_shot.conftest import SMOKE

pytest.importorskip("lm_eval", reason="the extra `benchmarks` is not installed")

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from move37.evaluation.zero_shot.boxed import BoxedModel, rolling, windows_of

LIMIT = SMOKE.text.length


class Reader(LM):  # type: ignore[misc]
    """Knows the held-out text: a nat a byte for what stands there, ten for what does not."""

    def __init__(self, text: str, errs: int) -> None:
        super().__init__()
        self._text, self._errs, self._asked = text, errs, 0

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [self._told(request) for request in requests]

    def _told(self, request: Instance) -> tuple[float, bool]:
        context, continuation = request.args
        true = context + continuation in self._text
        wrong = true == (request.doc_id < self._errs)
        return -len(continuation.encode()) * (10.0 if wrong else 1.0), True

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise NotImplementedError

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def held_out(corpus: Corpus) -> str:
    return held_out_text(corpus)


@pytest.fixture(scope="module")
def tasks(held_out: str) -> Harness:
    return Harness(held_out, 128)


@pytest.fixture(scope="module")
def model(boxed: Boxed, corpus: Corpus) -> BoxedModel:
    return BoxedModel(boxed, ByteTokenizer(corpus), LIMIT)


def instance(*args: object, doc: int = 0) -> Instance:
    return Instance("loglikelihood", {}, args, 0, ("made", doc, 1))


def nats(boxed: Boxed, ids: list[int], count: int) -> float:
    """Return the nats of the last `count` ids of a row, the plain way."""
    row = np.array([ids])
    with boxed.nursery.open_box(boxed.limits) as box:
        logits = stream_logits(box, boxed.job, boxed.weights, row[:, :-1])
    return float(token_losses(logits, row)[0, -count:].sum())


def test_our_tasks_load_from_our_folder_and_are_the_same_each_time(tasks: Harness) -> None:
    found = tasks.prepare(OURS, 60)
    assert [(task.task, task.items) for task in found] == [(name, 60) for name in OURS]
    assert tasks.prepare(OURS, 60) == found
    assert tasks.prepare(OURS, 61)[0].digest != found[0].digest


def test_a_model_that_knows_the_text_is_always_right_and_its_bits_are_counted(
    tasks: Harness, held_out: str
) -> None:
    for run in tasks.run(Reader(held_out, errs=0), OURS, 90):
        figures = {metric.name: metric.estimate for metric in run.metrics}
        assert figures["acc"].mean == 1.0
        assert figures["acc"].se == 0.0
        assert figures[BITS].mean == pytest.approx(1 / math.log(2))
        chances = {metric.name: metric.chance for metric in run.metrics}
        assert chances["acc"] == pytest.approx(CHANCE[run.asked.task])
        assert chances[BITS] is None


def test_standard_errors_agree_with_a_direct_computation_and_pairs_are_sharper(
    tasks: Harness, held_out: str
) -> None:
    ours, theirs = (tasks.run(Reader(held_out, errs), OURS, 90) for errs in (30, 36))
    for result in compare_runs(ours, theirs):
        figures = {metric.name: metric for metric in result.metrics}
        acc = figures["acc"]
        right = np.arange(90) >= 30
        assert acc.value.mean == pytest.approx(right.mean())
        assert acc.value.se == pytest.approx(right.std(ddof=1) / math.sqrt(90))
        gained = right.astype(float) - (np.arange(90) >= 36)
        assert acc.difference.mean == pytest.approx(gained.mean())
        assert acc.difference.se == pytest.approx(gained.std(ddof=1) / math.sqrt(90))
        assert acc.difference.se < acc.value.se
        assert figures[BITS].difference.mean < 0


def test_likelihoods_are_those_of_the_text_cut_from_the_left(
    model: BoxedModel, boxed: Boxed, corpus: Corpus, held_out: str
) -> None:
    tokenizer = ByteTokenizer(corpus)
    context, continuation = held_out[1000:1300].rstrip(), " + 1\n"
    ((told, _),) = model.loglikelihood([instance(context, continuation)])
    ids = tokenizer.encode(context + continuation)[-(LIMIT + 1) :]
    assert told == pytest.approx(-nats(boxed, ids, 5), rel=1e-5)
    ((alone, _),) = model.loglikelihood([instance("", "import os")])
    ids = [tokenizer.start, *tokenizer.encode("import os")]
    assert alone == pytest.approx(-nats(boxed, ids, 9), rel=1e-5)


def test_a_long_text_is_scored_once_in_windows_that_do_not_overlap(
    model: BoxedModel, boxed: Boxed, corpus: Corpus, held_out: str
) -> None:
    tokenizer, text = ByteTokenizer(corpus), held_out[:150]
    ids = tokenizer.encode(text)
    parts = rolling(ids, tokenizer.start, LIMIT)
    assert [i for part in parts for i in part.tokens[-part.scored :]] == ids
    assert max(len(part.tokens) for part in parts) <= LIMIT + 1
    expected = sum(nats(boxed, list(part.tokens), part.scored) for part in parts)
    (told,) = model.loglikelihood_rolling([instance(text)])
    assert told == pytest.approx(-expected, rel=1e-5)
    assert windows_of([1], ids, LIMIT) == rolling(ids, 1, LIMIT)


def test_generation_ends_before_the_first_text_that_ends_it(model: BoxedModel) -> None:
    asked = {"until": [], "max_gen_toks": 20, "do_sample": False}
    ((whole,),) = [model.generate_until([instance("def ", asked)])]
    assert whole
    end = whole[3]
    (cut,) = model.generate_until([instance("def ", {**asked, "until": [end]})])
    assert cut == whole[: whole.index(end)]
    with pytest.raises(UserError, match="only greedy"):
        model.generate_until([instance("x", {"do_sample": True, "temperature": 0.8})])


def test_what_is_not_there_is_named_in_one_line(
    tasks: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="closing: the held-out text gives 0 items"):
        Harness("It was the best of times.\n" * 99, 128).prepare(["closing"], 10)
    monkeypatch.setattr(harness, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"move37\[benchmarks\]"):
        harness.require()


def test_the_harness_runs_without_torch() -> None:
    script = (
        "import sys, typing, inspect\n"
        "from pathlib import Path\n"
        "from move37.evaluation.zero_shot.harness import Harness\n"
        "text = ''.join(Path(m.__file__).read_text() for m in (typing, inspect))\n"
        "Harness(text, 128).prepare(['identifier_recall'], 10)\n"
        "from lm_eval import evaluator\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
