-- Who made an agent was told its key: with four eyes it has no say in what the agent asks for.
ALTER TABLE agent ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
