-- The vault. Values and keys lie sealed in the table part; here is which of them there are.

CREATE TABLE secret (
    tenant text NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    scope_required text NOT NULL,
    upstreams text NOT NULL,
    exposure text NOT NULL CHECK (exposure IN ('inject', 'reveal')),
    created_at bigint NOT NULL,
    deleted_at bigint,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE secret_version (
    tenant text NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    digest text NOT NULL,
    key_version bigint NOT NULL CHECK (key_version >= 1),
    created_at bigint NOT NULL,
    erased_at bigint,
    PRIMARY KEY (tenant, name, version)
);
-- What a rotation wraps anew, and what it counts.
CREATE INDEX secret_version_kept ON secret_version (tenant, name, key_version) WHERE erased_at IS NULL;

CREATE TABLE tenant_key_versions (
    tenant text NOT NULL PRIMARY KEY,
    later text NOT NULL
);
