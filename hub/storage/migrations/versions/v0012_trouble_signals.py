"""What went wrong and left nothing else in the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trouble_signals", sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False), sa.Column("place", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False), sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("trouble_signals_kind", "trouble_signals", ["tenant", "kind", "at"], unique=False)
    op.create_index("trouble_signals_cause", "trouble_signals", ["connection", "kind", "code"], unique=False)
    op.create_index("trouble_signals_age", "trouble_signals", ["last_at"], unique=False)
