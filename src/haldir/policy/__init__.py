"""Rules on calls, as pure functions; imports only kernel."""
