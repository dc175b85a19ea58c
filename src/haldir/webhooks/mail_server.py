"""The operator's mail server: where letters go out, and which addresses they may have. Pure."""

import re
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from haldir.kernel.secret import Secret

Security = Literal["starttls", "tls", "none"]

PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
PORT_MAX = 65_535
ADDRESS_CHARS_MAX = 254  # RFC 5321 §4.5.3.1.3, without its angle brackets.
FIELDS = ("host", "port", "security", "user", "password", "from", "ca_file")
MAILTO = "mailto:"

# As HTML's <input type=email> takes them: nothing that could begin another header, address or command.
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server that takes letters from us. With `starttls` or `tls` its certificate must be trusted.

    `ca_file` is who is trusted for that, if not those whom the system trusts.
    """

    host: str
    port: int
    security: Security
    sender: str
    user: str = ""
    password: Secret[str] | None = None
    ca_file: str | None = None


def is_address(text: str) -> bool:
    """Tell whether this is one plain address, in ASCII."""
    return len(text) <= ADDRESS_CHARS_MAX and _ADDRESS.fullmatch(text) is not None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


def mail_server(given: Mapping[str, str]) -> MailServer:
    """Read a mail server from words under the names in FIELDS. Raises ValueError, which never repeats the password."""
    host, sender = given.get("host", ""), given.get("from", "")
    if not _HOST.fullmatch(host):
        raise ValueError("`host` is the name or the address of a server that takes mail")
    if not is_address(sender):
        raise ValueError("`from` is the plain address that letters come from, such as haldir@example.com")
    security = _security(given.get("security", "starttls"))
    user, password = given.get("user", ""), given.get("password", "")
    if bool(user) != bool(password):
        raise ValueError("`user` and the password go together")
    if user and security == "none":
        raise ValueError("a password would travel readable; choose the `security` starttls or tls")
    if not (user + password).isascii():
        raise ValueError("`user` and the password are ASCII, for mail servers read nothing else alike")
    return MailServer(
        host=host,
        port=_port(given.get("port"), security),
        security=security,
        sender=sender,
        user=user,
        password=Secret(password) if password else None,
        ca_file=given.get("ca_file"),
    )


def _security(text: str) -> Security:
    for security in get_args(Security):
        if security == text:
            return security  # type: ignore[no-any-return] # get_args knows no types.
    raise ValueError(f"`security` is one of {', '.join(get_args(Security))}")


def _port(text: str | None, security: Security) -> int:
    if text is None:
        return PORTS[security]
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:6]) <= PORT_MAX:
        raise ValueError(f"`port` is a number from 1 to {PORT_MAX}")
    return int(text)
