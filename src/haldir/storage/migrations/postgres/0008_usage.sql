-- Sessions of one agent, and below one session.
CREATE INDEX session_by_agent ON session (tenant, agent_id, id);
CREATE INDEX session_by_parent ON session (tenant, parent_id, id) WHERE parent_id IS NOT NULL;
-- Those that live, by when they end: counting them reads no others.
CREATE INDEX session_open ON session (tenant, expires_at) WHERE revoked_at IS NULL;

-- How much was done, by day, agent and tool.
CREATE TABLE tally (
    tenant text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('day', 'agent', 'tool')),
    name text NOT NULL,
    actions bigint NOT NULL,
    refused bigint NOT NULL,
    flagged bigint NOT NULL,
    spent_micros bigint NOT NULL,
    PRIMARY KEY (tenant, kind, name)
);
