"""The final loss that the beginning of a learning curve foretells: a line through what ended."""

from __future__ import annotations

import numpy as np

from move37.evaluation.statistics.intervals import Array
from move37.records import Finite, Value

# In runs: as much weight as so many of them has the guess that a feature says nothing.
RIDGE = 1.0


class Line(Value):
    """A line over features `[F]`: `intercept + weights . features`; `sd` is that of its error."""

    intercept: Finite
    weights: tuple[Finite, ...]
    sd: Finite

    def at(self, values: Array) -> float:
        """Return the foretold loss."""
        return self.intercept + float(np.dot(self.weights, values))


def features(losses: Array, step: int, spacing: int) -> Array:
    """Return the last smoothed loss at a step and the last two decrements, `spacing` steps each.

    After Baker et al. (1705.10823), who foretell by the last values and their first and second
    differences. Before the first step the curve counts as flat.
    """
    places = [max(0, step - 1 - back * spacing) for back in range(3)]
    last, before, first = losses[places]
    return np.array([last, before - last, first - before])


def fit(rows: Array, finals: Array) -> Line:
    """Fit features [N, F] to final losses [N] by ridge regression on standardised features.

    Hoerl and Kennard (1970). `sd` is the root mean square of the leave-one-out errors
    `e_i / (1 - h_i)`, with h the diagonal of the hat matrix (Allen 1974), so that it does not
    flatter a fit to few runs.
    """
    centre, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    unit = (rows - centre) / scale
    inverse = np.linalg.inv(unit.T @ unit + RIDGE * np.eye(unit.shape[1]))
    weights = inverse @ unit.T @ (finals - finals.mean())
    hat = 1.0 / len(finals) + np.einsum("nf,fg,ng->n", unit, inverse, unit)
    errors = (finals - finals.mean() - unit @ weights) / (1.0 - hat)
    slopes = weights / scale
    return Line(
        intercept=float(finals.mean() - slopes @ centre),
        weights=tuple(float(slope) for slope in slopes),
        sd=float(np.sqrt(np.mean(errors**2))),
    )
