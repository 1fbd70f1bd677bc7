"""Numbers in prose: where they stand, what they say, and to which precision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Unit = Literal["", "%", "x", "SD"]

_RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_DASHES = "\u2212\u2013"  # a minus sign and an en dash
_TIMES = "\u00d7"
_SIGMA = "\u03c3"
_PLAIN = str.maketrans(_RAISED + _DASHES, "-0123456789--")
_SEPARATORS = re.compile("[ ,'_\u2009\u202f\u00a0]")
_POWER = rf"10(?:\^\{{?([+\-{_DASHES}]?\d+)\}}?|([{_RAISED}]+))"
_NUMBER = re.compile(
    rf"(?:(?<![\w.)%])[+\-{_DASHES}])?"
    r"(?<![\w.])(?:"
    rf"{_POWER}"
    r"|(\d{1,3}(?:[ ,'_\u2009\u202f\u00a0]\d{3})+(?!\d)|\d*)(\.\d+|(?<=\d))"
    rf"(?:[eE]([+\-{_DASHES}]?\d+)|\s?[{_TIMES}x*·]\s?{_POWER})?"
    r")"
)
# What has digits and is a name or a count in another form: ids, dates, versions, 3:1, 2 x 2, 2nd.
_NAME = re.compile(
    r"\b\d{4}\.\d{4,5}(?:v\d+)?\b"
    r"|\b\d{4}-\d{2}-\d{2}\b"
    r"|\bv?\d+(?:\.\d+){2,}\b"
    r"|\b\d+(?::\d+)+\b"
    rf"|\b\d+(?:\s?[x{_TIMES}]\s?(?!10[\^{_RAISED}])\d+)+\b"
    r"|\b\d+(?:st|nd|rd|th|D|-?bits?)\b"
    r"|\b(?:version|python|torch|pytorch|cuda|llama|qwen|gpt|claude|gemini|section|sec)\.? "
    r"\d+(?:\.\d+)*\b"
    r"|\b(?:equation|eq|figure|fig|table|chapter|appendix|theorem|page|seed|layer)\.? \d+\b(?!\.\d)"
    r"|\blesson-\d+\.\d+\b"
    r"|\b[^\W\d_]\w*-\d+\b(?!\.\d)"
    r"|\b[^\W\d]\w*?\d[\w.]*(?<!\.)",
    re.IGNORECASE,
)
_MULTIPLE = re.compile(r"[kKMGB](?![\w%])")
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_UNITS: tuple[tuple[str, Unit], ...] = (
    (r"\s?(?:%|per ?cent\b|pct\b|percentage points?\b|pp\b)", "%"),
    (rf"\s?[x{_TIMES}](?!\w)|-?\s?fold\b", "x"),
    (
        r"\s?times\b(?=\s(?:the|its|their|as|more|less|fewer|larger|smaller|faster|slower|higher"
        r"|lower|that|those|better|worse)\b)",
        "x",
    ),
    (rf"\s?-?(?:SDs?|sigmas?|{_SIGMA}|standard deviations?)(?!\w)", "SD"),
)


@dataclass(frozen=True)
class Numeral:
    """A number as it is written: its place, its size, and half a unit of its last digit.

    `whole` tells a count, such as 12 or 60,000, from 12.0, 6e4 and 60k.
    """

    text: str
    start: int
    end: int
    value: float
    half: float
    unit: Unit
    whole: bool

    def agrees(self, value: float) -> bool:
        """Whether a value rounds to it, whatever the sign."""
        return abs(abs(value) - self.value) <= self.half * (1 + 1e-6) + 1e-12


def numerals(text: str) -> Iterator[Numeral]:
    """Yield the numbers of a text in order; names that have digits are none."""
    plain = _NAME.sub(lambda name: " " * len(name[0]), text)
    for found in _NUMBER.finditer(plain):
        if any(letter.isdigit() for letter in found[0]):
            yield _numeral(plain, found)


def _numeral(plain: str, found: re.Match[str]) -> Numeral:
    caret, raised, whole, fraction, exponent, times_caret, times_raised = found.groups()
    power = int(
        (caret or raised or exponent or times_caret or times_raised or "0").translate(_PLAIN)
    )
    digits = "1" if caret or raised else _SEPARATORS.sub("", whole or "") + (fraction or "")
    scale, end = 10.0 ** max(-30, min(30, power)), found.end()
    if multiple := _MULTIPLE.match(plain, end):
        scale, end = scale * _MULTIPLES[multiple[0]], multiple.end()
    places = len(fraction or ".") - 1
    unit: Unit = ""
    for pattern, name in _UNITS:
        if follows := re.compile(pattern).match(plain, end):
            unit, end = name, follows.end()
            break
    return Numeral(
        text=plain[found.start() : end].strip(),
        start=found.start(),
        end=end,
        value=float(digits) * scale,
        half=0.5 * 10.0**-places * scale,
        unit=unit,
        whole=scale == 1.0 and not places and power == 0 and not (caret or raised),
    )
