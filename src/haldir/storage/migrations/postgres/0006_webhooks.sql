-- Webhooks. Endpoints follow from the log; what was delivered to them stands beside it.

-- Which entries carry notices of any kind, for those who look for events.
ALTER TABLE entry ADD COLUMN noticed bigint NOT NULL DEFAULT 0;
-- Entries that may be events: all but everyday traffic, unless there is something to notice in it.
CREATE INDEX entry_news ON entry (tenant, bundle, slot) WHERE noticed = 1 OR kind NOT IN (
    'action.log', 'agent.session', 'call.admit', 'call.settle', 'payment.authorize', 'payment.capture', 'payment.void',
    'refusal.record', 'request.answer', 'request.forget', 'request.release', 'request.reserve', 'secret.reveal',
    'session.create'
);

CREATE TABLE webhook (
    tenant text NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    events text NOT NULL,
    url_digest text NOT NULL,
    secret_digest text NOT NULL,
    previous_secret_digest text,
    previous_until bigint,
    created_at bigint NOT NULL,
    since_op text NOT NULL,
    disabled_at bigint,
    disabled_reason text NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE webhook_count (
    tenant text NOT NULL PRIMARY KEY,
    last_id bigint NOT NULL,
    standing bigint NOT NULL CHECK (standing BETWEEN 0 AND last_id)
);

CREATE TABLE webhook_progress (
    tenant text NOT NULL,
    webhook_id bigint NOT NULL,
    since_op text NOT NULL,
    place bigint NOT NULL,
    attempts bigint NOT NULL,
    failures bigint NOT NULL,
    retry_at bigint NOT NULL,
    failing_since bigint,
    delivered_count bigint NOT NULL,
    failed_count bigint NOT NULL,
    leased_by text NOT NULL,
    leased_until bigint NOT NULL,
    PRIMARY KEY (tenant, webhook_id)
);

CREATE TABLE webhook_retry (
    tenant text NOT NULL,
    webhook_id bigint NOT NULL,
    place bigint NOT NULL,
    attempts bigint NOT NULL,
    retry_at bigint NOT NULL,
    PRIMARY KEY (tenant, webhook_id, place)
);

CREATE TABLE webhook_delivery (
    tenant text NOT NULL,
    id text NOT NULL,
    webhook_id bigint NOT NULL,
    event_id text NOT NULL,
    event text NOT NULL,
    place bigint NOT NULL,
    attempt bigint NOT NULL,
    status_code bigint,
    response_excerpt text NOT NULL,
    error text NOT NULL,
    duration_ms bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX webhook_delivery_by_event ON webhook_delivery (tenant, event_id, id);
