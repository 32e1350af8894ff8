"""How far the keys of identities were made anew: the hub makes them when it starts (`hub.citizens.rekeying`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    names = ("people", "changed", "unsure", "asked", "unplaced")
    op.create_table(
        "rekeyings",
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("after", sa.String(length=36), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in names),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("version", "tenant"),
    )
