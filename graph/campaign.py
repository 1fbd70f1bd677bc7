"""A campaign: experiments in batches, side by side, stoppable and resumable at any moment.

Experiments of one batch see the same history, so the record does not depend on which of them
ends first, nor on how many run at once. What is archived is never done again; what was begun is
continued from its last finished node.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import structlog
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, StateSnapshot

from move37.agents.models.tape import Tape
from move37.graph.asking import ApprovalWanted, Approve, Questions
from move37.graph.checkpoints import Graph, forget, open_graph, thread_of
from move37.graph.fork import check_fork, enter, is_decided
from move37.graph.lab import Lab, Watch, complete, open_lab, slots
from move37.graph.state import Start
from move37.records import (
    BudgetSpent,
    CampaignConfig,
    Experiment,
    Progress,
    UserError,
)
from move37.settings import Settings, load_settings

# How often the waiting thread looks up, so that Ctrl-C is heard.
HEARTBEAT_SECONDS = 0.2
# After so many experiments in a row without a word from the researcher no more are begun: a
# provider that is away for hours would use up a campaign.
MOST_UNANSWERED = 4


def _unwatched(progress: Progress) -> None:
    """Watch nothing."""


def run_campaign(
    config: CampaignConfig,
    settings: Settings | None = None,
    watch: Watch = _unwatched,
    approve: Approve | None = None,
    tape: Tape | None = None,
) -> list[Experiment]:
    """Run or continue a campaign and return its experiments in order.

    Interrupting it (Ctrl-C, or any kill) loses at most the nodes that were under way; calling
    it again with the same configuration goes on. `approve` is asked before each training, in the
    thread of the caller. The calls of its models are recorded on `tape`, or played from it.

    Raises:
        UserError: something that the configuration or the environment asks for is not there, or
            the researcher's provider has been away for several experiments.
        BudgetSpent: a cap of the campaign was met; what is archived stays, and what was begun goes
            on from there once there is a higher one.
    """
    settings = settings or load_settings()
    config = complete(config, settings)
    if config.forked:
        check_fork(config, settings)
    with (
        structlog.contextvars.bound_contextvars(campaign=config.name),
        open_lab(config, settings, watch, tape, outside=is_decided(config)) as lab,
        open_graph(lab) as (graph, saver),
    ):
        enter(lab, graph)
        _run_batches(lab, graph, saver, Questions(approve))
        return lab.store.experiments(config.name)


def _run_batches(lab: Lab, graph: Graph, saver: SqliteSaver, questions: Questions) -> None:
    config, start, unanswered = lab.config, time.monotonic(), 0
    workers = max(1, min(slots(lab.settings), config.batch))
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="experiment") as pool:
        for batch in _batches(config):
            spent = time.monotonic() - start
            if config.budget_seconds is not None and spent >= config.budget_seconds:
                structlog.get_logger().info("budget_spent", seconds=round(spent))
                return
            if unanswered >= MOST_UNANSWERED:
                raise UserError(_away(lab, batch[0] - 1, unanswered))
            numbers = [number for number in batch if not _archived(lab, number)]
            run = _until_spent(partial(_run_experiment, lab, graph, saver, questions))
            spent_by = _wait([pool.submit(run, number) for number in numbers], lab, questions)
            if spent_by:
                structlog.get_logger().info("budget_spent", cap=spent_by[0].cap)
                raise spent_by[0]
            for number in numbers:
                unanswered = unanswered + 1 if _is_unanswered(lab, number) else 0


def _batches(config: CampaignConfig) -> list[range]:
    """Return the numbers of the experiments that run side by side; a fork has one experiment."""
    if config.forked:
        return [range(config.forked.number, config.forked.number + 1)]
    end = config.experiments + 1
    return [range(first, min(first + config.batch, end)) for first in range(1, end, config.batch)]


def _until_spent(run_experiment: Callable[[int], None]) -> Callable[[int], BudgetSpent | None]:
    """Return what runs an experiment as far as the caps allow; behind a cap none is begun.

    The others of its batch go on: what they still ask may cost less.
    """
    met = threading.Event()

    def run(number: int) -> BudgetSpent | None:
        if met.is_set():
            return None
        try:
            run_experiment(number)
        except BudgetSpent as spent:
            met.set()
            return spent
        return None

    return run


def _wait(
    futures: Iterable[Future[BudgetSpent | None]], lab: Lab, questions: Questions
) -> list[BudgetSpent]:
    """Wait for all and answer what they ask; return what caps the experiments met.

    At the first exception or interrupt, the boxes are ended so that nobody hangs.
    """
    pending, spent = set(futures), list[BudgetSpent]()
    try:
        while pending:
            questions.answer()
            done, pending = wait(pending, HEARTBEAT_SECONDS, return_when=FIRST_EXCEPTION)
            spent += [met for future in done if (met := future.result()) is not None]
    except BaseException:
        questions.close()
        lab.evaluator.stop()
        raise
    return spent


def _is_unanswered(lab: Lab, number: int) -> bool:
    """Whether the researcher's model said nothing at all in an experiment."""
    found = lab.store.experiment(lab.config.name, number)
    if found is None or found.proposal is not None:
        return False
    return not any(use.calls for use in found.usage if use.role == "researcher")


def _away(lab: Lab, number: int, unanswered: int) -> str:
    """Return the line for a user whose provider is away; the experiments that it cost are told."""
    found, config = lab.store.experiment(lab.config.name, number), lab.config
    reason = found.reason if found else ""
    return (
        f"no answer in {unanswered} experiments in a row ({reason}); when the provider is back: "
        f"move37 run --resume -c {config.name} -n {config.experiments + unanswered}"
    )


def _archived(lab: Lab, number: int) -> bool:
    return lab.store.experiment(lab.config.name, number) is not None


def _run_experiment(
    lab: Lab, graph: Graph, saver: SqliteSaver, questions: Questions, number: int
) -> None:
    """Run one experiment, or continue it from its last finished node."""
    thread = thread_of(lab, number)
    told = _beginning(graph.get_state(thread), number, approve=questions.approve is not None)
    with structlog.contextvars.bound_contextvars(campaign=lab.config.name):
        while asked := graph.invoke(told, thread, durability="sync").get("__interrupt__"):
            question = ApprovalWanted.model_validate(asked[0].value)
            told = Command(resume=questions.ask(question))
    forget(lab, saver, number)


def _beginning(state: StateSnapshot, number: int, *, approve: bool) -> Command[Any] | Start | None:
    """Return what an experiment begins with, or goes on with: what is asked for now counts."""
    if not state.next:
        return {"number": number, "approve": approve}
    if approve and not state.values.get("approve"):
        return Command(update={"approve": True})
    return None
