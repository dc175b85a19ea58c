"""Scopes: what a session or a key may do. Whole strings; no word is special but `*`.

Session scopes are free words (`read`, `execute:files:read_file`); key scopes are `resource:action`.
"""

from collections.abc import Iterable

from haldir.kernel.errors import InvalidRequest, InvalidScope
from haldir.kernel.money import BadAmount, parse_amount
from haldir.kernel.scopes import ALL

SCOPES_MAX = 64  # More than any session needs; keeps a row and each check small.
SCOPE_CHARS_MAX = 300  # execute:U:T with an upstream and a tool name of 128 characters each.
RESOURCES = frozenset({"sessions", "vault", "audit", "payments", "webhooks", "proxy", "approvals", "payloads", "admin"})
ACTIONS = frozenset({"read", "write", "*"})
ASKING = "approvals:request"  # May ask for approvals, which whoever may decide them may as well.
ADMINISTERING = "admin:write"  # May make keys, of every power that it has itself.
IMPLIED_BY_WRITE = frozenset({"read", "request"})


def parse_session_scopes(scopes: Iterable[str]) -> tuple[tuple[str, ...], int | None]:
    """Return the scopes to store and the budget in micro-units that a `spend:N` among them names."""
    found: dict[str, None] = {}
    limit: int | None = None
    for scope in scopes:
        check_session_scope(scope, "scopes")
        if scope.startswith("spend:"):
            if limit is not None:
                raise InvalidRequest("scopes name a spend:N more than once", "scopes")
            limit = _spend_limit(scope)
            found["spend"] = None
        else:
            found[scope] = None
    if len(found) > SCOPES_MAX:
        raise InvalidRequest(f"more than {SCOPES_MAX} scopes", "scopes")
    return tuple(found), limit


def check_session_scope(scope: str, field: str) -> None:
    """Refuse what is no session scope; `field` is where it stands in the request."""
    if not scope or len(scope) > SCOPE_CHARS_MAX or not scope.isprintable() or any(char.isspace() for char in scope):
        raise InvalidRequest(f"a scope is 1 to {SCOPE_CHARS_MAX} printable characters without spaces", field)


def key_covers(granted: Iterable[str], required: str) -> bool:
    """Tell whether key scopes allow `required`; `write` implies `read` and `request` of the same resource."""
    resource, _, action = required.partition(":")
    enough = {ALL, required, f"{resource}:*"} | ({f"{resource}:write"} if action in IMPLIED_BY_WRITE else set())
    return any(scope in enough for scope in granted)


def key_covers_all(granted: tuple[str, ...], wanted: Iterable[str]) -> bool:
    """Tell whether a key with `granted` is at least as broad as one with `wanted`."""
    return all(key_covers(granted, scope) for scope in wanted)


def parse_key_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return key scopes sorted and without doubles; refuse what is not in the vocabulary (WIRE.md §0)."""
    found = sorted({scope.strip() for scope in scopes})
    if not found:
        raise InvalidScope("scopes must not be empty", "scopes")
    for scope in found:
        resource, _, action = scope.partition(":")
        if scope not in {ALL, ASKING} and (resource not in RESOURCES or action not in ACTIONS):
            raise InvalidScope(f"{scope!r} is no key scope: *, <resource>:read|write|* or {ASKING}", "scopes")
    return tuple(found)


def _spend_limit(scope: str) -> int:
    try:
        return parse_amount(scope.removeprefix("spend:"))
    except BadAmount as error:
        raise InvalidRequest(f"in the scope {scope!r} the amount {error}", "scopes") from None
