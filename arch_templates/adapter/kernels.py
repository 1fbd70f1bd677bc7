"""The kernels of fla under their names: our ops, with what fla's do to their inputs besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, wraps
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from move37.arch_templates import ops
from move37.arch_templates.adapter.ragged import by_sequence

Result = tuple[Tensor, Tensor | None]
Op = Callable[..., Result]
NAME = re.compile(r"(?:chunk|fused_chunk|fused_recurrent|recurrent|parallel)_(\w+)")
# They choose how, not what, is computed.
TUNING = frozenset({"chunk_indices", "cu_seqlens_cpu", "disable_recompute", "safe_gate"})
# The recurrent form of gated linear attention names its log decay so.
OTHER_NAMES = {"gk": "g"}


@dataclass(frozen=True)
class _Dress:
    """The keywords of fla's kernels that ours lack."""

    use_qk_l2norm_in_kernel: bool = False
    use_gate_in_kernel: bool = False
    use_beta_sigmoid_in_kernel: bool = False
    allow_neg_eigval: bool = False
    A_log: Tensor | None = None
    dt_bias: Tensor | None = None
    lower_bound: float | None = None
    state_v_first: bool = False
    head_first: bool = False
    cu_seqlens: Tensor | None = None

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of our op [B, T, H, ...] for those of fla's kernel."""
        values = dict(values)
        if self.use_qk_l2norm_in_kernel:
            values |= {name: ops.l2norm(values[name]) for name in ("q", "k")}
        if self.use_gate_in_kernel:
            values["g"] = self._log_decay(values["g"])
        if self.use_beta_sigmoid_in_kernel:
            beta = torch.sigmoid(values["beta"])
            values["beta"] = 2 * beta if self.allow_neg_eigval else beta
        if self.state_v_first and values.get("initial_state") is not None:
            values["initial_state"] = values["initial_state"].mT
        return values

    def _log_decay(self, g: Tensor) -> Tensor:
        """Return -exp(A_log) softplus(g + dt_bias), g [B, T, H] or [B, T, H, K], A_log [H]."""
        each = g.shape[2:]
        g = g if self.dt_bias is None else g + self.dt_bias.view(each)
        if self.A_log is None:
            rate = torch.ones_like(g)
        else:
            rate = self.A_log.exp().view(-1, *[1] * (len(each) - 1))
        if self.lower_bound is not None:
            return self.lower_bound * torch.sigmoid(rate * g)
        return -rate * F.softplus(g)


DRESS = frozenset(field.name for field in fields(_Dress))


def kernel(name: str) -> Op | None:
    """Return our op for a kernel of fla: every form of a rule is served by its chunkwise one."""
    if name.startswith("naive_"):
        return getattr(ops, name, None)
    found = NAME.fullmatch(name)
    op = getattr(ops, f"chunk_{found[1]}", None) if found else None
    return None if op is None else _dressed(op)


@cache
def _dressed(op: Op) -> Op:
    @wraps(op)
    def run(*args: Any, **named: Any) -> Result:  # noqa: ANN401 - those of the kernel
        dress = _Dress(**{k: v for k, v in named.items() if k in DRESS})
        if dress.head_first:
            raise ValueError("head_first is True, expected tensors of [B, T, H, ...]")
        rest = {OTHER_NAMES.get(k, k): v for k, v in named.items() if k not in DRESS | TUNING}
        values = dress.prepared(dict(signature(op).bind(*args, **rest).arguments))
        o, state = _packed(op, values, dress.cu_seqlens)
        return o, state.mT if dress.state_v_first and state is not None else state

    return run


def _packed(op: Op, values: dict[str, Any], cu_seqlens: Tensor | None) -> Result:
    """Run an op on sequences that may be packed; what is [B, T, ...] like the first is cut."""
    if cu_seqlens is None:
        return op(**values)
    state = values.pop("initial_state", None)
    sequence = next(v for v in values.values() if isinstance(v, Tensor)).shape[:2]
    cut = [k for k, v in values.items() if isinstance(v, Tensor) and v.shape[:2] == sequence]

    def run(tensors: Sequence[Tensor], before: Tensor | None) -> Result:
        return op(**values | dict(zip(cut, tensors, strict=True)), initial_state=before)

    return by_sequence(run, [values[name] for name in cut], state, cu_seqlens)
