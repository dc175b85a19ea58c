"""To come: settings."""
