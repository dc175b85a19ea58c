-- What rules measure within windows, and the reason for which a policy holds.
CREATE TABLE usage_window (
    tenant TEXT NOT NULL,
    meter TEXT NOT NULL,
    holder TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (tenant, meter, holder)
) STRICT, WITHOUT ROWID;

ALTER TABLE approval ADD COLUMN rule_reason TEXT NOT NULL DEFAULT '';
