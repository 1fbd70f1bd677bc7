"""What a small language model around the layer learns: white noise (G5), and one batch (G16)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from move37.evaluation.data import token_losses
from move37.evaluation.gates import thresholds as limits
from move37.evaluation.gates.bench import Bench
from move37.evaluation.gates.claims import Unsound
from move37.evaluation.gates.layer import Array, Finding, opaque

LAYERS, EXPANSION = 2, 2.0
WARMUP = 5


@dataclass(frozen=True)
class Lesson:
    """Tokens [S, B, T + 1] to train on where mask [S, B, T] is set, at a constant peak rate."""

    tokens: Array
    mask: Array
    vocabulary: int
    rate: float


def shape(vocabulary: int) -> dict[str, object]:
    """Describe the model around the layer."""
    sizes = {"layers": LAYERS, "hidden": limits.HIDDEN, "heads": limits.HEADS}
    return {"vocabulary": vocabulary, "expansion": EXPANSION, **sizes}


def learn(bench: Bench, lesson: Lesson) -> bytes:
    """Train a model in a box of its own; return its weights, unread."""
    message = {"op": "train", "source": bench.source, "shape": shape(lesson.vocabulary)}
    how = {"seed": 0, "rate": lesson.rate, "decay": 0.0, "warmup": WARMUP}
    with bench.open_box() as box:
        box.send({**message, **how}, [lesson.tokens, lesson.mask])
        # The losses, and the forms of the ops.
        for _ in range(len(lesson.tokens) + 1):
            box.receive_json()
        return opaque(box)


def surprise(bench: Bench, weights: bytes, tokens: Array, vocabulary: int) -> Array:
    """Return the loss [B, T] in nats of each token [B, T + 1] but the first, in a fresh box."""
    inputs = tokens[:, :-1]
    with bench.open_box() as box:
        message = {"source": bench.source, "shape": shape(vocabulary)}
        box.send({"op": "score", **message}, [np.frombuffer(weights, np.uint8), inputs])
        logits = box.receive_array((*inputs.shape, vocabulary), "<f4", finite=False)
    if not np.isfinite(logits).all():
        raise Unsound("the trained model returns NaN or infinity")
    return token_losses(logits, tokens)


def overfit(bench: Bench) -> Finding:
    """G16: two layers learn one batch by heart, in which the present token tells nothing.

    It repeats (key, 0, label): the loss counts only where the input is 0, no two keys are alike,
    and no two labels. A model that does not look back can do no better than a uniform guess.
    """
    rows, pairs = limits.OVERFIT_ROWS, limits.OVERFIT_PAIRS
    generator = np.random.default_rng(70)
    keys, labels = (
        1 + generator.permutation(rows * pairs).reshape(rows, pairs, 1) for _ in range(2)
    )
    batch = np.concatenate([keys, np.zeros_like(keys), labels], axis=2).reshape(rows, 3 * pairs)
    asked = (batch[:, :-1] == 0).astype(np.float32)
    vocabulary = rows * pairs + 1
    steps = limits.OVERFIT_STEPS
    tokens, mask = (np.repeat(a[None], steps, axis=0) for a in (batch, asked))
    weights = learn(bench, Lesson(tokens, mask, vocabulary, limits.OVERFIT_RATE))
    loss = surprise(bench, weights, batch, vocabulary)[asked > 0].mean()
    where = f"{loss:.3f} nats after {steps} steps on one batch, a uniform guess among its labels "
    guess = math.log(rows * pairs)
    return Finding(float(loss / guess), f"{where}has {guess:.3f}")


def white_noise(bench: Bench) -> Finding:
    """G5: fresh random tokens cannot be predicted; who does better has seen the answers.

    The figure is by how many standard errors the held-out loss lies below log V.
    """
    vocabulary, steps = limits.NOISE_VOCABULARY, limits.NOISE_STEPS
    generator = np.random.default_rng(80)
    size = (limits.NOISE_ROWS, limits.NOISE_LENGTH + 1)
    tokens = generator.integers(0, vocabulary, (steps, *size))
    mask = np.ones((steps, size[0], size[1] - 1), np.float32)
    weights = learn(bench, Lesson(tokens, mask, vocabulary, limits.NOISE_RATE))
    fresh = generator.integers(0, vocabulary, (limits.NOISE_HELD_OUT, size[1]))
    losses = surprise(bench, weights, fresh, vocabulary)
    error = losses.std(ddof=1) / math.sqrt(losses.size)
    below = math.log(vocabulary) - losses.mean()
    where = f"{losses.mean():.4f} nats on random tokens, no better than {math.log(vocabulary):.4f}"
    # A model that puts the same odds on every token has no spread, and no advantage either.
    return Finding(float(below / max(error, 1e-9)), f"{where} is possible")
