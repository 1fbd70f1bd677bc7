"""Layers in the style of flash-linear-attention, and what published programs do to it."""

from __future__ import annotations

import ast
import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates import ops
from move37.arch_templates.adapter import modules, ragged, style
from move37.arch_templates.adapter.cache import Cache
from move37.arch_templates.adapter.imports import imported
from move37.arch_templates.adapter.kernels import kernel
from move37.arch_templates.contract import build_mixer, load_candidate
from move37.evaluation import policy

HIDDEN, HEADS = 16, 2
DOUBLE = torch.float64

# A whole layer: every habit of the published ones, and all that it needs to go on and to be padded.
LAYER = '''# -*- coding: utf-8 -*-
"""A memory that overwrites, between short filters and a gate."""
from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Dict, Optional, Tuple

import torch
import torch.nn as nn
from einops import rearrange

from fla.layers.utils import get_unpad_data, index_first_axis, pad_input
from fla.modules import FusedRMSNormGated, RMSNorm, ShortConvolution
from fla.modules.l2norm import l2norm
from fla.ops.delta_rule import chunk_delta_rule, fused_recurrent_delta_rule

if TYPE_CHECKING:
    from fla.models.utils import Cache
    from transformers.processing_utils import Unpack


@torch.compile
def remember(q, k, v, beta, before, edges, rule):
    return rule(
        q=q, k=k, v=v.to(torch.bfloat16), beta=beta, scale=1.0, initial_state=before,
        output_final_state=True, cu_seqlens=edges, use_qk_l2norm_in_kernel=True,
    )


class DeltaNet(nn.Module):
    def __init__(
        self,
        *,
        mode: str = "chunk",
        d_model: int | None = None,
        hidden_size: int = 1024,
        expand_k: float = 1.0,
        num_heads: int = 4,
        use_gate: bool = True,
        conv_size: int = 4,
        layer_idx: int | None = None,
        norm_eps: float = 1e-5,
        **kwargs: Dict,
    ) -> None:
        super().__init__()
        if d_model is not None:
            hidden_size = d_model
        self.layer_idx = layer_idx or 0
        self.head_dim = int(hidden_size * expand_k) // num_heads
        self.proj = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.conv1d = ShortConvolution(3 * hidden_size, conv_size, activation="silu", bias=True)
        self.beta = nn.Linear(hidden_size, num_heads)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.o_norm = FusedRMSNormGated(self.head_dim, eps=norm_eps)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: Optional[torch.Tensor] = None,
        past_key_values: Optional["Cache"] = None,
        *,
        use_cache: bool = False,
        output_attentions: bool = False,
        **kwargs: "Unpack[Dict]",
    ) -> Tuple[torch.Tensor, None, Optional["Cache"]]:
        rows, length, _ = hidden_states.shape
        edges = indices = None
        if attention_mask is not None:
            indices, edges, _ = get_unpad_data(attention_mask[:, -length:])
            flat = rearrange(hidden_states, "b s d -> (b s) d")
            hidden_states = index_first_axis(flat, indices).unsqueeze(0)
        last = None
        if past_key_values is not None and len(past_key_values) > self.layer_idx:
            last = past_key_values[self.layer_idx]
        filtered, conv = self.conv1d(
            self.proj(hidden_states), cache=last["conv_state"] if last else None,
            output_final_state=use_cache, cu_seqlens=edges,
        )
        qkv = rearrange(filtered, "b l (n h d) -> n b l h d", n=3, d=self.head_dim)
        q, k, v = qkv.bfloat16()
        before = last["recurrent_state"] if last else None
        rule = chunk_delta_rule if length > 8 else fused_recurrent_delta_rule
        beta = self.beta(hidden_states).sigmoid()
        o, memory = remember(q, k, v, beta, before, edges, rule)
        if past_key_values is not None and use_cache:
            past_key_values.update(
                recurrent_state=memory, conv_state=conv, layer_idx=self.layer_idx, offset=length
            )
        gate = rearrange(self.gate(hidden_states), "b l (h d) -> b l h d", d=self.head_dim)
        o = self.o_proj(rearrange(self.o_norm(o, gate), "b l h d -> b l (h d)"))
        if attention_mask is not None:
            o = pad_input(o.squeeze(0), indices, rows, length)
        return o, None, past_key_values
'''
# What published programs do: the recurrent state is written down and never read again.
FORGETS = LAYER.replace('before = last["recurrent_state"] if last else None', "before = None")
BARE = """import torch.nn as nn


class Running(nn.Module):
    def __init__(self, d_model, n_heads=4):
        super().__init__()
        self.proj = nn.Linear(d_model, d_model)

    def forward(self, hidden_states):
        return self.proj(hidden_states).cumsum(1)
"""


