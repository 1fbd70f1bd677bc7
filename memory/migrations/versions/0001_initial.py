"""Campaigns, experiments, evaluations, judgements, analyses and token use."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("config_id", sa.String(32), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("experiments", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("baseline", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_campaigns"),
    )
    op.create_table(
        "experiments",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("campaign", sa.String(80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("started", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.ForeignKeyConstraint(["campaign"], ["campaigns.name"], name="fk_experiments_campaign"),
        sa.UniqueConstraint("campaign", "number", name="uq_experiments_campaign_number"),
    )
    op.create_index("ix_experiments_status", "experiments", ["status"])
    op.create_index("ix_experiments_parent", "experiments", ["parent"])
    op.create_index("ix_experiments_fingerprint", "experiments", ["fingerprint"])
    op.create_table(
        "evaluations",
        sa.Column("experiment", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("stage", sa.String(32), nullable=True),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("state_bytes", sa.BigInteger(), nullable=True),
        sa.Column("train_seconds", sa.Double(), nullable=False),
        sa.Column("cpu_seconds", sa.Double(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        *_of_one_experiment("evaluations"),
    )
    op.create_index("ix_evaluations_stage", "evaluations", ["stage"])
    op.create_index("ix_evaluations_loss", "evaluations", ["loss"])
    op.create_table(
        "judgements",
        sa.Column("experiment", sa.String(32), nullable=False),
        sa.Column("mode", sa.String(32), nullable=False),
        sa.Column("fitness", sa.Double(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        *_of_one_experiment("judgements"),
    )
    op.create_index("ix_judgements_fitness", "judgements", ["fitness"])
    op.create_table(
        "analyses",
        sa.Column("experiment", sa.String(32), nullable=False),
        sa.Column("expectation_met", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        *_of_one_experiment("analyses"),
    )
    op.create_table(
        "token_use",
        sa.Column("experiment", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "position", name="pk_token_use"),
        sa.ForeignKeyConstraint(["experiment"], ["experiments.id"], name="fk_token_use_experiment"),
    )


def downgrade() -> None:
    for table in (
        "token_use",
        "analyses",
        "judgements",
        "evaluations",
        "experiments",
        "campaigns",
    ):
        op.drop_table(table)


def _of_one_experiment(table: str) -> tuple[sa.PrimaryKeyConstraint, sa.ForeignKeyConstraint]:
    return (
        sa.PrimaryKeyConstraint("experiment", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["experiment"], ["experiments.id"], name=f"fk_{table}_experiment"),
    )
