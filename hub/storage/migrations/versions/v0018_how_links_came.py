"""How each link between an identifier and a citizen came about: since when, how, by whom; what systems called
people before they changed their identifiers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of links from before nobody knows since when they hold (0), nor by whom.
    op.add_column("citizen_links", sa.Column("since", sa.Double(), nullable=False, server_default="0"))
    op.add_column("citizen_links", sa.Column("how", sa.String(length=16), nullable=False, server_default="told"))
    op.add_column("citizen_links", sa.Column("origin", sa.String(length=128), nullable=True))
    op.add_column("citizen_links", sa.Column("score", sa.SmallInteger(), nullable=True))
    op.create_table(
        "renumbered_ids",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False),
        sa.Column("old_id", sa.Text(), nullable=False),
        sa.Column("new_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "system", "old_id"),
    )
    op.create_index("renumbered_ids_age", "renumbered_ids", ["at"], unique=False)
