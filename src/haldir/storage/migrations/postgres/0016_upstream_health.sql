-- Whether upstreams were last said to be healthy, so that a change is told once.
CREATE TABLE upstream_health (
    tenant text NOT NULL,
    upstream text NOT NULL,
    healthy bigint NOT NULL CHECK (healthy IN (0, 1)),
    since bigint NOT NULL,
    PRIMARY KEY (tenant, upstream)
);
