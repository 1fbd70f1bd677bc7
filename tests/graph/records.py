"""What of a record must be the same when a campaign is repeated: all but times and sizes."""

from __future__ import annotations

from typing import Any

from move37.records import Experiment

MEASURED_IN_TIME = frozenset({"seconds", "started", "cost"})


def lasting(value: Any) -> Any:
    """Return the JSON form of a record without what depends on the clock."""
    match value:
        case Experiment():
            return lasting(value.model_dump(mode="json"))
        case dict():
            return {k: lasting(v) for k, v in value.items() if k not in MEASURED_IN_TIME}
        case list() | tuple():
            return [lasting(v) for v in value]
        case _:
            return value
