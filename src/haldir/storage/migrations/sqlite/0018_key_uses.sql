-- When keys were last shown: beside the log, no command reads it.
CREATE TABLE key_use (
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, prefix)
) STRICT, WITHOUT ROWID;
