-- Who made a key; '' where nobody did, or it was made before this was written down.
ALTER TABLE api_key ADD COLUMN created_by text NOT NULL DEFAULT '';
