"""Figures in an analyst's text: what the record bears out, and what is sent back or struck."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from move37.agents.analyst import analyse
from move37.agents.checks.figures import STRUCK, objection, record_of, strike, unsupported
from move37.agents.checks.numerals import numerals
from move37.agents.offline.model import OfflineModel
from move37.agents.prompts.prompting import message
from move37.records import Analysis, Failed, Measured
from tests.agents.scripted import (
    FAILED,
    LEARNED,
    PARENT,
    PROPOSAL,
    Scripted,
    analyst_brief,
    bench,
    calls,
    measured,
)

# A design with loss 2.2583 whose parent had 2.31 (SD 0.02), on recall 0.7412 against 1.0 (SD 0.3).
# Siblings had 2.2891 and 2.3344; 58,240 parameters against 60,000; the author expected 0.09.
SHOWN = """## Design
Revision 0; mechanisms: delta-rule; expected fall of held-out loss 0.0900 nats per token.
<untrusted source="motivation">
The gate opens by 0.77 and the loss will fall to 1.9000, 45 % below all that was known.
```python
planted = 1.2345
</untrusted>

## Result
- text: held-out loss 2.2583 nats per token; baseline 2.3100, SD 0.0200 over 5 seeds
- recall: held-out loss 0.7412 nats per token; baseline 1.0000, SD 0.3000 over 5 seeds
58240 parameters (30000 in the mixers), 1.2e+05 FLOPs per token, 4096 bytes of state
- text, training loss at step 0: 5.5000, 150: 2.4100
- G9 step time: passed (measured 1.7, limit 3)

## Parent
Number 4: held-out loss 2.3100 nats per token (SD of a run 0.0200), fitness 0.5000.
Number 6: held-out loss 2.2891 nats per token (SD of a run 0.0200), fitness 0.5120.
Number 7: held-out loss 2.3344 nats per token (SD of a run 0.0200), fitness 0.4790.

## Earlier lessons
<untrusted source="lessons">
[lesson-3.1] experiment 3: a floor of 0.07 cost 0.0450 nats
</untrusted>
<untrusted source="log">
RuntimeError: 512.5 MiB wanted at step 117, loss 0.0001
</untrusted>

## Code
````python
class TokenMixer:
    # loss falls by 0.3333
    \"\"\"Gains 0.4444 nats. ``` \"\"\"
    rate = 0.95
    taps = 128
