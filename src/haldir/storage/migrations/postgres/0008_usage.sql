-- Sessions of one agent, and below one session.
CREATE INDEX session_by_agent ON session (tenant, agent_id, id);
CREATE INDEX session_by_parent ON session (tenant, parent_id, id) WHERE parent_id IS NOT NULL;
