"""The judge is asked more than once: marks are averaged, and how far they agree is kept."""

from __future__ import annotations

import pytest

from move37.agents.judge import SCORINGS, mark, mean_of
from move37.agents.offline.model import OfflineModel
from move37.agents.prompts.prompting import CONTEXT_KEY
from move37.records import Analysis, Judgement, Rubric, UserError, Weather
from move37.selection_view import analysis_lines, marks_line
from tests.agents.scripted import Scripted, calls, judge_brief, measured, says

MARKS = {"innovation": 4, "complexity": 5, "correctness": 6, "convergence": 5, "performance": 5}
HIGHER = {name: value + 2 for name, value in MARKS.items()}
GONE = ConnectionError("gone")


def rubric(reason: str = "r", **marks: float) -> Rubric:
    return Rubric.model_validate({**MARKS, **marks, "reason": reason})


def judgement(*scorings: Rubric) -> Judgement:
    return Judgement(
        mode="calibrated",
        fitness=0.5,
        terms={"judge": 0.5},
        rubric=mean_of(scorings),
        scorings=scorings,
    )


def test_the_judge_is_asked_twice_with_the_evidence_turned() -> None:
    model = Scripted(
        script=[calls("Rubric", **MARKS, reason="a"), calls("Rubric", **HIGHER, reason="b")]
    )
    scorings, uses = mark(judge_brief(measured()), model)
    assert len(scorings) == len(uses) == SCORINGS == 2
    assert [one.innovation for one in scorings] == [4, 6]
    texts = [messages[-1].text for messages in model.seen]
    titles = ("## Design", "## Held-out losses", "## Parent", "## Code")
    places = [[text.index(title) for title in titles] for text in texts]
    assert places[0] == sorted(places[0])
    assert places[1] == sorted(places[1], reverse=True)
    asked = [messages[-1].additional_kwargs[CONTEXT_KEY]["brief"] for messages in model.seen]
    assert [one["scoring"] for one in asked] == [0, 1]


def test_marks_are_averaged_over_the_scorings_that_give_them() -> None:
    mean = mean_of([rubric("first", innovation=2, correctness=9), rubric("second")])
    assert (mean.innovation, mean.correctness, mean.complexity) == (3, 7.5, 5)
    assert mean.reason == "first\nsecond"
    unread = rubric().model_copy(update={"correctness": None})
    assert mean_of([rubric(correctness=9), unread]).correctness == 9
    assert mean_of([unread, unread]).correctness is None
    long = mean_of([rubric("a" * 4000), rubric("b" * 4000)])
    assert Rubric.model_validate_json(long.model_dump_json()) == long


def test_the_spread_is_half_the_largest_difference_of_the_mean_marks() -> None:
    told = judgement(rubric(), rubric(innovation=9), rubric(innovation=6))
    assert told.spread == pytest.approx(0.5)
    assert judgement(rubric(), rubric()).spread == 0.0
    assert judgement(rubric()).spread is None
    assert marks_line(told) == (
        "innovation 6.3, complexity 5.0, correctness 6.0, convergence 5.0, performance 5.0; mean "
        "5.5 ± 0.5 over 3 scorings. r"
    )
    assert "; mean 5.0 over 1 scoring. r" in marks_line(judgement(rubric()))


@pytest.mark.parametrize("first", [True, False])
def test_one_scoring_that_cannot_be_read_is_no_loss(first: bool) -> None:
    good, bad = [calls("Rubric", **MARKS, reason="r")], [says("I pass."), says("I pass.")]
    model = Scripted(script=[*bad, *good] if first else [*good, *bad])
    scorings, uses = mark(judge_brief(measured()), model)
    assert scorings == (rubric(),)
    assert [use.calls for use in uses] == ([2, 1] if first else [1, 2])


def test_without_any_scoring_there_is_no_judgement_and_the_cost_is_kept() -> None:
    with pytest.raises(Weather) as caught:
        mark(judge_brief(measured()), Scripted(script=[says("I pass.")]))
    assert sum(use.calls for use in caught.value.use) == 2 * SCORINGS
    with pytest.raises(Weather):
        mark(judge_brief(measured()), Scripted(script=[GONE]))


def test_what_a_user_has_to_mend_is_not_asked_for_again() -> None:
    model = Scripted(script=[UserError("no key")])
    with pytest.raises(UserError):
        mark(judge_brief(measured()), model)
    assert len(model.seen) == 1


BEFORE = {
    "mode": "calibrated",
    "fitness": 0.61,
    "terms": {"text": 0.4, "judge": 0.21},
    "rubric": {
        "innovation": 6.0,
        "complexity": 5.0,
        "convergence": 6.0,
        "performance": 7.0,
        "reason": "as it was written before correctness was asked for",
    },
    "estimate": {"mean": 1.72, "sd": 0.004},
    "judge_weight": 0.05,
}


def test_a_judgement_from_before_is_read_with_the_marks_that_it_has() -> None:
    old = Judgement.model_validate(BEFORE)
    assert old.rubric.correctness is None
    assert old.rubric.score == pytest.approx(0.6)
    assert (old.scorings, old.spread) == ((), None)
    assert marks_line(old).startswith(
        "innovation 6.0, complexity 5.0, convergence 6.0, performance 7.0; mean 6.0. as it was"
    )
    kept = {key: value for key, value in BEFORE.items() if key in ("mode", "fitness", "terms")}
    first = Judgement.model_validate({**kept, "rubric": BEFORE["rubric"]})
    assert (first.estimate, first.judge_weight, first.spread) == (None, None, None)


def test_an_analysis_from_before_is_read_and_shown() -> None:
    old = Analysis.model_validate(
        {"summary": "it helped", "expectation_met": True, "cause": "the gate", "lessons": ["gates"]}
    )
    assert (old.evidence, old.questions) == ((), ())
    assert analysis_lines(old) == ["it helped", "Cause: the gate", "- gates"]
    new = old.model_copy(update={"evidence": ((3, 0),), "questions": ("does it last?",)})
    assert analysis_lines(new)[2:] == ["- gates (#3, #0)", "? does it last?"]


def test_the_offline_judge_agrees_with_itself() -> None:
    scorings, _ = mark(judge_brief(measured()), OfflineModel())
    assert scorings[0] == scorings[1]
    assert mean_of(scorings).reason == scorings[0].reason
