"""The JSON Schema (2020-12) of policies, by which editors complete and check them as they are written.

It describes what a definition looks like; that it can fire, and names tools there are, is what the linter says.
"""

from typing import Any

from haldir.operations.policy_changes import NAME, NAME_CHARS_MAX, POLICIES_MAX, RESERVED
from haldir.policy.conditional import APPROVERS_MAX
from haldir.policy.conditions.comparison import ASKED, COUNTS, IN_MAX, LENGTH_MAX, ORDERS
from haldir.policy.conditions.pointers import POINTER_CHARS_MAX
from haldir.policy.conditions.reading import NAMES_MAX, NODES_MAX, SCOPE_CHARS_MAX
from haldir.policy.conditions.times import DATES_MAX
from haldir.policy.conditions.usage import PER, WITHIN_SECONDS_MAX
from haldir.policy.conditions.usage import TOOLS_MAX as MEASURED_TOOLS_MAX
from haldir.policy.fields import NAME_CHARS_MAX as TOOL_CHARS_MAX
from haldir.policy.fields import TEXT_CHARS_MAX, TOOLS_MAX
from haldir.policy.hours import DAY_HOURS, WEEKDAYS
from haldir.policy.kinds.rate_limit import CALLS_MAX
from haldir.policy.kinds.require_approval import AGENTS_MAX
from haldir.policy.kinds.rule import EFFECTS, REASON_CHARS_MAX
from haldir.policy.policy import MODES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def policy_schema() -> Schema:
    """Return the schema of a file of policies: one, or a list of them."""
    return {
        "$schema": DIALECT,
        "title": "Policies of Haldir",
        "description": "One policy, or a list of them.",
        "if": {"type": "array"},
        "then": {"items": {"$ref": "#/$defs/policy"}, "maxItems": POLICIES_MAX},
        "else": {"$ref": "#/$defs/policy"},
        "$defs": {"policy": _policy(), "condition": _condition()},
    }


def _policy() -> Schema:
    """Return a schema that first looks at the kind, so that editors speak of that kind's fields only."""
    kinds = {kind: _closed(_COMMON | fields, ("type", *needed)) for kind, (needed, fields) in _kinds().items()}
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(kinds), "description": "The kind of policy."}},
        "allOf": [
            {"if": {"required": ["type"], "properties": {"type": {"const": kind}}}, "then": schema}
            for kind, schema in kinds.items()
        ],
    }


def _condition() -> Schema:
    """Return the schema of a condition: an object about one subject."""
    subjects = {name: _closed(fields, (name,), least=least) for name, (least, fields) in _subjects().items()}
    return {
        "type": "object",
        "description": "What a rule strikes: an object about one thing.",
        "anyOf": [{"required": [name]} for name in subjects],
        "allOf": [{"if": {"required": [name]}, "then": schema} for name, schema in subjects.items()],
    }


def _kinds() -> dict[str, tuple[tuple[str, ...], Schema]]:
    """Return the kinds of policies: the fields each must have, and all it may have."""
    return {
        "allow_list": (("tools",), {"tools": _tools("Every other tool is forbidden.", least=0)}),
        "block_tool": (("tool",), {"tool": _TOOL | {"description": "This tool is forbidden."}}),
        "deny_list": (("tools",), {"tools": _tools("These tools are forbidden.")}),
        "rate_limit": (
            ("max_per_minute",),
            {
                "max_per_minute": _whole(1, CALLS_MAX, "Calls beyond so many within any 60 seconds are forbidden."),
                "per": {"enum": list(PER["calls"]), "description": "Whose calls are counted together: session."},
            },
        ),
        "require_approval": (
            (),
            {
                "tools": _tools("Only calls of these tools are held."),
                "agents": _texts(AGENTS_MAX, "Only calls by these agents are held; * stands for any characters."),
                "amount_over": _amount("Only calls that cost more are held, or whose price cannot be read."),
                **_TERMS,
            },
        ),
        "rule": (
            ("effect", "reason"),
            {
                "effect": {"enum": list(EFFECTS), "description": "What becomes of calls that the condition describes."},
                "reason": _text(REASON_CHARS_MAX, "What the caller reads: one line."),
                "when": _ref("condition"),
                **_TERMS,
            },
        ),
        "spend_limit": (("max",), {"max": _amount("Calls with a larger argument `amount` are forbidden.")}),
        "time_window": (("start_hour", "end_hour"), _HOURS | {"zone": _ZONE, "weekdays": _WEEKDAYS}),
    }


