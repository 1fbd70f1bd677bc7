"""Slow readers of single rows: what must be asked where, and what the answer is, token by token."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

# Answers of a row: position of the token and its value.
Answers = dict[int, int]
NOISE = 8


def _episodes(row: list[int], told: Callable[[int], int], width: int) -> Answers:
    """Read `told(n)` units (key of width - 1 tokens, value), then n questions; n fits the row."""
    units = [tuple(row[i : i + width]) for i in range(0, len(row), width)]
    for n in (2, 4, 8, 16, 32):
        if len(units) % (told(n) + n):
            continue
        answers: Answers = {}
        for begin in range(0, len(units), told(n) + n):
            memory = {unit[:-1]: unit[-1] for unit in units[begin : begin + told(n)]}
            asked = range(begin + told(n), begin + told(n) + n)
            if {units[i][:-1] for i in asked} != set(memory) or len(memory) != n:
                break
            answers |= {i * width + width - 1: memory[units[i][:-1]] for i in asked}
        else:
            return answers
    raise AssertionError(f"no number of pairs explains the row {row}")


def recall(row: list[int], _: int) -> Answers:
    return _episodes(row, lambda n: n, 2)


def overwrite(row: list[int], _: int) -> Answers:
    return _episodes(row, lambda n: n + n // 2, 2)


def fuzzy(row: list[int], _: int) -> Answers:
    return _episodes(row, lambda n: n, 3)


def noisy(row: list[int], values: int) -> Answers:
    kept = [i for i, token in enumerate(row) if token < 2 * values]
    answers = recall([row[i] for i in kept], values)
    return {kept[i]: value for i, value in answers.items()}


def copy(row: list[int], letters: int) -> Answers:
    end = row.index(letters + NOISE)
    content = [token for token in row[:end] if token < letters]
    return {end + 1 + i: token for i, token in enumerate(content)}


def tracking(row: list[int], modulus: int) -> Answers:
    answers, total = {}, 0
    for i, token in enumerate(row):
        if token < modulus:
            total = (total + token) % modulus
        elif token == modulus and i + 1 < len(row):
            answers[i + 1] = modulus + 1 + total
    return answers


REFERENCES: dict[str, Callable[[list[int], int], Answers]] = {
    "recall": recall,
    "overwrite": overwrite,
    "noisy": noisy,
    "fuzzy": fuzzy,
    "copy": copy,
    "parity": tracking,
    "mod5": tracking,
}


def markov_bayes(row: list[int], states: int, spread: float) -> list[list[float]]:
    """Return what the exact Bayes predictor says before each token of the row."""
    said = [[1 / states] * states]
    for t in range(1, len(row)):
        steps = Counter(b for a, b in pairwise(row[:t]) if a == row[t - 1])
        weights = [steps[j] + spread for j in range(states)]
        said.append([weight / sum(weights) for weight in weights])
    return said


def copy_bayes(row: list[int], letters: int, copied: int) -> list[list[float]]:
    """Return what the exact Bayes predictor says before each token of a row of selective copy."""
    text = len(row) - 1 - copied
    said = []
    for t in range(len(row)):
        chance = [0.0] * (letters + NOISE + 1)
        if t < text:
            left = copied - sum(token < letters for token in row[:t])
            share = left / (text - t)
            chance[:letters] = [share / letters] * letters
            chance[letters : letters + NOISE] = [(1 - share) / NOISE] * NOISE
        elif t == text:
            chance[-1] = 1.0
        else:
            chance[[token for token in row[:text] if token < letters][t - text - 1]] = 1.0
        said.append(chance)
    return said


def entropy(chance: list[float]) -> float:
    return -sum(p * math.log(p) for p in chance if p > 0)
