"""What a noisy loss says of the true one: normal-normal shrinkage, alone and along a family tree.

The model: `x_i ~ N(theta_i, v_i)`, `v_i = sigma^2 / n_i`; all designs spread as `N(mu, tau^2)`, and
a child resembles its parent with heritability h, so that given the parent
`theta_i ~ N(mu + h (theta_p - mu), (1 - h^2) tau^2)`, which leaves every design's spread at tau.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from move37.evaluation.statistics.intervals import Array

# Pairs that the prior heritability counts for; with none measured, a child stands halfway.
PRIOR_PAIRS = 8.0
PRIOR_HERITABILITY = 0.5
# At 1 a child would be its parent, and its own measurement would count for nothing.
HIGHEST_HERITABILITY = 0.95
# Values of tau that are integrated over, up to the range of the losses.
GRID = 200


def posterior(
    observed: Array, variance: Array | float, mean: Array | float, tau: Array | float
) -> tuple[Array, Array]:
    """Posterior mean and variance [N] of true losses under the prior `N(mean, tau^2)`.

    `b = tau^2 / (tau^2 + v)`, mean `m + b (x - m)`, variance `b v` (Lindley and Smith 1972; Efron
    and Morris 1975). Arguments broadcast. `tau` may be 0; `tau` and `variance` not both.
    """
    weight = np.square(tau) / (np.square(tau) + variance)
    means = np.asarray(mean + weight * (observed - mean))
    return means, np.broadcast_to(weight * variance, means.shape)


def empirical_prior(observed: Array, variance: Array | float) -> tuple[float, float]:
    """Empirical-Bayes estimates (mu, tau) of the designs' spread from losses [N] with noise `v`.

    Paule and Mandel (1982): the tau at which `sum (x_i - mu)^2 / (tau^2 + v_i) = N - 1`, `mu` being
    the mean weighted by `1 / (tau^2 + v_i)`; 0 when the losses differ by no more than their noise.

    Raises:
        ValueError: fewer than two losses.
    """
    if len(observed) < 2:
        raise ValueError("a spread needs two losses at least")
    if np.ptp(observed) == 0:
        return float(observed[0]), 0.0
    noise = np.broadcast_to(np.asarray(variance, dtype=float), observed.shape)
    # Without any noise the weights at tau = 0 are infinite: the search begins a hair above.
    lowest = 1e-12 * float(observed.var()) if (noise == 0).any() else 0.0

    def centre(square: float) -> float:
        return float(np.average(observed, weights=1 / (square + noise)))

    def excess(square: float) -> float:
        deviations = (observed - centre(square)) ** 2 / (square + noise)
        return float(deviations.sum()) - (len(observed) - 1)

    if excess(lowest) <= 0:
        return centre(lowest), 0.0
    highest = float(((observed - observed.mean()) ** 2).sum()) + lowest
    square = float(brentq(excess, lowest, highest, xtol=1e-15 * highest, rtol=1e-10))
    return centre(square), math.sqrt(square)


def hierarchical_posterior(observed: Array, variance: Array | float) -> tuple[Array, Array]:
    """Posterior mean and variance [N] of true losses when mu and tau are not known either.

    Flat priors on mu and tau (Gelman et al. 2013, section 5.4, equation 5.21): for each tau on a
    grid, mu and the losses have normal posteriors, which are weighed by
    `p(tau | x) ~ V^(1/2) prod (tau^2 + v_i)^(-1/2) exp(-(x_i - mu)^2 / (2 (tau^2 + v_i)))`, V the
    variance of mu. A plugged-in tau is too sure of itself: where it comes out as 0, nothing is left
    to find. How often a design was measured may depend on its losses; the likelihood does not care.

    Raises:
        ValueError: fewer than four losses.
    """
    if len(observed) < 4:
        raise ValueError("the spread of designs needs four of them at least")
    noise = np.broadcast_to(np.asarray(variance, dtype=float), observed.shape)
    widest = float(np.ptp(observed)) + math.sqrt(float(noise.max()))
    if widest == 0:
        return observed.copy(), np.zeros_like(observed)
    # [G, 1] against [N]; at the grid's lower end rather than 0, so that noise may be absent.
    square = np.square(widest * (np.arange(GRID)[:, None] + 0.5) / GRID)
    weights = 1 / (square + noise)
    centre = (weights @ observed / weights.sum(axis=1))[:, None]
    centre_variance = 1 / weights.sum(axis=1, keepdims=True)
    fit = np.log(weights).sum(axis=1) - (weights * (observed - centre) ** 2).sum(axis=1)
    log_density = (fit + np.log(centre_variance[:, 0])) / 2
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    means, variances = posterior(observed, noise, centre, np.sqrt(square))
    variances = variances + np.square(noise * weights) * centre_variance
    mean = density @ means
    return mean, density @ (variances + np.square(means - mean))


def heritability(
    parent: Array, child: Array, parent_variance: Array | float, mean: float, tau: float
) -> float:
    """How much of a parent's lead its children keep, in [0, 0.95], from pairs of losses [N].

    The breeder's regression of child on parent (Falconer and Mackay 1996, chapter 10), taken on
    the parent's posterior mean `t` in place of its loss: that undoes the dilution by noise
    (regression calibration, Carroll et al. 2006, chapter 4), also where parents were chosen for
    their loss. With the prior h0 = 0.5 counting for k = 8 pairs:
    `h = (sum (t - mu) (child - mu) + k tau^2 h0) / (sum (t - mu)^2 + k tau^2)`.
    """
    if tau == 0:
        return PRIOR_HERITABILITY
    lead = posterior(parent, parent_variance, mean, tau)[0] - mean
    prior = PRIOR_PAIRS * tau**2
    kept = float(lead @ (child - mean)) + prior * PRIOR_HERITABILITY
    slope = kept / (float(lead @ lead) + prior)
    return min(HIGHEST_HERITABILITY, max(0.0, slope))


def tree_posterior(
    observed: Array,
    variance: Array,
    parents: Sequence[int | None],
    prior: tuple[float, float],
    heredity: float,
) -> tuple[Array, Array]:
    """Posterior mean and variance [N] of true losses along a family tree.

    `parents[i]` is the place of i's parent, which stands before it, or None; `prior` is (mu, tau).
    Each begins from `child_prior`: the filtering half of the Kalman recursion (Kalman 1960) on a
    tree. News flows from parents to children only, never back.

    Raises:
        ValueError: a parent does not stand before its child.
    """
    mu, tau = prior
    means, variances = np.empty_like(observed), np.empty_like(observed)
    for place, parent in enumerate(parents):
        if parent is not None and not 0 <= parent < place:
            raise ValueError(f"the parent of {place} must stand before it, not at {parent}")
        known = (mu, tau**2) if parent is None else (means[parent], variances[parent])
        centre, spread = child_prior(known, prior, heredity)
        found = posterior(observed[place], variance[place], centre, math.sqrt(spread))
        means[place], variances[place] = found
    return means, variances


def child_prior(
    parent: tuple[float, float], prior: tuple[float, float], heredity: float
) -> tuple[float, float]:
    """Mean and variance of a child's true loss before it is measured; `prior` is (mu, tau).

    `N(mu + h (t_p - mu), (1 - h^2) tau^2 + h^2 w_p)` with the posterior mean `t_p` and variance
    `w_p` of its parent.
    """
    mu, tau = prior
    mean = mu + heredity * (parent[0] - mu)
    return mean, (1 - heredity**2) * tau**2 + heredity**2 * parent[1]
