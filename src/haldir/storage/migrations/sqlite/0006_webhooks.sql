-- Webhooks. Endpoints follow from the log; what was delivered to them stands beside it.

-- Which entries carry notices of any kind, for those who look for events.
ALTER TABLE entry ADD COLUMN noticed INTEGER NOT NULL DEFAULT 0;
-- Entries that may be events: all but everyday traffic, unless there is something to notice in it.
CREATE INDEX entry_news ON entry (tenant, bundle, slot) WHERE noticed = 1 OR kind NOT IN (
    'action.log', 'agent.session', 'call.admit', 'call.settle', 'payment.authorize', 'payment.capture', 'payment.void',
    'refusal.record', 'request.answer', 'request.forget', 'request.release', 'request.reserve', 'secret.reveal',
    'session.create'
);

CREATE TABLE webhook (
    tenant TEXT NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    events TEXT NOT NULL,
    url_digest TEXT NOT NULL,
    secret_digest TEXT NOT NULL,
    previous_secret_digest TEXT,
    previous_until INTEGER,
    created_at INTEGER NOT NULL,
    since_op TEXT NOT NULL,
    disabled_at INTEGER,
    disabled_reason TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_count (
    tenant TEXT NOT NULL PRIMARY KEY,
    last_id INTEGER NOT NULL,
    standing INTEGER NOT NULL CHECK (standing BETWEEN 0 AND last_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_progress (
    tenant TEXT NOT NULL,
    webhook_id INTEGER NOT NULL,
    since_op TEXT NOT NULL,
    place INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    failing_since INTEGER,
    delivered_count INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    leased_by TEXT NOT NULL,
    leased_until INTEGER NOT NULL,
    PRIMARY KEY (tenant, webhook_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_retry (
    tenant TEXT NOT NULL,
    webhook_id INTEGER NOT NULL,
    place INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, webhook_id, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_delivery (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    webhook_id INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    event TEXT NOT NULL,
    place INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status_code INTEGER,
    response_excerpt TEXT NOT NULL,
    error TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_delivery_by_event ON webhook_delivery (tenant, event_id, id);
