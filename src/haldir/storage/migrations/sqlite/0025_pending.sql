-- How many approvals wait, of the tenant and of each session; and what an approver is shown beside them.

CREATE TABLE pending_count (
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    pending INTEGER NOT NULL CHECK (pending >= 0),
    asked INTEGER NOT NULL CHECK (asked >= pending),
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, holder)
) STRICT, WITHOUT ROWID;
INSERT INTO pending_count
SELECT tenant, '', count(CASE WHEN state = 'pending' THEN 1 END), count(*), 1 FROM approval GROUP BY tenant;
INSERT INTO pending_count
SELECT tenant, session_id, count(CASE WHEN state = 'pending' THEN 1 END), count(*), 1
FROM approval GROUP BY tenant, session_id;

CREATE INDEX approval_pending_of_agent ON approval (tenant, agent_id, id) WHERE state = 'pending';

-- The call of a tool that an agent made before another.
CREATE INDEX call_of_agent ON call (tenant, agent_id, upstream, tool, admitted_at);
