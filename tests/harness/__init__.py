"""A whole Haldir for tests, in a thread or as a process, and the clients that ask it."""
