"""The graph of a campaign on its checkpoints: one database a campaign, one thread an experiment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph

from move37 import records
from move37.graph.build import build_graph
from move37.graph.lab import Lab
from move37.records import experiment_id

Graph = CompiledStateGraph[Any, Any, Any, Any]
# How many steps the longest legal path has, with room to spare.
RECURSION_LIMIT = 100


@contextmanager
def open_graph(lab: Lab) -> Iterator[tuple[Graph, SqliteSaver]]:
    """Open the graph of an experiment with the checkpoints of this campaign."""
    path = lab.folder / "checkpoints.sqlite"
    with closing(sqlite3.connect(path, check_same_thread=False, timeout=30)) as connection:
        saver = SqliteSaver(connection, serde=serialiser())
        yield build_graph(lambda: lab).compile(checkpointer=saver), saver


def thread_of(lab: Lab, number: int) -> RunnableConfig:
    """Return under which name the checkpoints of an experiment stand."""
    return {
        "configurable": {"thread_id": experiment_id(lab.config, number)},
        "recursion_limit": RECURSION_LIMIT,
    }


def forget(lab: Lab, saver: SqliteSaver, number: int) -> None:
    """Drop the checkpoints of an archived experiment: the store holds all of it now."""
    saver.delete_thread(experiment_id(lab.config, number))


def serialiser() -> JsonPlusSerializer:
    """Return the checkpoint serialiser, which loads our own record types and nothing else."""
    kinds = [
        v for v in vars(records).values() if isinstance(v, type) and issubclass(v, records.Value)
    ]
    return JsonPlusSerializer(allowed_msgpack_modules=kinds)
