"""People sign in before they look at a preview."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exchange_previews", sa.Column("level", sa.String(length=16), nullable=True))
    op.create_table(
        "preview_sign_ins",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("preview_id", sa.String(length=36), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_preview_sign_ins_preview_id", "preview_sign_ins", ["preview_id"])
