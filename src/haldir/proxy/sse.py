"""Server-sent events, cut out of a byte stream so that each can pass on exactly as it came."""

import re
from collections.abc import Iterator

import msgspec

EVENT_BYTES_MAX = 4 << 20  # One message; a stream that never ends its event would otherwise fill the memory.

# A line ends with \r\n, \n or \r; a blank line ends an event. `\r(?!\n)` keeps one \r\n from counting twice.
# Spelt out by its first byte, for which `re` can then look: a fifth of the time, of which a flood takes much.
_BLANK_LINE = re.compile(rb"\r\n(?:\r\n|\n|\r(?!\n))|\n(?:\r\n|\n|\r(?!\n))|\r(?:\r\n|\r(?!\n))")
_OVERLAP = 3  # A blank line may have begun this many bytes before the newest chunk.


class EventTooLarge(ValueError):
    """An event is longer than EVENT_BYTES_MAX."""


class Event(msgspec.Struct, frozen=True):
    """One event: its bytes as they came, and what they say."""

    raw: bytes
    id: str = ""
    kind: str = "message"
    data: bytes = b""

    @property
    def is_message(self) -> bool:
        """Tell whether it carries an MCP message: priming events and pings do not."""
        return self.kind == "message" and bool(self.data)


class EventParser:
    """Takes chunks, yields events. What is left at the end is no event (the standard drops it)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that this chunk completes."""
        searched = max(0, len(self._buffer) - _OVERLAP)
        self._buffer += chunk
        start = 0
        while found := _BLANK_LINE.search(self._buffer, max(start, searched)):
            yield parse(bytes(self._buffer[start : found.end()]))
            start = found.end()
        del self._buffer[:start]
        if len(self._buffer) > EVENT_BYTES_MAX:
            raise EventTooLarge

    @property
    def is_between_events(self) -> bool:
        return not self._buffer.strip()


def parse(raw: bytes) -> Event:
    """Read the fields of one event (WHATWG HTML, 9.2.6)."""
    data: list[bytes] = []
    event_id, kind = "", "message"
    for line in raw.removeprefix(b"\xef\xbb\xbf").splitlines():
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            event_id = value.decode(errors="replace")
        elif name == b"event" and value:
            kind = value.decode(errors="replace")
    return Event(raw, event_id, kind, b"\n".join(data))


def frame(message: bytes) -> Event:
    """Make the event that carries a message of ours."""
    return Event(b"event: message\ndata: %b\n\n" % one_line(message), data=message)


def with_data(event: Event, message: bytes) -> Event:
    """Return the event with another message in it: its id and retry time stay."""
    kept = [line for line in event.raw.splitlines() if line and line.partition(b":")[0] != b"data"]
    raw = b"".join(line + b"\n" for line in (*kept, b"data: " + one_line(message))) + b"\n"
    return Event(raw, event.id, event.kind, message)


def one_line(message: bytes) -> bytes:
    """Return a JSON text without line ends: inside JSON they can only be white space."""
    if b"\n" in message or b"\r" in message:
        return message.replace(b"\r", b" ").replace(b"\n", b" ")
    return message
