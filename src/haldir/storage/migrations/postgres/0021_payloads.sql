-- What calls came with and were answered is kept for a time: since when, so that the sweep finds the oldest.
ALTER TABLE part ADD COLUMN kept_since bigint;
CREATE INDEX part_kept ON part (tenant, kept_since) WHERE kept_since IS NOT NULL;
