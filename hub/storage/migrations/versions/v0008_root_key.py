"""The root key, wrapped. In a database that is in use it is the `encryption_key`, which is not known here: the row says
that it waits to be wrapped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "root_keys", sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("wrapped_by", sa.String(length=16), nullable=True), sa.Column("at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    if context.config.attributes["in_use"]:
        op.execute("INSERT INTO root_keys (id) VALUES (1)")