def layer(source: str = LAYER, layer_idx: int = 0) -> nn.Module:
    """Build a layer in double precision from one seed."""
    torch.manual_seed(0)
    return build_mixer(source, HIDDEN, HEADS, layer_idx).double().eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)


def in_pieces(mixer: nn.Module, x: Tensor, cuts: list[int]) -> Tensor:
    """Run x [B, T, D] in pieces that end at the cuts, each through a copy of its own."""
    outputs, state, start = [], None, 0
    for end in [*cuts, x.shape[1]]:
        y, state = copy.deepcopy(mixer)(x[:, start:end], state)
        outputs.append(y)
        start = end
    return torch.cat(outputs, dim=1)


# --- the whole -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _double_by_default() -> Any:
    # A cast that is lifted goes to the default dtype, which the evaluator sets in the same way.
    torch.set_default_dtype(DOUBLE)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("layer_idx", [0, 3])
def test_a_layer_with_a_cache_decodes_as_it_computes_in_parallel(layer_idx: int) -> None:
    mixer, x = layer(layer_idx=layer_idx), noise(2, 37, HIDDEN)
    with torch.no_grad():
        whole, state = mixer(x)
        torch.testing.assert_close(in_pieces(mixer, x, [1, 20, 21, 22]), whole)
    assert whole.shape == x.shape
    leaves = torch.utils._pytree.tree_leaves(state)
    assert all(isinstance(leaf, (Tensor, int)) for leaf in leaves)
    assert state["seen"] == 37


def test_a_layer_computes_the_rule_that_it_names() -> None:
    mixer, x = layer(), noise(1, 20, HIDDEN)
    inner: Any = mixer.layer
    with torch.no_grad():
        y, _ = mixer(x)
        mixed = F.pad(inner.proj(x).mT, (3, 0))
        filtered = F.conv1d(mixed, inner.conv1d.weight, inner.conv1d.bias, groups=3 * HIDDEN).mT
        q, k, v = F.silu(filtered).view(1, 20, 3, HEADS, -1).unbind(2)
        beta = torch.sigmoid(inner.beta(x))
        q, k = ops.l2norm(q), ops.l2norm(k)
        o, _ = ops.naive_recurrent_delta_rule(q, k, v, beta, scale=1.0)
        gate = F.silu(inner.gate(x)).view(1, 20, HEADS, -1)
        o = F.rms_norm(o, o.shape[-1:], inner.o_norm.weight, 1e-5) * gate
        torch.testing.assert_close(y, inner.o_proj(o.flatten(-2)))


def test_a_padded_row_gives_what_it_gives_alone() -> None:
    mixer, x = layer(), noise(3, 12, HIDDEN)
    lengths = (12, 5, 1)
    mask = torch.tensor([[at >= 12 - n for at in range(12)] for n in lengths])
    with torch.no_grad():
        padded, _ = mixer(x, attention_mask=mask)
        for row, n in enumerate(lengths):
            alone, _ = mixer(x[row : row + 1, 12 - n :])
            torch.testing.assert_close(padded[row : row + 1, 12 - n :], alone)


def test_a_state_that_is_written_and_never_read_shows_in_decoding() -> None:
    mixer, x = layer(FORGETS), noise(1, 12, HIDDEN)
    with torch.no_grad():
        whole, _ = mixer(x)
        assert (in_pieces(mixer, x, [10]) - whole)[:, :10].abs().max() == 0
        assert (in_pieces(mixer, x, [10]) - whole)[:, 10:].abs().max() > 1e-3


