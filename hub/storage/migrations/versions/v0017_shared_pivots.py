"""Several citizens may have one pivot identity: two identifiers of one system are two people, however alike. An
identity that was told as a change of civil status says when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("citizens_pivot", "citizens")
    op.create_index("citizens_pivot", "citizens", ["tenant", "pivot"], unique=False)
    op.add_column("citizens", sa.Column("in_use", sa.String(length=16), nullable=True))
    op.add_column("citizen_identities", sa.Column("changed_at", sa.Double(), nullable=False, server_default="0"))
