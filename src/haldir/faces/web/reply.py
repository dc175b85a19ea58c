"""What goes back to a browser, and the headers that keep a page to itself."""

import msgspec
from starlette.types import Send

from haldir.faces.web.html import Element, document
from haldir.operations.kept_answers import Header

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    # Not `no-referrer`: with that, browsers send `Origin: null` with forms, and Origin is what forms are checked by.
    (b"referrer-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
HTML = b"text/html; charset=utf-8"
NOT_KEPT: Header = (b"cache-control", b"no-store")
KEPT: Header = (b"cache-control", b"public, max-age=31536000, immutable")
SEE_OTHER = 303


class WebReply(msgspec.Struct, frozen=True):
    """A whole answer. `headers` are those of its own; the others that every page has come when it is sent."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        own = {name for name, _ in self.headers}
        headers = [length, *(each for each in HEADERS if each[0] not in own), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def page_reply(page: Element, status: int = 200, *headers: Header) -> WebReply:
    return WebReply(status, document(page), ((b"content-type", HTML), NOT_KEPT, *headers))


def see_other(path: str, *headers: Header) -> WebReply:
    """Send the browser on with GET, so that reloading a page does nothing a second time."""
    return WebReply(SEE_OTHER, b"", ((b"location", path.encode("ascii")), NOT_KEPT, *headers))
