"""Keys and secrets: what is sealed, and by what."""
