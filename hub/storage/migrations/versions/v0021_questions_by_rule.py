"""Questions about people that are answered by the thousand: samples, acts, and what each act did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "question_samples", sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("group_id", sa.String(length=12), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=False), sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("population", sa.Integer(), nullable=False), sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("drawn_at", sa.Double(), nullable=False),
        sa.Column("drawn_by", sa.String(length=128), nullable=False),
        sa.Column("act_id", sa.String(length=12), nullable=True), sa.PrimaryKeyConstraint("id"),
    )  # fmt: skip
    op.create_index("question_samples_group", "question_samples", ["group_id", "drawn_at"], unique=False)
    op.create_index("question_samples_age", "question_samples", ["drawn_at"], unique=False)
    op.create_table(
        "question_sample_members", sa.Column("sample_id", sa.String(length=12), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False), sa.Column("review_id", sa.String(length=32), nullable=False),
        sa.Column("answer", sa.String(length=8), nullable=True),
        sa.Column("answered_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("sample_id", "place"),
    )  # fmt: skip
    op.create_index("question_sample_members_review", "question_sample_members", ["review_id"], unique=False)
    op.create_table(
        "question_acts", sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("sample_id", sa.String(length=12), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.String(length=8), nullable=False),
        sa.Column("doubles", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False), sa.Column("after_at", sa.Double(), nullable=False),
        sa.Column("after_id", sa.String(length=32), nullable=False), sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("started_by", sa.String(length=128), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True), sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sample_id"),
    )  # fmt: skip
    op.create_index("question_acts_age", "question_acts", ["started_at"], unique=False)
    op.create_table(
        "question_answers", sa.Column("act_id", sa.String(length=12), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False), sa.Column("review_id", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("gone_id", sa.String(length=36), nullable=True), sa.Column("at", sa.Double(), nullable=False),
        sa.Column("undone", sa.String(length=8), nullable=True), sa.PrimaryKeyConstraint("act_id", "place"),
    )  # fmt: skip
    op.create_index("question_answers_gone", "question_answers", ["gone_id"], unique=False)
