"""Conditions of rules: one module for each kind of leaf, and the tree that they stand in."""
