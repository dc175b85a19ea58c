-- The durable core and the first domains. Times are microseconds since the Unix epoch, money is micro-units,
-- a bool is 0 or 1, and what is no scalar is JSON text.

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- journal

CREATE TABLE head (
    tenant TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    written_at INTEGER NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
    tenant TEXT NOT NULL,
    bundle INTEGER NOT NULL,
    slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 255),
    op_id TEXT NOT NULL,
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    body BLOB NOT NULL,
    kind TEXT NOT NULL,
    session_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    PRIMARY KEY (tenant, bundle, slot)
) STRICT;
CREATE UNIQUE INDEX entry_op_id ON entry (tenant, op_id);
-- Newest-first pages of the log, of all kinds and of those that GET /v1/audit lists by default.
CREATE INDEX entry_by_session ON entry (tenant, session_id, bundle, slot) WHERE session_id <> '';
CREATE INDEX entry_by_agent ON entry (tenant, agent_id, bundle, slot) WHERE agent_id <> '';
CREATE INDEX entry_listed ON entry (tenant, bundle, slot) WHERE kind IN ('action.log', 'call.admit');
CREATE INDEX entry_listed_by_session ON entry (tenant, session_id, bundle, slot)
    WHERE kind IN ('action.log', 'call.admit');
CREATE INDEX entry_listed_by_agent ON entry (tenant, agent_id, bundle, slot)
    WHERE kind IN ('action.log', 'call.admit');

CREATE TABLE tile (
    tenant TEXT NOT NULL,
    level INTEGER NOT NULL,
    n INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (tenant, level, n)
) STRICT;

CREATE TABLE part (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE credential (
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tenant, sha256)
) STRICT, WITHOUT ROWID;

-- gate

CREATE TABLE tenant (
    tenant TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    data_key_digest TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (tenant, prefix)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    scopes TEXT NOT NULL,
    limit_micros INTEGER,
    ttl_seconds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    session_id TEXT,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    parent_id TEXT,
    lineage TEXT NOT NULL,
    token_sha256 TEXT NOT NULL,
    scopes TEXT NOT NULL,
    ttl_seconds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    opened_by TEXT NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX session_by_age ON session (tenant, created_at, id);

-- ledger

CREATE TABLE budget (
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    limit_micros INTEGER CHECK (limit_micros >= 0),
    currency TEXT NOT NULL,
    reserved_micros INTEGER NOT NULL CHECK (reserved_micros >= 0),
    spent_micros INTEGER NOT NULL CHECK (spent_micros >= 0),
    PRIMARY KEY (tenant, holder),
    CHECK (limit_micros IS NULL OR spent_micros + reserved_micros <= limit_micros)
) STRICT, WITHOUT ROWID;

CREATE TABLE reservation (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('call', 'payment')),
    currency TEXT NOT NULL,
    micros INTEGER NOT NULL CHECK (micros >= 0),
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'posted', 'voided')),
    posted_micros INTEGER NOT NULL CHECK (posted_micros BETWEEN 0 AND micros),
    resolved_at INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- proxy

CREATE TABLE upstream (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    transport TEXT NOT NULL CHECK (transport IN ('http', 'stdio')),
    config_digest TEXT NOT NULL,
    operator INTEGER NOT NULL CHECK (operator IN (0, 1)),
    tool_rules TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tool (
    tenant TEXT NOT NULL,
    upstream TEXT NOT NULL,
    name TEXT NOT NULL,
    pinned_sha256 TEXT NOT NULL,
    seen_sha256 TEXT NOT NULL,
    pinned_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    definition_digest TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_epoch (
    tenant TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rate_window (
    tenant TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (tenant, policy_id, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE call (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    upstream TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments_digest TEXT NOT NULL,
    price_micros INTEGER NOT NULL CHECK (price_micros >= 0),
    policy_epoch INTEGER NOT NULL,
    admitted_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'posted', 'voided', 'indeterminate')),
    error TEXT NOT NULL,
    result_digest TEXT NOT NULL,
    settled_at INTEGER,
    resolved_by TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
-- What the sweeper and a person look for: calls whose end is not known.
CREATE INDEX call_unresolved ON call (tenant, state, deadline_at) WHERE state IN ('open', 'indeterminate');
