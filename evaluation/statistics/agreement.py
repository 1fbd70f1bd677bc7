"""Do two rows of figures agree: in their order, and in their values when asked twice."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from move37.evaluation.statistics.intervals import Array


def spearman(first: Array, second: Array) -> float:
    """Spearman's (1904) rank correlation of two rows [N]; 0 where one row is all ties."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def retest_reliability(scorings: Array) -> float:
    """Agreement of repeated scorings [N, k] of the same N things, 1 at best: ICC(2,1).

    `(R - E) / (R + (k - 1) E + k (C - E) / N)` with the mean squares of rows, columns and error
    (Shrout and Fleiss 1979, case 2): unlike Pearson's correlation it also counts it as disagreement
    when the second scoring is higher throughout. 0 where all things are scored alike: then nothing
    is told apart.

    Raises:
        ValueError: fewer than two things or two scorings.
    """
    count, times = scorings.shape
    if count < 2 or times < 2:
        raise ValueError("reliability needs two things at least, each scored twice at least")
    mean = scorings.mean()
    by_row, by_column = scorings.mean(axis=1), scorings.mean(axis=0)
    rows = times * float(((by_row - mean) ** 2).sum()) / (count - 1)
    columns = count * float(((by_column - mean) ** 2).sum()) / (times - 1)
    left = scorings - by_row[:, None] - by_column + mean
    error = float((left**2).sum()) / ((count - 1) * (times - 1))
    whole = rows + (times - 1) * error + times * (columns - error) / count
    return (rows - error) / whole if np.ptp(by_row) > 0 and whole > 0 else 0.0
