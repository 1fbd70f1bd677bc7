"""The state machine of one experiment, with the node names of the design."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import structlog
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy

from move37.evaluation.isolation.nursery import NurseryLost
from move37.graph import nodes
from move37.graph.lab import Lab
from move37.graph.state import Start, State
from move37.records import Failed, Measured, Weather

LabOf = Callable[[], Lab]
Node = Callable[[Any, Lab], State]


class Step(Protocol):
    """A node as LangGraph calls it; its first parameter must have this name."""

    def __call__(self, state: State) -> State:
        """Return the update of the state."""


# The nodes that are an agent's; one that cannot be had ends the experiment in order.
AGENTS = ("researcher", "engineer", "judge", "analyst")
LOST = RetryPolicy(max_attempts=3, initial_interval=0.1, retry_on=NurseryLost)


def build_graph(
    lab_of: LabOf, next_number: Callable[[Lab], int] = Lab.next_number
) -> StateGraph[State, None, Start, State]:
    """Return the graph of one experiment; `lab_of` is asked for the collaborators at run time.

    `next_number` is asked where the input names no experiment.
    """
    builder = StateGraph(State, input_schema=Start)
    bound = partial(_bound, lab_of, next_number)
    for name in ("select", "novelty", "approval", "archive"):
        builder.add_node(name, bound(name))
    for name in ("evaluate", *AGENTS):
        builder.add_node(name, bound(name), retry_policy=LOST)
    builder.add_edge(START, "select")
    builder.add_edge("select", "researcher")
    builder.add_conditional_edges("researcher", _unless_given_up("novelty"), ["novelty", "archive"])
    builder.add_conditional_edges(
        "novelty",
        lambda state: nodes.after_novelty(state, lab_of()),
        ["approval", "evaluate", "researcher", "archive"],
    )
    builder.add_conditional_edges("approval", _unless_given_up("evaluate"), ["evaluate", "archive"])
    builder.add_conditional_edges(
        "evaluate",
        lambda state: nodes.after_evaluate(state, lab_of()),
        ["judge", "engineer", "analyst"],
    )
    builder.add_conditional_edges(
        "engineer",
        lambda state: "archive" if state.get("problem") else nodes.after_engineer(state, lab_of()),
        ["evaluate", "engineer", "analyst", "archive"],
    )
    builder.add_edge("judge", "analyst")
    builder.add_edge("analyst", "archive")
    builder.add_edge("archive", END)
    return builder


def _bound(lab_of: LabOf, next_number: Callable[[Lab], int], name: str) -> Step:
    node: Node = getattr(nodes, name)

    def run(state: State) -> State:
        lab = lab_of()
        # Studio may leave the number out: the next one of the campaign.
        number = state.get("number") or next_number(lab)
        state = {**state, "number": number}
        lab.tell(number, name, "started")
        with structlog.contextvars.bound_contextvars(experiment=number, node=name):
            structlog.get_logger().info("node_started")
            update = _tried(node, name, state, lab) if name in AGENTS else node(state, lab)
            if name == "novelty" and update["novelty"].verdict == "new":
                update = {**update, **_forecast({**state, **update}, lab)}
            structlog.get_logger().info("node_ended", **_noteworthy(update))
        end = _headline(state) if name == "archive" else ""
        lab.tell(number, name, "ended", end)
        told = end or ", ".join(f"{key} {value}" for key, value in _noteworthy(update).items())
        update = {**update, "headline": f"experiment {number}, {name}: {told or 'ended'}"}
        return {**update, "number": number} if name == "select" else update

    run.__name__ = name
    return run


def _headline(state: State) -> str:
    """What came of an experiment, for whoever watches."""
    name = state["proposal"].name if "proposal" in state else "no proposal"
    if "judgement" in state:
        return f"{name}: fitness {state['judgement'].fitness:.3f}"
    if isinstance(failed := state.get("outcome"), Failed) and failed.stage == "pruned":
        return f"{name}: stopped early"
    return f"{name}: {state.get('problem') or 'failed'}"


def _noteworthy(update: State) -> dict[str, object]:
    """The few fields that a reader of the log wants to see."""
    found: dict[str, object] = {}
    if selection := update.get("selection"):
        found["parent"] = selection.parent.name
    if proposal := update.get("proposal"):
        found["proposal"] = proposal.name
    if verdict := update.get("novelty"):
        found["verdict"] = verdict.verdict
    found |= _result(update)
    if judgement := update.get("judgement"):
        found["fitness"] = round(judgement.fitness, 4)
    if problem := update.get("problem"):
        found["problem"] = problem
    return found


def _result(update: State) -> dict[str, object]:
    """What the evaluation came to, where it is this update's."""
    match update.get("outcome"):
        case Measured() as measured:
            return {"loss": round(measured.loss("text"), 4)}
        case Failed(stage=stage, reason=reason):
            return {"stage": stage, "reason": reason[:200]}
        case None:
            return {}


def _tried(node: Node, name: str, state: State, lab: Lab) -> State:
    """Ask an agent; when it cannot be had, the experiment goes on without it.

    Trouble was waited out call by call before it comes here. Not left to LangGraph's error handler:
    a run that stops inside a handled node is resumed behind the handler, without the node's result
    (langgraph 1.2).
    """
    try:
        return node(state, lab)
    except Weather as weather:
        structlog.get_logger().warning("agent_gave_up", role=name, reason=str(weather))
        return {"problem": f"{name}: {weather}", "usage": list(weather.use)}


def _forecast(state: State, lab: Lab) -> State:
    """Have a new design predicted while nothing is trained; no judge, no prediction.

    Here and not where training begins, so that a run that is killed in training does not ask again.
    """
    found = _tried(nodes.forecast, "judge", state, lab)
    return {"usage": found["usage"]} if "problem" in found else found


def _unless_given_up(following: str) -> Callable[[State], str]:
    return lambda state: "archive" if state.get("problem") else following
