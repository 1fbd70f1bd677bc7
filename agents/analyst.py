"""The analyst: says what an experiment taught, with figures that the record bears out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from move37.agents.briefs import AnalystBrief
from move37.agents.checks.figures import Record, objection, record_of, strike
from move37.agents.run import run_agent
from move37.records import (
    Analysis,
    Candidate,
    Cognition,
    Experiment,
    Failed,
    Lesson,
    Measured,
    Size,
    TokenUse,
)
from move37.tools.knowledge import knowledge_tools, show_cognition, show_lessons
from move37.tools.showing import code_block, show_experiment
from move37.tools.workbench import Workbench

CALLS = 10
_SUMMARY_LIMIT = 8000
_SENT_BACK = (
    "{}\nUse figures that you were shown, or the difference, ratio or percent change of two of "
    "them, or a multiple of an SD, and call expected what was expected. Leave the others out, and "
    "answer again: what is still not in the record is struck."
)
Alike = dict[str, list[float]]


def analyse(
    brief: AnalystBrief, model: BaseChatModel, bench: Workbench
) -> tuple[Analysis, TokenUse]:
    """Return what the experiment taught and what to look up next.

    Figures in its text that the record does not bear out go back once; what is left of them is
    struck (`move37.agents.checks.figures`).

    Raises:
        Weather: no answer could be had.
        UserError: the provider refuses.
    """
    shown = _Shown(brief)

    def review(found: Analysis, said: Sequence[BaseMessage]) -> str | None:
        shown.texts[said[0].text] = None  # the brief, as it was packed
        wrong = objection(_texts(found), shown.record())
        return None if wrong is None else _SENT_BACK.format(wrong)

    tools = knowledge_tools(shown.watching(bench))
    analysis, use = run_agent(model, brief, Analysis, tools, CALLS, review)
    return _struck(_known(analysis, brief, shown.numbers()), shown.record()), use


def _texts(analysis: Analysis) -> tuple[str, ...]:
    """Return everything that an analyst writes in words."""
    one = analysis
    return (one.summary, one.cause, one.query, *one.lessons, *one.questions)


def _struck(analysis: Analysis, record: Record) -> Analysis:
    """Return the analysis without figures that the record does not bear out."""
    summary, cause, query = (
        strike(text, record) for text in (analysis.summary, analysis.cause, analysis.query)
    )
    return analysis.model_copy(
        update={
            "summary": summary[:_SUMMARY_LIMIT],
            "cause": cause,
            "query": query,
            "lessons": tuple(strike(text, record) for text in analysis.lessons),
            "questions": tuple(strike(text, record) for text in analysis.questions),
        }
    )


def _known(analysis: Analysis, brief: AnalystBrief, numbers: frozenset[int]) -> Analysis:
    """Return the analysis without what it invents: only what it was shown counts."""
    lessons = {lesson.id for lesson in brief.lessons}
    marks = {
        side: tuple(i for i in dict.fromkeys(getattr(analysis, side)) if i in lessons)
        for side in ("supports", "contradicts")
    }
    # Who says both says neither.
    both = set(marks["supports"]) & set(marks["contradicts"])
    kept = {side: tuple(i for i in ids if i not in both) for side, ids in marks.items()}
    given = [*analysis.evidence, *(((),) * len(analysis.lessons))][: len(analysis.lessons)]
    evidence = tuple(tuple(n for n in dict.fromkeys(one) if n in numbers) for one in given)
    return analysis.model_copy(update={**kept, "evidence": evidence if any(evidence) else ()})


# --- what it was shown --------------------------------------------------------------------------


@dataclass
class _Shown:
    """The brief of an analyst, and what its tools answered."""

    brief: AnalystBrief
    texts: dict[str, None] = field(default_factory=dict)
    experiments: dict[int, Experiment] = field(default_factory=dict)
    found: list[Lesson] = field(default_factory=list)

    def watching(self, bench: Workbench) -> Workbench:
        """Return the workbench, of which every answer is noted."""

        def experiment(number: int) -> Experiment | None:
            one = bench.experiment(number)
            if one is not None:
                self.experiments[number] = one
                self.texts[show_experiment(one)] = None
            return one

        def template(name: str) -> str:
            code = bench.template(name)
            self.texts[code_block(code)] = None
            return code

        def search(
            query: str, k: int, families: Sequence[str], since: int | None
        ) -> tuple[Cognition, ...]:
            items = bench.search(query, k, families, since) if bench.search else ()
            self.texts[show_cognition(items)] = None
            return items

        def recall(query: str, k: int) -> tuple[Lesson, ...]:
            lessons = bench.recall(query, k) if bench.recall else ()
            self.found += lessons
            self.texts[show_lessons(lessons)] = None
            return lessons

        return replace(
            bench,
            experiment=experiment,
            template=template,
            search=search if bench.search else None,
            recall=recall if bench.recall else None,
        )

    def numbers(self) -> frozenset[int]:
        """Return the experiments that were shown, this one among them."""
        brief = self.brief
        designs = (brief.parent, *brief.siblings)
        lessons = (one.experiment for one in (*brief.lessons, *self.found))
        return frozenset(
            {brief.number, *(one.number for one in designs), *lessons, *self.experiments}
        )

    def record(self) -> Record:
        """Return the figures that may be used."""
        noise = {task: one.sd for task, one in self.brief.noise.items()}
        return record_of(self.texts, self._alike(), noise, self.numbers())

    def _alike(self) -> Alike:
        """Return figures of one quantity; held-out losses by the name of their task."""
        brief, alike = self.brief, Alike()
        for task, one in brief.noise.items():
            _add(alike, task, one.mean)
        for design in (brief.parent, *brief.siblings):
            _add_design(alike, design)
        if brief.judgement is not None:
            _add(alike, "fitness", brief.judgement.fitness)
        _add_outcome(alike, brief.outcome)
        if isinstance(brief.outcome, Measured):
            gain = brief.parent.loss - brief.outcome.loss()
            alike["gain"] = [gain, brief.proposal.expected_gain]
        for other in self.experiments.values():
            _add_outcome(alike, other.outcome)
            if other.fitness is not None:
                _add(alike, "fitness", other.fitness)
        return alike


def _add(alike: Alike, name: str, value: float) -> None:
    alike.setdefault(name, []).append(value)


def _add_design(alike: Alike, design: Candidate) -> None:
    _add(alike, "text", design.loss)
    _add(alike, "fitness", design.fitness)


def _add_outcome(alike: Alike, outcome: Measured | Failed | None) -> None:
    """Add held-out losses, sizes, and where each training began and ended."""
    if outcome is None:
        return
    for task in dict.fromkeys(point.task for point in outcome.curve):
        points = [point.loss for point in outcome.curve if point.task == task]
        alike.setdefault(f"training on {task}", []).extend((points[0], points[-1]))
    if isinstance(outcome, Measured):
        for task, loss in outcome.losses().items():
            _add(alike, task, loss)
        for name in Size.model_fields:
            _add(alike, name, float(getattr(outcome.size, name)))
