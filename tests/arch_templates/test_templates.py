"""Each template keeps the contract of a token mixer, and its text is had without torch."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest
import torch
from torch import Tensor, nn

from move37.arch_templates.catalog import TEMPLATES, template_source
from move37.arch_templates.contract import TokenMixerProtocol, build_mixer

HIDDEN = 32


def mixer_of(name: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(seed)
    return build_mixer(template_source(name), HIDDEN, num_heads=2).to(dtype)


def signal(length: int, rows: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(length)
    return torch.randn(rows, length, HIDDEN, generator=draw, dtype=dtype)


def gap(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("prefill", [1, 63, 64, 65])
def test_token_by_token_a_template_gives_what_it_gives_in_parallel(name: str, prefill: int) -> None:
    mixer: TokenMixerProtocol = mixer_of(name)
    x = signal(prefill + 8)
    with torch.no_grad():
        whole, _ = mixer(x)
        y, state = mixer(x[:, :prefill])
        outputs = [y]
        for t in range(prefill, prefill + 8):
            y, state = mixer(x[:, t : t + 1], state)
            outputs.append(y)
    assert gap(torch.cat(outputs, 1), whole) <= 1e-9


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prefill_may_be_cut_into_pieces(name: str) -> None:
    mixer = mixer_of(name)
    x = signal(131)
    first, state = mixer(x[:, :70])
    second, _ = mixer(x[:, 70:], state)
    assert gap(torch.cat([first, second], 1), mixer(x)[0]) <= 1e-9


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_causal(name: str) -> None:
    mixer = mixer_of(name)
    x = signal(131)
    whole, _ = mixer(x)
    for cut in (1, 31, 32, 33, 64, 100, 130):
        changed = x.clone()
        changed[:, cut:] = 30 * signal(131)[:, cut:].flip(2)
        assert gap(mixer(changed)[0][:, :cut], whole[:, :cut]) <= 1e-9
        assert gap(mixer(x[:, :cut])[0], whole[:, :cut]) <= 1e-9


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_rows_of_a_batch_do_not_touch_each_other(name: str) -> None:
    mixer = mixer_of(name)
    x = signal(67, rows=3)
    whole, _ = mixer(x)
    for row in range(3):
        assert gap(mixer(x[row : row + 1])[0], whole[row : row + 1]) <= 1e-9


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_remembers_nothing_between_calls(name: str) -> None:
    mixer = mixer_of(name)
    x = signal(40)
    first, _ = mixer(x)
    mixer(signal(33))
    assert torch.equal(mixer(x)[0], first)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    mixer = mixer_of(name, dtype=torch.float32)
    y, _ = mixer(signal(128, dtype=torch.float32))
    y.square().mean().backward()
    for parameter_name, parameter in mixer.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3])
def test_extreme_inputs_stay_finite(name: str, scale: float) -> None:
    mixer = mixer_of(name, dtype=torch.float32)
    x = (scale * signal(300, dtype=torch.float32)).requires_grad_()
    y, _ = mixer(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_same_seed_gives_the_same_template(name: str) -> None:
    a, b, c = (mixer_of(name, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_state_keeps_the_dtype_and_does_not_grow(name: str) -> None:
    mixer = mixer_of(name, dtype=torch.float32)
    sizes = []
    for length in (1, 64, 200):
        y, (last_inputs, memory) = mixer(signal(length, dtype=torch.float32))
        assert y.dtype == last_inputs.dtype == memory.dtype == torch.float32
        sizes.append((last_inputs.shape, memory.shape))
    assert sizes[0] == sizes[1] == sizes[2] == ((2, 3, 3 * HIDDEN), (2, 2, 16, 16))


def test_template_text_is_had_without_importing_torch() -> None:
    program = (
        "import sys; from move37.arch_templates.catalog import TEMPLATES, template_source; "
        "assert all('class TokenMixer' in template_source(name) for name in TEMPLATES); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(ValueError, match="template is 'mamba', expected one of delta_net, gated"):
        template_source("mamba")


@pytest.mark.parametrize("source", ["x = 1", "TokenMixer = 3", "class TokenMixer: pass"])
def test_a_source_without_the_class_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"no class TokenMixer\(nn.Module\)"):
        build_mixer(source, HIDDEN, 2)


def test_an_error_in_a_candidate_shows_its_own_line() -> None:
    source = "from torch import nn\nclass TokenMixer(nn.Module):\n    width = 1 // 0\n"
    with pytest.raises(ZeroDivisionError) as caught:
        build_mixer(source, HIDDEN, 2)
    assert "width = 1 // 0" in "".join(traceback.format_exception(caught.value))


def test_two_candidates_share_no_names() -> None:
    build_mixer(template_source("delta_net") + "\nLEAK = 1\n", HIDDEN, 2)
    with pytest.raises(NameError):
        build_mixer(template_source("delta_net") + "\nLEAK += 1\n", HIDDEN, 2)
