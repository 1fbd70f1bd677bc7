"""What the baseline at a tier takes, by arithmetic: parameters, operations, memory."""

from __future__ import annotations

from move37.evaluation.tiers import Task, Tier

# A process with torch; a CUDA context besides.
BASE_BYTES = 300 << 20
CUDA_BASE_BYTES = 1 << 30
# Weight, gradient and two moments of AdamW in float32.
PARAMETER_BYTES = 16
# Values that DeltaNet keeps for the backward pass, for each token, layer and unit of width: peak
# memory of boxes gave 44 to 53 at widths of 48 to 256 and rows of 128 to 512 tokens.
KEPT_VALUES = 53
# Of a logit: itself, its logarithm, its gradient.
LOGIT_BYTES = 12


def parameters(tier: Tier) -> tuple[int, int]:
    """Return the baseline's parameters at a tier: all, and without the (tied) embeddings."""
    width = tier.hidden
    # DeltaNet: q, k, v, gate and output; convolution of 4 over q, k and v; beta and norms.
    mixer = 5 * width**2 + 12 * width + width * tier.heads + width // tier.heads
    layer = mixer + 2 * int(width * tier.expansion) * width + 2 * width
    inner = tier.layers * layer + width
    return inner + tier.text.vocabulary * width, inner


def operations(tier: Tier) -> float:
    """Return the operations of training on text and recall, forward and backward."""
    inner = parameters(tier)[1]
    return float(
        sum(6 * (inner + t.vocabulary * tier.hidden) * tokens_of(t, n) for n, t in tasks_of(tier))
    )


def memory_bytes(tier: Tier) -> int:
    """Return the memory of the box that trains, the larger of text and recall."""
    return max(_memory_of(tier, task, name) for name, task in tasks_of(tier))


def _memory_of(tier: Tier, task: Task, name: str) -> int:
    cuda = tier.device == "cuda"
    inner = parameters(tier)[1]
    weights = PARAMETER_BYTES * (inner + task.vocabulary * tier.hidden)
    tokens = tokens_of(task, name) // task.steps // task.parts
    # Half of what is kept is in bfloat16 there.
    kept = tokens * tier.layers * tier.hidden * KEPT_VALUES * (3 if cuda else 4)
    return (CUDA_BASE_BYTES if cuda else BASE_BYTES) + weights + kept + _logits(task, tokens)


def _logits(task: Task, tokens: int) -> int:
    return tokens * task.vocabulary * LOGIT_BYTES


def tasks_of(tier: Tier) -> tuple[tuple[str, Task], ...]:
    """Return the tasks of a tier by name."""
    return (("text", tier.text), ("recall", tier.recall))


def tokens_of(task: Task, name: str) -> int:
    """Return how many tokens a run of a task trains on."""
    # A row of recall tells its pairs and asks for them again.
    return task.steps * task.rows * task.length * (1 if name == "text" else 4)
