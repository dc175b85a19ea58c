"""Lines of a client become POSTs to `/mcp`, what comes back becomes lines: lossless, many at a time, in both eras."""

import threading
import time
from collections.abc import Iterable
from typing import final

import msgspec
from msgspec import UNSET

from haldir.faces.mcp.faults import INTERNAL, NO_ID, UNAUTHORIZED, UNAVAILABLE, rpc_error
from haldir.faces.stdio.errand import Errand
from haldir.faces.stdio.message import ClientMessage, read_line
from haldir.faces.stdio.output import Complaints, Output
from haldir.faces.stdio.post import Address, NotReached
from haldir.faces.stdio.repeated import Repeated
from haldir.kernel.errors import MAY_HAVE_RUN, UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.message import INVALID_REQUEST, PARSE_ERROR, MessageId

OPEN_MAX = 128  # Messages on their way at once, a thread each; no client asks for more at a time.
DRAIN_SECONDS = 30.0  # How long answers are still waited for once the client has nothing more to say.
START_HINT = "Start Haldir with `haldir up`, or set HALDIR_BASE_URL to the address where it listens."
ELSEWHERE_HINT = "Check HALDIR_BASE_URL: what answers there is not Haldir, or something stands in between."
KEY_HINT = "Set HALDIR_API_KEY to an agent key, an API key or a session token that Haldir knows."


class _Initialized(msgspec.Struct, rename="camel"):
    protocol_version: str = ""


@final
class Bridge:
    """One client. `serve` returns when the client has closed its side and what it asked is answered."""

    def __init__(self, address: Address, output: Output, complaints: Complaints) -> None:
        self._address, self._output, self._complaints = address, output, complaints
        self._repeated = Repeated(address)
        self._agreed: str | None = None  # The version that the handshake came to.
        self._errands: dict[threading.Thread, Errand] = {}

    def serve(self, lines: Iterable[bytes | None]) -> None:
        """Take lines until there are no more; None is one that was too long."""
        for line in lines:
            if line is None:
                self._output.write(rpc_error(NO_ID, INVALID_REQUEST, "The message is too large."))
            elif not line.isspace():
                self._take(line)
        give_up = time.monotonic() + DRAIN_SECONDS
        for thread in list(self._errands):
            thread.join(max(0.0, give_up - time.monotonic()))

    def _take(self, line: bytes) -> None:
        try:
            message = read_line(line)
        except UpstreamError:
            self._output.write(rpc_error(NO_ID, PARSE_ERROR, "A line holds one JSON-RPC message, a JSON object."))
            return
        if message.cancels is not None:
            self._cancel(message.cancels)
        elif len(self._errands) >= OPEN_MAX:
            self._fail(message, UNAVAILABLE, f"More than {OPEN_MAX} messages are on their way.", "Wait for answers.")
        else:
            errand = Errand(message, self._address, self._repeated, self._output)
            thread = threading.Thread(target=self._run, args=(errand,), daemon=True)
            self._errands[thread] = errand  # Before it starts, so that the next line can cancel it.
            thread.start()

    def _cancel(self, request_id: MessageId) -> None:
        """Close the connection of a request: that is how HTTP calls one off."""
        for errand in list(self._errands.values()):
            if errand.message.is_request and errand.message.id == request_id:
                errand.cancel()

    def _run(self, errand: Errand) -> None:
        try:
            self._finish(errand, errand.run(self._agreed))
        except NotReached as error:
            self._unreached(errand, error)
        except UpstreamError:
            self._not_haldir(errand)
        except Exception as error:  # noqa: BLE001 - a request must not stay without an answer.
            self._complaints.say(f"{type(error).__name__} in haldir-mcp itself")
            self._fail(errand.message, INTERNAL, "Something went wrong inside haldir-mcp.", "")
        finally:
            del self._errands[threading.current_thread()]

    def _finish(self, errand: Errand, answer: bytes | None) -> None:
        message = errand.message
        if errand.cancelled:
            return
        if message.is_request and answer is None:
            self._not_haldir(errand)
            return
        if errand.status == UNAUTHORIZED:
            self._complaints.say(f"Haldir does not accept the credential. {KEY_HINT}")
        else:
            self._complaints.all_is_well()
        if answer is not None:
            if message.method == "initialize":
                self._agreed = _version_in(answer)
            self._output.write(answer)

    def _unreached(self, errand: Errand, error: NotReached) -> None:
        if errand.cancelled:
            return
        reason = f"Haldir at {self._address.base_url} did not answer: {error.reason}"
        hint = MAY_HAVE_RUN if error.sent and errand.message.method == "tools/call" else START_HINT
        self._complaints.say(f"{reason} {START_HINT}")
        self._fail(errand.message, UNAVAILABLE, reason, hint)

    def _not_haldir(self, errand: Errand) -> None:
        reason = f"{self._address.base_url} answered with HTTP status {errand.status} and no message of MCP."
        self._complaints.say(f"{reason} {ELSEWHERE_HINT}")
        self._fail(errand.message, UNAVAILABLE, reason, ELSEWHERE_HINT)

    def _fail(self, message: ClientMessage, code: int, reason: str, hint: str) -> None:
        if message.id_raw is not UNSET:
            data = {"code": "unavailable"} | ({"hint": hint} if hint else {})
            self._output.write(rpc_error(message.id_raw, code, reason, data))


def _version_in(answer: bytes) -> str | None:
    result = rpc.read(answer).result
    if result is UNSET:
        return None
    try:
        return msgspec.json.decode(result, type=_Initialized).protocol_version or None
    except msgspec.MsgspecError:
        return None