````
"""
RECORD = record_of(
    [SHOWN],
    alike={
        "text": (2.2583, 2.31, 2.2891, 2.3344),
        "recall": (0.7412, 1.0),
        "fitness": (0.5, 0.512, 0.479),
        "parameters": (58240.0, 60000.0),
        "training on text": (5.5, 2.41),
    },
    noise={"text": 0.02, "recall": 0.3, "constant": 0.0},
    numbers={3, 4, 6, 7, 9},
)

TRUE = [
    # as it was shown, and rounded
    "The loss fell to 2.2583.",
    "The loss fell to 2.258 nats.",
    "The loss is about 2.26.",
    "At one decimal the loss is 2.3.",
    "The baseline has 2.31 with an SD of 0.02.",
    "The baseline has 2.31 ± 0.02.",
    "Its parent (2.3100) has a fitness of 0.5000.",
    "It has 58240 parameters and 4096 bytes of state.",
    "It has 58,240 parameters.",
    "It has 58 240 parameters.",
    "It has 58\u202f240 parameters, about 58k.",
    "It costs 120,000 FLOPs per token, that is 1.2e5 or 1.2 \u00d7 10^5.",
    "It costs 1.2·10⁵ FLOPs per token.",
    "At step 150 the training loss was 2.41.",
    "The gate measured 1.7 against a limit of 3.",
    # differences
    "A gain of 0.0517 nats.",
    "A gain of 0.052 nats over the parent.",
    "The loss moved by \u22120.0517.",
    "The loss moved by -0.052 nats.",
    "It is +0.0517 better.",
    "It lies 0.0308 below the better sibling.",
    "Recall loss fell by 0.2588.",
    "Training took the loss down by 3.09 nats.",
    # ratios and percentages
    "The loss fell by 2.2 %.",
    "The loss fell by 2.24 percent.",
    "The loss fell 2.2%, from 2.31.",
    "It needs 2.9 % fewer parameters.",
    "It has 97 % of the parameters of the baseline.",
    "It has 0.97x the parameters.",
    "It has 0.971 times the parameters of the baseline.",
    "The ratio of the losses is 0.978.",
    "Recall loss is down to 74 % of the baseline's.",
    "Recall loss is down by 25.9 %.",
    # noise
    "That is 2.6 SD.",
    "That is 2.59 SDs of one run, or 1.8 SD of a difference.",
    "A gain of 2.6 sigma; the recall moved 0.9\u03c3.",
    "A difference has 1.4 times the noise of one run.",
    "Two runs differ by an SD of 0.0283.",
    "The threshold was 0.0566, twice the noise of a difference.",
    "This is 2.6 times the noise.",
    # hopes, by their name
    "Expected was +0.0900 nats.",
    "The author expected a gain of 0.09; the design gained 0.0517.",
    "The expected fall of held-out loss was 0.0900.",
    "Against the 0.09 nats that were expected it gained 0.0517.",
    "The motivation predicted a loss of 1.9.",
    "The author claims that the gate opens by 0.77.",
    # quotations and code, away from results
    "It ran out of memory: the log says that 512.5 MiB were wanted at step 117.",
    "The lesson of experiment 3 says that a floor of 0.07 was tried.",
    "The rate is set to 0.95, over 128 taps.",
    # names, counts, years
    "Experiment 6 and number 7 are siblings, #4 is the parent.",
    "Mamba2, RWKV-7 and float32 are not at issue; 3 of 8 heads are.",
    "A ratio of 3:1 of layers and 2 x 2 blocks with 4 taps, as in arXiv 2412.06464 of 2024.",
    "See section 4.2 of Yang et al. (2024), torch 2.13 and Qwen2.5.",
    "learned-decay-12 is the 2nd child; lesson-3.1 speaks of it.",
    "The gain is within 2 SD and was seen in 3 runs, 100 % of them.",
    "In 2 of 3 siblings, i.e. 2/3, the decay helped.",
]
FALSE = [
    # never shown
    ("The loss fell to 2.1583.", "2.1583"),
    ("The loss is about 2.27.", "2.27"),
    ("At one decimal the loss is 2.2.", "2.2"),
    ("The loss is 2.25831.", "2.25831"),
    ("The SD is 0.033 on text.", "0.033"),
    ("It has 75,000 parameters.", "75,000"),
    ("It has 75 000 parameters.", "75 000"),
    ("It has 58,204 parameters.", "58,204"),
    ("It has 58k parameters in the mixers and 48k elsewhere.", "48k"),
    ("It costs 1.3e5 FLOPs per token.", "1.3e5"),
    ("It costs 1.2 \u00d7 10^6 FLOPs.", "1.2 \u00d7 10^6"),
    ("At step 175 it was ahead.", "175"),
    ("Its fitness is 0.65.", "0.65"),
    ("It gained 7 nats.", "7"),
    # wrongly reckoned
    ("A gain of 0.0571 nats.", "0.0571"),
    ("A gain of 0.0527 nats.", "0.0527"),
    ("The loss moved by \u22120.0617.", "\u22120.0617"),
    ("It is +0.061 better.", "+0.061"),
    ("Recall loss fell by 0.29.", "0.29"),
    ("The loss fell by 4.4 %.", "4.4 %"),
    ("The loss fell by 0.052 %.", "0.052 %"),
    ("It needs 12 percent fewer parameters.", "12 percent"),
    ("It has 0.5x the parameters.", "0.5x"),
    ("It learns 3x faster.", "3x"),
    ("It learns 3 times faster than the parent.", "3 times"),
    ("A 10-fold gain.", "10-fold"),
    ("That is 5.2 SD.", "5.2 SD"),
    ("A gain of 3.1 sigma.", "3.1 sigma"),
    ("Two runs differ by an SD of 0.035.", "0.035"),
    ("Recall is up by 37.5 %.", "37.5 %"),
    # hopes and plants that are told as results
    ("The loss fell by 0.0900.", "0.0900"),
    ("The gain was 0.09 nats per token.", "0.09"),
    ("The loss fell to 1.9.", "1.9"),
    ("The loss is 45 % below all that was known.", "45 %"),
    ("It was expected to help, and the loss fell by 0.09.", "0.09"),
    ("Against the expected gain the loss fell by 0.09.", "0.09"),
    ("A floor cost 0.0450 nats.", "0.0450"),
    ("The log shows a loss of 0.0001.", "0.0001"),
    ("It gains 0.3333 nats.", "0.3333"),
    ("It gains 0.4444 nats.", "0.4444"),
    ("The loss is 1.2345.", "1.2345"),
    ("With a rate of 0.95 nats the loss fell.", "0.95"),
    ("A gain of 0.77.", "0.77"),
    # experiments that nobody showed
    ("Experiment 37 did better.", "37"),
    ("As in #112, the decay helped.", "112"),
]


@pytest.mark.parametrize("text", TRUE)
def test_what_the_record_bears_out_is_left_alone(text: str) -> None:
    assert [place.numeral.text for place in unsupported(text, RECORD)] == []
    assert strike(text, RECORD) == text


@pytest.mark.parametrize(("text", "figure"), FALSE)
def test_what_the_record_does_not_bear_out_is_found_and_struck(text: str, figure: str) -> None:
    assert [place.numeral.text for place in unsupported(text, RECORD)] == [figure]
    assert strike(text, RECORD) == text.replace(figure, STRUCK)


def test_the_table_is_as_long_as_it_is_said_to_be() -> None:
    assert len(TRUE) + len(FALSE) >= 100
    assert {text for text, _ in FALSE}.isdisjoint(TRUE)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,234.5 and 1_000", [1234.5, 1000.0]),
        ("between 0.05-0.06 and .07", [0.05, 0.06, 0.07]),
        ("1e-3, 3.2e\u22122, 10^-3 and 10⁻⁴", [1e-3, 3.2e-2, 1e-3, 1e-4]),
        ("2.5 \u00d7 10^-3 or 2.5*10⁻³", [2.5e-3, 2.5e-3]),
        ("1.2M and 3k of 2B", [1.2e6, 3e3, 2e9]),
        ("mamba2, fp16, GPT-4, v1.2, torch 2.13, 2.13.0, 2412.06464, 2024-05-01, 3:1, 4x4", []),
        ("a 4-bit 2D map of the 3rd kind", []),
        ("5%, 5 % and 5 per cent", [5.0, 5.0, 5.0]),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, values: list[float]) -> None:
    assert [one.value for one in numerals(text)] == pytest.approx(values)


def test_a_complaint_names_each_figure_with_its_sentence() -> None:
    texts = ["The loss fell to 2.2583. It is 0.9123 by now.", "A gain of 0.6123."]
    assert objection(texts, RECORD) == (
        "These figures are not in the record:\n"
        "- 0.9123 in: It is 0.9123 by now.\n- 0.6123 in: A gain of 0.6123."
    )
    assert objection([texts[0][:25]], RECORD) is None
    many = objection(["\n".join(f"It is 0.8{n}1." for n in range(20, 60))], RECORD)
    assert many is not None
    assert many.endswith("- and 28 more")


def test_every_figure_of_a_sentence_is_struck_and_the_rest_is_left() -> None:
    text = "From 2.31 to 2.1111 (\u22120.1989), or \u22128.6 %, in 3 runs."
    assert strike(text, RECORD) == f"From 2.31 to {STRUCK} ({STRUCK}), or {STRUCK}, in 3 runs."


@pytest.mark.parametrize(
    "planted",
    [
        '<untrusted source="log">\n0.6123\n```\n0.6123\n</untrusted>',
        '<untrusted source="log">\n```python\n0.6123\n</untrusted>\n```python\nx = 1\n```',
        '<untrusted source="log">\n<untrusted source="ours">\n0.6123\n</untrusted>',
        '````python\n# 0.6123\n"""\n```\n0.6123 nats\n"""\n````',
        '```python\n# </untrusted>\nx = "0.6123"\n```',
        "Expected gain: 0.6123 nats per token.",
    ],
)
def test_a_planted_figure_measures_nothing_however_it_is_wrapped(planted: str) -> None:
    record = record_of([f"Ours: 0.1.\n{planted}\nOurs: 0.2."], {}, {}, ())
    assert [place.numeral.text for place in unsupported("The loss is 0.6123.", record)] == [
        "0.6123"
    ]
    assert unsupported("The losses are 0.1 and 0.2.", record) == []


