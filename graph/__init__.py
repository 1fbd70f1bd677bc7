"""Order: the state machine of one experiment and the campaign that runs many.

For Python users, `from move37.graph import run_campaign`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from move37.records import CampaignConfig

if TYPE_CHECKING:
    from move37.graph.campaign import run_campaign

__all__ = ["CampaignConfig", "run_campaign"]


def __getattr__(name: str) -> object:
    # The graph pulls in LangGraph and Chroma; whoever only wants a name pays nothing for them.
    if name == "run_campaign":
        from move37.graph.campaign import run_campaign

        return run_campaign
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
