"""Patient and study have tables, what is asked for has columns, and texts are searched by trigrams."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROWS = 1000

TEXTS = {
    "patient": ("patient_key", "patient_name", "name_key", "birth_date", "sex"),
    "study": (
        "study_instance_uid", "patient_key", "study_date", "study_time", "accession_number", "study_id", "description",
        "referring_physician", "referring_key", "modalities",
    ),
    "series": (
        "series_instance_uid", "study_instance_uid", "patient_key", "study_date", "study_time", "modality",
        "description", "body_part", "manufacturer", "model", "laterality", "sop_class_uid", "site", "format", "role",
    ),
    "instance": (
        "sop_instance_uid", "series_instance_uid", "sop_class_uid", "transfer_syntax_uid", "blob", "source_digest",
        "pixel_digest",
    ),
}  # fmt: skip
NUMBERS = {
    "patient": ("studies", "words"),
    "study": ("id", "series", "instances", "words"),
    "series": ("id", "study_id", "instances", "words", "scanner"),
    "instance": ("size_bytes",),
}
UNKNOWN = {"series": ("number",), "instance": ("number", "rows", "columns", "bits_allocated", "frames")}
KEYS = {"patient": "patient_key", "study": "id", "series": "id", "instance": "sop_instance_uid"}
UNIQUE = {
    "study": ("study_instance_uid", "patient_key"),
    "series": ("series_instance_uid",),
    "instance": ("source_digest",),
}
CARRIED = {
    "StudyDate": "study_date",
    "StudyDescription": "study_description",
    "PatientSex": "sex",
    "SeriesDescription": "description",
    "BodyPartExamined": "body_part",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "Laterality": "laterality",
    "SOPClassUID": "sop_class_uid",
}
"""Attributes of the first catalogue's series that get a column."""

ASKED = "modality, body_part, study_date, study_time, patient_key, study_id, number, id"
INDEXES = {
    "ix_patient_name_key": ("patient", "name_key"),
    "ix_patient_words": ("patient", "words"),
    "ix_study_accession_number": ("study", "accession_number"),
    "ix_study_words": ("study", "words"),
    "ix_study_of_patient": ("study", "patient_key, study_date DESC, study_time DESC, id"),
    "ix_study_newest": ("study", "study_date DESC, study_time DESC, patient_key, id"),
    "ix_series_study": ("series", "study_id, number"),
    "ix_series_of_patient": ("series", "patient_key, study_date DESC, study_time DESC, study_id, number, id"),
    "ix_series_newest": ("series", "study_date DESC, study_time DESC, patient_key, study_id, number, id"),
    "ix_series_asked": ("series", ASKED),
    "ix_series_words": ("series", f"words, {ASKED}"),
    "ix_series_scanner": ("series", f"scanner, {ASKED}"),
    "ix_instance_series": ("instance", "series_instance_uid, number"),
}


def upgrade() -> None:
    """Put the first catalogue's rows aside, make the tables, and write the rows into them."""
    for table in ("series", "instance"):
        op.rename_table(table, f"old_{table}")
    for table in TEXTS:
        _create(table)
    op.create_table(
        "term", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", BYTEWISE, nullable=False, unique=True)
    )
    _search_by_trigrams()
    op.add_column("rejected", sa.Column("blob", BYTEWISE, nullable=False, server_default=""))
    _carry_over()
    for table in ("instance", "series"):
        op.drop_table(f"old_{table}")
    for name, (table, columns) in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {table} ({columns})")


def downgrade() -> None:
    """There is no way back to two tables; restore a copy of the catalogue instead."""
    raise NotImplementedError("restore a copy of the catalogue that was made before")


def _create(table: str) -> None:
    op.create_table(
        table,
        *(sa.Column(name, BYTEWISE, nullable=False, primary_key=name == KEYS[table]) for name in TEXTS[table]),
        *(sa.Column(name, sa.Integer, nullable=False, primary_key=name == "id") for name in NUMBERS[table]),
        *(sa.Column(name, sa.Integer, nullable=True) for name in UNKNOWN.get(table, ())),
        sa.Column("attributes", sa.JSON, nullable=False),
        *([sa.UniqueConstraint(*UNIQUE[table], name=f"uq_{table}")] if table in UNIQUE else []),
    )