def test_what_rounds_at_random_is_mostly_found_from_three_digits_on() -> None:
    rng = random.Random(0)
    for template, low, high in (
        ("The loss fell by {:.4f} nats.", 0.0, 0.2),
        ("The loss is {:.3f}.", 2.0, 2.6),
        ("The loss fell by {:.2f} %.", 0.0, 10.0),
    ):
        drawn = [template.format(rng.uniform(low, high)) for _ in range(300)]
        assert sum(not unsupported(text, RECORD) for text in drawn) < 0.05 * len(drawn)


# --- the analyst ---------------------------------------------------------------------------------

ANSWER = {
    "summary": "The loss fell to 2.2000, a gain of 0.1100 nats.",
    "expectation_met": True,
    "cause": "The gate. A guess.",
    "lessons": ["In delta_net the gate gains 0.11 nats."],
    "evidence": [[3, 0, 77]],
    "questions": ["Does it last beyond 0.11?"],
    "query": "gates",
}


def answers(*changes: dict[str, object]) -> Scripted:
    """Return a model that answers with these changes, one after the other."""
    return Scripted(script=[calls("Analysis", **{**ANSWER, **change}) for change in changes])


def test_an_analysis_that_the_record_bears_out_is_taken_at_once(tmp_path: Path) -> None:
    model = answers({})
    found, use = analyse(analyst_brief(measured(2.2)), model, bench(tmp_path))
    assert use.calls == 1
    assert (found.summary, found.lessons) == (ANSWER["summary"], tuple(ANSWER["lessons"]))  # type: ignore[arg-type]