def test_a_layer_that_keeps_nothing_says_that_it_cannot_go_on() -> None:
    mixer, x = layer(BARE), noise(1, 6, HIDDEN)
    y, state = mixer(x)
    assert y.shape == x.shape
    with pytest.raises(NotImplementedError, match="decoding token by token is not written"):
        mixer(x, state)


def test_a_half_precision_cast_is_harmless_in_single_precision() -> None:
    torch.set_default_dtype(torch.float32)
    mixer = build_mixer(LAYER, HIDDEN, HEADS)
    y, _ = mixer(torch.randn(1, 9, HIDDEN))
    assert y.dtype == torch.float32
    y.sum().backward()
    assert all(p.grad is not None for p in mixer.parameters())


def test_a_file_is_loaded_whatever_its_style(tmp_path: Path) -> None:
    for name, source in (("layer.py", LAYER), ("bare.py", BARE)):
        (tmp_path / name).write_text(source, encoding="utf-8")
        y, _ = load_candidate(tmp_path / name, HIDDEN, HEADS)(noise(1, 3, HIDDEN))
        assert y.shape == (1, 3, HIDDEN)


def test_adapting_leaves_the_modules_of_the_process_alone() -> None:
    before = {name for name in sys.modules if name.split(".")[0] in ("fla", "transformers")}
    layer()
    after = {name for name in sys.modules if name.split(".")[0] in ("fla", "transformers")}
    assert after == before
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        build_mixer(f"import no_such_package\n{BARE}", HIDDEN, HEADS)


def test_an_error_in_a_layer_shows_its_own_line() -> None:
    source = BARE.replace(
        "return self", "wrong = hidden_states.no_such_method()\n        return self"
    )
    with pytest.raises(AttributeError) as caught:
        layer(source)(noise(1, 2, HIDDEN))
    lines = [frame.lineno for frame in caught.traceback if str(frame.path) == "candidate.py"]
    assert lines[-1:] == [
        source.splitlines().index("        wrong = hidden_states.no_such_method()")
    ]


# --- constructors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sizes"),
    [
        ("hidden_size, num_heads, layer_idx", "hidden_size, num_heads, layer_idx"),
        ("d_model=None, hidden_size=8, num_heads=4", "hidden_size, num_heads"),
        ("dim, heads=1, layer_id=9, **kwargs", "dim, heads, layer_id"),
        ("*, embed_dim, n_heads=1, head_dim=256", "embed_dim, n_heads, head_dim"),
    ],
)
def test_a_constructor_gets_its_sizes_by_the_names_it_has(parameters: str, sizes: str) -> None:
    source = BARE.replace("d_model, n_heads=4", parameters)
    source = source.replace("nn.Linear(d_model, d_model)", "nn.Identity()")
    source = source.replace(
        "super().__init__()", f"super().__init__()\n        self.told = ({sizes},)"
    )
    mixer: Any = build_mixer(source, HIDDEN, HEADS, 5)
    expected = {"head_dim": HIDDEN // HEADS, "layer_idx": 5, "layer_id": 5}
    meant = [expected.get(n, HEADS if "head" in n else HIDDEN) for n in sizes.split(", ")]
    assert list(mixer.layer.told) == meant


def test_a_constructor_that_asks_for_something_unknown_is_told_so() -> None:
    source = BARE.replace("n_heads=4", "n_heads, window")
    with pytest.raises(ValueError, match="Running needs the argument 'window'"):
        build_mixer(source, HIDDEN, HEADS)


# --- what is recognised --------------------------------------------------------------------------

HELPER = BARE.replace("class Running", "class Helper")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (LAYER, "DeltaNet"),
        (BARE, "Running"),
        (BARE + HELPER, None),
        (LAYER + HELPER, "DeltaNet"),
        (BARE + "class TokenMixer(nn.Module):\n    pass\n", None),
        (BARE.replace("(self, hidden_states)", "(self, x)"), None),
        (BARE.replace("(self, hidden_states)", "(self, mask, hidden_states)"), None),
        ("x = 1\n", None),
    ],
)
def test_a_file_is_adapted_where_one_layer_stands_out(source: str, found: str | None) -> None:
    assert style.layer_name(ast.parse(source)) == found
    refused = policy.inspect(source)
    if found:
        assert refused is None
    elif "TokenMixer" not in source:
        assert refused is not None
        assert "no class TokenMixer" in refused.reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("@torch.compile\ndef f(): ...", "def f(): ..."),
        ("@torch.compile(dynamic=True)\n@wraps(g)\ndef f(): ...", "@wraps(g)\ndef f(): ..."),
        ("@torch.jit.script\ndef f(): ...", "def f(): ..."),
        ("@th.compiler.disable\ndef f(): ...", "def f(): ..."),
        ("@compile\ndef f(): ...", "def f(): ..."),
        ("f = torch.compile(g, dynamic=False)", "f = g"),
        ("y = x.to(torch.bfloat16)", "y = x.to(torch.get_default_dtype())"),
        ("y = x.half().bfloat16()", None),
        ("y = torch.ones(3, dtype=torch.float16)", None),
        ("y = x.to(torch.int64)", "y = x.to(torch.int64)"),
        ("wide = x.dtype != torch.bfloat16", "wide = x.dtype != torch.bfloat16"),
        ("y = other.compile(g)", "y = other.compile(g)"),
    ],
)
def test_compilers_and_half_precision_are_taken_out(before: str, after: str | None) -> None:
    head = "import torch\nimport torch as th\nfrom torch import compile\n"
    text = ast.unparse(style.plain(ast.parse(head + before)))
    body = text.split("compile\n", 1)[1].strip()
    if after is None:
        assert "get_default_dtype()" in body
        assert "half" not in body
        assert "float16" not in body
    else:
        assert body == ast.unparse(ast.parse(after))


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("import os", "import of 'os'"),
        ("from transformers import os", "'transformers.os' is another module"),
        ("from functools import singledispatch", "of functools only"),
        ("from warnings import catch_warnings", "of warnings only"),
        ("import subprocess", "import of 'subprocess'"),
        ("LIBRARY = torch.ops.load_library('x')", "'torch.ops'"),
    ],
)
def test_a_layer_may_import_no_more_than_it_needs(line: str, pattern: str) -> None:
    refused = policy.inspect(f"import torch\n{line}\n{BARE}")
    assert refused is not None
    assert pattern in refused.reason


