"""What an agent's turn costs outside the model: prompt, graph, tools' plumbing, reading, books.

    python -m benchmarks.agent_turn

A model that answers at once plays each role; researcher and summarizer get a brief as large
as a long campaign makes it. What tools ask of the evaluator is answered at once too. A turn is one
call of the model with all that happens around it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from langchain_core.messages import AIMessage

from move37.agents.analyst import analyse
from move37.agents.engineer import revise
from move37.agents.judge import forecast, judge
from move37.agents.models.ledger import Ledger
from move37.agents.models.prices import load_prices
from move37.agents.models.wire import Line, Voice, Wired
from move37.agents.researcher import propose
from move37.agents.summarizer import summarised
from move37.records import Caps
from tests.agents.realistic import code_of, full_brief
from tests.agents.scripted import (
    ANSWER,
    Scripted,
    analyst_brief,
    bench,
    calls,
    engineer_brief,
    forecast_brief,
    judge_brief,
    measured,
)

ROUNDS = 15
CODE = code_of(400)
RESEARCH = [
    calls("search_cognition", query="the memory must forget"),
    calls("read_template", name="delta_net"),
    calls("write_code", code=CODE),
    calls("edit_code", old=CODE.splitlines()[0], new="# edited"),
    calls("check_code"),
    ANSWER,
]
QUESTIONS = ("innovation", "complexity", "correctness", "convergence", "performance")
MARKS = dict.fromkeys(QUESTIONS, 5)
SUMMARIES = [{"number": number, "text": "It decays."} for number in range(3, 8)]
ANALYSIS = {
    "summary": "The decay helped.",
    "expectation_met": True,
    "cause": "It forgets.",
    "query": "forgetting",
}


def wired(role: str, script: list[AIMessage], journal: Path) -> tuple[Wired, Scripted]:
    """Return a role's model that plays a script at once, with its books on the disk."""
    model = Scripted(script=script)
    ledger = Ledger(Caps(), load_prices(), journal)
    return Wired(line=Line(role, (Voice("test:instant", model),), ledger)), model


def main() -> None:
    """Print for each role the milliseconds of a turn outside the model; the first run warms up."""
    print(f"{'role':12} {'turns':>5} {'median ms':>10} {'p95 ms':>8}")
    every: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tools, brief = bench(home), full_brief()
        roles: dict[str, tuple[list[AIMessage], Callable[[Wired], object]]] = {
            "summarizer": (
                [calls("Summaries", summaries=SUMMARIES)],
                lambda model: summarised(brief, model),
            ),
            "researcher": (RESEARCH, lambda model: propose(brief, tools, model)),
            "forecaster": (
                [calls("Prediction", gain=0.01, sd=0.02, reason="r")],
                lambda model: forecast(forecast_brief(), model),
            ),
            "engineer": (
                [calls("read_log"), calls("check_code"), calls("Repair", cause="c", change="d")],
                lambda model: revise(engineer_brief(), tools, model),
            ),
            "judge": (
                [calls("Rubric", **MARKS, reason="r")],
                lambda model: judge(judge_brief(measured()), model),
            ),
            "analyst": (
                [calls("search_lessons", query="decay"), calls("Analysis", **ANALYSIS)],
                lambda model: analyse(analyst_brief(measured()), model, tools),
            ),
        }
        for role, (script, ask) in roles.items():
            turns = []
            for _ in range(ROUNDS):
                model, played = wired(role, script, home / f"{role}.jsonl")
                started = time.perf_counter()
                ask(model)
                turns.append(1000 * (time.perf_counter() - started) / len(played.seen))
            every += turns[1:]
            show(role, turns[1:])
        show("all", every)


def show(role: str, turns: list[float]) -> None:
    """Print one line of the table."""
    p95 = statistics.quantiles(turns, n=20)[-1]
    print(f"{role:12} {len(turns):5d} {statistics.median(turns):10.1f} {p95:8.1f}")


if __name__ == "__main__":
    main()
