"""What Haldir says of itself to programs and people that never met it, drawn from the catalogue and the settings."""