def test_a_mixer_of_the_contract_may_not_import_what_stands_in() -> None:
    source = f"from fla.modules import RMSNorm\n{BARE}".replace("class Running", "class TokenMixer")
    refused = policy.inspect(source)
    assert refused is not None
    assert "import from 'fla.modules'" in refused.reason


# --- stand-ins -----------------------------------------------------------------------------------


def test_packed_sequences_are_filtered_one_by_one() -> None:
    filter_ = modules.ShortConvolution(HIDDEN, 4, bias=True)
    x = noise(1, 11, HIDDEN)
    edges = torch.tensor([0, 4, 4, 5, 11])
    packed, cache = filter_(x, output_final_state=True, cu_seqlens=edges)
    rows = [filter_(x[:, a:b], output_final_state=True) for a, b in ((0, 4), (4, 5), (5, 11))]
    torch.testing.assert_close(packed, torch.cat([y for y, _ in rows], dim=1))
    torch.testing.assert_close(cache, torch.cat([state for _, state in rows]))


def test_a_filter_goes_on_from_its_cache_and_leaves_it_as_it_was() -> None:
    filter_, x = modules.ShortConvolution(HIDDEN, 4), noise(2, 9, HIDDEN)
    whole, nothing = filter_(x)
    first, cache = filter_(x[:, :8], output_final_state=True)
    held = cache.clone()
    last, _ = filter_(x[:, 8:], cache=cache, output_final_state=True)
    torch.testing.assert_close(torch.cat([first, last], dim=1), whole)
    assert torch.equal(cache, held)
    assert nothing is None


def test_a_mask_and_a_residual_enter_a_filter() -> None:
    filter_, x = modules.ShortConvolution(HIDDEN, 2, activation=None), noise(1, 3, HIDDEN)
    mask = torch.tensor([[0, 1, 1]])
    y, _ = filter_(x, residual=x, mask=mask)
    expected, _ = filter_(torch.cat([0 * x[:, :1], x[:, 1:]], dim=1))
    torch.testing.assert_close(y, expected + x)
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        modules.ShortConvolution(HIDDEN, activation="gelu")(x)


