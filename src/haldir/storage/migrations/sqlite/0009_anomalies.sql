-- What anomaly rules are, and what they remember of agents.
CREATE TABLE anomaly_rules (
    tenant TEXT NOT NULL PRIMARY KEY,
    rules TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE activity (
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    acts TEXT NOT NULL,
    refusals TEXT NOT NULL,
    hours TEXT NOT NULL,
    quiet TEXT NOT NULL,
    PRIMARY KEY (tenant, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE tool_used (
    tenant TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent_id, tool)
) STRICT, WITHOUT ROWID;
