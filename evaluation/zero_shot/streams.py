"""Log-likelihoods of continuations, asked of a box that gets one token at a time.

Rows of many requests go through a box side by side, and what one row has told, another may hear.
So the rows of one document are kept apart wherever one holds what another has yet to predict:
texts that differ in their context, and later windows of a long text, each have a pass of their own
in a fresh box, in order. Rows with the same context show their continuations in step. Rows of
different documents are taken not to quote each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from move37.evaluation.data import Array, token_losses
from move37.evaluation.isolation.nursery import Box, Limits, Nursery
from move37.evaluation.scoring import open_stream, vocabulary_of

ROWS = 1024
LOGIT_BYTES = 1 << 24


@dataclass(frozen=True)
class Window:
    """Tokens of which the last `scored` are targets; the model sees all but the last one."""

    tokens: tuple[int, ...]
    scored: int


@dataclass(frozen=True)
class Request:
    """A text in consecutive windows, with its document and its context by name."""

    document: Hashable
    context: Hashable
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Likelihood:
    """Nats of all targets together, and whether each was the likeliest token."""

    nats: float
    greedy: bool


@dataclass(frozen=True)
class Boxed:
    """Trained weights and all that it takes to ask them; `used` is told of each box that ended."""

    nursery: Nursery
    limits: Limits
    job: dict[str, object]
    weights: bytes
    used: Callable[[Box], None]

    def likelihoods(self, requests: Sequence[Request]) -> list[Likelihood]:
        """Return the likelihood of each request, its windows together.

        Raises:
            BoxFailure: the candidate raised, ran out of time, or returned NaN.
        """
        nats = np.zeros(len(requests))
        greedy = np.ones(len(requests), bool)
        for rows in passes(requests, self.rows):
            owners = [owner for owner, _ in rows]
            told, likeliest = self._stream([window for _, window in rows])
            # No request has two windows in a pass.
            nats[owners] += told
            greedy[owners] &= likeliest
        return [Likelihood(float(n), bool(g)) for n, g in zip(nats, greedy, strict=True)]

    @property
    def rows(self) -> int:
        """How many rows a box gets at once: its logits of one position are at most 16 MiB."""
        return max(1, min(ROWS, LOGIT_BYTES // (4 * vocabulary_of(self.job))))

    def _stream(self, windows: Sequence[Window]) -> tuple[Array, Array]:
        """Return nats [R] and whether all targets were likeliest [R]."""
        lengths = np.array([len(w.tokens) for w in windows])
        begin = lengths - np.array([w.scored for w in windows])
        tokens = np.zeros((len(windows), lengths.max()), np.int64)
        for row, window in enumerate(windows):
            tokens[row, : len(window.tokens)] = window.tokens
        nats, greedy = np.zeros(len(windows)), np.ones(len(windows), bool)
        length = int(lengths.max()) - 1
        with self.nursery.open_box(self.limits) as box:
            advance = open_stream(box, self.job, self.weights, (len(windows), length))
            for position in range(length):
                logits = advance(tokens[:, position])
                target = tokens[:, position : position + 2]
                counts = (begin <= position + 1) & (position + 1 < lengths)
                nats += np.where(counts, token_losses(logits[:, None], target)[:, 0], 0.0)
                greedy &= ~counts | (logits.argmax(-1) == target[:, 1])
        self.used(box)
        return nats, greedy

    def generate(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Continue each prompt by the likeliest token, until it says stop or has no room left.

        Raises:
            BoxFailure: the candidate raised, ran out of time, or returned NaN.
        """
        order = sorted(range(len(prompts)), key=lambda i: prompts[i].length)
        found: dict[int, list[int]] = {}
        for first in range(0, len(order), self.rows):
            chosen = order[first : first + self.rows]
            found |= dict(zip(chosen, self._continue([prompts[i] for i in chosen]), strict=True))
        return [found[i] for i in range(len(prompts))]

    def _continue(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        said: list[list[int]] = [[] for _ in prompts]
        done = [False] * len(prompts)
        length = max(p.length for p in prompts)
        fed = np.zeros((len(prompts), length + 1), np.int64)
        for row, prompt in enumerate(prompts):
            fed[row, : len(prompt.tokens)] = prompt.tokens
        with self.nursery.open_box(self.limits) as box:
            advance = open_stream(box, self.job, self.weights, (len(prompts), length))
            for position in range(length):
                likeliest = advance(fed[:, position]).argmax(-1)
                for row, prompt in enumerate(prompts):
                    if done[row] or position + 1 < len(prompt.tokens):
                        continue
                    said[row].append(int(likeliest[row]))
                    fed[row, position + 1] = likeliest[row]
                    done[row] = position + 1 >= prompt.length or prompt.stop(said[row])
                if all(done):
                    break
        self.used(box)
        return said


@dataclass(frozen=True)
class Prompt:
    """Tokens to continue by at most `room` more; `stop` says when enough has been said."""

    tokens: tuple[int, ...]
    room: int
    stop: Callable[[Sequence[int]], bool]

    @property
    def length(self) -> int:
        """How many tokens the model sees at most."""
        return len(self.tokens) + self.room - 1


def passes(requests: Sequence[Request], most: int) -> Iterator[list[tuple[int, Window]]]:
    """Yield what may stand side by side: at most `most` pairs (number of the request, window)."""
    contexts: dict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    lanes: dict[tuple[int, int], list[tuple[int, Window]]] = defaultdict(list)
    for owner, request in enumerate(requests):
        known = contexts[request.document]
        lane = known.setdefault(request.context, len(known))
        for number, window in enumerate(request.windows):
            lanes[lane, number].append((owner, window))
    for _, rows in sorted(lanes.items()):
        # Neighbours of like length need little padding; a sort is stable, so they stay in order.
        rows.sort(key=lambda row: len(row[1].tokens))
        for first in range(0, len(rows), most):
            yield rows[first : first + most]
