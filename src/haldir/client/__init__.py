"""The client side of Haldir; imports nothing else of it."""

from haldir.client.connection import Connection
from haldir.client.errors import ClientError, ServerFailed, TurnedDown, Unreachable

__all__ = ["ClientError", "Connection", "ServerFailed", "TurnedDown", "Unreachable"]
