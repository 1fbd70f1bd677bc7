"""What a campaign has learned so far: its lessons, and what single mechanisms have paid."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from move37.evaluation.standing import TASK
from move37.memory.embedding import Embedder
from move37.memory.lexical import Lexical
from move37.memory.pool import as_candidate
from move37.memory.ranking import by_score, reciprocal_rank_fusion
from move37.memory.vectors import Texts, own_name
from move37.memory.vocabulary import MECHANISMS
from move37.records import (
    Candidate,
    CurvePoint,
    Effect,
    Experiment,
    Failed,
    Lesson,
    Measured,
)

# How far down either ranking is read; a lesson that later experiments contradict sinks from there.
DEPTH = 30
COLUMNS = {"text": 1.0, "mechanisms": 0.5}


@dataclass(frozen=True)
class Origin:
    """What the root of a campaign is made of, its training curve, and its held-out loss on text.

    `sd` is the seed noise of that loss.
    """

    loss: float
    mechanisms: frozenset[str]
    sd: float
    curve: tuple[CurvePoint, ...] = ()


class LessonBase:
    """The lessons of one campaign, searched beside the papers.

    The store is the truth: everything here is made again from its experiments. Threads may share
    it.
    """

    def __init__(
        self, where: Path | str, campaign: str, origin: Origin, embedder: Embedder | None = None
    ) -> None:
        """Open the collection on a path or at a URL; `sync` fills it.

        Raises:
            UserError: the path or the server cannot be used.
        """
        self._origin = origin
        self._texts = Texts(where, own_name(campaign, "lessons"), embedder, replace=True)
        self._lock = threading.Lock()
        self._experiments: dict[int, Experiment] = {}
        self._book = _Book(origin)

    def close(self) -> None:
        """Let go of the collection."""
        self._texts.close()
        self._book.words.close()

    def sync(self, experiments: Iterable[Experiment]) -> int:
        """Add experiments, as after a start; return how many lessons were embedded."""
        given = list(experiments)
        with self._lock:
            self._experiments |= {one.number: one for one in given}
        known = self._texts.known()
        missing = [
            (one, identity, text)
            for one in given
            for identity, text in _ids_and_texts(one)
            if identity not in known
        ]
        self._put(missing)
        return len(missing)

    def add(self, experiment: Experiment) -> None:
        """Add one experiment; doing so twice changes nothing."""
        with self._lock:
            self._experiments[experiment.number] = experiment
        self._put([(experiment, *told) for told in _ids_and_texts(experiment)])

    def _put(self, told: Sequence[tuple[Experiment, str, str]]) -> None:
        self._texts.put(
            [identity for _, identity, _ in told],
            [text for _, _, text in told],
            [{"number": one.number, "lesson": identity} for one, identity, _ in told],
        )

    def read(self, experiment: Experiment) -> tuple[tuple[str, ...], Effect]:
        """Return what an experiment changed and what that did, as its lessons will say."""
        with self._lock:
            parent = self._experiments.get(experiment.parent)
        return changed_from(parent, experiment, self._origin), effect_of(
            parent, experiment, self._origin
        )

    def search(self, query: str, before: int, k: int = 8) -> tuple[Lesson, ...]:
        """Return the lessons of experiments below `before` that bear most on a question.

        Nearness is multiplied by the standing, so that what was contradicted sinks.
        """
        with self._lock:
            book = self._read_up_to(before)
            lessons = dict(book.lessons)
            words = book.words.search(query, DEPTH)
        if not lessons:
            return ()
        found = self._texts.nearest(query, DEPTH, passes=lambda of: of["number"] < before)
        near = [str(one.metadata["lesson"]) for one in found]
        fused = reciprocal_rank_fusion([[i for i in r if i in lessons] for r in (near, words)])
        weighed = by_score({i: score * lessons[i].standing for i, score in fused.items()})
        return tuple(lessons[i] for i in weighed)[:k]

    def _read_up_to(self, before: int) -> _Book:
        """Return what is known of the experiments below `before`, and of no others.

        Weights of words depend on all that is indexed, and a record must not depend on what was
        archived meanwhile.
        """
        if before < self._book.before:
            self._book.words.close()
            self._book = _Book(self._origin)
        fresh = range(self._book.before, before)
        self._book.read(one for n in fresh if (one := self._experiments.get(n)) is not None)
        self._book.before = before
        return self._book


class _Book:
    """Lessons by their short id, and an index of their words, as experiment after experiment adds.

    `before` is the number of the first experiment that was not read.
    """

    def __init__(self, origin: Origin) -> None:
        self.lessons: dict[str, Lesson] = {}
        self.words = Lexical(COLUMNS)
        self.before = 0
        self._origin = origin
        self._read: dict[int, Experiment] = {}

    def read(self, experiments: Iterable[Experiment]) -> None:
        """Add experiments, in order of their numbers."""
        for one in experiments:
            self._read[one.number] = one
            learn(self.lessons, one, self._read.get(one.parent), self._origin)
            self.words.add((i, (text, _meanings(one))) for i, text in _ids_and_texts(one))


def lessons_of(history: Sequence[Experiment], origin: Origin) -> list[Lesson]:
    """Return the lessons of a history in order, with the experiments that spoke for or against."""
    known = {one.number: one for one in history}
    lessons: dict[str, Lesson] = {}
    for number in sorted(known):
        learn(lessons, known[number], known.get(known[number].parent), origin)
    return list(lessons.values())


def learn(
    lessons: dict[str, Lesson], one: Experiment, parent: Experiment | None, origin: Origin
) -> None:
    """Add what an experiment taught, and what it says of earlier lessons; no parent: the root.

    What it changed and whether that helped is computed here, not told by a model.
    """
    analysis, proposal = one.analysis, one.proposal
    if analysis is None or proposal is None:
        return
    for identity in analysis.supports:
        _note(lessons, identity, "supports", one.number)
    for identity in analysis.contradicts:
        _note(lessons, identity, "contradicts", one.number)
    changed, effect = changed_from(parent, one, origin), effect_of(parent, one, origin)
    for identity, text in _ids_and_texts(one):
        lessons[identity] = Lesson(
            id=identity,
            text=text,
            experiment=one.number,
            mechanisms=proposal.mechanisms,
            changed=changed,
            effect=effect,
        )


def lesson_id(experiment: int, place: int) -> str:
    """Return the id of a lesson within its campaign; places count from 1."""
    return f"lesson-{experiment}.{place}"


def changed_from(parent: Experiment | None, child: Experiment, origin: Origin) -> tuple[str, ...]:
    """Return the mechanisms that were added (`+tag`) or removed (`-tag`); no parent: the root."""
    before = frozenset(parent.proposal.mechanisms) if parent and parent.proposal else None
    had = origin.mechanisms if before is None else before
    has = frozenset(child.proposal.mechanisms) if child.proposal else frozenset()
    added = tuple(f"+{tag}" for tag in MECHANISMS if tag in has - had)
    return added + tuple(f"-{tag}" for tag in MECHANISMS if tag in had - has)


def effect_of(parent: Experiment | None, child: Experiment, origin: Origin) -> Effect:
    """Return what a change did to the held-out loss on text, against two SDs of a difference.

    A run that was stopped early has no such loss. It hurt when its training loss lay above its
    parent's in the last steps that it made, which saw the same batches.
    """
    outcome = child.outcome
    known = parent.outcome if parent and isinstance(parent.outcome, Measured) else None
    if isinstance(outcome, Failed) and outcome.stage == "pruned":
        gain = min(0.0, _lead(known.curve if known else origin.curve, outcome.curve))
    elif isinstance(outcome, Failed):
        return "failed"
    elif isinstance(outcome, Measured):
        gain = (known.loss() if known else origin.loss) - outcome.loss()
    else:
        return "unclear"
    if abs(gain) < 2.0 * math.sqrt(2.0) * origin.sd:
        return "unclear"
    return "helped" if gain > 0 else "hurt"


def _lead(parent: Sequence[CurvePoint], child: Sequence[CurvePoint]) -> float:
    """Return by how many nats a child's training loss on text lies below its parent's.

    Over the last quarter of the steps that the child made.
    """
    before = {point.step: point.loss for point in parent if point.task == TASK}
    shared = [p for p in child if p.task == TASK and p.step in before]
    last = shared[-math.ceil(len(shared) / 4) :]
    return sum(before[p.step] - p.loss for p in last) / len(last) if last else 0.0


def mechanism_payoffs(
    history: Sequence[Experiment], root: Candidate, root_mechanisms: Sequence[str] = ()
) -> dict[str, float]:
    """Return for each mechanism the mean fitness gain of children that introduced it.

    A gain is the child's fitness minus its parent's; a mechanism is introduced when the child
    names it and the parent does not. A child that was stopped early counts as fit as the lower
    quartile of what was scored before it, and at most as its parent: left out, mechanisms that lag
    would look better than they are. Other unscored children say nothing. The template knows no
    tags of its own, so the caller names those of the root.
    """
    fitness = {0: root.fitness}
    mechanisms = {0: frozenset(root_mechanisms)}
    gains: dict[str, list[float]] = {}
    for experiment in sorted(history, key=lambda one: one.number):
        if experiment.proposal is None:
            continue
        own = frozenset(experiment.proposal.mechanisms)
        candidate = as_candidate(experiment)
        if candidate is not None:
            reached = fitness[candidate.number] = candidate.fitness
            mechanisms[candidate.number] = own
        elif was_pruned(experiment):
            known = [*fitness.values()]
            reached = min(_lower_quartile(known), fitness.get(experiment.parent, root.fitness))
        else:
            continue
        if experiment.parent in fitness:
            for tag in own - mechanisms[experiment.parent]:
                gains.setdefault(tag, []).append(reached - fitness[experiment.parent])
    return {tag: sum(values) / len(values) for tag, values in sorted(gains.items())}


def was_pruned(experiment: Experiment) -> bool:
    """Whether the run of an experiment was stopped early for lagging behind."""
    return isinstance(experiment.outcome, Failed) and experiment.outcome.stage == "pruned"


def _lower_quartile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 4]


def _note(lessons: dict[str, Lesson], identity: str, side: str, number: int) -> None:
    lesson = lessons.get(identity)
    if lesson is not None and lesson.experiment != number:
        marks = (*getattr(lesson, side), number)
        lessons[identity] = lesson.model_copy(update={side: marks})


def _ids_and_texts(experiment: Experiment) -> list[tuple[str, str]]:
    texts = experiment.analysis.lessons if experiment.analysis and experiment.proposal else ()
    return [(lesson_id(experiment.number, n), text) for n, text in enumerate(texts, start=1)]


def _meanings(experiment: Experiment) -> str:
    tags = experiment.proposal.mechanisms if experiment.proposal else ()
    return " ".join(f"{tag} {MECHANISMS.get(tag, '')}" for tag in tags)
