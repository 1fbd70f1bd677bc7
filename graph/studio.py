"""The graph for LangGraph Studio: no checkpointer, a campaign of its own, opened at first use.

The server runs this module's graph with the models that the environment names; the default input
runs the next experiment of the campaign `studio` at the tier of MOVE37_STUDIO_TIER.
"""

from __future__ import annotations

import atexit
import threading
from contextlib import ExitStack

from move37.graph.build import build_graph
from move37.graph.lab import Lab, complete, open_lab
from move37.records import CampaignConfig, Progress
from move37.settings import load_settings

_stack = ExitStack()
_lock = threading.Lock()
_open: list[Lab] = []
_given = [0]


def _unwatched(progress: Progress) -> None:
    """Studio shows the nodes itself."""


def studio_lab() -> Lab:
    """Open the lab of the Studio campaign once for this server."""
    with _lock:
        if not _open:
            settings = load_settings()
            config = CampaignConfig(name="studio", tier=settings.studio_tier, batch=1)
            config = complete(config, settings)
            _open.append(_stack.enter_context(open_lab(config, settings, _unwatched, outside=True)))
            atexit.register(_stack.close)
        return _open[0]


def _next_number(lab: Lab) -> int:
    """Give each run its own number: one that waits for an answer is not archived yet."""
    with _lock:
        _given[0] = max(lab.next_number(), _given[0] + 1)
        return _given[0]


graph = build_graph(studio_lab, _next_number).compile(name="move37")
