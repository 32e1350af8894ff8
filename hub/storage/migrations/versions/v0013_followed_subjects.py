"""Where each appointment, payment and message stands that systems tell of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "followed_subjects", sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("order_key", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False), sa.Column("said_at", sa.Double(), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=True), sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("tenant", "order_key"),
    )  # fmt: skip
    op.create_index("followed_subjects_request", "followed_subjects", ["request_id"], unique=False)
    op.create_index("followed_subjects_age", "followed_subjects", ["at"], unique=False)
