"""Every file of the corpus gets the verdict that its head expects, through real boxes."""

from __future__ import annotations

import os
from collections import Counter
from hashlib import sha256

import pytest

from move37.evaluation import policy
from move37.evaluation.gates.ladder import LADDER
from move37.evaluation.isolation import walls
from move37.evaluation.isolation.nursery import Nursery
from tests.hostile.cases import KINDS, BadHead, Case, corpus, read_head
from tests.hostile.judging import Court, climb, objection

LEAST = {"hostile": 35, "wrong": 35, "good": 30}
CONSTRUCTION = "G17"
# A few of each kind that take a second or two; the others are marked slow.
FAST = frozenset(
    {
        "hostile/reads_host_files",
        "hostile/connects_by_address",
        "hostile/forks",
        "hostile/prints_fake_results",
        "wrong/centred_convolution",
        "wrong/scaled_by_length",
        "wrong/row_index",
        "wrong/call_counter",
        "wrong/returns_no_state",
        "good/dropout_in_training",
        "good/nested_state",
        "good/output_gain_starts_at_zero",
    }
)


ABSENT = walls.missing(dict(os.environ))


def _parameter(case: Case) -> object:
    marks = [] if case.id in FAST else [pytest.mark.slow]
    if case.kind == "template":
        # The tests of the templates take them through the same gates.
        marks = [pytest.mark.long]
    if case.kind == "hostile" and ABSENT:
        # What it would obtain here is known: `move37 doctor` tells it.
        marks.append(pytest.mark.skip(reason=f"this machine lacks {', '.join(ABSENT)}"))
    return pytest.param(case, id=case.id, marks=marks)


@pytest.mark.parametrize("judged", [_parameter(case) for case in corpus()])
def test_the_verdict_is_the_one_in_the_head(judged: Case, court: Court) -> None:
    seen = court.judge(judged)
    complaint = objection(judged, seen, court.root)
    assert not complaint, f"{judged.id} ({judged.does}): {complaint}\n{seen.told()}"


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.id)
def test_the_static_policy_says_what_the_head_tells(case: Case) -> None:
    refused = policy.inspect(case.source)
    assert (refused is not None) == (case.policy == "refused"), refused


def test_there_are_enough_cases_of_each_kind() -> None:
    counts = Counter(case.kind for case in corpus())
    assert all(counts[kind] >= least for kind, least in LEAST.items()), counts
    assert set(counts) == {*KINDS, "template"}


def test_the_fast_cases_exist() -> None:
    assert {case.id for case in corpus()} >= FAST


def test_no_two_cases_are_the_same_program() -> None:
    digests: dict[str, str] = {}
    for case in corpus():
        code = "\n".join(line for line in case.source.splitlines() if not line.startswith("#"))
        same = digests.setdefault(sha256(code.encode()).hexdigest(), case.id)
        assert same == case.id


@pytest.mark.parametrize("case", corpus(), ids=lambda case: case.id)
def test_a_kind_expects_what_belongs_to_it(case: Case) -> None:
    allowed = {
        "good": {"passes"},
        "template": {"passes"},
        "wrong": {"gate", "audit", "train", "no"},
        "hostile": {"contained", "no", "timeout", "memory", "train", "audit", "gate"},
    }
    assert case.expect.split()[0] in allowed[case.kind]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("import torch\n", "lacks does, expect, policy"),
        ("# does: x\n# expect: gate\n# policy: passes\n# run: check\n", "expect is 'gate'"),
        ("# does: x\n# expect: passes\n# policy: passes\n# run: train\n", "run is 'train'"),
        ("# does: x\n# does: y\n", "told twice"),
        ("# does: x\n# expect: audit\n# policy: passes\n# run: check\n# mood: good\n", "mood"),
    ],
)
def test_a_wrong_head_is_refused(head: str, message: str) -> None:
    with pytest.raises(BadHead, match=message):
        read_head(head)


# What cannot be constructed answers no gate, so construction alone is never what fails.
@pytest.mark.slow
@pytest.mark.parametrize("gate", [gate.id for gate in LADDER if gate.id != CONSTRUCTION])
def test_without_a_gate_a_wrong_case_would_pass(gate: str, nursery: Nursery) -> None:
    dedicated = [case for case in corpus() if case.only == gate]
    assert dedicated, f"no case is caught by {gate} alone"
    for case in dedicated:
        seen = climb(case, nursery, every=True)
        assert seen.failing == (gate,), f"{case.id}\n{seen.told()}"
