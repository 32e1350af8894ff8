"""What each reader knows of each field of each person, in place of digests that were the same for all of them."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The digests of values say nothing of what each reader sees of them: what is told again is judged anew.
    op.drop_table("citizen_values")
    op.execute("DELETE FROM counters WHERE name = 'values-to-key'")
    op.create_table(
        "citizen_news",
        sa.Column("citizen_id", sa.String(length=36), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("citizen_id", "field"),
    )
    _forget_moved_values()


def _forget_moved_values() -> None:
    """What a merge remembers of digests that are no more."""
    merges = sa.table("citizen_merges", sa.column("gone_id", sa.String()), sa.column("moved", sa.Text()))
    sql = op.get_bind()
    for row in sql.execute(sa.select(merges).where(merges.c.moved.contains('"values"'))).all():
        moved = {name: one for name, one in json.loads(row.moved).items() if name != "values"}
        told = sa.update(merges).where(merges.c.gone_id == row.gone_id).values(moved=json.dumps(moved))
        sql.execute(told)
