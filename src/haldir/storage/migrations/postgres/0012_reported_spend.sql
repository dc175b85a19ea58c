-- What reported actions have cost in all, by who reported them and by tool; tool '' is everything.
CREATE TABLE reported_spend (
    tenant text NOT NULL,
    holder text NOT NULL,
    tool text NOT NULL,
    cost_micros bigint NOT NULL CHECK (cost_micros >= 0),
    actions bigint NOT NULL CHECK (actions >= 0),
    PRIMARY KEY (tenant, holder, tool)
);
