"""The directory in the ledger, with a version; which version routed each event, and from where each link counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "directory_items", sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("since_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until_version", sa.BigInteger(), nullable=True),
        sa.Column("began_seq", sa.BigInteger(), nullable=False), sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "since_version"),
    )  # fmt: skip
    standing = sa.text("until_version IS NULL")
    op.create_index(
        "directory_items_standing", "directory_items", ["kind", "name"], unique=True, postgresql_where=standing,
        sqlite_where=standing,
    )  # fmt: skip
    op.create_table(
        "directory_versions", sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False), sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True), sa.PrimaryKeyConstraint("version"),
    )  # fmt: skip
    op.create_index("directory_versions_digest", "directory_versions", ["digest"], unique=False)
    op.create_table(
        "processes", sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False), sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("roles", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False), sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False), sa.PrimaryKeyConstraint("owner"),
    )  # fmt: skip
    op.create_table(
        "connection_secrets", sa.Column("connection", sa.String(length=128), nullable=False),
        sa.Column("setting", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False), sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "setting"),
    )  # fmt: skip
    op.add_column("events", sa.Column("directory", sa.BigInteger(), nullable=True))
    op.add_column("citizen_links", sa.Column("since_seq", sa.BigInteger(), nullable=True))
    op.add_column("household_links", sa.Column("since_seq", sa.BigInteger(), nullable=True))
