"""Which form of an op runs: on this machine PyTorch, elsewhere a kernel, and never silently."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_leaves

from move37.arch_templates import ops
from move37.arch_templates.ops import backend, linear_attention
from tests.arch_templates.oracle import fla_signature, gap, randn

OPS = {
    "chunk_delta_rule": "q k v beta",
    "chunk_gated_delta_product": "q k v g beta num_householder",
    "chunk_gated_delta_rule": "q k v g beta",
    "chunk_gla": "q k v g",
    "chunk_kda": "q k v g beta",
    "chunk_linear_attn": "q k v",
    "chunk_retention": "q k v",
    "chunk_rwkv7": "r w k v a b",
    "chunk_simple_gla": "q k v g",
}
# Their decay is one for each channel.
CHANNEL = {"chunk_gla", "chunk_kda", "chunk_rwkv7"}


def arguments(op: str, device: str, dtype: torch.dtype, length: int = 8) -> list[Any]:
    def one(name: str) -> Tensor | int:
        if name == "num_householder":
            return 1
        vector = name not in ("g", "beta") or (name == "g" and op in CHANNEL)
        shape = (1, length, 2, 16) if vector else (1, length, 2)
        return torch.zeros(shape, device=device, dtype=dtype)

    return [one(name) for name in OPS[op].split()]


def test_every_op_with_a_kernel_is_asked_here() -> None:
    assert OPS.keys() == backend.MODULES.keys()


def on_cuda(dtype: torch.dtype, width: int = 16) -> Tensor:
    """Return a tensor that says that it is on CUDA, where there is none."""
    with FakeTensorMode():
        return torch.empty(1, 8, 2, width, device="cuda", dtype=dtype)


@pytest.fixture(autouse=True)
def nothing_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_forms", {})


@pytest.fixture
def unannounced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_announced", set())


Signature = Callable[[str], inspect.Signature]
Calls = dict[str, dict[str, Any]]


def of_ours(op: str) -> inspect.Signature:
    return inspect.signature(getattr(ops, op))


def of_fla_core(op: str) -> inspect.Signature:
    return fla_signature(backend.MODULES[op], op)


def stand_ins(monkeypatch: pytest.MonkeyPatch, signature: Signature) -> Calls:
    """Put doubles in the place of the kernels; return what each will have been called with."""
    calls: Calls = {}

    def stand_in(op: str) -> backend.Kernel:
        def fast(*args: Any) -> tuple[Tensor, Tensor | None]:
            calls[op] = signature(op).bind(*args).arguments
            return args[0], None

        fast.__signature__ = signature(op)  # type: ignore[attr-defined]
        return fast

    monkeypatch.setattr(backend, "KERNELS", {op: stand_in(op) for op in OPS})
    return calls


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return stand_ins(monkeypatch, of_ours)


@pytest.mark.parametrize("op", OPS)
def test_on_a_cpu_pytorch_runs_and_nothing_is_announced(op: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(ops, op)(*arguments(op, "cpu", torch.float32))
    assert backend.forms()[op] == "chunked"


def test_on_cuda_without_a_kernel_pytorch_is_chosen_and_that_is_said_once(
    unannounced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "KERNELS", {})
    monkeypatch.setattr(backend, "MISSING", "fla-core cannot be imported")
    q = on_cuda(torch.bfloat16)
    for op in OPS:
        with pytest.warns(UserWarning, match=f"{op} runs as PyTorch on CUDA: fla-core cannot"):
            assert backend.kernel(op, q) is None
        assert backend.forms()[op] == "chunked"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert backend.kernel(op, q) is None


@pytest.mark.parametrize("signature", [of_ours, of_fla_core])
@pytest.mark.parametrize("op", OPS)
def test_on_cuda_the_kernel_runs_and_each_argument_arrives_under_its_name(
    op: str, signature: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_ins(monkeypatch, signature)
    with FakeTensorMode():
        args = arguments(op, "cuda", torch.bfloat16)
        state: Any = torch.zeros(1, 2, 16, 16, device="cuda", dtype=torch.bfloat16)
        if op == "chunk_linear_attn":
            state = (state, torch.zeros(1, 1, 2, 16, device="cuda", dtype=torch.bfloat16))
        getattr(ops, op)(*args, scale=0.5, initial_state=state, output_final_state=True)
    assert backend.forms()[op] == "triton"
    given = calls[op]
    assert all(given[name] is x for name, x in zip(OPS[op].split(), args, strict=True))
    assert (given["scale"], given["output_final_state"]) == (0.5, True)
    states = tree_leaves(given["initial_state"])
    assert [x.shape for x in states] == [x.shape for x in tree_leaves(state)]
    assert all(x.dtype == torch.float32 for x in states)
    known = {*OPS[op].split(), "scale", "initial_state", "output_final_state"}
    rest = {name: value for name, value in given.items() if name not in known}
    assert rest in ({}, {"g_gamma": None}, {"normalize": True})


def normalising_kernel(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Tensor | tuple[Tensor, Tensor] | None = None,
    output_final_state: bool = False,
    normalize: bool = True,
    cu_seqlens: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """A double of fla-core's chunk_linear_attn, with its ways of widening and narrowing.

    The memory is kept in float32, the sum of the keys in their dtype; a sum that is handed in is
    added as it is, and widens the sum and the output. Only a tuple is taken for a pair.
    """
    memory, keys = initial_state if isinstance(initial_state, tuple) else (initial_state, None)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    o, memory = ops.naive_recurrent_simple_gla(
        q.float(), k.float(), v.float(), None, None, scale, memory, output_final_state
    )
    o = o.to(q.dtype)
    if not normalize:
        return o, memory
    total = k.float().cumsum(1).to(k.dtype)
    total = total if keys is None else total + keys
    o = o / ((q * scale * total).sum(-1, keepdim=True) + 1e-10)
    return o, (memory, total[:, -1:])


def through(fast: backend.Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let linear attention take a kernel on a CPU, as it would on CUDA in bfloat16."""
    called = partial(backend._called, fast, torch.bfloat16)
    monkeypatch.setattr(linear_attention, "kernel", lambda _op, _q: called)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pair", [tuple, list])
