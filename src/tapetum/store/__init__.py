"""Adapters of the ports: SQLite catalogue, local blobs, Parquet tables, OME-Zarr volumes, local processes."""

from tapetum.store.blobs import LocalBlobs
from tapetum.store.catalogue import SqlCatalogue
from tapetum.store.cohort import COHORT_SCHEMA, CohortTable
from tapetum.store.database import migrate
from tapetum.store.engine import ProcessEngine, SerialEngine
from tapetum.store.journal import JournalledCatalogue, replay
from tapetum.store.linked import LinkedBlobs
from tapetum.store.s3 import S3Blobs
from tapetum.store.tables import OBSERVATION_SCHEMA, ObservationTable
from tapetum.store.volumes import Volumes, write_zarr

__all__ = [
    "COHORT_SCHEMA",
    "OBSERVATION_SCHEMA",
    "CohortTable",
    "JournalledCatalogue",
    "LinkedBlobs",
    "LocalBlobs",
    "ObservationTable",
    "ProcessEngine",
    "S3Blobs",
    "SerialEngine",
    "SqlCatalogue",
    "Volumes",
    "migrate",
    "replay",
    "write_zarr",
]
