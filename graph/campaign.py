"""A campaign: experiments in batches, side by side, stoppable and resumable at any moment.

Experiments of one batch see the same history, so the record does not depend on which of them
ends first, nor on how many run at once. What is archived is never done again; what was begun is
continued from its last finished node.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph

from move37.graph.build import RECURSION_LIMIT, build_graph, open_saver
from move37.graph.lab import Lab, Watch, complete, open_lab, slots
from move37.records import CampaignConfig, Experiment, Progress, experiment_id
from move37.settings import Settings, load_settings

Graph = CompiledStateGraph[Any, Any, Any, Any]
# How often the waiting thread looks up, so that Ctrl-C is heard.
HEARTBEAT_SECONDS = 0.2


def _unwatched(progress: Progress) -> None:
    """Watch nothing."""


def run_campaign(
    config: CampaignConfig, settings: Settings | None = None, watch: Watch = _unwatched
) -> list[Experiment]:
    """Run or continue a campaign and return its experiments in order.

    Interrupting it (Ctrl-C, or any kill) loses at most the nodes that were under way; calling
    it again with the same configuration goes on.

    Raises:
        UserError: something that the configuration or the environment asks for is not there.
    """
    settings = settings or load_settings()
    config = complete(config, settings)
    with (
        structlog.contextvars.bound_contextvars(campaign=config.name),
        open_lab(config, settings, watch) as lab,
        open_saver(lab.folder / "checkpoints.sqlite") as saver,
    ):
        graph = build_graph(lambda: lab).compile(checkpointer=saver)
        _run_batches(lab, graph, saver)
        return lab.store.experiments(config.name)


def _run_batches(lab: Lab, graph: Graph, saver: SqliteSaver) -> None:
    config, start = lab.config, time.monotonic()
    workers = max(1, min(slots(lab.settings), config.batch))
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="experiment") as pool:
        for first in range(1, config.experiments + 1, config.batch):
            spent = time.monotonic() - start
            if config.budget_seconds is not None and spent >= config.budget_seconds:
                structlog.get_logger().info("budget_spent", seconds=round(spent))
                return
            last = min(first + config.batch - 1, config.experiments)
            numbers = [n for n in range(first, last + 1) if not _archived(lab, n)]
            _wait([pool.submit(_run_experiment, lab, graph, saver, n) for n in numbers], lab)


def _wait(futures: Iterable[Future[None]], lab: Lab) -> None:
    """Wait for all; at the first exception or interrupt, end the boxes so that nobody hangs."""
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, HEARTBEAT_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
    except BaseException:
        lab.evaluator.stop()
        raise


def _archived(lab: Lab, number: int) -> bool:
    return lab.store.experiment(lab.config.name, number) is not None


def _run_experiment(lab: Lab, graph: Graph, saver: SqliteSaver, number: int) -> None:
    """Run one experiment, or continue it from its last finished node."""
    thread = experiment_id(lab.config, number)
    settings: RunnableConfig = {
        "configurable": {"thread_id": thread},
        "recursion_limit": RECURSION_LIMIT,
    }
    begun = bool(graph.get_state(settings).next)
    with structlog.contextvars.bound_contextvars(campaign=lab.config.name):
        graph.invoke(None if begun else {"number": number}, settings, durability="sync")
    # The store holds all of it now.
    saver.delete_thread(thread)
