"""Where an upstream may be: public addresses, private ones if allowed, and some never, however they are written."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.errors import InvalidRequest
from haldir.outbound.addresses import check_url, reach, refusal

PUBLIC = (
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "100.63.255.255",
    "100.128.0.0",
    "172.32.0.1",
)
PRIVATE = (
    "127.0.0.1",
    "127.255.255.254",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
)
NEVER = (
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "fd00:ec2::254",
    "fd20:ce::254", "2001:db8::1", "64:ff9b:1::808:808", "100::1", "5f00::1",
)  # fmt: skip


@pytest.mark.parametrize(("addresses", "verdict"), [(PUBLIC, "public"), (PRIVATE, "private"), (NEVER, "never")])
def test_the_table_of_addresses(addresses: tuple[str, ...], verdict: str) -> None:
    for address in addresses:
        assert reach(ipaddress.ip_address(address.partition("%")[0])) == verdict, address
        assert (refusal(address, allow_private=False) is None) == (verdict == "public"), address
        assert (refusal(address, allow_private=True) is None) == (verdict != "never"), address


def carriers(inner: IPv4Address) -> dict[str, IPv6Address]:
    number = int(inner)
    return {
        "mapped": IPv6Address(f"::ffff:{inner}"),
        "translated": IPv6Address((0xFFFF << 48) | number),
        "NAT64": IPv6Address(f"64:ff9b::{inner}"),
        "6to4": IPv6Address((0x2002 << 112) | (number << 80) | 1),
        "Teredo client": IPv6Address((0x20010000 << 96) | (int(IPv4Address("8.8.8.8")) << 64) | (~number & 0xFFFFFFFF)),
        "Teredo server": IPv6Address((0x20010000 << 96) | (number << 64) | (~int(IPv4Address("8.8.8.8")) & 0xFFFFFFFF)),
        "ISATAP": IPv6Address((0x2606470047000000 << 64) | (0x5EFE << 32) | number),
    }


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_if_it_stood_alone(inner: IPv4Address) -> None:
    for kind, carrier in carriers(inner).items():
        assert reach(carrier) == reach(inner), (kind, carrier)


@given(st.ip_addresses(v=6))
def test_what_is_not_global_unicast_is_never_public_unless_it_carries_a_public_address(address: IPv6Address) -> None:
    if reach(address) == "public":
        assert address in ipaddress.ip_network("2000::/3") or reach(IPv4Address(int(address) & 0xFFFFFFFF)) == "public"


BAD_URLS = (
    "", "ftp://example.com/", "file:///etc/passwd", "//example.com", "example.com", "http://", "http:///path", "http://user@example.com/", "http://user:pw@example.com/",
    "http://example.com/#part", "http://example.com/#", "http://example.com:0/", "http://example.com:99999/", "http://example.com/a b", "http://example.com\\@evil.com/",
    "http://exämple.com/", "http://example.com/\n", "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/",
    "http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "http://[fe80::1%25eth0]/", "http://[::1", "http://example.com/" + "x" * 2048,
)  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_cannot_be_an_upstreams_is_refused_by_its_field(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, allow_private=False)
    assert refused.value.field == "url"


def test_urls_of_names_and_public_addresses_are_accepted_and_private_ones_where_allowed() -> None:
    for url in (
        "https://example.com/mcp",
        "http://example.com:8080/mcp?x=1",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:443/",
    ):
        assert check_url(url, allow_private=False) == url
    assert check_url("http://127.0.0.1:9000/mcp", allow_private=True)
    with pytest.raises(InvalidRequest):
        check_url("http://169.254.169.254/", allow_private=True)
