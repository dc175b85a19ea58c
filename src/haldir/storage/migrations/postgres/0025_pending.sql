-- How many approvals wait, of the tenant and of each session; and what an approver is shown beside them.

CREATE TABLE pending_count (
    tenant text NOT NULL,
    holder text NOT NULL,
    pending bigint NOT NULL CHECK (pending >= 0),
    asked bigint NOT NULL CHECK (asked >= pending),
    version bigint NOT NULL,
    PRIMARY KEY (tenant, holder)
);
INSERT INTO pending_count
SELECT tenant, '', count(CASE WHEN state = 'pending' THEN 1 END), count(*), 1 FROM approval GROUP BY tenant;
INSERT INTO pending_count
SELECT tenant, session_id, count(CASE WHEN state = 'pending' THEN 1 END), count(*), 1
FROM approval GROUP BY tenant, session_id;

-- Ids sort by time, byte by byte, whatever language the database speaks.
ALTER TABLE approval ALTER COLUMN id TYPE text COLLATE "C";
CREATE INDEX approval_pending_of_agent ON approval (tenant, agent_id, id) WHERE state = 'pending';

-- The call of a tool that an agent made before another.
CREATE INDEX call_of_agent ON call (tenant, agent_id, upstream, tool, admitted_at);
