-- What anomaly rules are, and what they remember of agents.
CREATE TABLE anomaly_rules (
    tenant text NOT NULL PRIMARY KEY,
    rules text NOT NULL
);

CREATE TABLE activity (
    tenant text NOT NULL,
    holder text NOT NULL,
    acts text NOT NULL,
    refusals text NOT NULL,
    hours text NOT NULL,
    quiet text NOT NULL,
    PRIMARY KEY (tenant, holder)
);

CREATE TABLE tool_used (
    tenant text NOT NULL,
    agent_id text NOT NULL,
    tool text NOT NULL,
    first_at bigint NOT NULL,
    PRIMARY KEY (tenant, agent_id, tool)
);
