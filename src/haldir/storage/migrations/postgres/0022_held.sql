-- How a held MCP call comes back to whoever bears the key.
ALTER TABLE api_key ADD COLUMN held text NOT NULL DEFAULT 'auto';
ALTER TABLE agent ADD COLUMN held text NOT NULL DEFAULT 'auto';
