"""Which form of an op runs: on this machine PyTorch, elsewhere a kernel, and never silently."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from move37.arch_templates import ops
from move37.arch_templates.ops import backend
from tests.arch_templates.oracle import fla_signature, gap, randn

OPS = {
    "chunk_delta_rule": "q k v beta",
    "chunk_gated_delta_rule": "q k v g beta",
    "chunk_kda": "q k v g beta",
    "chunk_rwkv7": "r w k v a b",
}
CHANNEL = {"chunk_kda", "chunk_rwkv7"}


def arguments(op: str, device: str, dtype: torch.dtype, length: int = 8) -> list[Tensor]:
    def one(name: str) -> Tensor:
        vector = name not in ("g", "beta") or (name == "g" and op in CHANNEL)
        shape = (1, length, 2, 16) if vector else (1, length, 2)
        return torch.zeros(shape, device=device, dtype=dtype)

    return [one(name) for name in OPS[op].split()]


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


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Stand-ins for the kernels, with the signature of ours; what each was called with."""
    calls: dict[str, list[Any]] = {}

    def stand_in(op: str) -> backend.Kernel:
        real = getattr(ops, op)

        def fast(*args: Any) -> tuple[Tensor, Tensor | None]:
            calls[op] = [*args]
            return args[0], None

        fast.__signature__ = inspect.signature(real)  # type: ignore[attr-defined]
        return fast

    monkeypatch.setattr(backend, "KERNELS", {op: stand_in(op) for op in OPS})
    return calls


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


@pytest.mark.parametrize("op", OPS)
def test_on_cuda_the_kernel_runs_with_the_arguments_in_fla_cores_order(
    op: str, kernels: dict[str, list[Any]]
) -> None:
    with FakeTensorMode():
        args = arguments(op, "cuda", torch.bfloat16)
        state = torch.zeros(1, 2, 16, 16, device="cuda", dtype=torch.bfloat16)
        getattr(ops, op)(*args, scale=0.5, initial_state=state, output_final_state=True)
    assert backend.forms()[op] == "triton"
    *sequences, scale, initial_state, output_final_state = kernels[op]
    assert all(a is b for a, b in zip(sequences, args, strict=True))
    assert (scale, output_final_state) == (0.5, True)
    assert initial_state.dtype == torch.float32


def test_an_op_that_did_once_without_its_kernel_is_recorded_as_chunked(
    kernels: dict[str, list[Any]], unannounced: None
) -> None:
    half, single = on_cuda(torch.bfloat16), on_cuda(torch.float32)
    assert backend.kernel("chunk_kda", half) is not None
    assert backend.forms() == {"chunk_kda": "triton"}
    with pytest.warns(UserWarning, match="not float32"):
        assert backend.kernel("chunk_kda", single) is None
    assert backend.kernel("chunk_kda", half) is not None
    assert backend.forms() == {"chunk_kda": "chunked"}


def test_under_autocast_products_are_narrowed_and_decays_are_not(
    kernels: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _device: torch.bfloat16)
    with FakeTensorMode():
        q, k, v, g, beta = arguments("chunk_kda", "cuda", torch.float32)
        ops.chunk_kda(q, k, v, g, beta)
    narrowed = [x.dtype == torch.bfloat16 for x in kernels["chunk_kda"][:5]]
    assert narrowed == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("dtype", "width", "reason"),
    [
        (torch.float32, 16, "takes bfloat16 and float16, not float32"),
        (torch.float64, 16, "takes bfloat16 and float16, not float64"),
        (torch.bfloat16, 300, "takes heads of at most 256, not 300"),
    ],
)
def test_what_the_kernel_cannot_do_pytorch_does_and_the_reason_is_said(
    dtype: torch.dtype, width: int, reason: str, kernels: dict[str, list[Any]], unannounced: None
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


@pytest.mark.gpu
@pytest.mark.parametrize("op", OPS)
def test_the_kernel_agrees_with_the_definition(op: str) -> None:
    """At the tolerance of fla-core's own tests for bfloat16: 0.5 % of the norm, doubled."""
    if op not in backend.KERNELS:
        pytest.skip(backend.MISSING)
    args = []
    for seed, name in enumerate(OPS[op].split()):
        shape = (2, 200, 3, 64) if name not in ("g", "beta") or op in CHANNEL else (2, 200, 3)
        shape = (2, 200, 3) if name == "beta" else shape
        x = randn(seed, *shape).cuda()
        x = {"k": ops.l2norm(x), "g": -x.abs(), "w": -x.abs(), "beta": x.sigmoid()}.get(name, x)
        args.append(x)
    if op == "chunk_rwkv7":
        args[4], args[5] = -args[2], args[2] * args[5].sigmoid()
    naive = getattr(ops, op.replace("chunk", "naive_recurrent"))
    results = []
    for call, dtype in ((getattr(ops, op), torch.bfloat16), (naive, torch.float64)):
        leaves = [x.to(torch.bfloat16).to(dtype).requires_grad_() for x in args]
        output, _ = call(*leaves)
        results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    assert backend.forms()[op] == "triton"
    for a, b in zip(*results, strict=True):
        assert ((a.double() - b).norm() / b.norm()).item() <= 0.01
        assert gap(a.double(), b) <= 0.1
