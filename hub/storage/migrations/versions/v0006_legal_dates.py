"""When a request reached the authority first seized and the competent one; when and until when documents were asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("first_received", sa.String(length=40), nullable=True))
    op.add_column("requests", sa.Column("competent_received", sa.String(length=40), nullable=True))
    op.create_index(
        "requests_incomplete",
        "requests",
        ["tenant", "spoken_at"],
        postgresql_where=sa.text("spoken = 'incomplete'"),
        sqlite_where=sa.text("spoken = 'incomplete'"),
    )
    op.add_column("request_steps", sa.Column("said_at", sa.Double(), nullable=True))
    op.add_column("request_steps", sa.Column("until", sa.String(length=10), nullable=True))