def test_norms_take_fla_keywords_and_add_a_residual_first() -> None:
    x, g = noise(2, 3, HIDDEN), noise(3, 2, HIDDEN).transpose(0, 1)
    plain = F.rms_norm(x + g, (HIDDEN,), eps=1e-6)
    norm = modules.RMSNorm(HIDDEN, eps=1e-6, dtype=torch.float32)
    y, total = norm(x, residual=g, prenorm=True)
    torch.testing.assert_close(y, plain)
    torch.testing.assert_close(total, x + g)
    gated = modules.FusedRMSNormGated(HIDDEN, elementwise_affine=False, activation="sigmoid")
    torch.testing.assert_close(gated(x, g), F.rms_norm(x, (HIDDEN,), eps=1e-5) * torch.sigmoid(g))
    swish = modules.FusedRMSNormSwishGate(HIDDEN, eps=1e-5)
    torch.testing.assert_close(swish(x, g), F.rms_norm(x, (HIDDEN,), eps=1e-5) * F.silu(g))
    torch.testing.assert_close(modules.LayerNorm(HIDDEN)(x), F.layer_norm(x, (HIDDEN,)))
    torch.testing.assert_close(modules.L2Norm()(x).norm(dim=-1), torch.ones(2, 3))
    assert modules.RMSNorm(HIDDEN, bias=True)(x).shape == x.shape
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        modules.FusedRMSNormGated(HIDDEN, activation="gelu")


def test_padding_is_taken_out_and_put_back() -> None:
    mask = torch.tensor([[0, 0, 1], [1, 1, 1], [0, 0, 0]])
    x = noise(3, 3, HIDDEN)
    indices, edges, longest = ragged.get_unpad_data(mask)
    assert indices.tolist() == [2, 3, 4, 5]
    assert (edges.tolist(), longest) == ([0, 1, 4, 4], 3)
    packed, again, boundaries = ragged.unpad_hidden_states(x, None, mask, 3)
    assert boundaries is not None
    assert torch.equal(boundaries, edges)
    back = ragged.repad_hidden_states(packed, again, 3, 3)
    assert torch.equal(back, x * mask[..., None])
    assert ragged.unpad_hidden_states(x, None, None, 3)[0] is x
    assert ragged.repad_hidden_states(x, None, 3, 3) is x


@pytest.mark.parametrize(("rows", "edges"), [(2, [0, 4]), (1, [0, 3]), (1, [1, 4])])
def test_boundaries_must_fit_what_is_packed(rows: int, edges: list[int]) -> None:
    with pytest.raises(ValueError, match="cu_seqlens is"):
        modules.ShortConvolution(HIDDEN)(noise(rows, 4, HIDDEN), cu_seqlens=torch.tensor(edges))


@pytest.mark.parametrize("name", ["chunk_delta_rule", "fused_recurrent_delta_rule"])
def test_a_kernel_of_fla_is_served_by_our_op(name: str) -> None:
    op = kernel(name)
    assert op is not None
    q, k, v = (noise(1, 7, HEADS, 4) + n for n in range(3))
    beta, state = noise(1, 7, HEADS).sigmoid(), noise(2, HEADS, 4, 4)
    edges = torch.tensor([0, 3, 7])
    named = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    o, after = op(q, k, v, beta, initial_state=state, cu_seqlens=edges, chunk_indices=None, **named)
    assert after is not None
    q, k = ops.l2norm(q), ops.l2norm(k)
    for row, (a, b) in enumerate(((0, 3), (3, 7))):
        inputs = {"q": q, "k": k, "v": v, "beta": beta}
        alone: Any = {name: x[:, a:b] for name, x in inputs.items()}
        alone |= {"initial_state": state[row : row + 1], "output_final_state": True}
        expected, final = ops.naive_recurrent_delta_rule(**alone)
        torch.testing.assert_close(o[:, a:b], expected)
        torch.testing.assert_close(after[row : row + 1], final)
    with pytest.raises(ValueError, match="head_first is True"):
        op(q, k, v, beta, head_first=True)
    with pytest.raises(TypeError, match="no_such_argument"):
        op(q, k, v, beta, no_such_argument=1)


