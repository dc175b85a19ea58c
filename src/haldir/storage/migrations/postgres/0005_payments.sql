-- What payments are, beside their reservations.

CREATE TABLE payment (
    tenant text NOT NULL,
    id text NOT NULL,
    session_id text NOT NULL,
    agent_id text NOT NULL,
    description_digest text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX payment_by_session ON payment (tenant, session_id, id);
