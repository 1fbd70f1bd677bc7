from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from move37.memory.fingerprint import fingerprint
from move37.memory.novelty import Motivations, check_novelty
from tests.memory.examples import CODE, ROOT, failed, proposal, refused, scored

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


@pytest.fixture
def motivations(tmp_path: Path) -> Iterator[Motivations]:
    opened = Motivations(tmp_path / "chroma")
    yield opened
    opened.close()


def test_neighbours_stay_within_the_campaign_and_before_the_number(
    motivations: Motivations,
) -> None:
    for number in range(1, 6):
        told = proposal(f"widen the filter, try {number}")
        motivations.add(scored(number, told=told))
        motivations.add(scored(number, told=told, campaign="other"))
    found = motivations.nearest("widen the filter, try 4", "trial", before=4)
    assert sorted(number for number, _ in found) == [1, 2, 3]
    assert [cosine for _, cosine in found] == sorted((c for _, c in found), reverse=True)
    exact = motivations.nearest("widen the filter, try 3", "trial", before=9, k=1)
    assert exact == ((3, 1.0),)
    assert motivations.nearest("anything", "nothing", before=9) == ()


def test_motivations_outlive_the_process_and_missing_ones_are_added(tmp_path: Path) -> None:
    history = [scored(1), scored(2), refused(3).model_copy(update={"proposal": None})]
    first = Motivations(tmp_path)
    first.add(history[0])
    first.add(history[0])
    first.close()
    again = Motivations(tmp_path)
    assert again.sync(history) == 1
    assert again.sync(history) == 0
    assert [number for number, _ in again.nearest("gate", "trial", before=9)] == [1, 2]
    again.close()