def _subjects() -> dict[str, tuple[int, Schema]]:
    """Return what a condition can be about: how many members it has at least, and all it may have."""
    inner = {"type": "array", "items": _ref("condition"), "minItems": 1, "maxItems": NODES_MAX}
    counts = {name: {"type": "number"} for name in COUNTS}
    orders = {name: {"type": "number", "minimum": 0} for name in ORDERS}
    return {
        "all": (1, {"all": inner | {"description": "All of these hold."}}),
        "any": (1, {"any": inner | {"description": "One of these holds."}}),
        "not": (1, {"not": _ref("condition")}),
        "tool": (1, {"tool": _texts(NAMES_MAX, "TOOL or UPSTREAM.TOOL, * for any characters.")}),
        "upstream": (1, {"upstream": _texts(NAMES_MAX, "The upstream's name, * for any characters.")}),
        "agent": (1, {"agent": _texts(NAMES_MAX, "The agent's id, * for any characters.")}),
        "session": (1, {"session": _texts(NAMES_MAX, "The session's id.")}),
        "scope": (
            1,
            {"scope": _texts(NAMES_MAX, "A scope that the session has, or one that covers it.", SCOPE_CHARS_MAX)},
        ),
        "argument": (
            2,
            {"argument": _POINTER, "exists": {"type": "boolean"}, **{name: _ASKED[name] for name in ASKED}},
        ),
        "sum": (2, {"sum": _POINTER | {"description": "A JSON pointer with * for every item of a list."}, **counts}),
        "time": (1, {"time": _TIME}),
        "calls": (2, {"calls": _window("calls"), **orders}),
        "spend": (2, {"spend": _window("spend"), **orders}),
    }


def _window(what: str) -> Schema:
    return _closed(
        {
            "per": {"enum": list(PER[what]), "description": "Whose calls are measured together."},
            "within_seconds": _whole(1, WITHIN_SECONDS_MAX, "How far the window reaches back, this call included."),
            "tools": _tools("Only calls of these tools are measured.", most=MEASURED_TOOLS_MAX),
        },
        ("per",),
    )


def _closed(properties: Schema, required: tuple[str, ...], least: int = 0) -> Schema:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return schema | ({"minProperties": least} if least > len(required) else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _whole(least: int, most: int, description: str) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, "description": description}


def _amount(description: str) -> Schema:
    return {
        "type": "number",
        "minimum": 0,
        "description": f"{description} In USD, with at most 6 digits after the point.",
    }


def _text(most_chars: int, description: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most_chars, "description": description}


def _texts(most: int, description: str, most_chars: int = TOOL_CHARS_MAX) -> Schema:
    text = {"type": "string", "minLength": 1, "maxLength": most_chars}
    several = {"type": "array", "items": text, "minItems": 1, "maxItems": most, "uniqueItems": True}
    return {"description": description, "if": {"type": "array"}, "then": several, "else": text}


def _tools(description: str, least: int = 1, most: int = TOOLS_MAX) -> Schema:
    return {
        "type": "array",
        "items": _TOOL,
        "minItems": least,
        "maxItems": most,
        "uniqueItems": True,
        "description": description,
    }


_TOOL: Schema = {
    "type": "string",
    "pattern": f"^[A-Za-z0-9._-]{{1,{TOOL_CHARS_MAX}}}$",
    "description": "TOOL of any upstream, or UPSTREAM.TOOL.",
}
_POINTER: Schema = {
    "type": "string",
    "pattern": "^(/([^~]|~[01])*)?$",
    "maxLength": POINTER_CHARS_MAX,
    "description": "A JSON pointer into the arguments, such as /items/0/price; empty is all of them.",
}
_ZONE: Schema = {"type": "string", "minLength": 1, "description": "An IANA time zone such as Europe/Berlin: UTC."}
_WEEKDAYS: Schema = {
    "type": "array",
    "items": {"enum": list(WEEKDAYS)},
    "minItems": 1,
    "uniqueItems": True,
    "description": "Only on these days: all.",
}
_HOURS: Schema = {
    "start_hour": _whole(0, DAY_HOURS - 1, "From this hour on."),
    "end_hour": _whole(0, DAY_HOURS, "Up to this hour; past midnight, if it is before the first."),
}
_DATES = _texts(DATES_MAX, "Only on these days: 2026-12-24, or 2026-12-24/2027-01-02.")
_TIME = _closed({"zone": _ZONE, "weekdays": _WEEKDAYS, **_HOURS, "dates": _DATES}, ())
_TERMS: Schema = {
    "approvers": _whole(1, APPROVERS_MAX, "How many people must approve what is held: 1."),
    "four_eyes": {"type": "boolean", "description": "None of them asked for the call or opened its session: false."},
}
_COMMON: Schema = {
    "type": {"type": "string"},
    NAME: {
        "type": "string",
        "pattern": f"^(?!{RESERVED})[A-Za-z0-9][A-Za-z0-9._-]*$",
        "maxLength": NAME_CHARS_MAX,
        "description": "What the policy goes by, and by what its later versions know it.",
    },
    "mode": {"enum": list(MODES), "description": "A policy in shadow mode only says what it would do: enforce."},
}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_NUMBER: Schema = {"type": "number"}
_ASKED: dict[str, Schema] = {
    **dict.fromkeys(ORDERS, _NUMBER),
    "eq": _SCALAR,
    "ne": _SCALAR,
    "in": {"type": "array", "items": _SCALAR, "minItems": 1, "maxItems": IN_MAX},
    "matches": _text(TEXT_CHARS_MAX, "A pattern of RE2 that is found in it."),
    "contains": _SCALAR | {"description": "A text in it, or an item of it."},
    "length": _closed({name: _whole(0, LENGTH_MAX, "How many characters, items or members.") for name in COUNTS}, ()),
}
