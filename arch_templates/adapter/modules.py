"""The modules of fla that published layers use, in plain torch: same names, arguments, weights.

Arguments that choose a kernel, a device or a dtype are taken and not used: the model around the
layer decides these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from move37.arch_templates.adapter.ragged import by_sequence
from move37.arch_templates.ops import causal_conv
from move37.arch_templates.ops import l2norm as scaled

Activation = Callable[[Tensor], Tensor]
GATES: Mapping[str, Activation] = {"swish": F.silu, "silu": F.silu, "sigmoid": torch.sigmoid}
ACTIVATIONS: Mapping[str, Activation] = {
    **GATES,
    "relu": F.relu,
    "gelu": F.gelu,
    "elu": F.elu,
    "tanh": torch.tanh,
}


def l2norm(x: Tensor, eps: float = 1e-6, output_dtype: torch.dtype | None = None) -> Tensor:  # noqa: ARG001 - fla's signature
    """Scale the last dimension of x [..., D] to length one."""
    return scaled(x, eps)


class L2Norm(nn.Module):
    """`l2norm` as a module."""

    def __init__(self, eps: float = 1e-6, output_dtype: torch.dtype | None = None) -> None:  # noqa: ARG002 - fla's signature
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., D] with its last dimension of length one."""
        return scaled(x, self.eps)


class RMSNorm(nn.Module):
    """Root mean square normalisation of x [..., hidden_size], after adding a residual."""

    def __init__(
        self,
        hidden_size: int,
        elementwise_affine: bool = True,
        bias: bool = False,
        eps: float = 1e-5,
        **_: Any,  # noqa: ANN401 - device and dtype
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size)) if elementwise_affine else None
        with_bias = bias and elementwise_affine
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if with_bias else None

    def forward(
        self,
        x: Tensor,
        residual: Tensor | None = None,
        prenorm: bool = False,
        **_: Any,  # noqa: ANN401 - residual_in_fp32
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the normalised sum, with `prenorm` the sum too."""
        total = x if residual is None else x + residual
        y = self._normalised(total)
        return (y, total) if prenorm else y

    def _normalised(self, x: Tensor) -> Tensor:
        y = F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        return y if self.bias is None else y + self.bias


class LayerNorm(RMSNorm):
    """Layer normalisation of x [..., hidden_size], after adding a residual."""

    def _normalised(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class FusedRMSNormGated(RMSNorm):
    """Root mean square normalisation of x, times an activation of the gate g of the same shape.

    Raises:
        ValueError: the activation is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        elementwise_affine: bool = True,
        eps: float = 1e-5,
        activation: str = "swish",
        **_: Any,  # noqa: ANN401 - device and dtype
    ) -> None:
        super().__init__(hidden_size, elementwise_affine, eps=eps)
        if activation not in GATES:
            raise ValueError(f"activation is {activation!r}, expected one of {', '.join(GATES)}")
        self.activation = activation

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        g: Tensor,
        residual: Tensor | None = None,
        prenorm: bool = False,
        **_: Any,  # noqa: ANN401 - residual_in_fp32
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the gated norm of the sum, with `prenorm` the sum too."""
        total = x if residual is None else x + residual
        y = self._normalised(total) * GATES[self.activation](g)
        return (y, total) if prenorm else y


class FusedRMSNormSwishGate(FusedRMSNormGated):
    """The former name of the norm that is gated by SiLU."""

    def __init__(
        self,
        hidden_size: int,
        elementwise_affine: bool = True,
        eps: float = 1e-5,
        **_: Any,  # noqa: ANN401 - device and dtype
    ) -> None:
        super().__init__(hidden_size, elementwise_affine, eps)


def causal_conv1d(  # noqa: PLR0913 - fla's signature
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    activation: str | None = None,
    backend: str = "triton",  # noqa: ARG001 - fla's signature
    cu_seqlens: Tensor | None = None,
    **_: Any,  # noqa: ANN401 - indices of chunks
) -> tuple[Tensor, Tensor | None]:
    """Filter each channel of x [B, T, D] by weight [D, W]; the state is [N, D, W - 1].

    Unlike fla's, it never writes into the state that it is given, and keeps no input in it that
    no later call reads.

    Raises:
        ValueError: the activation is unknown.
    """
    if activation not in ("silu", "swish", None):
        raise ValueError(f"activation is {activation!r}, expected 'silu', 'swish' or None")

    def filtered(parts: Sequence[Tensor], state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y, state = causal_conv(parts[0], weight, None if state is None else state.mT)
        return y, state.mT

    y, state = by_sequence(filtered, [x], initial_state, cu_seqlens)
    y = y if bias is None else y + bias
    y = y if activation is None else F.silu(y)
    y = y if residual is None else y + residual
    return y, state if output_final_state else None


class ShortConvolution(nn.Conv1d):
    """`causal_conv1d` with weights of its own [D, 1, W]; the cache is its state."""

    def __init__(
        self,
        hidden_size: int,
        kernel_size: int = 4,
        bias: bool = False,
        activation: str | None = "silu",
        backend: str = "triton",
        **_: Any,  # noqa: ANN401 - device and dtype
    ) -> None:
        super().__init__(hidden_size, hidden_size, kernel_size, groups=hidden_size, bias=bias)
        self.hidden_size = hidden_size
        self.activation = activation
        self.backend = backend

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        residual: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Tensor | None = None,
        output_final_state: bool = False,
        cu_seqlens: Tensor | None = None,
        **_: Any,  # noqa: ANN401 - indices of chunks
    ) -> tuple[Tensor, Tensor | None]:
        """Return the filtered x, and the cache where it is asked for."""
        return causal_conv1d(
            x if mask is None else x * mask[..., None].to(x.dtype),
            self.weight[:, 0],
            self.bias,
            residual,
            cache,
            output_final_state,
            self.activation,
            cu_seqlens=cu_seqlens,
        )
