"""The code of the cause, beside the sentence that tells it, of each delivery and of each pause."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fault = sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql")
    op.add_column("deliveries", sa.Column("fault", fault, nullable=True))
    op.add_column("switches", sa.Column("fault", sa.String(length=64), nullable=True))
