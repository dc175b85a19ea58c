"""Which Host and Origin a request may name: a web page must not reach Haldir through its reader's browser.

A page that rebinds its own name to this machine still sends that name as Host; a page from elsewhere sends
its origin. Addresses and localhost cannot be rebound, so they are fine as a Host.
"""

import ipaddress
from collections.abc import Mapping
from typing import final
from urllib.parse import urlsplit

from haldir.faces.mcp.faults import RpcFault
from haldir.proxy.message import INVALID_REQUEST

ANY = "*"
LOCALHOST = "localhost"


@final
class HostRules:
    """`hosts` are names without port beyond localhost and addresses; `origins` are whole origins; `*` is any."""

    def __init__(self, hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise RpcFault for a Host or an Origin that is not ours."""
        host = _hostname(f"//{headers.get('host', '')}")
        if ANY not in self._hosts and host not in self._hosts and not _is_fixed(host):
            raise RpcFault(421, INVALID_REQUEST, "Haldir does not answer to this Host; allow it in the configuration.")
        origin = headers.get("origin")
        if origin is None or ANY in self._origins or origin in self._origins:
            return
        if not (_is_loopback(host) and _is_loopback(_hostname(origin))):
            raise RpcFault(403, INVALID_REQUEST, "Pages of this Origin may not speak with Haldir.")


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_fixed(host: str) -> bool:
    return host == LOCALHOST or _address(host) is not None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == LOCALHOST or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
