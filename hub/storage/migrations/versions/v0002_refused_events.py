"""Events that the door refused where nobody could be told so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_events", sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False), sa.Column("pointer", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False), sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("refused_events_cause", "refused_events", ["connection", "code", "at"], unique=False)
    op.create_index("refused_events_age", "refused_events", ["last_at"], unique=False)
