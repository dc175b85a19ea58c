"""One request on its way through the transparent relay: who asks, in which session, of which upstream."""

from typing import Literal

import msgspec

from haldir.faces.mcp.faults import Header
from haldir.faces.mcp.header_rules import back_headers, onward_headers
from haldir.faces.mcp.reply import Reply
from haldir.faces.mcp.sealed_session import open_session, seal_session
from haldir.operations.caller import Caller
from haldir.proxy.exchange import SESSION_HEADER, Onward
from haldir.proxy.model import Upstream, UpstreamConfig
from haldir.proxy.pool import Channel
from haldir.vault.keyring import Keyring


class Asker(msgspec.Struct, frozen=True):
    """Who asks, and the session it acts in."""

    caller: Caller
    session_id: str


class Hop(msgspec.Struct, frozen=True):
    """What a request needs on its way. `upstream_session` is the upstream's own session id, unsealed."""

    asker: Asker
    upstream: Upstream
    config: UpstreamConfig
    channel: Channel
    headers: dict[str, str]
    reply: Reply
    upstream_session: str | None

    def onward(self, method: Literal["POST", "GET", "DELETE"], body: bytes = b"") -> Onward:
        """Return the request as the upstream gets it."""
        headers = onward_headers(self.headers)
        if self.upstream_session is not None:
            headers[SESSION_HEADER] = self.upstream_session
        return Onward(method, headers, body)

    def back(self, keyring: Keyring, headers: dict[str, str]) -> list[Header]:
        """Return the upstream's headers as the caller gets them, its session id sealed."""
        found = back_headers(headers)
        if SESSION_HEADER in headers:
            asker = self.asker
            sealed = seal_session(
                keyring, headers[SESSION_HEADER], asker.caller.tenant, asker.session_id, self.upstream.name
            )
            found.append((SESSION_HEADER.encode(), sealed.encode()))
        return found


def unsealed(keyring: Keyring, headers: dict[str, str], asker: Asker, upstream: str) -> str | None:
    """Return the upstream's session id that a caller presented, if any. Raises RpcFault for another's."""
    sealed = headers.get(SESSION_HEADER)
    if sealed is None:
        return None
    return open_session(keyring, sealed, asker.caller.tenant, asker.session_id, upstream)
