-- The vault. Values and keys lie sealed in the table part; here is which of them there are.

CREATE TABLE secret (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    scope_required TEXT NOT NULL,
    upstreams TEXT NOT NULL,
    exposure TEXT NOT NULL CHECK (exposure IN ('inject', 'reveal')),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret_version (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    digest TEXT NOT NULL,
    key_version INTEGER NOT NULL CHECK (key_version >= 1),
    created_at INTEGER NOT NULL,
    erased_at INTEGER,
    PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
-- What a rotation wraps anew, and what it counts.
CREATE INDEX secret_version_kept ON secret_version (tenant, name, key_version) WHERE erased_at IS NULL;

CREATE TABLE tenant_key_versions (
    tenant TEXT NOT NULL PRIMARY KEY,
    later TEXT NOT NULL
) STRICT, WITHOUT ROWID;
