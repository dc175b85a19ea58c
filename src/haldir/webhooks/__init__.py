"""Telling other programs what happened: endpoints, the events they hear, and how each delivery is signed and sent."""
