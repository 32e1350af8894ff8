"""What connections that observe would have sent and taken in, and the calls of packages that are kept for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connection_modes", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False), sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
    )  # fmt: skip
    op.create_table(
        "observed_kinds", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False), sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "direction", "kind", "outcome", "code"),
    )  # fmt: skip
    op.create_index("observed_kinds_age", "observed_kinds", ["last_at"], unique=False)
    op.create_table(
        "observed_marks", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False), sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "mark"),
    )  # fmt: skip
    op.create_index("observed_marks_age", "observed_marks", ["at"], unique=False)
    op.create_table(
        "observed_calls", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("mark", sa.String(length=32), nullable=False), sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False), sa.Column("documents", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False), sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "number"),
    )  # fmt: skip
    op.create_index("observed_calls_mark", "observed_calls", ["connection", "mark"], unique=True)
    op.create_index("observed_calls_room", "observed_calls", ["connection", "size", "at"], unique=False)
    op.create_index("observed_calls_age", "observed_calls", ["at"], unique=False)