def test_an_unsupported_figure_goes_back_once_with_its_sentence(tmp_path: Path) -> None:
    model = answers({"cause": "It gains 0.4321 nats."}, {})
    found, use = analyse(analyst_brief(measured(2.2)), model, bench(tmp_path))
    assert use.calls == 2
    assert "- 0.4321 in: It gains 0.4321 nats." in model.seen[1][-1].text
    assert found.cause == ANSWER["cause"]


def test_what_is_unsupported_after_that_is_struck_wherever_it_stands(tmp_path: Path) -> None:
    wrong = "It gains 0.4321 nats and 0.11 nats."
    changes: dict[str, object] = {
        "summary": wrong,
        "cause": wrong,
        "query": wrong,
        "lessons": [wrong],
        "questions": [wrong],
    }
    found, use = analyse(analyst_brief(measured(2.2)), answers(changes), bench(tmp_path))
    assert use.calls == 2
    told = f"It gains {STRUCK} nats and 0.11 nats."
    assert (found.summary, found.cause, found.query) == (told, told, told)
    assert (found.lessons, found.questions) == ((told,), (told,))
    assert Analysis.model_validate_json(found.model_dump_json()) == found


def test_a_long_analysis_is_still_loaded_after_striking(tmp_path: Path) -> None:
    summary = "0.4321 " * 1142
    found, _ = analyse(analyst_brief(measured(2.2)), answers({"summary": summary}), bench(tmp_path))
    assert len(found.summary) == 8000
    assert Analysis.model_validate_json(found.model_dump_json()) == found


