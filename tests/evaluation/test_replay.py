"""The replay of stored curves: the first two dozen of those that the benchmark keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curves import STORED, THIN, Run, load, store
from benchmarks.replay import replay, report
from move37.evaluation.pruning import Look, Rule

HALVING = Rule(looks=(Look(at=0.25, kept=0.5),), good=1, margin=0, spared=0, fewest=6)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return load(STORED)[:24]


def test_a_rule_that_lets_all_go_on_saves_and_loses_nothing(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    found = replay(runs, HALVING.model_copy(update={"looks": (Look(at=0.25, kept=1),)}), 3)
    assert report(runs, found) == (0.0, 1.0)
    assert "regret: 0.00000 nats on average" in capsys.readouterr().out


def test_what_is_stopped_made_a_quarter_of_the_texts_steps_and_none_of_recalls(
    runs: list[Run],
) -> None:
    found = replay(runs, HALVING, 5)
    assert set(found.made[found.ended == 0]) == {150}
    assert set(found.made[found.ended == 1]) == {1000}
    # The first six have too few before them; of the others about half are stopped.
    assert found.ended[found.place < 6].all()
    assert 0.3 < found.ended[found.place >= 6].mean() < 0.7


def test_a_rule_that_stops_at_random_steps_would_lose_far_more(
    runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    found = replay(runs, HALVING, 5)
    _, recall = report(runs, found)
    rng = np.random.default_rng(0)
    blind = found.ended.copy()
    for row in blind:
        rng.shuffle(row)
    _, by_chance = report(runs, found.__class__(found.made, blind, found.place, found.would_stop))
    assert recall > by_chance + 0.1
    assert "recall of the top quarter (6 designs, text)" in capsys.readouterr().out


def test_the_lot_spares_all_or_none_and_notes_what_would_have_been_stopped(
    runs: list[Run],
) -> None:
    found = replay(runs, HALVING.model_copy(update={"spared": 1.0}), 3)
    assert found.ended.all()
    assert 0.2 < found.would_stop.mean() < 0.6
    assert not replay(runs, HALVING, 3).would_stop.any()


def test_what_is_stored_is_the_mean_over_steps_and_what_failed_is_named(tmp_path: Path) -> None:
    curve = [{"task": "text", "step": n, "loss": float(n)} for n in range(1, 11)]
    curve += [{"task": "recall", "step": n, "loss": 1.0} for n in range(1, 6)]
    scores = [{"task": "text", "loss": 1.7}, {"task": "recall", "loss": 0.2}]
    outcome = {"kind": "measured", "curve": curve, "scores": scores, "provenance": {}}
    failed = {"kind": "failed", "stage": "gate", "reason": "G1"}
    lines = [
        {"number": n, "mutations": 1, "seconds": 20.0, "load": 2.0, "outcome": told}
        for n, told in enumerate((outcome, failed))
    ]
    raw, path = tmp_path / "raw.jsonl", tmp_path / "curves.json"
    raw.write_text("".join(json.dumps(line) + "\n" for line in lines))
    store(raw, path)
    (run,) = load(path)
    assert list(run.losses) == [3.0] * THIN + [8.0] * THIN
    assert (run.steps, run.held_out) == (15, {"text": 1.7, "recall": 0.2})
    assert json.loads(path.read_text())["failed"] == [[1, "gate", "G1"]]
