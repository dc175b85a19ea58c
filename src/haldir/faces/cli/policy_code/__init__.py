"""Policies as code: files that hold them, what would change, and the cases that test them."""
