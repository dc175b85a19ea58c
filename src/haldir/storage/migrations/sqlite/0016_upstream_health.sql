-- Whether upstreams were last said to be healthy, so that a change is told once.
CREATE TABLE upstream_health (
    tenant TEXT NOT NULL,
    upstream TEXT NOT NULL,
    healthy INTEGER NOT NULL CHECK (healthy IN (0, 1)),
    since INTEGER NOT NULL,
    PRIMARY KEY (tenant, upstream)
) STRICT, WITHOUT ROWID;
