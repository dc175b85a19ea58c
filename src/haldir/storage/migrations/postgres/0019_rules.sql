-- What rules measure within windows, and the reason for which a policy holds.
CREATE TABLE usage_window (
    tenant text NOT NULL,
    meter text NOT NULL,
    holder text NOT NULL,
    counts text NOT NULL,
    PRIMARY KEY (tenant, meter, holder)
);

ALTER TABLE approval ADD COLUMN rule_reason text NOT NULL DEFAULT '';
