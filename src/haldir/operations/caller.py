"""Who asks: the credential that was presented, and what it may ask for."""

import msgspec

from haldir.journal.command import CredentialRef
from haldir.kernel.ids import TenantId


class Caller(msgspec.Struct, frozen=True):
    """An authenticated caller. `session_id` is the session it acts in: its own, or the one it named.

    `answers_for`, as `kind:id`, is the credential by whose power a link acts.
    """

    tenant: TenantId
    credential: CredentialRef
    key_scopes: tuple[str, ...] = ()
    session_id: str | None = None
    answers_for: str = ""

    @property
    def is_key(self) -> bool:
        """Tell whether this is an API key: agents and sessions act only as themselves."""
        return self.credential.kind == "key"
