-- Which entries carry a notice of an anomaly: GET /v1/audit?flagged=true reads by it.
ALTER TABLE entry ADD COLUMN flagged bigint NOT NULL DEFAULT 0;
CREATE INDEX entry_flagged ON entry (tenant, bundle, slot) WHERE flagged = 1;
