-- What waits for a person: the rules that hold, the approvals, and which of them a request waits for.

CREATE TABLE approval_rules (
    tenant TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    four_eyes INTEGER NOT NULL CHECK (four_eyes IN (0, 1)),
    rules TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE approval (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    effect TEXT NOT NULL CHECK (effect IN ('payment', 'call', 'ask')),
    session_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    rules_version INTEGER NOT NULL,
    policy_epoch INTEGER NOT NULL,
    upstream TEXT NOT NULL,
    tool TEXT NOT NULL,
    action TEXT NOT NULL,
    amount_micros INTEGER NOT NULL CHECK (amount_micros >= 0),
    currency TEXT NOT NULL,
    details_digest TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    rule_kind TEXT NOT NULL,
    approvers INTEGER NOT NULL CHECK (approvers > 0),
    four_eyes INTEGER NOT NULL CHECK (four_eyes IN (0, 1)),
    asked_by TEXT NOT NULL,
    openers TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used', 'expired')),
    votes TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at INTEGER,
    note_digest TEXT NOT NULL,
    used_at INTEGER,
    used_by TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
-- What people are shown, newest first, and what the sweeper closes.
CREATE INDEX approval_pending ON approval (tenant, id) WHERE state = 'pending';
CREATE INDEX approval_overdue ON approval (tenant, expires_at) WHERE state IN ('pending', 'approved');

CREATE TABLE hold (
    tenant TEXT NOT NULL,
    session_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    approval_id TEXT NOT NULL,
    PRIMARY KEY (tenant, session_id, request_digest)
) STRICT, WITHOUT ROWID;
