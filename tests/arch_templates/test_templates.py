"""Each template keeps the contract of a token mixer, trains, and decodes; and does what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from move37.arch_templates import (
    ada_multi_path_gate_net,
    content_sharp_router,
    fusion_gated_fir_net,
    hier_gate_net,
)
from move37.arch_templates.catalog import BOUNDS, TEMPLATES, template_source
from move37.arch_templates.contract import TokenMixerProtocol, build_mixer
from move37.evaluation.gates.ladder import LADDER, run_ladder
from move37.evaluation.isolation.nursery import Nursery
from move37.evaluation.isolation.obtain import open_nursery

HIDDEN, HEADS = 32, 2
# Both kinds of layer of the hybrid.
LAYERS = [*((name, 0) for name in TEMPLATES + BOUNDS), ("hybrid", 1)]
RECURRENT = [layer for layer in LAYERS if layer[0] not in BOUNDS]

every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer[0]}-{layer[1]}")
recurrent_layer = pytest.mark.parametrize(
    "layer", RECURRENT, ids=lambda layer: f"{layer[0]}-{layer[1]}"
)
Kind = tuple[str, int]


def mixer_of(layer: Kind, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(seed)
    name, layer_idx = layer
    return build_mixer(template_source(name), HIDDEN, HEADS, layer_idx).to(dtype)


def signal(length: int, rows: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(length)
    return torch.randn(rows, length, HIDDEN, generator=draw, dtype=dtype)


def gap(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


@every_layer
@pytest.mark.parametrize("prefill", [1, 63, 64, 65])
def test_token_by_token_a_template_gives_what_it_gives_in_parallel(
    layer: Kind, prefill: int
) -> None:
    mixer: TokenMixerProtocol = mixer_of(layer)
    x = signal(prefill + 8)
    with torch.no_grad():
        whole, _ = mixer(x)
        y, state = mixer(x[:, :prefill])
        outputs = [y]
        for t in range(prefill, prefill + 8):
            y, state = mixer(x[:, t : t + 1], state)
            outputs.append(y)
    assert gap(torch.cat(outputs, 1), whole) <= 1e-9


@every_layer
def test_a_prefill_may_be_cut_into_pieces(layer: Kind) -> None:
    mixer = mixer_of(layer)
    x = signal(131)
    first, state = mixer(x[:, :70])
    second, _ = mixer(x[:, 70:], state)
    assert gap(torch.cat([first, second], 1), mixer(x)[0]) <= 1e-9


@every_layer
def test_a_template_is_causal(layer: Kind) -> None:
    mixer = mixer_of(layer)
    x = signal(131)
    whole, _ = mixer(x)
    for cut in (1, 31, 32, 33, 64, 100, 130):
        changed = x.clone()
        changed[:, cut:] = 30 * signal(131)[:, cut:].flip(2)
        assert gap(mixer(changed)[0][:, :cut], whole[:, :cut]) <= 1e-9
        assert gap(mixer(x[:, :cut])[0], whole[:, :cut]) <= 1e-9


@every_layer
def test_the_rows_of_a_batch_do_not_touch_each_other(layer: Kind) -> None:
    mixer = mixer_of(layer)
    x = signal(67, rows=3)
    whole, _ = mixer(x)
    for row in range(3):
        assert gap(mixer(x[row : row + 1])[0], whole[row : row + 1]) <= 1e-9


@every_layer
def test_a_template_remembers_nothing_between_calls(layer: Kind) -> None:
    mixer = mixer_of(layer)
    x = signal(40)
    first, _ = mixer(x)
    mixer(signal(33))
    assert torch.equal(mixer(x)[0], first)


@every_layer
def test_every_parameter_gets_a_finite_gradient(layer: Kind) -> None:
    mixer = mixer_of(layer, dtype=torch.float32)
    y, _ = mixer(signal(128, dtype=torch.float32))
    y.square().mean().backward()
    for parameter_name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@every_layer
def test_a_few_steps_of_training_teach_a_template_the_token_before(layer: Kind) -> None:
    mixer = mixer_of(layer, dtype=torch.float32)
    optimizer = torch.optim.Adam(mixer.parameters(), lr=1e-2)
    x = signal(32, rows=8, dtype=torch.float32)
    losses = []
    for _ in range(60):
        y, _ = mixer(x)
        loss = (y[:, 1:] - x[:, :-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@every_layer
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3])
def test_extreme_inputs_stay_finite(layer: Kind, scale: float) -> None:
    mixer = mixer_of(layer, dtype=torch.float32)
    x = (scale * signal(300, dtype=torch.float32)).requires_grad_()
    y, _ = mixer(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@every_layer
def test_the_same_seed_gives_the_same_template(layer: Kind) -> None:
    a, b, c = (mixer_of(layer, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def states(layer: Kind, lengths: tuple[int, ...]) -> list[list[Tensor]]:
    mixer = mixer_of(layer, dtype=torch.float32)
    return [tree_leaves(mixer(signal(length, dtype=torch.float32))[1]) for length in lengths]


@recurrent_layer
def test_the_state_keeps_the_dtype_and_does_not_grow(layer: Kind) -> None:
    found = states(layer, (1, 64, 200))
    for leaves in found:
        # A position is a whole number.
        assert all(leaf.dtype in (torch.float32, torch.int64) for leaf in leaves)
        assert [leaf.shape for leaf in leaves] == [leaf.shape for leaf in found[0]]


@pytest.mark.parametrize("name", BOUNDS)
def test_the_state_of_a_bound_grows_with_every_token(name: str) -> None:
    sizes = [sum(leaf.numel() for leaf in leaves) for leaves in states((name, 0), (1, 64, 200))]
    assert sizes == [sizes[0], 64 * sizes[0], 200 * sizes[0]]


def test_one_layer_in_four_of_the_hybrid_attends_and_the_others_remember() -> None:
    kinds = [type(mixer_of(("hybrid", layer_idx)).heads).__name__ for layer_idx in range(8)]
    assert kinds == ["GatedDelta", "WindowAttention", "GatedDelta", "GatedDelta"] * 2


def test_a_decisive_head_of_the_content_sharp_router_takes_one_path() -> None:
    gate = content_sharp_router.ContentSharpGate(HIDDEN, HEADS)
    x, paths = signal(5, dtype=torch.float32), torch.eye(4).expand(2, 5, HEADS, 4, 4)
    # Through unit vectors the mixture shows the weights.
    soft = gate(x, paths)
    with torch.no_grad():
        gate.sharpness[0] = 1000.0
    sharp = gate(x, paths)
    assert torch.allclose(sharp[:, :, 0].max(-1).values, torch.ones(2, 5))
    assert torch.equal(sharp[:, :, 1], soft[:, :, 1])
    assert soft.max() < 0.95


def test_the_paths_of_the_fusion_gated_net_can_all_be_open_and_none_is_ever_shut() -> None:
    gates = fusion_gated_fir_net.PathGates(HIDDEN, HEADS)
    x, paths = signal(5, dtype=torch.float32), torch.eye(4).expand(2, 5, HEADS, 4, 4)
    for bias, expected in ((100.0, 1.0), (-100.0, fusion_gated_fir_net.FLOOR)):
        with torch.no_grad():
            gates.path_bias.fill_(bias)
        assert torch.allclose(gates(x, paths), torch.tensor(expected))


def test_no_path_of_the_hierarchical_gate_dies_and_the_weights_sum_to_one() -> None:
    gate = hier_gate_net.HierarchicalGate(HIDDEN, HEADS)
    with torch.no_grad():
        gate.bias.fill_(100.0)
    weights = gate(signal(5, dtype=torch.float32))
    floor = hier_gate_net.HIGHEST_FLOOR * torch.sigmoid(gate.floor_logits)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 5, HEADS))
    assert torch.allclose(weights[..., 1:], floor[:, 1:].expand(2, 5, HEADS, 3))


def test_the_entropy_penalty_adds_its_share_to_a_gradient_and_makes_none_of_its_own() -> None:
    logits = signal(6)[..., :4].clone().requires_grad_()
    upstream = signal(7)[:, :6, :4].clone()
    upstream[:, 3:] = 0
    passed = ada_multi_path_gate_net.EntropyPenalty.apply(logits)  # type: ignore[no-untyped-call]
    assert torch.equal(passed, logits)
    (found,) = torch.autograd.grad(passed, logits, upstream)

    p = logits.softmax(-1)
    (of_entropy,) = torch.autograd.grad((p * p.log()).sum(), logits)
    share = ada_multi_path_gate_net.PENALTY * upstream.norm(dim=-1, keepdim=True)
    assert gap(found, upstream + share * of_entropy) <= 1e-12
    assert not found[:, 3:].any()


def test_under_noise_the_entropy_penalty_keeps_the_gate_more_open() -> None:
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(64, 4, generator=draw, dtype=torch.float64)
    noises = torch.randn(300, 64, 4, generator=draw, dtype=torch.float64)

    def entropy_after(penalised: bool) -> float:
        logits = start.clone().requires_grad_()
        for noise in noises:
            seen = (
                ada_multi_path_gate_net.EntropyPenalty.apply(logits)  # type: ignore[no-untyped-call]
                if penalised
                else logits
            )
            (gradient,) = torch.autograd.grad((seen * noise).sum(), logits)
            logits = (logits - 0.1 * gradient).detach().requires_grad_()
        p = logits.softmax(-1)
        return -(p * p.log()).sum(-1).mean().item()

    assert entropy_after(True) > entropy_after(False) + 0.1


def test_the_entropy_penalty_leaves_the_output_and_the_other_gradients_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixer = mixer_of(("ada_multi_path_gate_net", 0))
    found = []
    for strength in (ada_multi_path_gate_net.PENALTY, 0.0):
        # The candidate's own copy of the module's names, as it was built from source.
        monkeypatch.setitem(type(mixer).forward.__globals__, "PENALTY", strength)
        y, _ = mixer(signal(40))
        parameters = dict(mixer.named_parameters())
        found.append((y, torch.autograd.grad(y.square().sum(), list(parameters.values()))))
    (y, gradients), (plain_y, plain) = found
    assert torch.equal(y, plain_y)
    changed = {
        name
        for name, a, b in zip(mixer.state_dict(), gradients, plain, strict=True)
        if not torch.equal(a, b)
    }
    assert changed == {"layer_logits", "head_logits", "token_logits.weight"}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery("auto") as (warm, _):
        yield warm


def refused(source: str, nursery: Nursery) -> list[str]:
    report = run_ladder(source, nursery, every=True, white_noise=True, used=lambda _: None).report
    assert len(report.gates) == len(LADDER) + 1
    return [gate.id for gate in report.gates if not gate.passed]


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_passes_every_gate_white_noise_too(name: str, nursery: Nursery) -> None:
    assert refused(template_source(name), nursery) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_fails_the_gates_of_cost_only(name: str, nursery: Nursery) -> None:
    assert refused(template_source(name), nursery) == ["G14", "G13"]
