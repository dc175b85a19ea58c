"""A form as a browser sends it: bounded, and only from a page of our own."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from haldir.faces.body import read_body
from haldir.kernel.errors import Forbidden, InvalidRequest
from haldir.operations.kept_answers import Header

FORM_BYTES_MAX = 32 << 10  # A note of 2,000 characters has at most 24,000 bytes, each sent as three.
FIELDS_MAX = 16
KIND = b"application/x-www-form-urlencoded"


async def read_form(scope: Scope, receive: Receive, seconds_max: float) -> dict[str, str]:
    """Return the fields of a form. Raises HaldirError."""
    body = await read_body(receive, seconds_max, FORM_BYTES_MAX)
    if dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower() != KIND:
        raise InvalidRequest(f"a form is sent as {KIND.decode()}")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"))
    except ValueError:  # Also what is not UTF-8.
        raise InvalidRequest("this form cannot be read") from None


def require_own_page(headers: Iterable[Header], own_origin: str) -> None:
    """Refuse what a page from elsewhere sent: browsers name the page's origin with every form (RFC 6454 §7).

    Our own is the one that the operator named, and the host that was asked.
    """
    given = dict(headers)
    host, origin = given.get(b"host", b""), given.get(b"origin", b"")
    if origin not in {own_origin.encode(), b"http://" + host, b"https://" + host}:
        raise Forbidden("This did not come from a page of this Haldir. Open the page again and send it from there.")
