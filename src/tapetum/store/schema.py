"""The catalogue's tables (SQLAlchemy Core). Every UID and key in them is a pseudonym. Migrations stand beside it."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

__all__ = ["instance", "metadata", "rejected", "series"]

metadata = MetaData()

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("patient_key", String(32), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("role", String(8), nullable=False),
    Column("site", String(64), nullable=False),
    Column("format", String(8), nullable=False),
    Column("instances", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Index("ix_series_patient_key", "patient_key"),
    Index("ix_series_study_instance_uid", "study_instance_uid"),
)

instance = Table(
    "instance",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("series_instance_uid", String(64), ForeignKey("series.series_instance_uid"), nullable=False),
    Column("blob", String(64), nullable=False),
    Column("source_digest", String(64), nullable=False, unique=True),
    Column("size_bytes", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
    Index("ix_instance_series_instance_uid", "series_instance_uid"),
)

rejected = Table(
    "rejected",
    metadata,
    Column("arrived", String(64), primary_key=True),
    Column("code", String(32), nullable=False),
    Column("message", String, nullable=False),
    Column("locator", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
)
