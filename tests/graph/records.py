"""A finished campaign, and what of a record must be the same in another: all but the clock."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from move37.records import CampaignConfig, Experiment, Progress
from move37.settings import Settings

MEASURED_IN_TIME = frozenset({"seconds", "machine_seconds", "started", "cost"})


@dataclass(frozen=True)
class Played:
    """A campaign that nothing disturbed, with every sign of life that it gave."""

    config: CampaignConfig
    settings: Settings
    experiments: list[Experiment]
    seen: list[Progress] = field(default_factory=list)

    def copied(self, home: Path) -> Settings:
        """Return settings whose home is a copy of this campaign's."""
        shutil.copytree(self.settings.home, home)
        return self.settings.model_copy(update={"home": home})


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
