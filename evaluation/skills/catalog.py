"""The skills by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from move37.evaluation.skills import copying, facts, markov, recall, tracking
from move37.evaluation.skills.rows import Rows, Skill
from move37.evaluation.skills.settings import Setting
from move37.records import UserError

# Builds a skill from its settings and a secret seed, for what stays the same in all rows of a run.
Builder = Callable[[Setting, int], Skill]
# Seed, rows, length, alphabet.
Generator = Callable[[int, int, int, int], Rows]


def _skill(
    setting: Setting,
    generator: Generator,
    tokens: int,
    answers: int,
    tested_by: Generator | None = None,
) -> Skill:
    """Bind a generator to a setting; `tokens` in the vocabulary, `answers` that can occur."""

    def train(seed: int, rows: int) -> Rows:
        return generator(seed, rows, setting.length, setting.alphabet)

    def test(seed: int, rows: int) -> Rows:
        return (tested_by or generator)(seed, rows, setting.test_length, setting.alphabet)

    return Skill(tokens, math.log(answers), train, test)


def _recall(setting: Setting, _: int) -> Skill:
    return _skill(setting, recall.plain, 2 * setting.alphabet, setting.alphabet)


def _overwritten(setting: Setting, _: int) -> Skill:
    return _skill(setting, recall.overwritten, 2 * setting.alphabet, setting.alphabet)


def _noisy(setting: Setting, _: int) -> Skill:
    tokens = 2 * setting.alphabet + recall.NOISE_TOKENS
    return _skill(setting, recall.noisy, tokens, setting.alphabet)


def _fuzzy(setting: Setting, _: int) -> Skill:
    values = setting.alphabet**2
    return _skill(setting, recall.fuzzy, setting.alphabet + values, values)


def _copy(setting: Setting, _: int) -> Skill:
    tokens = setting.alphabet + copying.NOISE_TOKENS + 1
    return _skill(setting, copying.selective_copy, tokens, setting.alphabet)


def _markov(setting: Setting, _: int) -> Skill:
    return _skill(setting, markov.chains, setting.alphabet, setting.alphabet)


def _facts(setting: Setting, secret: int) -> Skill:
    generator = partial(facts.memorised, secret=secret)
    return _skill(setting, generator, 3 * setting.alphabet, setting.alphabet)


def _tracking(setting: Setting, _: int) -> Skill:
    longer = partial(tracking.running_sum, longest_only=True)
    tokens = 2 * setting.alphabet + 1
    return _skill(setting, tracking.running_sum, tokens, setting.alphabet, longer)


SKILLS: dict[str, Builder] = {
    "recall": _recall,
    "overwrite": _overwritten,
    "noisy": _noisy,
    "fuzzy": _fuzzy,
    "copy": _copy,
    "markov": _markov,
    "facts": _facts,
    "parity": _tracking,
    "mod5": _tracking,
}


def chosen(names: list[str]) -> tuple[str, ...]:
    """Return the skills of these names in the catalogue's order; all of them for no name.

    Raises:
        UserError: there is no such skill.
    """
    for name in names:
        if name not in SKILLS:
            raise UserError(f"unknown skill {name!r}; there are {', '.join(SKILLS)}")
    return tuple(name for name in SKILLS if not names or name in names)
