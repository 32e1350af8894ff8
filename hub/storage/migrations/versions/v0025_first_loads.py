"""First loads of connections, and the pairs that wait for their person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "loads", sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("assessment", sa.Text(), nullable=False), sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False), sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False), sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True), sa.Column("undone_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("loads_connection", "loads", ["connection", "started_at"], unique=False)
    op.create_index("loads_age", "loads", ["started_at"], unique=False)
    op.create_table(
        "pending_pairs", sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("load_id", sa.String(length=12), nullable=False),
        sa.Column("pivot", sa.String(length=64), nullable=True),
        sa.Column("made_of", sa.SmallInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False), sa.Column("tried", sa.String(length=16), nullable=False),
        sa.Column("until", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("pending_pairs_pivot", "pending_pairs", ["tenant", "pivot"], unique=False)
    op.create_index("pending_pairs_load", "pending_pairs", ["connection", "load_id"], unique=False)
    op.create_index("pending_pairs_until", "pending_pairs", ["until"], unique=False)
    op.create_table(
        "pending_blocks", sa.Column("pair_id", sa.String(length=32), nullable=False),
        sa.Column("block", sa.String(length=32), nullable=False), sa.PrimaryKeyConstraint("pair_id", "block"),
    )  # fmt: skip
    op.create_index("pending_blocks_block", "pending_blocks", ["block"], unique=False)
