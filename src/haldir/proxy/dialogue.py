"""Haldir as an MCP client of one upstream: agrees on an era, then asks one question after another.

2026-07-28 is tried first, then the handshake. What was agreed is remembered until the upstream no longer
honours it; then it is agreed anew, once, for a request that was not acted on.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Protocol, final

import msgspec
from msgspec import UNSET, Raw

from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.era import HANDSHAKE_VERSIONS, INITIALIZE, LATEST_HANDSHAKE, MODERN, Era
from haldir.proxy.exchange import SERVER_FAULT
from haldir.proxy.message import Members

PROBE_SECONDS_MAX = 5.0  # How long a server may be silent to server/discover before it counts as one of old.
WORTH_AGAIN = frozenset({400, 404})  # How servers say that they know nothing of a session or an era.
OPENING = Era(LATEST_HANDSHAKE)  # What an initialize travels as.

OnNotification = Callable[[bytes], None]


class Question(msgspec.Struct, frozen=True):
    """A request to send. Notifications on the way go to `hear`; `headers` are for HTTP alone."""

    method: str
    params: Members
    hear: OnNotification
    headers: Mapping[str, str] = {}
    number: int = 0


class Heard(msgspec.Struct, frozen=True):
    """What a wire brought back: the response, or None with the HTTP status that stood in for one."""

    message: bytes | None
    status: int = 200
    session_id: str | None = None


class Wire(Protocol):
    """How messages reach one upstream."""

    @property
    def generation(self) -> int:
        """Return a number that changes when whatever was agreed is void."""

    async def ready(self) -> None:
        """See to it that there is somebody to talk with."""

    async def renew(self) -> None:
        """Begin with a fresh counterpart, if the old one may be confused."""

    async def ask(self, era: Era, question: Question) -> Heard:
        """Send a request and return what ends it."""

    async def tell(self, era: Era, message: bytes) -> None:
        """Send a notification."""


class _Discovered(msgspec.Struct, rename="camel"):
    supported_versions: tuple[str, ...] = ()


class _Initialized(msgspec.Struct, rename="camel"):
    protocol_version: str


@final
class Dialogue:
    """One upstream, spoken with by many callers at once."""

    def __init__(self, wire: Wire, deadline_seconds: float) -> None:
        self._wire = wire
        self._agreed: tuple[int, Era] | None = None
        self._agreeing = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._probe_seconds = min(PROBE_SECONDS_MAX, deadline_seconds / 2)

    async def agree(self) -> Era:
        """Return the era that stands, or agree on one. Raises UpstreamError(sent=False) if there is none."""
        async with self._agreeing:
            try:
                await self._wire.ready()
                if self._agreed is None or self._agreed[0] != self._wire.generation:
                    era = await self._discover() or await self._initialize()
                    self._agreed = self._wire.generation, era
            except UpstreamError as error:
                raise UpstreamError(error.message, sent=False) from None
            return self._agreed[1]

    async def ask(self, question: Question, deadline_seconds: float) -> bytes:
        """Return the raw response. Raises UpstreamError, which says whether the request may have been acted on."""
        sent, status = False, 0
        try:
            async with asyncio.timeout(deadline_seconds):
                for _ in range(2):
                    era = await self.agree()
                    sent = True
                    heard = await self._ask(era, question)
                    if heard.message is not None and not _disowns(heard.message):
                        return heard.message
                    self._disagree(era)
                    status, sent = heard.status, heard.status >= SERVER_FAULT
                    if heard.message is None and status not in WORTH_AGAIN:
                        break
        except TimeoutError:
            raise UpstreamError(f"The upstream did not answer within {deadline_seconds:g} s.", sent=sent) from None
        raise UpstreamError(f"The upstream answered with HTTP status {status}.", sent=sent)

    def _disagree(self, era: Era) -> None:
        if self._agreed is not None and self._agreed[1] is era:
            self._agreed = None

    async def _ask(self, era: Era, question: Question) -> Heard:
        dressed = msgspec.structs.replace(question, params=era.dress(question.params), number=next(self._numbers))
        return await self._wire.ask(era, dressed)

    async def _discover(self) -> Era | None:
        """Ask whether the upstream speaks 2026-07-28; anything but a clear yes is a no."""
        try:
            async with asyncio.timeout(self._probe_seconds):
                heard = await self._ask(Era(MODERN), Question("server/discover", {}, ignore))
        except UpstreamError as error:
            if not error.sent:
                raise
            await self._wire.renew()
            return None
        except TimeoutError:
            await self._wire.renew()
            return None
        result = _result_of(heard.message)
        try:
            found = msgspec.json.decode(result, type=_Discovered) if result is not None else _Discovered()
        except msgspec.MsgspecError:
            return None
        return Era(MODERN) if MODERN in found.supported_versions else None

    async def _initialize(self) -> Era:
        heard = await self._ask(OPENING, Question("initialize", INITIALIZE, ignore))
        result = _result_of(heard.message)
        if result is None:
            status = f"HTTP status {heard.status}" if heard.message is None else "an error"
            raise UpstreamError(f"The upstream answered initialize with {status}.", sent=False)
        try:
            version = msgspec.json.decode(result, type=_Initialized).protocol_version
        except msgspec.MsgspecError:
            raise rpc.garbage() from None
        if version not in HANDSHAKE_VERSIONS:
            raise UpstreamError(f"The upstream speaks MCP {version!r}, which Haldir does not.", sent=False)
        era = Era(version, heard.session_id)
        await self._wire.tell(era, rpc.notification("notifications/initialized"))
        return era


def _result_of(message: bytes | None) -> Raw | None:
    result = rpc.read(message).result if message is not None else UNSET
    return None if result is UNSET else result


def _disowns(message: bytes) -> bool:
    """Tell whether the upstream says that it never agreed to the era we speak."""
    error = rpc.read(message).error
    return error is not UNSET and rpc.error_code(error) == rpc.UNSUPPORTED_VERSION


def ignore(_message: bytes) -> None:
    """What a server says during the negotiation concerns nobody."""