def _search_by_trigrams() -> None:
    """SQLite: a full-text table that a trigger keeps up. PostgreSQL: an index, where the extension can be had."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE term_trigram USING fts5(text, content='term', content_rowid='id', tokenize='trigram')"
        )
        op.execute(
            "CREATE TRIGGER term_is_searched AFTER INSERT ON term BEGIN "
            "INSERT INTO term_trigram (rowid, text) VALUES (new.id, new.text); END"
        )
        return
    try:
        with connection.begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            op.execute("CREATE INDEX ix_term_trigram ON term USING gin (text gin_trgm_ops)")
    except sa.exc.DBAPIError:
        return  # without the extension, or the right to make it, each different text is looked at: slower, as right


def _carry_over() -> None:
    connection = op.get_bind()
    attributes = sa.Column("attributes", sa.JSON)
    old_series = sa.table(
        "old_series", *map(sa.column, ("series_instance_uid", "study_instance_uid", "patient_key", "modality")),
        *map(sa.column, ("role", "site", "format", "instances")), attributes,
    )  # fmt: skip
    old_instance = sa.table(
        "old_instance", *map(sa.column, ("sop_instance_uid", "series_instance_uid", "blob", "source_digest")),
        sa.column("size_bytes"), sa.column("attributes", sa.JSON),
    )  # fmt: skip
    above = _Above()
    for row in connection.execute(sa.select(old_series)).mappings():
        above.add(dict(row))
    for table, rows in above.rows.items():
        _insert(connection, table, rows)
    found = connection.execute(sa.select(old_instance).order_by(old_instance.c.sop_instance_uid)).mappings()
    for some in found.partitions(ROWS):
        _insert(connection, "instance", [_instance(dict(row)) for row in some])


class _Above:
    """Patients, studies, series and terms out of the first catalogue's series."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"term": [], "patient": [], "study": [], "series": []}
        self._terms: dict[str, int] = {}
        self._patients: dict[str, dict[str, Any]] = {}
        self._studies: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, old: dict[str, Any]) -> None:
        """Take in one series of the first catalogue."""
        rest = dict(old["attributes"])
        said = {column: str(rest.pop(keyword, "")) for keyword, column in CARRIED.items()}
        study = self._study(old, said, rest)
        study["series"] += 1
        study["instances"] += old["instances"]
        there = {one for one in (*study["modalities"].split("\\"), old["modality"]) if one}
        study["modalities"] = "\\".join(["", *sorted(there), ""]) if there else "\\"
        rest.pop("Modality", None)
        same = ("series_instance_uid", "study_instance_uid", "patient_key", "modality", "role", "site", "format")
        texts = (study["description"], said["description"], str(rest.get("ProtocolName", "")), said["body_part"])
        row = _blank("series") | {name: old[name] for name in (*same, "instances")}
        row |= {name: said[name] for name in CARRIED.values() if name in row}
        row |= {
            "id": len(self.rows["series"]) + 1,
            "study_id": study["id"],
            "study_date": study["study_date"],
            "words": self._term("\n".join(texts)),
            "scanner": self._term(f"{said['manufacturer']}\n{said['model']}"),
            "attributes": rest,
        }
        self.rows["series"].append(row)

    def _study(self, old: dict[str, Any], said: dict[str, str], rest: dict[str, Any]) -> dict[str, Any]:
        key, uid = old["patient_key"], old["study_instance_uid"]
        if key not in self._patients:
            self._patients[key] = _blank("patient") | {
                "patient_key": key,
                "sex": said["sex"],
                "words": self._term(f" \n{key}"),
            }
            self.rows["patient"].append(self._patients[key])
        age = {"PatientAge": rest.pop("PatientAge")} if "PatientAge" in rest else {}
        if (uid, key) not in self._studies:
            self._patients[key]["studies"] += 1
            self._studies[uid, key] = _blank("study") | {
                "id": len(self._studies) + 1,
                "study_instance_uid": uid,
                "patient_key": key,
                "study_date": said["study_date"],
                "description": said["study_description"],
                "modalities": "\\",
                "words": self._term(f" \n{said['study_description']}"),
                "attributes": age,
            }
            self.rows["study"].append(self._studies[uid, key])
        return self._studies[uid, key]

    def _term(self, text: str) -> int:
        text = text.casefold()
        if text not in self._terms:
            self._terms[text] = len(self._terms) + 1
            self.rows["term"].append({"id": self._terms[text], "text": text})
        return self._terms[text]


def _instance(old: dict[str, Any]) -> dict[str, Any]:
    said = old["attributes"]
    number = str(said.get("InstanceNumber", ""))
    fits = number.isdecimal() and str(int(number)) == number
    same = ("sop_instance_uid", "series_instance_uid", "blob", "source_digest", "size_bytes")
    return {name: old[name] for name in same} | {
        "sop_class_uid": str(said.get("SOPClassUID", "")),
        "number": int(number) if fits else None,
        "rows": None,
        "columns": None,
        "bits_allocated": None,
        "frames": None,
        "transfer_syntax_uid": "",
        "pixel_digest": str(said.get("pixel_digest", "")),
        "attributes": {} if fits or not number else {"InstanceNumber": number},
    }


def _blank(table: str) -> dict[str, Any]:
    texts, numbers = dict.fromkeys(TEXTS[table], ""), dict.fromkeys(NUMBERS[table], 0)
    return {**texts, **numbers, **dict.fromkeys(UNKNOWN.get(table, ())), "attributes": {}}


def _insert(connection: sa.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = [sa.column(name, sa.JSON) if name == "attributes" else sa.column(name) for name in rows[0]]
    for start in range(0, len(rows), ROWS):
        connection.execute(sa.insert(sa.table(table, *columns)), rows[start : start + ROWS])
    if "id" in rows[0] and connection.dialect.name == "postgresql":
        newest = f"SELECT max(id) FROM {table}"  # noqa: S608 - one of our tables
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), ({newest}))")
