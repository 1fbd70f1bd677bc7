"""The experiment store: campaigns and experiments in SQLite, or in PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from move37.memory import schema
from move37.memory.engine import open_engine, user_errors
from move37.memory.rows import from_row, to_row
from move37.memory.tables import CampaignRow, ExperimentRow
from move37.records import (
    SIZE,
    Baseline,
    Campaign,
    CampaignConfig,
    Caps,
    Experiment,
    UserError,
)


class Store:
    """Campaigns and their experiments; safe to share between threads and to open twice."""

    def __init__(self, url: str) -> None:
        """Open the database and bring its tables up to date.

        Raises:
            UserError: the URL, the file or the server cannot be used, or is of a newer version.
        """
        self._engine = open_engine(url)
        self._writer = self._engine.execution_options(write=True)
        self._where = self._engine.url.render_as_string(hide_password=True)
        try:
            with user_errors(self._where):
                schema.upgrade(self._writer, self._where)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the store itself; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def create_campaign(self, config: CampaignConfig) -> Campaign:
        """Return the campaign of this configuration, made when it does not exist.

        Raises:
            UserError: the name belongs to a campaign with other settings.
        """
        with self._write() as session:
            row = session.get(CampaignRow, config.name)
            if row is None:
                row = _new_campaign(config)
                session.add(row)
            campaign = _campaign(row)
        _require_same(campaign.config, config)
        return campaign

    def campaign(self, name: str) -> Campaign | None:
        """Return the campaign of this name, if there is one."""
        with self._read() as session:
            row = session.get(CampaignRow, name)
            return _campaign(row) if row else None

    def campaigns(self) -> list[Campaign]:
        """Return all campaigns, the oldest first."""
        with self._read() as session:
            query = select(CampaignRow).order_by(CampaignRow.created, CampaignRow.name)
            return [_campaign(row) for row in session.scalars(query)]

    def resize(
        self, name: str, experiments: int, budget_seconds: float | None, caps: Caps
    ) -> Campaign:
        """Give a campaign another size and other caps; nothing that shapes its results changes.

        Raises:
            UserError: there is no campaign of this name.
        """
        with self._write() as session:
            row = self._require(session, name)
            size = {"experiments": experiments, "budget_seconds": budget_seconds}
            config = CampaignConfig.from_record(row.config | size | {"caps": caps})
            row.config = config.model_dump(mode="json")
            row.experiments = config.experiments
            return _campaign(row)

    def set_baseline(self, name: str, baseline: Baseline) -> Campaign:
        """Record the baseline that the campaign is held against.

        Raises:
            UserError: there is no campaign of this name.
        """
        with self._write() as session:
            row = self._require(session, name)
            row.baseline = baseline.model_dump(mode="json")
            return _campaign(row)

    def archive(self, experiment: Experiment) -> bool:
        """Write one experiment in one transaction; return False when it was there already.

        The first record of an id stays: a resumed campaign may archive again what it had
        archived before it was killed.
        """
        try:
            with self._write() as session:
                if session.get(ExperimentRow, experiment.id) is not None:
                    return False
                session.add(to_row(experiment))
        except IntegrityError:
            # On a server another writer can come between the look and the write.
            if self._known(experiment.id):
                return False
            raise
        return True

    def experiment(self, campaign: str, number: int) -> Experiment | None:
        """Return one experiment by its number in the campaign, if it was archived."""
        query = select(ExperimentRow).filter_by(campaign=campaign, number=number)
        with self._read() as session:
            row = session.scalar(query)
            return from_row(row) if row else None

    def experiments(self, campaign: str, before: int | None = None) -> list[Experiment]:
        """Return the experiments of a campaign by number, all or those below `before`."""
        query = select(ExperimentRow).filter_by(campaign=campaign).order_by(ExperimentRow.number)
        if before is not None:
            query = query.where(ExperimentRow.number < before)
        with self._read() as session:
            return [from_row(row) for row in session.scalars(query)]

    def _known(self, identity: str) -> bool:
        with self._read() as session:
            return session.get(ExperimentRow, identity) is not None

    def _require(self, session: Session, name: str) -> CampaignRow:
        row = session.get(CampaignRow, name, with_for_update=True)
        if row is None:
            raise UserError(f"no campaign {name!r} in {self._where}: see the list of campaigns")
        return row

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with user_errors(self._where), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with user_errors(self._where), Session(self._writer) as session, session.begin():
            yield session


def _new_campaign(config: CampaignConfig) -> CampaignRow:
    return CampaignRow(
        name=config.name,
        config_id=config.id,
        tier=config.tier,
        seed=config.seed,
        experiments=config.experiments,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        config=config.model_dump(mode="json"),
        baseline=None,
    )


def _campaign(row: CampaignRow) -> Campaign:
    config = CampaignConfig.from_record(row.config)
    return Campaign.model_validate(
        {"config": config, "baseline": row.baseline, "created": row.created}
    )


def _require_same(stored: CampaignConfig, wanted: CampaignConfig) -> None:
    if stored.id == wanted.id:
        return
    old, new = stored.model_dump(), wanted.model_dump()
    shaping = [key for key in old if key not in SIZE]
    changed = ", ".join(key for key in shaping if old[key] != new[key])
    raise UserError(
        f"campaign {stored.name!r} exists with another {changed}: "
        "resume it with its own settings, or choose another name"
    )
