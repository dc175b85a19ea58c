-- Since when a policy says what it says, what policies said before, and each version of the whole set.

ALTER TABLE policy ADD COLUMN place bigint NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN since_epoch bigint NOT NULL DEFAULT 0;

CREATE TABLE past_policy (
    tenant text NOT NULL,
    id text NOT NULL,
    since_epoch bigint NOT NULL,
    until_epoch bigint NOT NULL CHECK (until_epoch > since_epoch),
    kind text NOT NULL,
    definition_digest text NOT NULL,
    place bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, id, since_epoch)
);
CREATE INDEX past_policy_until ON past_policy (tenant, until_epoch);

CREATE TABLE policy_version (
    tenant text NOT NULL,
    epoch bigint NOT NULL,
    changed_at bigint NOT NULL,
    changed_by text NOT NULL,
    put_count bigint NOT NULL,
    removed_count bigint NOT NULL,
    restores bigint NOT NULL,
    PRIMARY KEY (tenant, epoch)
);
