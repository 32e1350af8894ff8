"""INSEE's movements of communes, where a town imports them; digests of values under the key of their person, places
of held evidence under that of the hub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commune_files",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("imported_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # The keys are not known here: the hub puts the digests under them when it starts (`hub.citizens.values`).
    op.execute(
        "INSERT INTO counters (name, value) SELECT 'values-to-key', 1 WHERE EXISTS (SELECT 1 FROM citizen_values)"
    )
    # Where a held value lies was a digest without a key: what lies there is asked for again.
    op.execute("DELETE FROM evidence_held")
