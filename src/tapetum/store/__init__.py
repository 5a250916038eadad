"""Adapters of the ports: SQLite catalogue, local blobs, Parquet tables, local processes."""

from tapetum.store.blobs import LocalBlobs
from tapetum.store.catalogue import SqlCatalogue, migrate
from tapetum.store.engine import ProcessEngine, SerialEngine
from tapetum.store.tables import OBSERVATION_SCHEMA, ObservationTable

__all__ = [
    "OBSERVATION_SCHEMA",
    "LocalBlobs",
    "ObservationTable",
    "ProcessEngine",
    "SerialEngine",
    "SqlCatalogue",
    "migrate",
]
