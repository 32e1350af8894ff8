"""Packages that fetch their deliveries over HTTP; deliveries that are sent again from a point on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pulling_clients", sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False), sa.Column("called_at", sa.Double(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("alarm", sa.String(length=16), nullable=False),
        sa.Column("alarm_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("client_id"),
    )  # fmt: skip
    op.create_index("pulling_clients_tenant", "pulling_clients", ["tenant", "alarm"], unique=False)
    op.create_table(
        "pulled_deliveries", sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("showings", sa.Integer(), nullable=False), sa.Column("shown_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=True),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("client_id", "number"),
    )  # fmt: skip
    op.create_index("pulled_deliveries_of", "pulled_deliveries", ["client_id", "connection", "seq"], unique=True)
    shown = sa.text("outcome IS NULL")
    op.create_index(
        "pulled_deliveries_shown", "pulled_deliveries", ["client_id", "number"], unique=False,
        postgresql_where=shown, sqlite_where=shown,
    )  # fmt: skip
    op.create_table(
        "delivery_replays", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("since", sa.Double(), nullable=False), sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False), sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("connection"),
    )  # fmt: skip
