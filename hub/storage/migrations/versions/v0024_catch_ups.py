"""What must be told again, later or to whoever lacks it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catch_ups", sa.Column("citizen_id", sa.String(length=36), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=24), nullable=False), sa.Column("due", sa.Double(), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=True), sa.Column("asked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("citizen_id", "field", "reader", "seq"),
    )  # fmt: skip
    op.create_index("catch_ups_due", "catch_ups", ["due", "citizen_id"], unique=False)
    op.create_index(
        "catch_ups_seq", "catch_ups", ["seq"], unique=False, postgresql_where=sa.text("seq > 0"),
        sqlite_where=sa.text("seq > 0"),
    )  # fmt: skip
    op.create_index(
        "catch_ups_origin", "catch_ups", ["origin", "asked_at", "citizen_id"], unique=False,
        postgresql_where=sa.text("origin IS NOT NULL"), sqlite_where=sa.text("origin IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "reader_catch_ups", sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("granted", sa.Text(), nullable=True), sa.Column("cause", sa.String(length=24), nullable=True),
        sa.Column("after", sa.String(length=36), nullable=True), sa.Column("asked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("reader"),
    )  # fmt: skip
