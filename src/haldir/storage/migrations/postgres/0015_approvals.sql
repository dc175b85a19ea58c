-- What waits for a person: the rules that hold, the approvals, and which of them a request waits for.

CREATE TABLE approval_rules (
    tenant text NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    four_eyes bigint NOT NULL CHECK (four_eyes IN (0, 1)),
    rules text NOT NULL
);

CREATE TABLE approval (
    tenant text NOT NULL,
    id text NOT NULL,
    effect text NOT NULL CHECK (effect IN ('payment', 'call', 'ask')),
    session_id text NOT NULL,
    agent_id text NOT NULL,
    request_digest text NOT NULL,
    rules_version bigint NOT NULL,
    policy_epoch bigint NOT NULL,
    upstream text NOT NULL,
    tool text NOT NULL,
    action text NOT NULL,
    amount_micros bigint NOT NULL CHECK (amount_micros >= 0),
    currency text NOT NULL,
    details_digest text NOT NULL,
    rule_id text NOT NULL,
    rule_kind text NOT NULL,
    approvers bigint NOT NULL CHECK (approvers > 0),
    four_eyes bigint NOT NULL CHECK (four_eyes IN (0, 1)),
    asked_by text NOT NULL,
    openers text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used', 'expired')),
    votes text NOT NULL,
    decided_by text NOT NULL,
    decided_at bigint,
    note_digest text NOT NULL,
    used_at bigint,
    used_by text NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- What people are shown, newest first, and what the sweeper closes.
CREATE INDEX approval_pending ON approval (tenant, id) WHERE state = 'pending';
CREATE INDEX approval_overdue ON approval (tenant, expires_at) WHERE state IN ('pending', 'approved');

CREATE TABLE hold (
    tenant text NOT NULL,
    session_id text NOT NULL,
    request_digest text NOT NULL,
    approval_id text NOT NULL,
    PRIMARY KEY (tenant, session_id, request_digest)
);