@pytest.mark.parametrize(
    ("name", "shape"), [("chunk_gated_delta_rule", (HEADS,)), ("chunk_kda", (HEADS, 4))]
)
@pytest.mark.parametrize("lower_bound", [None, -5.0])
def test_a_kernel_makes_its_own_gate_where_it_is_asked_to(
    name: str, shape: tuple[int, ...], lower_bound: float | None
) -> None:
    op, naive = kernel(name), kernel(name.replace("chunk", "naive_recurrent"))
    assert op is not None
    assert naive is not None
    q, k, v = (noise(2, 5, HEADS, 4) + n for n in range(3))
    g, beta, state = noise(2, 5, *shape), noise(2, 5, HEADS), noise(2, HEADS, 4, 4)
    rate, bias = noise(HEADS), noise(*shape)
    o, after = op(
        *(q, k, v, g, beta),
        A_log=rate,
        dt_bias=bias.flatten(),
        initial_state=state.mT,
        output_final_state=True,
        use_gate_in_kernel=True,
        use_beta_sigmoid_in_kernel=True,
        use_qk_l2norm_in_kernel=True,
        allow_neg_eigval=True,
        lower_bound=lower_bound,
        state_v_first=True,
    )
    speed = rate.exp().view(HEADS, *[1] * (len(shape) - 1))
    decay = -speed * F.softplus(g + bias)
    if lower_bound is not None:
        decay = lower_bound * torch.sigmoid(speed * (g + bias))
    q, k, beta = ops.l2norm(q), ops.l2norm(k), 2 * torch.sigmoid(beta)
    expected, final = naive(q, k, v, decay, beta, initial_state=state, output_final_state=True)
    torch.testing.assert_close(o, expected)
    assert final is not None
    torch.testing.assert_close(after, final.mT)


def test_what_is_not_served_is_named_with_what_is() -> None:
    assert imported("fla.modules").modules.RMSNorm is modules.RMSNorm
    assert imported("fla.modules", fromlist=("RMSNorm",)).RMSNorm is modules.RMSNorm
    assert imported("math").__name__ == "math"
    assert imported("fla.ops.delta_rule").ops.delta_rule.chunk_delta_rule is kernel(
        "chunk_delta_rule"
    )
    with pytest.raises(ImportError, match=r"fla\.modules\.GatedMLP is not served here; .*RMSNorm"):
        build_mixer(f"from fla.modules import GatedMLP\n{BARE}", HIDDEN, HEADS)
    with pytest.raises(ImportError, match=r"chunk_magic is not served here; the ops of move37 are"):
        build_mixer(f"from fla.ops.magic import chunk_magic\n{BARE}", HIDDEN, HEADS)
    with pytest.raises(ModuleNotFoundError, match=r"transformers\.trainer is not served here"):
        build_mixer(f"import transformers.trainer\n{BARE}", HIDDEN, HEADS)


# --- the cache -----------------------------------------------------------------------------------


def test_a_cache_understands_every_dialect_of_writing() -> None:
    cache = Cache(layer_idx=2)
    assert len(cache) == 0
    cache.update(recurrent_state=1, conv_state=None, layer_idx=2, offset=5)
    cache.update({"conv_state": 2})
    cache["ema_state"] = 3
    assert cache[2] == {"recurrent_state": 1, "conv_state": 2, "ema_state": 3}
    assert (len(cache), cache.get_seq_length()) == (3, 5)
    cache[2] = {"recurrent_state": 4}
    assert Cache(2, cache.state())[2] == {"recurrent_state": 4}


def test_a_later_cache_leaves_the_state_that_it_came_from() -> None:
    first = Cache(0)
    first.update(recurrent_state=1)
    state = first.state()
    later = Cache(0, state)
    later.update(recurrent_state=2, offset=1)
    assert state == {"layers": {0: {"recurrent_state": 1}}, "seen": 0}
    assert ragged.get_layer_cache(nn.Module(), None) is None
    assert ragged.update_layer_cache(nn.Module(), None, recurrent_state=1) is None
