-- Webhooks speak to people as well: in which format, whether with links that decide, and who answers for those.
ALTER TABLE webhook ADD COLUMN format text NOT NULL DEFAULT 'haldir';
ALTER TABLE webhook ADD COLUMN links bigint NOT NULL DEFAULT 0;
ALTER TABLE webhook ADD COLUMN made_by text NOT NULL DEFAULT '';
