"""Which addresses an upstream or a webhook may have: the rules against server-side request forgery.

Public ones. Loopback and private ones only where the operator allows them; link-local, metadata, multicast,
unspecified and reserved ones never. An IPv6 address that carries an IPv4 one is judged by both.
"""

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from haldir.kernel.errors import InvalidRequest

Address = IPv4Address | IPv6Address
Reach = Literal["public", "private", "never"]

URL_CHARS_MAX = 2048  # Longer ones are refused by many servers, and no honest endpoint needs one.
SCHEMES = ("http", "https")

PRIVATE_V4 = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
NEVER_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # This host.
        "100.100.100.200/32",  # Metadata (Alibaba), inside shared address space.
        "168.63.129.16/32",  # Metadata (Azure), a public address.
        "169.254.0.0/16",  # Link-local, with most clouds' metadata.
        "192.0.0.0/24",  # Protocol assignments, with metadata (Oracle).
        "192.0.2.0/24",  # Documentation.
        "192.88.99.0/24",  # 6to4 relays.
        "198.18.0.0/15",  # Benchmarks.
        "198.51.100.0/24",  # Documentation.
        "203.0.113.0/24",  # Documentation.
        "224.0.0.0/4",  # Multicast.
        "240.0.0.0/4",  # Reserved, with broadcast.
    )
)
PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
NEVER_V6 = tuple(
    IPv6Network(block)
    for block in (
        "fd00:ec2::254/128",  # Metadata (AWS).
        "fd20:ce::254/128",  # Metadata (Google).
        "64:ff9b:1::/48",  # NAT64 with a network's own prefix: what it carries stands in no fixed place.
        "2001:db8::/32",  # Documentation.
        "3fff::/20",  # Documentation.
    )
)
GLOBAL_UNICAST = IPv6Network("2000::/3")
MAPPED = IPv6Network("::ffff:0:0/96")
TRANSLATED = IPv6Network("::ffff:0:0:0/96")
COMPATIBLE = IPv6Network("::/96")
NAT64 = IPv6Network("64:ff9b::/96")
ONLY_CARRIERS = (MAPPED, TRANSLATED, COMPATIBLE, NAT64)  # Whose own address says nothing beyond what it carries.
SIX_TO_FOUR = IPv6Network("2002::/16")
TEREDO = IPv6Network("2001::/32")
ISATAP_MARKS = (0x00005EFE, 0x02005EFE)  # The upper half of an interface identifier that carries IPv4.
LOW_32 = 0xFFFFFFFF


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Return why nothing that others named may be reached at this address, or None if it may."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address} is no IP address"
    match reach(parsed):
        case "public":
            return None
        case "private":
            return None if allow_private else f"{address} is a private address, which this server may not reach"
        case "never":
            return f"{address} is an address that this server never reaches"


def reach(address: Address) -> Reach:
    """Judge an address, and the IPv4 addresses inside it: the strictest verdict counts."""
    if isinstance(address, IPv4Address):
        return _reach_v4(address)
    verdicts = {_reach_v4(inner) for inner in _embedded(address)}
    if not verdicts or not any(address in network for network in ONLY_CARRIERS):
        verdicts.add(_reach_v6(address))
    return "never" if "never" in verdicts else "private" if "private" in verdicts else "public"


def check_url(url: str, *, allow_private: bool) -> str:
    """Return the URL if it may be registered; names are judged when they are resolved."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest(f"a URL is at most {URL_CHARS_MAX} printable ASCII characters without spaces", "url")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequest("this is no URL", "url") from None
    if parts.scheme not in SCHEMES or not host or port == 0:
        raise InvalidRequest("the URL must be http://host/… or https://host/…", "url")
    _check_parts(url, parts)
    if (reason := _literal_refusal(host, allow_private=allow_private)) is not None:
        raise InvalidRequest(reason, "url")
    return url


def _check_parts(url: str, parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise InvalidRequest("a URL must not hold a user or password", "url")
    if "#" in url:
        raise InvalidRequest("a URL must not have a fragment", "url")
    if "\\" in url:
        raise InvalidRequest("a URL must not have a backslash, which some read as a slash", "url")


def _literal_refusal(host: str, *, allow_private: bool) -> str | None:
    if ":" in host:
        return refusal(host, allow_private=allow_private)
    last = host.rstrip(".").rpartition(".")[2]
    if not last.isdigit() and not last.startswith("0x"):
        return None  # A name: its addresses are judged at each connection.
    try:
        IPv4Address(host)
    except ValueError:
        return f"{host} is a number that is no plain IPv4 address"
    return refusal(host, allow_private=allow_private)


def _reach_v4(address: IPv4Address) -> Reach:
    if any(address in network for network in NEVER_V4):
        return "never"
    return "private" if any(address in network for network in PRIVATE_V4) else "public"


def _reach_v6(address: IPv6Address) -> Reach:
    if any(address in network for network in NEVER_V6):
        return "never"
    if any(address in network for network in PRIVATE_V6):
        return "private"
    return "public" if address in GLOBAL_UNICAST else "never"


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    number = int(address)
    low = IPv4Address(number & LOW_32)
    if address in MAPPED or address in TRANSLATED or address in NAT64 or (address in COMPATIBLE and number > 1):
        yield low
    elif address in SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & LOW_32)
    elif address in TEREDO:
        yield IPv4Address(number >> 64 & LOW_32)
        yield IPv4Address(~number & LOW_32)
    if number >> 32 & LOW_32 in ISATAP_MARKS:
        yield low
