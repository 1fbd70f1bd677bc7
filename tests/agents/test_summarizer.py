"""The summarizer: fresh words for what a researcher is shown, else those of the record."""

from __future__ import annotations

import pytest
import structlog

from move37.agents.briefs import ResearchBrief
from move37.agents.offline.model import OfflineModel
from move37.agents.prompts.prompting import message
from move37.agents.summarizer import WORDS, summarised
from move37.records import UserError
from tests.agents.realistic import full_brief, words
from tests.agents.scripted import Scripted, calls, research_brief, says


def brief() -> ResearchBrief:
    """Return a brief whose designs nobody has summed up yet."""
    return full_brief(lines=20).model_copy(update={"summaries": {}})


def entries(*numbers: int) -> list[dict[str, object]]:
    return [{"number": number, "text": f"Told afresh: {number}."} for number in numbers]


def test_one_call_tells_the_parent_and_all_references() -> None:
    model = Scripted(script=[calls("Summaries", summaries=entries(3, 4, 5, 6, 7))])
    found, use = summarised(brief(), model)
    assert found.summaries == {number: f"Told afresh: {number}." for number in range(3, 8)}
    assert len(model.seen) == 1
    assert [(one.role, one.calls) for one in use] == [("summarizer", 1)]
    told = message(found).text
    assert "Told afresh: 3." in told
    assert words(30) not in told.split("## Parent")[1].split("## Lessons")[0]


def test_nobody_is_asked_of_the_root_alone() -> None:
    model = Scripted(script=[says("never")])
    asked = research_brief()
    assert summarised(asked, model) == (asked, ())
    assert model.seen == []


def test_the_code_of_the_designs_is_not_sent() -> None:
    model = Scripted(script=[calls("Summaries", summaries=entries(3))])
    summarised(brief(), model)
    assert "import torch" not in model.seen[0][-1].text


def test_without_a_summarizer_the_words_of_the_record_stand() -> None:
    asked = brief()
    with structlog.testing.capture_logs() as logs:
        found, use = summarised(asked, Scripted(script=[ConnectionError("gone")]))
    assert found == asked
    assert [one.role for one in use] == ["summarizer"]
    assert [line["event"] for line in logs] == ["summaries_missing"]
    assert words(30) in message(found).text


def test_a_design_that_is_passed_over_keeps_its_own_words() -> None:
    model = Scripted(script=[calls("Summaries", summaries=entries(3, 4, 6, 7, 12))])
    with structlog.testing.capture_logs() as logs:
        found, _ = summarised(brief(), model)
    assert set(found.summaries) == {3, 4, 6, 7}
    assert logs[0]["numbers"] == [5]
    assert message(found).text.count('source="motivation"') == 1


def test_a_long_answer_is_cut_to_the_words_that_were_asked_for() -> None:
    long = [{"number": 3, "text": words(200)}]
    found, _ = summarised(brief(), Scripted(script=[calls("Summaries", summaries=long)]))
    assert found.summaries[3] == f"{words(WORDS)} ..."


def test_a_refused_key_is_the_users_to_mend() -> None:
    from langchain_core.exceptions import ModelAuthenticationError

    with pytest.raises(UserError, match="summarizer"):
        summarised(brief(), Scripted(script=[ModelAuthenticationError("bad key")]))


def test_the_offline_model_tells_figures_and_tags_and_no_opinion() -> None:
    found, use = summarised(brief(), OfflineModel())
    assert found.summaries[4] == (
        "Child of number 3: +channel-decay, -short-convolution. Held-out loss 1.7940, a gain of "
        "+0.0120 nats over its parent, where two runs differ by an SD of 0.0283: within noise. "
        "Expected was +0.0300: not kept. Other tasks: recall 0.1100 (baseline 1.0000, SD 0.3000). "
        "Lessons drawn from it: 4."
    )
    assert all(len(text.split()) <= WORDS for text in found.summaries.values())
    assert summarised(brief(), OfflineModel())[0] == found
    assert use[0].calls == 1
