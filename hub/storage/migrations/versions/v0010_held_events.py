"""How many questions about people each origin opens in a day, and what is held beyond that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "question_days", sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False), sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False), sa.Column("urgent", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "day"),
    )  # fmt: skip
    condition = sa.text("held > 0")
    op.create_index(
        "question_days_held", "question_days", ["tenant", "day"], unique=False, postgresql_where=condition,
        sqlite_where=condition,
    )  # fmt: skip
    op.create_table(
        "held_events", sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False), sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "origin", "seq"),
    )  # fmt: skip
    op.create_table(
        "first_loads", sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("until", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("origin"),
    )  # fmt: skip
