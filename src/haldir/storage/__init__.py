"""Rows in memory, SQLite and PostgreSQL."""
