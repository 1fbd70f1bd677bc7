"""Text that nobody vouches for, made safe to show to a model: cleaned, shortened, fenced.

A fence does not make hostile text harmless; it lets the prompt say which words are data. What it
does guarantee: the text cannot close its own fence, hide characters, or grow without bound.
"""

from __future__ import annotations

import re
import unicodedata

LOG_LIMIT = 6000
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_FENCE = re.compile(r"<\s*/?\s*untrusted[^>]{0,80}>?", re.IGNORECASE)
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean(text: str) -> str:
    """Drop terminal escapes and every character that is not seen, but for newlines and tabs."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in _HIDDEN)


def shorten(text: str, limit: int = LOG_LIMIT) -> str:
    """Keep at most `limit` characters: a quarter from the start, the rest from the end.

    A traceback names its cause at the end; what was run stands at the start.
    """
    if len(text) <= limit:
        return text
    head = limit // 4
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[-tail:]}"


def one_line(text: str, limit: int = 400) -> str:
    """Return the text on one clean line of at most `limit` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 4]} ..."


def fence(text: str, source: str, limit: int = LOG_LIMIT) -> str:
    """Wrap text of `source` (our own word for it) as untrusted data."""
    # Cut before cleaning as well, so that a log of a gigabyte costs no more than a short one.
    body = shorten(clean(shorten(text, 4 * limit)), limit)
    body = _FENCE.sub("[fence removed]", body).strip() or "(empty)"
    return f'<untrusted source="{source}">\n{body}\n</untrusted>'
