from __future__ import annotations

import random
from pathlib import Path

import pytest

from move37.memory.novelty import Motivations, check_novelty
from move37.memory.programs.fingerprint import fingerprint
from move37.records import Novelty
from tests.memory.examples import CODE, ROOT, failed, proposal, pruned, refused, scored
from tests.memory.labelled import drawn, judged, other_numbers, really_new, same_program, written

RENAMED = '''
"""Another docstring."""
import torch.nn as layers
from torch import sigmoid


class TokenMixer(layers.Module):
    """It says what it is."""

    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.w = layers.Linear(hidden_size, hidden_size, bias=False)  # a comment

    def forward(self, inputs, memory=None):
        opening = sigmoid(self.w(inputs))
        return inputs * opening * 0.5, memory
'''


def test_names_comments_docstrings_and_imports_do_not_make_another_program() -> None:
    assert fingerprint(RENAMED) == fingerprint(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("torch.sigmoid", "torch.tanh"),
        ("bias=False", "bias=True"),
        ("x * gate", "gate * gate"),
        ("layer_idx: int = 0", "layer_idx: int = 1"),
    ],
)
def test_constants_and_operations_make_another_program(old: str, new: str) -> None:
    assert old in CODE
    assert fingerprint(CODE.replace(old, new)) != fingerprint(CODE)


def test_swapped_roles_of_two_names_make_another_program() -> None:
    one = "def f(a, b):\n    return a - b\n"
    assert fingerprint(one) != fingerprint("def f(a, b):\n    return b - a\n")
    assert fingerprint(one) == fingerprint("def g(b, a):\n    return b - a\n")


@pytest.mark.parametrize("code", ["", "def (", "x = '\x00'", "-" * 100_000 + "1", "(" * 500])
def test_code_that_does_not_parse_has_a_fingerprint_too(code: str) -> None:
    assert len(fingerprint(code)) == 64


def test_a_repeated_program_names_the_first_and_what_came_of_it() -> None:
    history = [scored(3, fitness=0.625, told=proposal(code=RENAMED)), scored(4), refused(2)]
    novelty = check_novelty(proposal("quite another idea"), history, ())
    assert novelty.verdict == "repeat"
    assert "repeats experiment 3, which reached fitness 0.6250" in novelty.reason


def test_a_repeat_of_a_failure_says_at_which_stage() -> None:
    novelty = check_novelty(proposal(), [failed(1)], ())
    assert "experiment 1, which failed at the stage 'gate' (looks ahead)" in novelty.reason


def test_a_repeat_of_what_was_stopped_early_says_so_and_why() -> None:
    novelty = check_novelty(proposal(), [pruned(1)], ())
    why = "which was stopped early (loss 5.1 at step 9, smoothed)"
    assert f"repeats experiment 1, {why}" in novelty.reason


def test_what_was_refused_may_be_proposed_again() -> None:
    assert check_novelty(proposal(), [refused(1)], ((1, 1.0),)).verdict == "new"


def test_the_unchanged_root_is_a_repeat() -> None:
    novelty = check_novelty(proposal(code="other_name = 1  # root"), [], (), root=ROOT)
    assert novelty.verdict == "repeat"


@pytest.mark.parametrize(
    ("motivation", "mechanisms", "cosine", "verdict"),
    [
        ("open the gate", ("output-gate",), 0.99, "repeat"),
        ("open the gate", ("output-gate",), 0.97, "new"),
        ("open the gate", ("output-gate", "key-norm"), 0.99, "new"),
        ("open the gate 3 times", ("output-gate",), 0.99, "new"),
    ],
)
def test_an_idea_repeats_when_words_numbers_and_mechanisms_agree(
    motivation: str, mechanisms: tuple[str, ...], cosine: float, verdict: str
) -> None:
    earlier = scored(1, told=proposal(mechanisms=("output-gate",)))
    later = proposal(motivation, code="y = 2", mechanisms=mechanisms)
    novelty = check_novelty(later, [earlier], ((1, cosine),))
    assert novelty.verdict == verdict
    assert novelty.nearest == ((1, cosine),)


