"""What a package gave an identifier for, to be found by its date."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    condition = sa.text("reference IS NOT NULL")
    op.create_index(
        "deliveries_referenced", "deliveries", ["connection", "at"], unique=False, postgresql_where=condition,
        sqlite_where=condition,
    )  # fmt: skip
