"""How fast the ops are on one CPU thread, and how fast the templates decode far into a text.

`python benchmarks/ops.py` times forward and backward passes in float32 at T = 1024 and heads of 64,
against the recurrence token by token and against PyTorch's own causal attention, and counts
operations from T = 512 to 8192 for the exponent with which work grows. Then it times single steps
of every template after 128 to 8192 tokens: with a state of fixed size all take the same. Processor
time, the least of several runs: other load on the machine adds to a run and never takes from it.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from move37.arch_templates import ops
from move37.arch_templates.catalog import BOUNDS, TEMPLATES
from move37.arch_templates.contract import TokenMixerProtocol, load_candidate
from move37.evaluation.inside.counters import Counter

BATCH, LENGTH, HEADS, HEAD_DIM = 1, 1024, 4, 64
STEPS = 2
LENGTHS = (512, 1024, 2048, 4096, 8192)
REPEATS = 9
# Decoding: width of a layer, positions after which to go on, and how many tokens to go on by.
WIDTH, POSITIONS, TOKENS = 256, (128, 1024, 8192), 32
# Both kinds of layer of the hybrid.
LAYERS = [*((name, 0) for name in TEMPLATES), ("hybrid", 1), *((name, 0) for name in BOUNDS)]

Call = Callable[..., Tensor]
Case = tuple[list[Tensor], Call, Call]


def inputs(length: int) -> dict[str, Tensor]:
    """Random arguments of all rules, each wanting a gradient."""
    torch.manual_seed(0)
    shape = (BATCH, length, HEADS, HEAD_DIM)
    steps = (BATCH, length * STEPS, HEADS, HEAD_DIM)
    tensors = {
        "q": ops.l2norm(torch.randn(shape)),
        "k": ops.l2norm(torch.randn(shape)),
        "v": torch.randn(shape),
        "channel_g": -torch.rand(shape),
        "g": -torch.rand(shape[:3]),
        "beta": torch.rand(shape[:3]),
        "rate": torch.rand(shape),
        "keys": ops.l2norm(torch.randn(steps)),
        "values": torch.randn(steps),
        "betas": torch.rand(steps[:3]),
    }
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def cases(length: int) -> dict[str, Case]:
    """Return for each op its arguments, its chunkwise form and its definition."""
    x = inputs(length)
    q, k, v, g, beta = x["q"], x["k"], x["v"], x["g"], x["beta"]

    def form(op: Callable[..., tuple[Tensor, Tensor | None]], *rest: object) -> Call:
        return lambda *args: op(*args, *rest)[0]

    delta, gated = [q, k, v, beta], [q, k, v, g, beta]
    channel = [q, k, v, x["channel_g"], beta]
    general = [q, x["channel_g"], k, v, k.detach().requires_grad_(), x["rate"]]
    product = [q, x["keys"], x["values"], g, x["betas"]]
    named = {
        "delta_rule": (delta, "delta_rule", ()),
        "gated_delta_rule": (gated, "gated_delta_rule", ()),
        "kda": (channel, "kda", ()),
        "rwkv7": (general, "rwkv7", ()),
        f"gated_delta_product, {STEPS} steps": (product, "gated_delta_product", (STEPS,)),
        "simple_gla": ([q, k, v, g], "simple_gla", ()),
        "gla": ([q, k, v, x["channel_g"]], "gla", ()),
    }
    return {
        title: (
            args,
            form(getattr(ops, f"chunk_{name}"), *rest),
            form(getattr(ops, f"naive_recurrent_{name}"), *rest),
        )
        for title, (args, name, rest) in named.items()
    }


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return PyTorch's fused causal softmax attention in the layout of the ops."""
    heads_first = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(*heads_first, is_causal=True).transpose(1, 2)


def train(call: Call, args: list[Tensor]) -> None:
    """Run forward and backward once."""
    output = call(*args)
    torch.autograd.grad(output, args, torch.ones_like(output))


def milliseconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least processor time of several runs, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def work(call: Call, args: list[Tensor]) -> float:
    """Return the operations of a forward and backward pass."""
    with Counter() as counter:
        train(call, args)
    return counter.work


def exponents() -> dict[str, float]:
    """Return the slope of log operations over log T, the largest between neighbouring lengths."""
    counts: dict[str, list[float]] = {}
    for length in LENGTHS:
        for name, (args, chunk, _) in cases(length).items():
            counts.setdefault(name, []).append(work(chunk, args))
    return {
        name: max(math.log2(b / a) for a, b in itertools.pairwise(found))
        for name, found in counts.items()
    }


def decoding(mixer: TokenMixerProtocol) -> list[float]:
    """Return the milliseconds of a token in a batch of one after each of the positions."""
    torch.manual_seed(0)
    tokens = torch.randn(1, max(POSITIONS) + TOKENS, WIDTH)
    best = [math.inf] * len(POSITIONS)
    states = [mixer(tokens[:, :position])[1] for position in POSITIONS]
    # The positions take turns, so that a change of the machine's pace meets all of them.
    for _ in range(REPEATS):
        for place, (position, state) in enumerate(zip(POSITIONS, states, strict=True)):
            start = time.process_time()
            for at in range(position, position + TOKENS):
                _, state = mixer(tokens[:, at : at + 1], state)
            best[place] = min(best[place], 1e3 * (time.process_time() - start) / TOKENS)
    return best


def print_decoding() -> None:
    """Print the table of single steps."""
    print(f"\nDecoding, B=1, width {WIDTH}, {HEADS} heads, float32: ms a token and layer\n")
    print(f"| layer | {' | '.join(f'after {p}' for p in POSITIONS)} | last over first |")
    print("|---" * (len(POSITIONS) + 2) + "|")
    folder = Path(str(resources.files("move37.arch_templates")))
    for name, layer_idx in LAYERS:
        mixer = load_candidate(folder / f"{name}.py", WIDTH, HEADS, layer_idx).eval()
        with torch.no_grad():
            found = decoding(mixer)
        steps = " | ".join(f"{step:.3f}" for step in found)
        print(f"| {name}, layer {layer_idx} | {steps} | {found[-1] / found[0]:.2f} |")


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    grows = exponents()
    here = cases(LENGTH)
    softmax_args = here["simple_gla"][0][:3]
    softmax = milliseconds(lambda: train(attention, softmax_args))
    load = os.getloadavg()[0]
    print(f"B={BATCH} T={LENGTH} H={HEADS} K=V={HEAD_DIM}, float32, load {load:.1f}")
    print(f"softmax attention: {softmax:.1f} ms forward and backward\n")
    print("| op | ms, fwd+bwd | x naive, fwd+bwd | x naive, fwd | of softmax | exponent |")
    print("|---|---|---|---|---|---|")
    for name, (args, chunk, naive) in here.items():
        fast = milliseconds(lambda c=chunk, a=args: train(c, a))
        slow = milliseconds(lambda c=naive, a=args: train(c, a), repeats=2)
        with torch.no_grad():
            forward = milliseconds(lambda c=chunk, a=args: c(*a))
            recurrence = milliseconds(lambda c=naive, a=args: c(*a), repeats=2)
        speed = f"{slow / fast:.0f} | {recurrence / forward:.0f} | {fast / softmax:.2f}"
        print(f"| {name} | {fast:.1f} | {speed} | {grows[name]:.2f} |")
    print_decoding()


if __name__ == "__main__":
    main()
