"""Tables of the experiment store: columns for what one queries, JSON for the whole values.

The JSON payloads are what is read back; the columns beside them repeat the few figures that a
query filters or sorts by. All types exist in SQLite and in PostgreSQL.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

ID = String(32)
NAME = String(80)


class Table(DeclarativeBase):
    """Common metadata; named constraints, so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


class CampaignRow(Table):
    """A campaign: its configuration, and the baseline once it is measured."""

    __tablename__ = "campaigns"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    config_id: Mapped[str] = mapped_column(ID)
    tier: Mapped[str] = mapped_column(Text)
    seed: Mapped[int] = mapped_column(BigInteger)
    experiments: Mapped[int]
    created: Mapped[str] = mapped_column(ID)
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    baseline: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ExperimentRow(Table):
    """An experiment; `payload` holds what has no table of its own. Parent 0 is the root."""

    __tablename__ = "experiments"
    __table_args__ = (UniqueConstraint("campaign", "number"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.name"))
    number: Mapped[int]
    status: Mapped[str] = mapped_column(ID, index=True)
    parent: Mapped[int] = mapped_column(index=True)
    name: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(64), index=True)
    seconds: Mapped[float] = mapped_column(Double)
    started: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)

    evaluation: Mapped[EvaluationRow | None] = relationship(lazy="selectin")
    judgement: Mapped[JudgementRow | None] = relationship(lazy="selectin")
    analysis: Mapped[AnalysisRow | None] = relationship(lazy="selectin")
    usage: Mapped[list[TokenUseRow]] = relationship(
        lazy="selectin", order_by="TokenUseRow.position"
    )


class EvaluationRow(Table):
    """The outcome of one experiment: measured figures, or the stage at which it failed."""

    __tablename__ = "evaluations"

    experiment: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(ID)
    stage: Mapped[str | None] = mapped_column(ID, index=True)
    loss: Mapped[float | None] = mapped_column(Double, index=True)
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    state_bytes: Mapped[int | None] = mapped_column(BigInteger)
    train_seconds: Mapped[float] = mapped_column(Double)
    cpu_seconds: Mapped[float] = mapped_column(Double)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class JudgementRow(Table):
    """The fitness of one experiment and its terms."""

    __tablename__ = "judgements"

    experiment: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    mode: Mapped[str] = mapped_column(ID)
    fitness: Mapped[float] = mapped_column(Double, index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class AnalysisRow(Table):
    """What the analyst made of one experiment."""

    __tablename__ = "analyses"

    experiment: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    expectation_met: Mapped[bool]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class TokenUseRow(Table):
    """What each turn of a role used in one experiment, in the order in which they were recorded."""

    __tablename__ = "token_use"

    experiment: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    calls: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Double)
    usd: Mapped[float | None] = mapped_column(Double)
    machine_seconds: Mapped[float | None] = mapped_column(Double)
