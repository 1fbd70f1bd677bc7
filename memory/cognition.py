"""The cognition base: lessons of papers, found by the symptom that they answer.

Dense search compares the question with the meaning of a lesson (its scenario, the other
observations of the weakness, its context); lexical search finds words, those of titles and tags
before those of formulas; the two rankings are fused. `benchmarks/retrieval.py` measures
all three; the weights were chosen on its development set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from move37.memory.embedding import Embedder
from move37.memory.lexical import Lexical
from move37.memory.library import PAPERS, load_library
from move37.memory.ranking import reciprocal_rank_fusion, spread
from move37.memory.vectors import Texts
from move37.memory.vocabulary import MECHANISMS, PRACTICES
from move37.records import Cognition, content_id

Mode = Literal["dense", "lexical", "fused"]

# How far down either ranking is read before they are fused.
DEPTH = 40
COLUMNS = {
    "title": 1.0,
    "mechanisms": 1.0,
    "scenario": 1.0,
    "seen_as": 0.5,
    "algorithm": 0.3,
    "context": 0.3,
}
MEANINGS = MECHANISMS | PRACTICES


class Built(NamedTuple):
    """What building a base did, in lessons."""

    changed: int
    removed: int
    total: int


class CognitionBase:
    """Lessons of papers from folders of files, kept in step with a collection."""

    def __init__(
        self,
        where: Path | str,
        folders: Sequence[Path] = (PAPERS,),
        embedder: Embedder | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Read the papers and open the collection on a path or at a URL; `build` fills it.

        Raises:
            UserError: a paper breaks the schema, the path or server cannot be used, or another
                embedding model filled the collection and it is not to be replaced.
        """
        papers = load_library(*folders)
        lessons = [one for paper in papers for one in paper.cognitions()]
        self._lessons = {lesson.id: lesson for lesson in lessons}
        self._texts = Texts(where, "cognition", embedder, replace=replace)
        self._words = Lexical(COLUMNS)
        self._words.add((one.id, _words_of(one)) for one in lessons)

    def close(self) -> None:
        """Let go of the collection."""
        self._texts.close()
        self._words.close()

    def build(self) -> Built:
        """Bring the collection up to date with the papers: only what changed is embedded."""
        known = {identity: data.get("hash") for identity, data in self._texts.known().items()}
        hashes = {one.id: content_id(one.model_dump()) for one in self._lessons.values()}
        changed = [one for one in self._lessons.values() if known.get(one.id) != hashes[one.id]]
        gone = sorted(known.keys() - self._lessons.keys())
        self._texts.put(
            [one.id for one in changed],
            [_meaning_of(one) for one in changed],
            [_metadata(one, hashes[one.id]) for one in changed],
        )
        self._texts.drop(gone)
        return Built(len(changed), len(gone), len(self._lessons))

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        families: Sequence[str] = (),
        since: int | None = None,
        mode: Mode = "fused",
    ) -> tuple[Cognition, ...]:
        """Return the lessons that answer a question best, one of each paper before a second one.

        `families` and `since` (a year) let only those papers through.
        """
        rankings = []
        if mode != "lexical":
            found = self._texts.nearest(query, DEPTH, _filter(families, since))
            rankings.append([one.id for one in found])
        if mode != "dense":
            # The whole ranking: a filter must not empty it.
            rankings.append(self._words.search(query, len(self._lessons)))
        passed = [[i for i in ranking if self._passes(i, families, since)] for ranking in rankings]
        scores = reciprocal_rank_fusion([ranking[:DEPTH] for ranking in passed])
        return tuple(self._lessons[i] for i in spread(scores, self._paper, k))

    def lessons(self) -> tuple[Cognition, ...]:
        """Return all lessons by id of their paper."""
        return tuple(self._lessons.values())

    def _paper(self, identity: str) -> str:
        return self._lessons[identity].paper_id

    def _passes(self, identity: str, families: Sequence[str], since: int | None) -> bool:
        # A server may hold lessons of another version's papers; they are not ours to show.
        lesson = self._lessons.get(identity)
        if lesson is None or (families and lesson.family not in families):
            return False
        return since is None or lesson.year >= since


def _meaning_of(lesson: Cognition) -> str:
    return " ".join((lesson.scenario, *lesson.seen_as, lesson.context))


def _words_of(lesson: Cognition) -> tuple[str, ...]:
    return (
        f"{lesson.title} {lesson.family}",
        _tags_of(lesson),
        lesson.scenario,
        " ".join(lesson.seen_as),
        lesson.algorithm,
        lesson.context,
    )


def _tags_of(lesson: Cognition) -> str:
    return " ".join(f"{tag} {MEANINGS[tag]}" for tag in lesson.mechanisms)


def _metadata(lesson: Cognition, mark: str) -> dict[str, str | int]:
    return {
        "hash": mark,
        "paper": lesson.paper_id,
        "family": lesson.family,
        "year": lesson.year,
    }


def _filter(families: Sequence[str], since: int | None) -> dict[str, Any] | None:
    wanted: list[dict[str, Any]] = []
    if families:
        wanted.append({"family": {"$in": list(families)}})
    if since is not None:
        wanted.append({"year": {"$gte": since}})
    return {"$and": wanted} if len(wanted) > 1 else next(iter(wanted), None)
