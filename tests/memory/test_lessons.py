from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from move37.memory.lessons import LessonBase, Origin, effect_of, lessons_of
from move37.records import CurvePoint, Experiment, Measured
from tests.memory.examples import failed, measured, proposal, pruned, scored

ORIGIN = Origin(loss=1.25, mechanisms=frozenset({"delta-rule"}), sd=0.005)
DECAY = ("delta-rule", "learned-decay")


def told(
    number: int,
    *lessons: str,
    loss: float = 1.2,
    parent: int = 0,
    mechanisms: tuple[str, ...] = DECAY,
    supports: tuple[str, ...] = (),
    contradicts: tuple[str, ...] = (),
) -> Experiment:
    """Return a measured experiment whose analyst said this."""
    one = scored(number, parent=parent, told=proposal(mechanisms=mechanisms))
    assert one.analysis is not None
    marks = {"lessons": lessons, "supports": supports, "contradicts": contradicts}
    analysis = one.analysis.model_copy(update=marks)
    return one.model_copy(update={"analysis": analysis, "outcome": measured(loss)})


@pytest.fixture
def base(tmp_path: Path) -> Iterator[LessonBase]:
    opened = LessonBase(tmp_path / "chroma", "trial", ORIGIN)
    yield opened
    opened.close()


def test_what_changed_and_what_it_did_is_read_off_the_record() -> None:
    history = [
        told(1, "decay helps", loss=1.2),
        told(2, "gates hurt", loss=1.3, parent=1, mechanisms=("output-gate", "learned-decay")),
        told(3, "nothing", loss=1.25 + 1.9 * math.sqrt(2) * 0.005, mechanisms=("delta-rule",)),
    ]
    found = {one.experiment: one for one in lessons_of(history, ORIGIN)}
    assert (found[1].changed, found[1].effect) == (("+learned-decay",), "helped")
    assert (found[2].changed, found[2].effect) == (("+output-gate", "-delta-rule"), "hurt")
    assert (found[3].changed, found[3].effect) == ((), "unclear")


def test_a_failed_experiment_teaches_too(base: LessonBase) -> None:
    one = failed(1, told=proposal(mechanisms=("delta-rule", "beta-double")))
    analysis = told(1, "negative eigenvalues overflow").analysis
    base.sync([one.model_copy(update={"analysis": analysis})])
    (lesson,) = base.search("overflow", before=2)
    assert (lesson.effect, lesson.changed) == ("failed", ("+beta-double",))


@pytest.mark.parametrize(
    ("losses", "effect"),
    [
        # The last quarter is two steps; the parent has 3 nats there.
        ((9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 3.1, 3.1), "hurt"),
        ((9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 3.01, 3.01), "unclear"),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0), "unclear"),
    ],
)
def test_what_was_stopped_early_is_held_against_its_parent_at_the_same_steps(
    losses: tuple[float, ...], effect: str
) -> None:
    flat = tuple(CurvePoint(task="text", step=n, loss=3.0, seconds=n) for n in range(1, 33))
    parent = told(1)
    assert isinstance(parent.outcome, Measured)
    parent = parent.model_copy(
        update={"outcome": parent.outcome.model_copy(update={"curve": flat})}
    )
    child = pruned(2, parent=1, losses=losses)
    assert effect_of(parent, child, ORIGIN) == effect
    assert effect_of(None, child, replace(ORIGIN, curve=flat)) == effect


def test_later_experiments_are_counted_for_and_against_and_the_contradicted_sinks(
    base: LessonBase,
) -> None:
    history = [
        told(1, "A decay of the state lowers the loss"),
        told(2, "A decay of the state lowers the loss of long rows"),
    ]
    base.sync(history)
    question = "does a decay of the state lower the loss"
    first = base.search(question, before=3)
    assert [one.id for one in first] == ["lesson-1.1", "lesson-2.1"]
    assert [one.standing for one in first] == [2 / 3, 2 / 3]
    against = [told(n, contradicts=("lesson-1.1",)) for n in (3, 4)]
    base.sync([*against, told(5, supports=("lesson-2.1", "lesson-9.9"))])
    later = base.search(question, before=6)
    assert [one.id for one in later] == ["lesson-2.1", "lesson-1.1"]
    assert [(one.supports, one.contradicts) for one in later] == [((5,), ()), ((), (3, 4))]
    assert base.search(question, before=3) == first


def test_an_experiment_cannot_support_its_own_lessons() -> None:
    (lesson,) = lessons_of([told(1, "so it is", supports=("lesson-1.1",))], ORIGIN)
    assert lesson.supports == ()


def test_lessons_are_those_of_this_campaign_and_of_earlier_experiments(tmp_path: Path) -> None:
    ours = LessonBase(tmp_path, "trial", ORIGIN)
    others = LessonBase(tmp_path, "other", ORIGIN)
    ours.sync([told(1, "decay helps"), told(2, "decay hurts")])
    stranger = told(1, "decay is strange").model_copy(update={"campaign": "other", "id": "x-1"})
    others.sync([stranger])
    assert [one.text for one in ours.search("decay", before=2)] == ["decay helps"]
    assert [one.text for one in others.search("decay", before=9)] == ["decay is strange"]
    ours.close()
    others.close()


def test_the_answer_does_not_depend_on_what_was_archived_meanwhile(tmp_path: Path) -> None:
    texts = [f"decay and gate number {n} {'recall ' * (n % 4)}" for n in range(1, 30)]
    history = [told(n, text) for n, text in enumerate(texts, start=1)]
    undisturbed = LessonBase(tmp_path / "a", "trial", ORIGIN)
    undisturbed.sync(history[:19])
    resumed = LessonBase(tmp_path / "b", "trial", ORIGIN)
    resumed.sync(history)
    resumed.search("gate", before=30)
    for query in ("recall and decay", "gate number 7", "what else"):
        assert undisturbed.search(query, before=20) == resumed.search(query, before=20)
    undisturbed.close()
    resumed.close()


def test_only_what_is_missing_is_embedded_and_adding_twice_changes_nothing(
    tmp_path: Path,
) -> None:
    history = [told(1, "one", "two"), told(2, "three")]
    first = LessonBase(tmp_path, "trial", ORIGIN)
    assert first.sync(history) == 3
    first.add(history[1])
    first.close()
    again = LessonBase(tmp_path, "trial", ORIGIN)
    assert again.sync([*history, told(3, "four")]) == 1
    assert len(again.search("three", before=4)) == 4
    again.close()
