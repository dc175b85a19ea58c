-- Under which op_ids an approval was decided and expired, so that its history leads to entries of the log.
ALTER TABLE approval ADD COLUMN decided_op text NOT NULL DEFAULT '';
ALTER TABLE approval ADD COLUMN expired_op text NOT NULL DEFAULT '';
