"""Going on from any node of an archived experiment, with another model or another prompt.

A fork is a campaign of its own with one experiment, which keeps the number of the one that it was
taken from: it sees the same past, and the campaign that it left knows nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, cast, get_args

from move37.graph.build import AGENTS
from move37.graph.checkpoints import Graph, thread_of
from move37.graph.lab import Lab, check_request, open_store
from move37.graph.state import State
from move37.memory.pool import as_candidate
from move37.memory.store import Store
from move37.records import (
    Campaign,
    CampaignConfig,
    Candidate,
    Experiment,
    Failed,
    Forked,
    Measured,
    Selection,
    UserError,
)
from move37.settings import Settings

Node = Literal["select", "researcher", "novelty", "evaluate", "engineer", "judge", "analyst"]
NODES: tuple[Node, ...] = get_args(Node)
# Behind which node a run stands that is about to enter this one, and what it must know by then.
BEFORE: dict[Node, str] = {
    "researcher": "select",
    "novelty": "researcher",
    "evaluate": "novelty",
    "engineer": "evaluate",
    "judge": "evaluate",
    "analyst": "judge",
}
# From these on no researcher is asked, so that it may be one who is outside.
DECIDED = ("evaluate", "engineer", "judge", "analyst")
MOST_FORKS = 1_000


def fork_config(
    campaign: Campaign, at: Forked, taken: set[str], model: str | None, prompt: str | None
) -> CampaignConfig:
    """Return the configuration of a fork; `model` and `prompt` are for the role of its node.

    `taken` are the names of all campaigns.

    Raises:
        UserError: the node has no role that could take them.
    """
    name, node = campaign.config.name, at.node
    if (model or prompt) and node not in AGENTS:
        raise UserError(f"--node {node} asks no model; fork at one of: {', '.join(AGENTS)}")
    free = (f"{name}.fork{count}" for count in range(1, MOST_FORKS))
    return campaign.config.model_copy(
        update={
            "name": next(one for one in free if one not in taken),
            "experiments": 1,
            "models": campaign.config.models | ({node: model} if model else {}),
            "prompts": campaign.config.prompts | ({node: prompt} if prompt else {}),
            "forked": at,
        }
    )


def check_fork(config: CampaignConfig, settings: Settings) -> None:
    """Look at everything that can be wrong with a fork before anything is written.

    Raises:
        UserError: the experiment never came to this node, or something is not there.
    """
    with open_store(settings) as store:
        _left(config, store)
    check_request(config, settings, outside=is_decided(config))


def is_decided(config: CampaignConfig) -> bool:
    """Whether this is a fork in which no researcher is asked."""
    return config.forked is not None and config.forked.node in DECIDED


def enter(lab: Lab, graph: Graph) -> None:
    """Put the experiment of a fork before its node, unless it has begun or ended.

    Raises:
        UserError: the experiment that it leaves never came there.
    """
    forked = lab.config.forked
    if forked is None or forked.node == "select":
        return
    thread = thread_of(lab, forked.number)
    if lab.store.experiment(lab.config.name, forked.number) or graph.get_state(thread).next:
        return
    origin, known = _left(lab.config, lab.store)
    known |= {"selection": _selection(origin, lab)}
    graph.update_state(thread, dict(known), as_node=BEFORE[cast("Node", forked.node)])


def _left(config: CampaignConfig, store: Store) -> tuple[Experiment, State]:
    """Return the experiment that a fork leaves, and what it knew then."""
    forked = config.forked
    assert forked is not None
    origin = store.experiment(forked.campaign, forked.number)
    if origin is None:
        raise UserError(f"campaign {forked.campaign} has no experiment {forked.number}")
    return origin, known_before(cast("Node", forked.node), origin)


def known_before(node: Node, origin: Experiment) -> State:
    """Return what an experiment knew when it came to a node, as far as the record has it.

    Raises:
        UserError: it never came there.
    """
    state: State = {"number": origin.number, "started": time.time()}
    for name in NODES[2 : NODES.index(node) + 1]:
        state |= _ADDED[name](origin, node)
    return state


def _selection(origin: Experiment, lab: Lab) -> Selection:
    shown = [_candidate(number, lab) for number in (origin.parent, *origin.references)]
    return Selection(
        parent=shown[0], references=tuple(shown[1:]), reason=origin.selection_reason or "as before"
    )


def _candidate(number: int, lab: Lab) -> Candidate:
    if number == 0:
        return lab.root
    experiment = lab.store.experiment(lab.config.past, number)
    found = as_candidate(experiment) if experiment else None
    if found is None:
        raise UserError(f"experiment {number}, which this one was shown, is no longer in the store")
    return found


def _proposed(origin: Experiment, node: Node) -> State:
    if origin.proposal is None:
        raise _never(origin, node)
    return {"proposal": origin.proposal}


def _accepted(origin: Experiment, node: Node) -> State:
    if origin.novelty is None or origin.novelty.verdict == "repeat":
        raise _never(origin, node)
    known: State = {"novelty": origin.novelty}
    return known | {"forecast": origin.forecast} if origin.forecast else known


def _failed(origin: Experiment, node: Node) -> State:
    if node != "engineer":
        return {}
    if not isinstance(origin.outcome, Failed) or origin.outcome.stage == "pruned":
        raise _never(origin, node)
    return {"outcome": origin.outcome}


def _measured(origin: Experiment, node: Node) -> State:
    if node == "judge" and not isinstance(origin.outcome, Measured):
        raise _never(origin, node)
    if origin.outcome is None:
        raise _never(origin, node)
    return {"outcome": origin.outcome, "revisions": list(origin.revisions)}


def _judged(origin: Experiment, _: Node) -> State:
    return {"judgement": origin.judgement} if origin.judgement else {}


# What a run knows more at each node than at the one before.
_ADDED: dict[Node, Callable[[Experiment, Node], State]] = {
    "novelty": _proposed,
    "evaluate": _accepted,
    "engineer": _failed,
    "judge": _measured,
    "analyst": _judged,
}


def _never(origin: Experiment, node: Node) -> UserError:
    return UserError(
        f"experiment {origin.number} ({origin.status}) never came to the {node}: "
        f"`move37 show {origin.number}` says where it went"
    )
