"""The policy kinds, one module each."""