def test_linear_attention_goes_on_from_the_state_of_its_kernel(
    normalize: bool, pair: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = (randn(seed, 2, 40, 3, 8).abs() for seed in range(3))
    expected, last = ops.naive_recurrent_linear_attn(
        q, k, v, output_final_state=True, normalize=normalize
    )
    through(normalising_kernel, monkeypatch)
    half = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    options: Any = {"output_final_state": True, "normalize": normalize}
    start: list[Any] = [x[:, :25] for x in half]
    then: list[Any] = [x[:, 25:] for x in half]
    first, state = ops.chunk_linear_attn(*start, **options)
    assert all(x.dtype == torch.float32 for x in tree_leaves(state))
    options["initial_state"] = pair(state) if normalize else state
    second, after = ops.chunk_linear_attn(*then, **options)
    output = torch.cat([first, second], dim=1)
    assert output.dtype == torch.bfloat16
    assert gap(output.double(), expected) <= 0.02
    for a, b in zip(tree_leaves(after), tree_leaves(last), strict=True):
        assert a.dtype == torch.float32
        assert a.shape == b.shape
        assert gap(a.double(), b) <= 0.02
    gradients = torch.autograd.grad(output.float().square().sum(), half)
    assert all(g.dtype == torch.bfloat16 and g.isfinite().all() for g in gradients)


def test_linear_attention_returns_no_state_unless_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    through(normalising_kernel, monkeypatch)
    q, k, v = (randn(seed, 1, 5, 1, 4).abs().bfloat16() for seed in range(3))
    assert ops.chunk_linear_attn(q, k, v)[1] is None


def test_the_double_has_the_signature_of_fla_cores_kernel() -> None:
    theirs = of_fla_core("chunk_linear_attn").parameters
    ours = inspect.signature(normalising_kernel).parameters
    assert list(theirs) == list(ours)
    assert [p.default for p in theirs.values()] == [p.default for p in ours.values()]


def test_an_op_that_did_once_without_its_kernel_is_recorded_as_chunked(
    kernels: Calls, unannounced: None
) -> None:
    half, single = on_cuda(torch.bfloat16), on_cuda(torch.float32)
    assert backend.kernel("chunk_kda", half) is not None
    assert backend.forms() == {"chunk_kda": "triton"}
    with pytest.warns(UserWarning, match="not float32"):
        assert backend.kernel("chunk_kda", single) is None
    assert backend.kernel("chunk_kda", half) is not None
    assert backend.forms() == {"chunk_kda": "chunked"}


def test_under_autocast_products_are_narrowed_and_decays_are_not(
    kernels: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _device: torch.bfloat16)
    with FakeTensorMode():
        q, k, v, g, beta = arguments("chunk_kda", "cuda", torch.float32)
        ops.chunk_kda(q, k, v, g, beta)
    given = kernels["chunk_kda"]
    assert all(given[name].dtype == torch.bfloat16 for name in ("q", "k", "v", "beta"))
    assert given["g"].dtype == torch.float32


@pytest.mark.parametrize(
    ("dtype", "width", "reason"),
    [
        (torch.float32, 16, "takes bfloat16 and float16, not float32"),
        (torch.float64, 16, "takes bfloat16 and float16, not float64"),
        (torch.bfloat16, 300, "takes heads of at most 256, not 300"),
    ],
)
def test_what_the_kernel_cannot_do_pytorch_does_and_the_reason_is_said(
    dtype: torch.dtype, width: int, reason: str, kernels: Calls, unannounced: None
) -> None:
    q = on_cuda(dtype, width)
    with pytest.warns(UserWarning, match=reason):
        assert backend.kernel("chunk_delta_rule", q) is None
    assert backend.forms()["chunk_delta_rule"] == "chunked"


def test_without_a_device_no_kernel_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert backend.load_kernels() == ({}, "this PyTorch finds no CUDA device")


def test_with_a_device_and_without_fla_core_the_reason_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(backend, "MODULES", {"chunk_kda": "fla_that_is_not_there"})
    loaded, reason = backend.load_kernels()
    assert loaded == {}
    assert "No module named 'fla_that_is_not_there'" in reason
    assert "move37[cuda]" in reason


@pytest.mark.parametrize("op", backend.MODULES)
def test_an_op_has_the_leading_arguments_of_fla_cores_kernel(op: str) -> None:
    theirs = list(fla_signature(backend.MODULES[op], op).parameters)
    ours = list(inspect.signature(getattr(ops, op)).parameters)
    shared = ours[: ours.index("output_final_state") + 1]
    assert theirs[: len(shared)] == shared


def sample(op: str, device: str) -> list[Any]:
    """Draw the arguments of an op, keys of length one and decays below zero."""
    args: list[Any] = []
    for seed, name in enumerate(OPS[op].split()):
        scalar = name == "beta" or (name == "g" and op not in CHANNEL)
        x = randn(seed, *((2, 200, 3) if scalar else (2, 200, 3, 64))).to(device)
        shaped = {"k": ops.l2norm(x), "g": -x.abs(), "w": -x.abs(), "beta": x.sigmoid()}
        if op == "chunk_linear_attn" and name != "v":
            # Features whose dot products may be divided by.
            shaped = {name: x.abs()}
        args.append(1 if name == "num_householder" else shaped.get(name, x))
    if op == "chunk_rwkv7":
        args[4], args[5] = -args[2], args[2] * args[5].sigmoid()
    return args


def agree(op: str, device: str, half: torch.dtype) -> None:
    """Assert that an op agrees with its definition, both on inputs rounded to bfloat16."""
    naive = getattr(ops, op.replace("chunk", "naive_recurrent"))
    results = []
    for call, dtype in ((getattr(ops, op), half), (naive, torch.float64)):
        args = [
            x if isinstance(x, int) else x.bfloat16().to(dtype).requires_grad_()
            for x in sample(op, device)
        ]
        output, _ = call(*args)
        leaves = [x for x in args if isinstance(x, Tensor)]
        results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    for a, b in zip(*results, strict=True):
        assert ((a.double() - b).norm() / b.norm()).item() <= 0.01
        assert gap(a.double(), b) <= 0.1


@pytest.mark.parametrize("op", OPS)
def test_the_chunked_form_agrees_with_the_definition_where_the_kernel_has_to(op: str) -> None:
    agree(op, "cpu", torch.float64)


@pytest.mark.gpu
@pytest.mark.parametrize("op", OPS)
def test_the_kernel_agrees_with_the_definition(op: str) -> None:
    """At the tolerance of fla-core's own tests for bfloat16: 0.5 % of the norm, doubled."""
    if op not in backend.KERNELS:
        pytest.skip(backend.MISSING)
    agree(op, "cuda", torch.bfloat16)
    assert backend.forms()[op] == "triton"
