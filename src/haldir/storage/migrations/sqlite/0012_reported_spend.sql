-- What reported actions have cost in all, by who reported them and by tool; tool '' is everything.
CREATE TABLE reported_spend (
    tenant TEXT NOT NULL,
    holder TEXT NOT NULL,
    tool TEXT NOT NULL,
    cost_micros INTEGER NOT NULL CHECK (cost_micros >= 0),
    actions INTEGER NOT NULL CHECK (actions >= 0),
    PRIMARY KEY (tenant, holder, tool)
) STRICT, WITHOUT ROWID;
