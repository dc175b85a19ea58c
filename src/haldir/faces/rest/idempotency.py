"""The header Idempotency-Key: by it a client names a request, so that sent again it is not done again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from haldir.faces.rest.reply import Reply
from haldir.faces.rest.turn import Turn
from haldir.kernel import strict_json
from haldir.kernel.errors import InvalidRequest
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.kept_answers import Header
from haldir.operations.requests import Named, Work, answered_alike, answered_once

FIELD = "Idempotency-Key"
CHARS_MAX = 255  # A UUID has 36; whoever puts more into a name hashes it.
REPLAYED: Header = (b"idempotency-replayed", b"true")

_NAME = re.compile(rb"[\x21-\x7e]{1,%d}" % CHARS_MAX)


def name_of(headers: Sequence[Header]) -> str | None:
    """Return the name that the client gave its request, if any. Raises InvalidRequest for one that is none."""
    given = [value.strip(b" \t") for name, value in headers if name == b"idempotency-key"]
    if not given:
        return None
    if len(given) > 1 or not _NAME.fullmatch(given[0]):
        rule = f"stands once and is 1 to {CHARS_MAX} characters of ASCII, without spaces"
        raise InvalidRequest(f"the header {FIELD} {rule}", FIELD)
    return given[0].decode()


def named(name: str, path: str, caller: Caller | None, members: Mapping[str, Any], query: Mapping[str, str]) -> Named:
    """Return a request by its name. What it says is its body, its query, and the session that its key named."""
    session_id = caller.session_id if caller is not None and caller.is_key else None
    says = {"body": dict(members), "query": dict(query), "session_id": session_id}
    return Named(path, name, strict_json.encode(says))


async def once(ctx: Context, turn: Turn, request: msgspec.Struct, named: Named) -> Reply:
    """Answer a named request, by a turn at its operation or as it was answered before. Raises HaldirError."""
    work = Work(lambda ctx: turn.run(ctx, request), turn.refuse)
    if turn.caller is None:
        answer, replayed = await answered_alike(ctx, named, work), False
    else:
        answer, replayed = await answered_once(ctx, turn.caller, named, work)
    return Reply(answer.status, answer.body, (*answer.headers, REPLAYED) if replayed else answer.headers)
