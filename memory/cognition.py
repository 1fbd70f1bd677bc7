"""The cognition base: lessons of papers, found by the symptom that they answer."""

from __future__ import annotations

from pathlib import Path

from move37.memory.library import PAPERS, load_library
from move37.memory.vectors import Texts
from move37.records import Cognition, content_id


class CognitionBase:
    """Lessons from `memory/papers/`, searched by their scenario."""

    def __init__(self, where: Path | str, papers: Path = PAPERS) -> None:
        """Read the papers and open the collection on a path or at a URL; `build` fills it.

        Raises:
            UserError: a paper breaks the schema, or the path or server cannot be used.
        """
        lessons = [one for paper in load_library(papers) for one in paper.cognitions()]
        self._lessons = {lesson.id: lesson for lesson in lessons}
        self._texts = Texts(where, "cognition")

    def close(self) -> None:
        """Let go of the collection."""
        self._texts.close()

    def build(self) -> int:
        """Bring the collection up to date with the papers; return how many lessons changed."""
        known = {identity: data.get("hash") for identity, data in self._texts.known().items()}
        hashes = {one.id: content_id(one.model_dump()) for one in self._lessons.values()}
        changed = [one for one in self._lessons.values() if known.get(one.id) != hashes[one.id]]
        gone = sorted(known.keys() - self._lessons.keys())
        self._texts.put(
            [one.id for one in changed],
            [one.scenario for one in changed],
            [{"hash": hashes[one.id], "paper": one.paper_id} for one in changed],
        )
        self._texts.drop(gone)
        return len(changed) + len(gone)

    def search(self, query: str, k: int = 5) -> tuple[Cognition, ...]:
        """Return the lessons whose scenario is nearest to the query, the nearest first."""
        found = self._texts.nearest(query, k)
        # A server may hold lessons of another version's papers; they are not ours to show.
        return tuple(self._lessons[one.id] for one in found if one.id in self._lessons)

    def lessons(self) -> tuple[Cognition, ...]:
        """Return all lessons by id of their paper."""
        return tuple(self._lessons.values())
