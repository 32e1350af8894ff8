"""Numbers of households, beside each of their people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "household_links", sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False), sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("citizen_id", sa.String(length=36), nullable=False), sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "system", "native_id", "citizen_id"),
    )  # fmt: skip
    op.create_index("household_links_citizen", "household_links", ["citizen_id"], unique=False)
