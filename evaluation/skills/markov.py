"""In-context Markov: each row comes from a chain of its own, which must be inferred as it goes.

Row i of the transition matrix is drawn from a Dirichlet with every parameter `SPREAD`. After
n_ij steps from i to j, the Bayes predictive probability is

    p(j | past) = (n_ij + a) / (n_i + V a)           a = SPREAD, V states

(Dirichlet-multinomial), and its entropy is the exact floor of the next token: given the past, no
predictor has a smaller expected loss. The first token is uniform. Chance is log V.

Source of the task: in-context learning of Markov chains, Edelman et al. (2402.11004); the skill
stands in MAD's family of in-context tasks (2403.17844).
"""

from __future__ import annotations

import numpy as np

from move37.evaluation.data import Array
from move37.evaluation.skills.rows import Rows, build_rows

# At 1 (all matrices alike likely) eight states leave 0.36 nats between chance and a known matrix,
# at 0.2 a nat, so that what a design infers stands out of its noise.
SPREAD = 0.2


def chains(seed: int, rows: int, length: int, states: int) -> Rows:
    """Draw rows of chains; every token but the first counts."""
    generator = np.random.default_rng([seed, 51])
    matrices = generator.dirichlet(np.full(states, SPREAD), size=(rows, states))
    # A rounding below one must not leave the last state out.
    edges = matrices.cumsum(-1)[..., :-1]
    uniform = generator.random((rows, length))
    tokens = np.empty((rows, length), np.int64)
    floor = np.empty((rows, length))
    counts = np.full((rows, states, states), SPREAD)
    every = np.arange(rows)
    tokens[:, 0] = generator.integers(states, size=rows)
    floor[:, 0] = np.log(states)
    for t in range(1, length):
        before = tokens[:, t - 1]
        floor[:, t] = _entropy(counts[every, before])
        tokens[:, t] = (uniform[:, t, None] >= edges[every, before]).sum(-1)
        counts[every, before, tokens[:, t]] += 1
    return build_rows(tokens, np.ones(tokens.shape), floor)


def _entropy(weights: Array) -> Array:
    """Return the entropy in nats of distributions given as positive weights [N, V]."""
    share = weights / weights.sum(-1, keepdims=True)
    entropy: Array = -(share * np.log(share)).sum(-1)
    return entropy
