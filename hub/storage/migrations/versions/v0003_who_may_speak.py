"""For which systems a client speaks, the last word of the deciding system, what was claimed without proof, and events
on which nobody acts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("speaks_for", sa.Text(), nullable=True))
    op.add_column("requests", sa.Column("spoken", sa.String(length=24), nullable=True))
    op.add_column("requests", sa.Column("spoken_at", sa.Double(), nullable=True))
    op.add_column("requests", sa.Column("joined_into", sa.String(length=36), nullable=True))
    op.add_column("requests", sa.Column("other_intakes", sa.Text(), nullable=True))
    joined = sa.text("joined_into IS NOT NULL")
    op.create_index(
        "requests_joined", "requests", ["joined_into"], unique=False, postgresql_where=joined, sqlite_where=joined
    )
    op.create_table(
        "request_joins", sa.Column("gone_id", sa.String(length=36), nullable=False),
        sa.Column("kept_id", sa.String(length=36), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False), sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("gone_id"),
    )  # fmt: skip
    op.create_index("request_joins_kept", "request_joins", ["kept_id"], unique=False)
    op.create_table(
        "unproved_references", sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=48), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False), sa.Column("native_id", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("mark", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "subject", "system", "native_id"),
    )  # fmt: skip
    op.create_index("unproved_references_age", "unproved_references", ["tenant", "at"], unique=False)
    op.create_table(
        "unread_events", sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False), sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )  # fmt: skip
    op.create_index("unread_events_request", "unread_events", ["request_id"], unique=False)
