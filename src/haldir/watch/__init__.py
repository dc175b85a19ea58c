"""The log as people read it: searched, verified, proven."""
