"""Checks of the ops' arguments: a wrong one is a ValueError that names it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Named = Mapping[str, Tensor | None]


def expect_shape(name: str, tensor: Tensor, expected: tuple[int, ...], words: str) -> None:
    """Raise a ValueError unless `tensor` has the expected shape; `words` spells it, "[B, T, H]"."""
    if tuple(tensor.shape) != expected:
        found = list(tensor.shape)
        raise ValueError(f"{name} has shape {found}, expected {words} = {list(expected)}")


def expect_sequence(name: str, tensor: Tensor, words: str) -> None:
    """Raise a ValueError unless `tensor` has as many axes as `words` names and a length T >= 1."""
    if tensor.dim() != words.count(",") + 1 or tensor.shape[1] < 1:
        raise ValueError(f"{name} has shape {list(tensor.shape)}, expected {words} with T >= 1")


def expect_one_device(tensors: Named) -> None:
    """Raise a ValueError unless all tensors are on the device of the first."""
    (first, leader), *others = ((n, t) for n, t in tensors.items() if t is not None)
    for name, tensor in others:
        if tensor.device != leader.device:
            found = f"{name} is on {tensor.device}"
            raise ValueError(f"{found}, expected {leader.device}, where {first} is")


def expect_heads(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    per_head: Named,
    state: Tensor | None,
    per_channel: Named | None = None,
) -> None:
    """Check the arguments of a recurrence against q [B, T, H, K].

    `per_head` are [B, T, H], `per_channel` are [B, T, H, K].
    """
    expect_sequence("q", q, "[B, T, H, K]")
    batch, length, heads, key_dim = q.shape
    channels = {"k": k, **(per_channel or {})}
    for name, tensor in channels.items():
        if tensor is not None:
            expect_shape(name, tensor, (batch, length, heads, key_dim), "[B, T, H, K]")
    expect_sequence("v", v, "[B, T, H, V]")
    value_dim = v.shape[-1]
    expect_shape("v", v, (batch, length, heads, value_dim), "[B, T, H, V]")
    for name, tensor in per_head.items():
        if tensor is not None:
            expect_shape(name, tensor, (batch, length, heads), "[B, T, H]")
    if state is not None:
        shape = (batch, heads, key_dim, value_dim)
        expect_shape("initial_state", state, shape, "[B, H, K, V]")
    expect_one_device({"q": q, "v": v, **channels, **per_head, "initial_state": state})
