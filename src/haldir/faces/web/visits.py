"""Who is signed in: a sealed cookie names the key and when it was shown last; whether the key counts is read each time.

Nothing is stored. The cookie holds no credential: it is worth nothing once the key is revoked or its hours are over,
and in this process once its visit was ended.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Iterable
from typing import final

import msgspec

from haldir.gate.model import ApiKey
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import HOUR, MINUTE, Micros
from haldir.kernel.ids import TenantId
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.kept_answers import Header
from haldir.operations.living import find_row
from haldir.vault.seal import SealBroken

VISIT_HOURS_MAX = 12  # A working day; then the key is to be shown again.
IDLE_HOURS_MAX = 1  # Since somebody last did something; a page that only updates itself does nothing.
RENEW_AFTER = MINUTE  # How exact the idle hour is; a cookie with each answer would say no more.
TOKEN_BYTES = 16
COOKIE_CHARS_MAX = 4096  # What browsers keep of one.
TOLD_CHARS_MAX = 500  # Of a message that waits in the cookie for the next page.
ENDED_MAX = 10_000  # Ended visits remembered; the oldest is forgotten.
LABEL = "web.visit"
BOUND_TO = LABEL.encode()


class Told(msgspec.Struct, frozen=True):
    """What the next page says of what was just done."""

    text: str
    good: bool


class Visit(msgspec.Struct, frozen=True):
    """What the cookie says. `form_token` is in every form of the visit's pages, and nobody else knows it."""

    tenant: TenantId
    prefix: str
    id: str
    form_token: str
    began_at: Micros
    used_at: Micros
    told: Told | None = None

    def is_over(self, now: Micros) -> bool:
        return now >= self.began_at + VISIT_HOURS_MAX * HOUR or now >= self.used_at + IDLE_HOURS_MAX * HOUR

    def telling(self, text: str, *, good: bool) -> "Visit":
        return msgspec.structs.replace(self, told=Told(text[:TOLD_CHARS_MAX], good))


class Visitor(msgspec.Struct, frozen=True):
    """Somebody who is signed in with a key that counts."""

    visit: Visit
    caller: Caller
    key_name: str

    def sent_form(self, token: str) -> bool:
        """Tell whether a form is one of this visit's."""
        return hmac.compare_digest(token.encode(), self.visit.form_token.encode())


@final
class Visits:
    """Begins, finds and ends visits. `secure`: browsers come by https, and the cookie never goes without."""

    def __init__(self, ctx: Context, *, secure: bool) -> None:
        self._ctx = ctx
        self._name = "__Host-haldir" if secure else "haldir"
        self._attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
        self._ended: dict[str, None] = {}

    def begun(self, caller: Caller) -> Visit:
        """Begin the visit of an API key."""
        now = self._ctx.clock()
        form_token = secrets.token_urlsafe(TOKEN_BYTES)
        return Visit(caller.tenant, caller.credential.id, secrets.token_hex(TOKEN_BYTES), form_token, now, now)

    async def visitor(self, headers: Iterable[Header]) -> Visitor | None:
        """Return who sent a request with these headers; None if nobody is signed in there."""
        visit = self._opened(headers)
        return None if visit is None else await self.still_there(visit)

    async def still_there(self, visit: Visit) -> Visitor | None:
        """Return the visitor if the visit goes on and its key counts, as the store has it now. Raises Unavailable."""
        if not self.goes_on(visit):
            return None
        key = await find_row(self._ctx, visit.tenant, ApiKey, visit.prefix)
        if key is None or key.revoked_at is not None:
            return None
        return Visitor(visit, Caller(visit.tenant, CredentialRef("key", key.prefix), key.scopes), key.name)

    def goes_on(self, visit: Visit) -> bool:
        return visit.id not in self._ended and not visit.is_over(self._ctx.clock())

    def end(self, visit: Visit) -> None:
        """Have this process take the visit's cookies no more, and end its streams."""
        if len(self._ended) >= ENDED_MAX:
            self._ended.pop(next(iter(self._ended)))
        self._ended[visit.id] = None

    def due(self, visit: Visit) -> bool:
        """Tell whether the browser should be given the cookie anew: it was used, or has told what it had to."""
        return visit.told is not None or self._ctx.clock() >= visit.used_at + RENEW_AFTER

    def cookie(self, visit: Visit) -> Header:
        """Return the header that gives the browser this visit, used just now."""
        used = msgspec.structs.replace(visit, used_at=self._ctx.clock())
        box = self._ctx.keyring.seal_box(LABEL, msgspec.json.encode(used), BOUND_TO)
        return self._header(base64.urlsafe_b64encode(box).decode())

    def no_cookie(self) -> Header:
        """Return the header that takes the cookie away."""
        return self._header("", "; Max-Age=0")

    def _header(self, value: str, more: str = "") -> Header:
        return b"set-cookie", f"{self._name}={value}{self._attributes}{more}".encode()

    def _opened(self, headers: Iterable[Header]) -> Visit | None:
        """Return what the cookie says, if it is one of ours; browsers may send any bytes."""
        value = self._value(headers)
        if not value:
            return None
        try:
            box = base64.urlsafe_b64decode(value)
            return msgspec.json.decode(self._ctx.keyring.open_box(LABEL, box, BOUND_TO), type=Visit)
        except (binascii.Error, SealBroken, msgspec.DecodeError):
            return None

    def _value(self, headers: Iterable[Header]) -> bytes:
        wanted = self._name.encode()
        for name, line in headers:
            if name == b"cookie":
                for pair in line.split(b";"):
                    key, _, value = pair.strip().partition(b"=")
                    if key == wanted:
                        return value if len(value) <= COOKIE_CHARS_MAX else b""
        return b""
