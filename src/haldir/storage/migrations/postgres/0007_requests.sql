-- Requests that their clients named by an Idempotency-Key, for 24 hours. Their answers lie sealed in the table part.

CREATE TABLE request (
    tenant text NOT NULL,
    digest text NOT NULL,
    body_digest text NOT NULL,
    op_id text NOT NULL,
    reserved_at bigint NOT NULL,
    holder text NOT NULL,
    held_until bigint NOT NULL,
    answer_digest text NOT NULL,
    PRIMARY KEY (tenant, digest)
);
-- What the sweep erases, oldest first.
CREATE INDEX request_by_age ON request (tenant, reserved_at);