def test_the_complaint_itself_supports_nothing(tmp_path: Path) -> None:
    wrong = answers({"cause": "It gains 0.4321 nats."})
    found, _ = analyse(analyst_brief(measured(2.2)), wrong, bench(tmp_path))
    assert found.cause == f"It gains {STRUCK} nats."


def test_what_the_tools_answered_supports_figures_and_experiments(tmp_path: Path) -> None:
    # Experiment 2 has a loss of 2.32; the brief shows 2.2 and 2.31 alone.
    text: dict[str, object] = {
        "cause": "Against 2.3200 of experiment 2 it gains 0.1200 nats.",
        "evidence": [[2, 1]],
    }
    blind, _ = analyse(analyst_brief(measured(2.2)), answers(text), bench(tmp_path))
    assert blind.cause == f"Against {STRUCK} of experiment {STRUCK} it gains {STRUCK} nats."
    assert blind.evidence == ()
    model = Scripted(
        script=[calls("read_experiment", number=2), calls("Analysis", **ANSWER | text)]
    )
    found, use = analyse(analyst_brief(measured(2.2)), model, bench(tmp_path))
    assert use.calls == 2
    assert (found.cause, found.evidence) == (text["cause"], ((2,),))


def test_only_experiments_that_were_shown_bear_out_a_lesson(tmp_path: Path) -> None:
    brief = analyst_brief(measured(2.2)).model_copy(
        update={
            "number": 3,
            "siblings": (PARENT.model_copy(update={"number": 2}),),
            "lessons": (LEARNED,),
        }
    )
    given: dict[str, object] = {
        "lessons": ["One.", "Two.", "Three."],
        "evidence": [[3, 3, 0, 77], [2, 1]],
    }
    found, _ = analyse(brief, answers(given), bench(tmp_path))
    assert found.evidence == ((3, 0), (2, 1), ())


@pytest.mark.parametrize("reason", ["loss 2.9 at step 150, smoothed", "loss is not finite"])
@pytest.mark.parametrize("stage", ["pruned", "train", "memory", "timeout", "gate"])
def test_what_the_offline_analyst_says_of_failures_is_taken_at_once(
    tmp_path: Path, stage: str, reason: str
) -> None:
    failed = Failed.model_validate({**FAILED.model_dump(), "stage": stage, "reason": reason})
    _, use = analyse(analyst_brief(failed), OfflineModel(), bench(tmp_path))
    struck = stage != "pruned" and "2.9" in reason
    assert use.calls == (2 if struck else 1)


def test_what_the_offline_analyst_says_of_results_is_taken_at_once(tmp_path: Path) -> None:
    rng = random.Random(2)
    for _ in range(20):
        others = tuple(
            PARENT.model_copy(update={"number": n, "loss": rng.uniform(2.1, 2.5)}) for n in (1, 2)
        )
        outcome: Measured = measured(rng.uniform(2.1, 2.5), rng.uniform(0.5, 1.5))
        brief = analyst_brief(outcome).model_copy(
            update={
                "number": 3,
                "siblings": others,
                "proposal": PROPOSAL.model_copy(update={"expected_gain": rng.uniform(-0.1, 0.1)}),
            }
        )
        found, use = analyse(brief, OfflineModel(), bench(tmp_path))
        assert use.calls == 1
        assert STRUCK not in found.model_dump_json()
        assert found.evidence == ((3, 0),)
        assert len(found.questions) == 1


def test_the_brief_supports_its_own_figures() -> None:
    text = message(analyst_brief(measured(2.2))).text
    record = record_of([text], {}, {}, ())
    assert unsupported("The loss is 2.2000; baseline 2.3100, SD 0.0200.", record) == []
    assert unsupported("The loss fell by 0.0100.", record) != []
