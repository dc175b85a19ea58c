-- Requests that their clients named by an Idempotency-Key, for 24 hours. Their answers lie sealed in the table part.

CREATE TABLE request (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    op_id TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    answer_digest TEXT NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
-- What the sweep erases, oldest first.
CREATE INDEX request_by_age ON request (tenant, reserved_at);