def test_neighbours_stay_within_the_campaign_and_before_the_number(tmp_path: Path) -> None:
    ours, others = Motivations(tmp_path, "trial"), Motivations(tmp_path, "other..one-")
    for number in range(1, 60):
        told = proposal(f"widen the filter, try {number}")
        ours.add(scored(number, told=told))
        others.add(scored(number, told=proposal("another idea altogether"), campaign="other"))
    found = ours.nearest("widen the filter, try 59", before=4)
    assert sorted(number for number, _ in found) == [1, 2, 3]
    assert [cosine for _, cosine in found] == sorted((c for _, c in found), reverse=True)
    assert ours.nearest("widen the filter, try 3", before=99, k=1) == ((3, 1.0),)
    assert len(others.nearest("widen the filter, try 3", before=99)) == 5
    assert others.nearest("widen the filter, try 3", before=99)[0][1] < 0.9
    ours.close()
    others.close()


def test_motivations_outlive_the_process_and_missing_ones_are_added(tmp_path: Path) -> None:
    history = [scored(1), scored(2), refused(3).model_copy(update={"proposal": None})]
    first = Motivations(tmp_path, "trial")
    first.add(history[0])
    first.add(history[0])
    first.close()
    again = Motivations(tmp_path, "trial")
    assert again.sync(history) == 1
    assert again.sync(history) == 0
    assert [number for number, _ in again.nearest("gate", before=9)] == [1, 2]
    again.close()


# --- the labelled set ---------------------------------------------------------------------------


def test_no_exact_repeat_passes() -> None:
    designs = [*written(templates=4), *drawn(4, random.Random(3))]
    repeats = list(same_program(designs, random.Random(4)))
    assert len(repeats) > 2 * len(designs)
    assert [case.label for case in repeats if not judged(case)] == []


def test_at_most_one_really_new_design_in_twenty_is_refused() -> None:
    told = list(really_new(written(templates=15), drawn(25, random.Random(5))))
    refused = [judged(case) for case in told if judged(case)]
    assert len(refused) <= 0.05 * len(told)


def test_numbers_alone_are_an_idea_only_where_the_motivation_argues_for_them() -> None:
    for case in other_numbers(written(templates=4), random.Random(6)):
        reason = judged(case)
        assert ("but for numbers" in reason) == (case.label == "other numbers, not argued for")


def test_numbers_with_another_mechanism_are_new() -> None:
    later = proposal("quite another", CODE.replace("0.5", "0.25"), ("output-gate",))
    assert check_novelty(later, [scored(1)], ()).verdict == "new"


def test_a_design_in_other_words_is_told_by_both_measures() -> None:
    code = CODE.replace("return x * gate * 0.5", "part = x * gate\n        return part * 0.5")
    earlier = [failed(1)]
    later = proposal("open the gate a bit", code)
    found = check_novelty(later, earlier, ((1, 0.8),))
    assert found.verdict == "repeat"
    assert "similarity of the code 1.000, cosine of the motivations 0.800" in found.reason
    assert "failed at the stage 'gate' (looks ahead)" in found.reason
    assert check_novelty(later, earlier, ((1, 0.5),)).verdict == "new"
    swapped = proposal("open the gate a bit", code.replace("sigmoid", "tanh"))
    assert check_novelty(swapped, earlier, ((1, 0.8),)).verdict == "new"


def test_the_verdict_carries_the_nearest_programs() -> None:
    codes = [CODE.replace("sigmoid", name) for name in ("tanh", "exp", "relu", "erf", "sin", "cos")]
    history = [scored(place, told=proposal(code=code)) for place, code in enumerate(codes, start=1)]
    history.append(scored(7, told=proposal(code="y = 2")))
    found = check_novelty(proposal("something else"), history, ())
    assert found.verdict == "new"
    assert [number for number, _ in found.nearest_code] == [1, 2, 3, 4, 5]
    assert all(0.3 < similar < 0.985 for _, similar in found.nearest_code)


def test_a_record_from_before_code_was_compared_still_loads() -> None:
    old = {"verdict": "new", "reason": "new", "fingerprint": "f", "nearest": [[1, 0.5]]}
    assert Novelty.model_validate(old).nearest_code == ()
