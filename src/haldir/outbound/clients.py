"""The HTTP clients of the process: one for public addresses, one for those that may be private.

They are two so that a connection opened under the wider rule is never reused under the narrower one. Every
address that a name resolves to must pass, and the socket goes to the address that passed.
"""

import socket
from typing import Any, final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from haldir.outbound.addresses import refusal

CONNECTIONS_MAX = 1024  # Of each kind, open streams included; a call that finds no place in time fails cleanly.
KEEPALIVE_SECONDS = (
    4.0  # Less than the 5 s after which common servers close, so that we never write into a closing one.
)
DNS_SECONDS = 10
USER_AGENT = "haldir"


class ForbiddenAddress(OSError):
    """The address is none that may be reached."""


@final
class HttpClients:
    """Opened with the first request, so that they belong to the running loop; closed with the process."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def get(self, *, allow_private: bool) -> aiohttp.ClientSession:
        """Return the client that may, or may not, reach private addresses."""
        session = self._sessions.get(allow_private)
        if session is None:
            session = self._sessions[allow_private] = _new_session(allow_private=allow_private)
        return session

    async def close(self) -> None:
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()


def why_unreachable(error: Exception) -> str:
    """Say why, without telling what a name resolves to: whoever registers an address may not know that."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ForbiddenAddress):
        return "its address is none that this server may reach"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is unknown"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "the connection was refused"
    return "the connection could not be made in time"


class CheckedResolver(AbstractResolver):
    """Resolves names; refuses one if any of its addresses is refused."""

    def __init__(self, *, allow_private: bool) -> None:
        self._resolver = aiohttp.ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            _require_allowed(result["host"], allow_private=self._allow_private)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _new_session(*, allow_private: bool) -> aiohttp.ClientSession:
    def open_socket(target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        _require_allowed(str(address[0]), allow_private=allow_private)  # Also literal addresses, never resolved.
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(allow_private=allow_private),
        socket_factory=open_socket,
        limit=CONNECTIONS_MAX,
        keepalive_timeout=KEEPALIVE_SECONDS,
        ttl_dns_cache=DNS_SECONDS,
    )
    options: dict[str, Any] = {"trust_env": False, "auto_decompress": False}
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None),
        **options,
    )


def _require_allowed(address: str, *, allow_private: bool) -> None:
    if (reason := refusal(address, allow_private=allow_private)) is not None:
        raise ForbiddenAddress(reason)
