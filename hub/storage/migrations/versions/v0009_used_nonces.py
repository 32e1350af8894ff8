"""Nonces of signed calls, known to all gateways."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "used_nonces", sa.Column("mark", sa.LargeBinary(length=32), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("until", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("mark"),
    )  # fmt: skip
    op.create_index("used_nonces_connection", "used_nonces", ["connection"], unique=False)
    op.create_index("used_nonces_until", "used_nonces", ["until"], unique=False)
