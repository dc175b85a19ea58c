-- The durable core and the first domains. Times are microseconds since the Unix epoch, money is micro-units,
-- a bool is 0 or 1, and what is no scalar is JSON text.

CREATE TABLE setting (
    name text NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

-- journal

CREATE TABLE head (
    tenant text NOT NULL PRIMARY KEY,
    size bigint NOT NULL CHECK (size >= 0),
    written_at bigint NOT NULL,
    checkpoint text NOT NULL
);

CREATE TABLE entry (
    tenant text NOT NULL,
    bundle bigint NOT NULL,
    slot bigint NOT NULL CHECK (slot BETWEEN 0 AND 255),
    op_id text NOT NULL,
    leaf bytea NOT NULL CHECK (length(leaf) = 32),
    body bytea NOT NULL,
    kind text NOT NULL,
    session_id text NOT NULL,
    agent_id text NOT NULL,
    tool text NOT NULL,
    PRIMARY KEY (tenant, bundle, slot)
);
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
    tenant text NOT NULL,
    level bigint NOT NULL,
    n bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (tenant, level, n)
);

CREATE TABLE part (
    tenant text NOT NULL,
    digest text NOT NULL,
    key_version bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, digest)
);

CREATE TABLE credential (
    tenant text NOT NULL,
    sha256 text NOT NULL UNIQUE,
    kind text NOT NULL,
    id text NOT NULL,
    PRIMARY KEY (tenant, sha256)
);

-- gate

CREATE TABLE tenant (
    tenant text NOT NULL PRIMARY KEY,
    name text NOT NULL,
    data_key_digest text NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE api_key (
    tenant text NOT NULL,
    prefix text NOT NULL,
    sha256 text NOT NULL,
    name text NOT NULL,
    scopes text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint,
    PRIMARY KEY (tenant, prefix)
);

CREATE TABLE agent (
    tenant text NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    scopes text NOT NULL,
    limit_micros bigint,
    ttl_seconds bigint NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint,
    session_id text,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE session (
    tenant text NOT NULL,
    id text NOT NULL,
    agent_id text NOT NULL,
    parent_id text,
    lineage text NOT NULL,
    token_sha256 text NOT NULL,
    scopes text NOT NULL,
    ttl_seconds bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    opened_by text NOT NULL,
    revoked_at bigint,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX session_by_age ON session (tenant, created_at, id);

-- ledger

CREATE TABLE budget (
    tenant text NOT NULL,
    holder text NOT NULL,
    limit_micros bigint CHECK (limit_micros >= 0),
    currency text NOT NULL,
    reserved_micros bigint NOT NULL CHECK (reserved_micros >= 0),
    spent_micros bigint NOT NULL CHECK (spent_micros >= 0),
    PRIMARY KEY (tenant, holder),
    CHECK (limit_micros IS NULL OR spent_micros + reserved_micros <= limit_micros)
);

CREATE TABLE reservation (
    tenant text NOT NULL,
    id text NOT NULL,
    session_id text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('call', 'payment')),
    currency text NOT NULL,
    micros bigint NOT NULL CHECK (micros >= 0),
    created_at bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('reserved', 'posted', 'voided')),
    posted_micros bigint NOT NULL CHECK (posted_micros BETWEEN 0 AND micros),
    resolved_at bigint,
    PRIMARY KEY (tenant, id)
);

-- proxy

CREATE TABLE upstream (
    tenant text NOT NULL,
    name text NOT NULL,
    transport text NOT NULL CHECK (transport IN ('http', 'stdio')),
    config_digest text NOT NULL,
    operator bigint NOT NULL CHECK (operator IN (0, 1)),
    tool_rules text NOT NULL,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE tool (
    tenant text NOT NULL,
    upstream text NOT NULL,
    name text NOT NULL,
    pinned_sha256 text NOT NULL,
    seen_sha256 text NOT NULL,
    pinned_at bigint NOT NULL,
    PRIMARY KEY (tenant, upstream, name)
);

CREATE TABLE policy (
    tenant text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    definition_digest text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE policy_epoch (
    tenant text NOT NULL PRIMARY KEY,
    epoch bigint NOT NULL
);

CREATE TABLE rate_window (
    tenant text NOT NULL,
    policy_id text NOT NULL,
    holder text NOT NULL,
    counts text NOT NULL,
    PRIMARY KEY (tenant, policy_id, holder)
);

CREATE TABLE call (
    tenant text NOT NULL,
    id text NOT NULL,
    session_id text NOT NULL,
    agent_id text NOT NULL,
    upstream text NOT NULL,
    tool text NOT NULL,
    arguments_digest text NOT NULL,
    price_micros bigint NOT NULL CHECK (price_micros >= 0),
    policy_epoch bigint NOT NULL,
    admitted_at bigint NOT NULL,
    deadline_at bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'posted', 'voided', 'indeterminate')),
    error text NOT NULL,
    result_digest text NOT NULL,
    settled_at bigint,
    resolved_by text NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- What the sweeper and a person look for: calls whose end is not known.
CREATE INDEX call_unresolved ON call (tenant, state, deadline_at) WHERE state IN ('open', 'indeterminate');
