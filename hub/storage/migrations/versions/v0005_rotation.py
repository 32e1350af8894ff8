"""Secrets of clients that are replaced and still taken for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("old_secret_hash", sa.Text(), nullable=True))
    op.add_column("clients", sa.Column("old_secret_until", sa.Double(), nullable=True))
    op.add_column("clients", sa.Column("tokens_from", sa.Double(), nullable=True))
