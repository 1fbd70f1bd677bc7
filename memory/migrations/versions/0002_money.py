"""The money and the machine seconds of each turn; unknown for turns from before."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("token_use", sa.Column("usd", sa.Double(), nullable=True))
    op.add_column("token_use", sa.Column("machine_seconds", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("token_use", "machine_seconds")
    op.drop_column("token_use", "usd")
