"""One session of an agent, as `HaldirClient.session` opens it."""

from typing import Any

from haldir.client import types
from haldir.client.methods import Methods


class Session:
    """What may be done in one session. Its `token` is the credential of this run: hand that to the agent."""

    def __init__(self, haldir: Methods, opened: types.SessionCreated) -> None:
        self._haldir, self.id, self.token, self.scopes = haldir, opened["session_id"], opened["token"], opened["scopes"]

    def __repr__(self) -> str:
        return f"Session({self.id!r})"

    def show(self) -> types.SessionShown:
        """Return what the session may do and what it has left."""
        return self._haldir.get_session(self.id)

    def may(self, scope: str) -> bool:
        """Tell whether the session has a scope and is alive."""
        return self._haldir.check_permission(self.id, scope)["allowed"]

    def secret(self, name: str) -> str:
        """Return a secret's value; a value that is only ever injected comes as its reference."""
        return self._haldir.get_secret(name, self.id)["value"]

    def pay(self, amount: float, currency: str = "USD", description: str = "") -> types.PaymentAuthorizedShown:
        """Spend from the session's budget; raises HaldirPermissionError if it is refused."""
        return self._haldir.authorize_payment(self.id, amount, currency, description)

    def log(self, action: str, tool: str = "", cost_usd: float = 0.0, details: Any = None) -> types.ActionLogged:
        """Enter into the log what the agent did."""
        return self._haldir.log_action(self.id, tool, action, cost_usd, details)
