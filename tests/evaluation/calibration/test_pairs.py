"""The designs of the control pairs are what their names say."""

from __future__ import annotations

import pytest
import torch

from move37.arch_templates.contract import build_mixer
from move37.evaluation import policy
from move37.evaluation.calibration import pairs
from move37.evaluation.calibration.pairs import PAIRS, VARIANTS, source_of
from move37.evaluation.skills.catalog import SKILLS

DESIGNS = sorted({name for pair in PAIRS for name in (pair.better, pair.worse)})
HIDDEN, HEADS = 48, 2


def _run(name: str, x: torch.Tensor) -> tuple[torch.Tensor, object]:
    torch.manual_seed(0)
    y, state = build_mixer(source_of(name), HIDDEN, HEADS)(x)
    return y, state


def test_there_are_enough_pairs_and_each_says_why() -> None:
    assert len(PAIRS) >= 12
    assert len({(p.better, p.worse, p.metric) for p in PAIRS}) == len(PAIRS)
    assert all(pair.why and pair.better != pair.worse for pair in PAIRS)
    assert {pair.metric for pair in PAIRS} <= {pairs.TEXT, *SKILLS}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_may_enter_a_box_and_maps_tokens_to_tokens(name: str) -> None:
    assert policy.inspect(source_of(name)) is None
    x = torch.randn(2, 40, HIDDEN)
    y, _ = _run(name, x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", ["no mixing", "an MLP for the mixer"])
def test_what_mixes_nothing_does_not_see_the_token_before(name: str) -> None:
    x = torch.randn(1, 40, HIDDEN)
    other = x.clone()
    other[:, :39] = torch.randn(1, 39, HIDDEN)
    assert torch.equal(_run(name, x)[0][:, 39], _run(name, other)[0][:, 39])


def test_the_window_ends_after_sixteen_tokens() -> None:
    x = torch.randn(1, 40, HIDDEN)
    for first_kept, same in ((24, True), (25, False)):
        other = x.clone()
        other[:, :first_kept] += 1.0
        gap = (_run("window of 16 tokens", x)[0] - _run("window of 16 tokens", other)[0])[:, 39]
        assert (gap.abs().max().item() < 1e-5) is same


def test_half_the_state_is_half_the_memory_of_the_template() -> None:
    x = torch.randn(1, 8, HIDDEN)
    sizes = []
    for name in ("delta_net", "delta_net, half the state"):
        _, state = _run(name, x)
        assert isinstance(state, tuple)
        sizes.append(state[1].numel())
    assert sizes[0] == 2 * sizes[1]


def test_without_the_convolution_there_are_no_last_inputs_to_keep() -> None:
    _, state = _run("delta_net, no short convolution", torch.randn(1, 8, HIDDEN))
    assert isinstance(state, tuple)
    assert state[0] is None


def test_a_template_that_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"broken": ("delta_net", (("no such line", "anything"),))}
    monkeypatch.setattr(pairs, "VARIANTS", {**VARIANTS, **gone})
    with pytest.raises(ValueError, match="stands 0 times in delta_net"):
        source_of("broken")
