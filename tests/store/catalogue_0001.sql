-- The catalogue as migration 0001 left it.
CREATE TABLE rejected (
  arrived VARCHAR(64) NOT NULL,
  code VARCHAR(32) NOT NULL,
  message VARCHAR NOT NULL,
  locator BLOB NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (arrived)
);
CREATE TABLE series (
  series_instance_uid VARCHAR(64) NOT NULL,
  study_instance_uid VARCHAR(64) NOT NULL,
  patient_key VARCHAR(32) NOT NULL,
  modality VARCHAR(16) NOT NULL,
  role VARCHAR(8) NOT NULL,
  site VARCHAR(64) NOT NULL,
  format VARCHAR(8) NOT NULL,
  instances INTEGER NOT NULL,
  attributes JSON NOT NULL,
  PRIMARY KEY (series_instance_uid)
);
CREATE INDEX ix_series_patient_key ON series (patient_key);
CREATE INDEX ix_series_study_instance_uid ON series (study_instance_uid);
CREATE TABLE instance (
  sop_instance_uid VARCHAR(64) NOT NULL,
  series_instance_uid VARCHAR(64) NOT NULL,
  blob VARCHAR(64) NOT NULL,
  source_digest VARCHAR(64) NOT NULL,
  size_bytes INTEGER NOT NULL,
  attributes JSON NOT NULL,
  PRIMARY KEY (sop_instance_uid),
  FOREIGN KEY(series_instance_uid) REFERENCES series (series_instance_uid),
  UNIQUE (source_digest)
);
CREATE INDEX ix_instance_series_instance_uid ON instance (series_instance_uid);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0001');
