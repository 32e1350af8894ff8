"""What needs somebody, grouped by cause, and the indexes by which it is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "troubles", sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("about", sa.String(length=128), nullable=False), sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("urgent", sa.SmallInteger(), nullable=False), sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False), sa.Column("last_at", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False), sa.Column("closed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    _partial("troubles_open", "troubles", "closed_at IS NULL", "tenant", "kind")
    op.create_index("troubles_closed", "troubles", ["closed_at"], unique=False)
    _partial("deliveries_parked", "deliveries", "state = 'parked'", "connection", "seq")
    _partial("request_steps_question", "request_steps", "mark = 'question'", "request_id")
    op.create_index("unproved_references_subject", "unproved_references", ["subject"], unique=False)
    op.create_index("unread_events_age", "unread_events", ["tenant", "at"], unique=False)


def _partial(name: str, table: str, where: str, *columns: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, list(columns), unique=False, postgresql_where=condition, sqlite_where=condition)
