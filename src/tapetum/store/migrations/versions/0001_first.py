"""The first catalogue: series, instance, rejected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "series",
        sa.Column("series_instance_uid", sa.String(64), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), nullable=False, index=True),
        sa.Column("patient_key", sa.String(32), nullable=False, index=True),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("instances", sa.Integer, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
    )
    op.create_table(
        "instance",
        sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
        sa.Column(
            "series_instance_uid",
            sa.String(64),
            sa.ForeignKey("series.series_instance_uid"),
            nullable=False,
            index=True,
        ),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.Column("source_digest", sa.String(64), nullable=False, unique=True),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
    )
    op.create_table(
        "rejected",
        sa.Column("arrived", sa.String(64), primary_key=True),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("locator", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop them; the blobs stay."""
    for table in ("rejected", "instance", "series"):
        op.drop_table(table)
