"""The built-in model plays all four roles through the same prompts and tools as any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool

from move37.agents.analyst import analyse
from move37.agents.engineer import revise
from move37.agents.judge import forecast, judge
from move37.agents.offline import grammar
from move37.agents.offline.design import _weights
from move37.agents.offline.model import HELP, OfflineModel
from move37.agents.prompts.prompting import message
from move37.agents.researcher import propose
from move37.records import Candidate, Cognition, Failed, GateReport, Proposal, Rubric
from tests.agents.scripted import (
    FAILED,
    LESSON,
    PARENT,
    analyst_brief,
    bench,
    engineer_brief,
    forecast_brief,
    gates,
    judge_brief,
    measured,
    research_brief,
)

MODEL = OfflineModel()


def design(folder: Path, attempt: int = 0, number: int = 3) -> Proposal:
    return propose(research_brief(attempt, number=number), bench(folder), MODEL)[0]


def test_the_researcher_designs_through_its_tools(tmp_path: Path) -> None:
    queries: list[str] = []

    def search(query: str, *_: object) -> tuple[Cognition, ...]:
        queries.append(query)
        return (LESSON,)

    board = bench(tmp_path).__class__(**{**vars(bench(tmp_path)), "search": search})
    proposal, use = propose(research_brief(), board, MODEL)
    genome = grammar.parse(proposal.code)
    assert genome is not None
    assert genome != grammar.ROOT
    assert proposal.mechanisms == grammar.mechanisms(genome)
    assert proposal.code == board.path.read_text()
    assert len(queries) == 1
    assert (use.model, use.calls) == ("grammar", 4)
    assert use.input_tokens > use.output_tokens > 0


def test_the_same_brief_gives_the_same_design(tmp_path: Path) -> None:
    assert design(tmp_path / "a") == design(tmp_path / "b")


def test_designs_of_other_numbers_differ(tmp_path: Path) -> None:
    codes = {design(tmp_path, number=number).code for number in range(1, 13)}
    assert len(codes) >= 10


def test_a_refused_idea_is_left_further_behind(tmp_path: Path) -> None:
    genomes = [grammar.parse(design(tmp_path, attempt).code) for attempt in range(4)]
    assert len({str(genome) for genome in genomes}) == 4


def test_a_failed_check_is_mended_once_and_written_again(tmp_path: Path) -> None:
    seen: list[str] = []

    def check(code: str) -> GateReport:
        seen.append(code)
        return gates(passed=False)

    proposal, use = propose(research_brief(), bench(tmp_path, check=check), MODEL)
    assert len(seen) == 2
    assert seen[0] != seen[1] == proposal.code
    assert "Mends a design that failed" in proposal.motivation
    assert use.calls == 6


def test_references_can_be_crossed_in(tmp_path: Path) -> None:
    children = [design(tmp_path, number=n) for n in (1, 2)]
    first, second = (
        Candidate(number=n, name=c.name, motivation="m", code=c.code, fitness=0.5, loss=2.3)
        for n, c in enumerate(children, start=1)
    )
    told = []
    for number in range(3, 23):
        brief = research_brief(parent=first, number=number)
        selection = brief.selection.model_copy(update={"references": (second,)})
        brief = brief.model_copy(update={"selection": selection})
        told.append(propose(brief, bench(tmp_path), MODEL)[0].motivation)
    assert 1 <= sum("Crosses two designs" in text for text in told) <= 12


def test_what_paid_off_and_what_papers_say_is_drawn_more_often() -> None:
    weights = _weights({"learned-decay": 0.02, "token-shift": -0.04}, {"direct-copy"})
    assert weights["learned-decay"] == pytest.approx(2.0)
    assert weights["token-shift"] == pytest.approx(0.25)
    assert weights["direct-copy"] == pytest.approx(1.5)
    assert weights["output-norm"] == 1.0


def test_the_engineer_takes_back_what_was_blamed(tmp_path: Path) -> None:
    proposal = design(tmp_path, attempt=3)
    revised, use = revise(engineer_brief(proposal), bench(tmp_path), MODEL)
    before, after = grammar.parse(proposal.code), grammar.parse(revised.code)
    assert after is not None
    assert after not in (before, grammar.ROOT)
    assert revised.revision == 1
    assert "Repair 1: It failed at stage gate" in revised.motivation
    assert revised.mechanisms == grammar.mechanisms(after)
    assert use.calls == 3


def test_repairs_can_follow_each_other(tmp_path: Path) -> None:
    proposal, codes = design(tmp_path, attempt=3), []
    for _ in range(3):
        proposal, _ = revise(engineer_brief(proposal), bench(tmp_path), MODEL)
        codes.append(proposal.code)
    assert proposal.revision == 3
    assert len(set(codes)) == 3


def test_a_failure_in_training_is_tried_in_training(tmp_path: Path) -> None:
    runs: list[str] = []

    def rehearse(code: str) -> Failed:
        runs.append(code)
        return Failed(stage="train", reason="loss is not finite")

    failed = Failed(stage="train", reason="loss is not finite at step 12")
    board = bench(tmp_path, rehearse=rehearse)
    revised, _ = revise(engineer_brief(design(tmp_path, attempt=3), failed), board, MODEL)
    assert len(runs) == 2
    assert runs[0] != runs[1] == revised.code


@pytest.mark.parametrize("note", ["", "# change: {broken", '# change: {"kind": "mutation"}'])
def test_code_of_another_author_is_left_since_nothing_says_what_to_mend(
    tmp_path: Path, note: str
) -> None:
    own = Proposal(
        name="n", motivation="m", hypothesis="h", expected_gain=0.0, code=f"{note}\nclass X: ...\n"
    )
    revised, use = revise(engineer_brief(own), bench(tmp_path), MODEL)
    assert (revised.code, revised.revision, use.calls) == (own.code, 1, 1)
    assert "the code is not of the grammar" in revised.motivation


def test_a_genome_without_its_note_is_mended_against_the_root(tmp_path: Path) -> None:
    proposal = design(tmp_path, attempt=3)
    lines = [line for line in proposal.code.splitlines() if not line.startswith("# change")]
    bare = proposal.model_copy(update={"code": "\n".join(lines)})
    revised, _ = revise(engineer_brief(bare), bench(tmp_path), MODEL)
    assert grammar.parse(revised.code) not in (None, grammar.parse(proposal.code))


def marks(loss: float) -> Rubric:
    return judge(judge_brief(measured(loss)), MODEL)[0]


def test_the_judge_gives_the_baseline_five_and_a_gain_like_gated_delta_nets_ten() -> None:
    assert marks(2.31).performance == 5.0
    assert marks(2.31).convergence == 5.0
    assert marks(1.60).performance == 10.0
    assert marks(3.40).performance == 0.0
    assert marks(2.31).performance < marks(2.29).performance < marks(2.27).performance


def test_the_judge_reads_whether_the_code_has_what_is_named(tmp_path: Path) -> None:
    proposal = design(tmp_path)
    tags = proposal.mechanisms
    told = judge_brief(measured()).model_copy(update={"proposal": proposal})
    assert judge(told, MODEL)[0].correctness == 5.0
    half = proposal.model_copy(update={"mechanisms": tags[: len(tags) // 2]})
    assert judge(told.model_copy(update={"proposal": half}), MODEL)[0].correctness == pytest.approx(
        5.0 * (len(tags) // 2) / len(tags), abs=0.05
    )
    # Of another author's code it says nothing, and the other marks stand alone.
    assert marks(2.31).correctness is None


def test_the_judge_counts_what_a_design_costs() -> None:
    result = measured()
    size = result.size.model_copy(update={"parameters": 120_000})
    dear, _ = judge(judge_brief(result.model_copy(update={"size": size})), MODEL)
    assert marks(2.30).complexity == 5.0
    assert dear.complexity == 0.0
    assert "2.00 times its parameters" in dear.reason


@pytest.mark.parametrize(
    ("loss", "verdict", "met"),
    [
        (2.20, "better by more than noise", True),
        (2.31, "not to be told apart from noise", False),
        (2.50, "worse by more than noise", False),
    ],
)
def test_the_analyst_holds_the_gain_against_the_noise(
    tmp_path: Path, loss: float, verdict: str, met: bool
) -> None:
    analysis, _ = analyse(analyst_brief(measured(loss)), MODEL, bench(tmp_path))
    assert verdict in analysis.summary
    assert analysis.expectation_met is met
    assert analysis.lessons[0].endswith(f"{verdict}.")
    assert analysis.query


def test_the_analyst_names_the_change_and_the_best_sibling(tmp_path: Path) -> None:
    proposal = design(tmp_path)
    sibling = PARENT.model_copy(update={"number": 1, "name": "sister", "loss": 2.2})
    brief = analyst_brief(measured(2.3)).model_copy(
        update={"proposal": proposal, "siblings": (sibling,)}
    )
    analysis, _ = analyse(brief, MODEL, bench(tmp_path))
    genome = grammar.parse(proposal.code)
    assert genome is not None
    change = grammar.difference(grammar.ROOT, genome, "mutation")
    assert all(tag in analysis.summary for tag in change.added)
    assert "Of 1 siblings 1 did better; the best is sister with 2.2000" in analysis.summary


def test_the_analyst_learns_from_a_failure(tmp_path: Path) -> None:
    analysis, _ = analyse(analyst_brief(FAILED), MODEL, bench(tmp_path))
    assert not analysis.expectation_met
    assert "position 31 sees 32" in analysis.cause
    assert "failed at stage gate" in analysis.lessons[0]


def test_the_analyst_learns_from_a_run_that_was_stopped_early(tmp_path: Path) -> None:
    reason = "loss 2.9 at step 150, smoothed"
    brief = analyst_brief(Failed(stage="pruned", reason=reason))
    for effect, against in (("hurt", "worse than"), ("unclear", "not to be told apart from")):
        told = brief.model_copy(update={"effect": effect})
        analysis, _ = analyse(told, MODEL, bench(tmp_path))
        assert not analysis.expectation_met
        assert reason in analysis.summary
        assert f"training loss was {against} its parent's" in analysis.lessons[0]
        assert "recurrent form" not in analysis.query


def test_a_plain_question_gets_a_helpful_sentence() -> None:
    assert MODEL.invoke("Who are you?").text == HELP


def test_without_the_answers_tool_the_answer_is_text() -> None:
    reply = MODEL.invoke([message(judge_brief(measured()))])
    assert not reply.tool_calls
    assert Rubric.model_validate_json(reply.text).performance > 5


def test_the_last_brief_counts() -> None:
    talk = [message(judge_brief(measured())), AIMessage("done"), message(analyst_brief(FAILED))]
    assert "lessons" in MODEL.invoke(talk).text


def test_a_stream_adds_up_to_the_same_message() -> None:
    @tool
    def Rubric(reason: str) -> str:
        """Answer."""
        return reason

    bound = MODEL.bind_tools([Rubric])
    brief = [message(judge_brief(measured()))]
    whole = bound.invoke(brief)
    chunks = list(bound.stream(brief))
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk  # type: ignore[assignment]
    assert isinstance(total, AIMessageChunk)
    assert total.tool_calls == whole.tool_calls
    assert total.usage_metadata == whole.usage_metadata
    assert whole.tool_calls[0]["name"] == "Rubric"


def test_a_human_message_without_a_brief_after_one_continues_it() -> None:
    talk = [message(judge_brief(measured())), HumanMessage("go on")]
    assert "performance" in MODEL.invoke(talk).text


# --- forecast ----------------------------------------------------------------------------------


def test_the_forecast_weighs_descent_the_authors_word_and_earlier_such_changes() -> None:
    # Descent promises nothing and the author 0.01; three earlier children lost 0.03 each.
    alone, _ = forecast(forecast_brief(), MODEL)
    told, uses = forecast(forecast_brief({"+learned-decay": (-0.03, -0.03, -0.03)}), MODEL)
    assert alone.gain == pytest.approx(0.005)
    assert told.gain == pytest.approx((0.0 + 0.01 - 0.09) / 5)
    assert told.scorings[0].sd < alone.scorings[0].sd
    assert [use.role for use in uses] == ["forecaster", "forecaster"]


def test_the_offline_judge_agrees_with_itself_whatever_the_order() -> None:
    told, _ = forecast(forecast_brief({"+learned-decay": (0.01,)}), MODEL)
    assert told.scorings[0] == told.scorings[1]


def test_of_a_parent_that_was_believed_too_good_nothing_is_expected() -> None:
    lucky, _ = forecast(forecast_brief(believed=2.21), MODEL)
    assert lucky.gain == pytest.approx((-0.1 + 0.01) / 2)
    assert lucky.parent.mean == 2.21
