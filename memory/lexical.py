"""Search by words: BM25 over a few columns, by SQLite's own full-text index, in memory."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence

WORD = re.compile(r"[a-z0-9]+")
# Words that stand in almost every observation and say nothing of the problem; BM25 would give them
# little weight, but a long question has many of them.
EMPTY = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "more",
        "no",
        "not",
        "of",
        "on",
        "only",
        "or",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "too",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "will",
        "with",
    ]
)


class Lexical:
    """Documents of weighted columns, found by stems of words; threads may share it."""

    def __init__(self, columns: Mapping[str, float]) -> None:
        """Make an empty index; `columns` maps a name to its weight in BM25."""
        self._names = tuple(columns)
        self._weights = ", ".join(str(float(weight)) for weight in columns.values())
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        fields = ", ".join(self._names)
        self._database.execute(
            f"CREATE VIRTUAL TABLE texts USING fts5({fields}, tokenize='porter unicode61')"
        )
        self._ids: list[str] = []

    def close(self) -> None:
        """Let go of the memory."""
        self._database.close()

    def add(self, documents: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Add documents: an id, and one text for each column."""
        places = ", ".join("?" for _ in self._names)
        with self._lock:
            for identity, texts in documents:
                self._ids.append(identity)
                row = (len(self._ids), *texts)
                self._database.execute(
                    f"INSERT INTO texts(rowid, {', '.join(self._names)}) VALUES (?, {places})", row
                )

    def search(self, query: str, k: int) -> list[str]:
        """Return up to `k` ids, the best first; among equals the older comes first."""
        words = dict.fromkeys(word for word in WORD.findall(query.lower()) if word not in EMPTY)
        if not words:
            return []
        # Quoted, so that a word of the query is never an operator.
        wanted = " OR ".join(f'"{word}"' for word in words)
        with self._lock:
            found = self._database.execute(
                f"SELECT rowid FROM texts WHERE texts MATCH ? "
                f"ORDER BY bm25(texts, {self._weights}), rowid LIMIT ?",
                (wanted, k),
            ).fetchall()
        return [self._ids[rowid - 1] for (rowid,) in found]
