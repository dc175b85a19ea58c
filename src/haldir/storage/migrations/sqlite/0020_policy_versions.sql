-- Since when a policy says what it says, what policies said before, and each version of the whole set.

ALTER TABLE policy ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN since_epoch INTEGER NOT NULL DEFAULT 0;

CREATE TABLE past_policy (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    since_epoch INTEGER NOT NULL,
    until_epoch INTEGER NOT NULL CHECK (until_epoch > since_epoch),
    kind TEXT NOT NULL,
    definition_digest TEXT NOT NULL,
    place INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id, since_epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_policy_until ON past_policy (tenant, until_epoch);

CREATE TABLE policy_version (
    tenant TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    put_count INTEGER NOT NULL,
    removed_count INTEGER NOT NULL,
    restores INTEGER NOT NULL,
    PRIMARY KEY (tenant, epoch)
) STRICT, WITHOUT ROWID;
