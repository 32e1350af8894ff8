"""The shape of what packages answer, and what changed in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_shapes", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False), sa.Column("known", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "operation"),
    )  # fmt: skip
    op.create_index("answer_shapes_age", "answer_shapes", ["last_at"], unique=False)
    op.create_table(
        "shape_changes", sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("change", sa.String(length=8), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("was", sa.String(length=100), nullable=False),
        sa.Column("now", sa.String(length=100), nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("shape_changes_tenant", "shape_changes", ["tenant", "at"], unique=False)
    op.create_index("shape_changes_of", "shape_changes", ["connection", "operation"], unique=False)
