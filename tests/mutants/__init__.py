"""Mutation testing of the rules: whether the laws and tests notice when one of them is broken."""
