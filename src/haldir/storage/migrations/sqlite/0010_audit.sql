-- Why an entry was refused, '' where it was allowed, and what pages of GET /v1/audit are read by. A condition that
-- every row meets still tells SQLite, which keeps no statistics, that the index is narrower than the primary key.
ALTER TABLE entry ADD COLUMN code TEXT NOT NULL DEFAULT '';
UPDATE entry SET code = coalesce(json_extract(CAST(body AS TEXT), '$.code'), '');
CREATE INDEX entry_refused ON entry (tenant, bundle, slot) WHERE code <> '';
CREATE INDEX entry_by_kind ON entry (tenant, kind, bundle, slot) WHERE kind <> '';
CREATE INDEX entry_by_tool ON entry (tenant, tool, bundle, slot) WHERE tool <> '';
-- Among the entries of one session or agent most are listed: those two cost more than they saved.
DROP INDEX IF EXISTS entry_listed_by_session;
DROP INDEX IF EXISTS entry_listed_by_agent;
