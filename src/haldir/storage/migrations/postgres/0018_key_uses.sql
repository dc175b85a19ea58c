-- When keys were last shown: beside the log, no command reads it.
CREATE TABLE key_use (
    tenant text NOT NULL,
    prefix text NOT NULL,
    last_used_at bigint NOT NULL,
    PRIMARY KEY (tenant, prefix)
);
