"""Names in the joint lists of tools and prompts: `upstream__name`, each of which means one of them only."""

from collections.abc import Container

JOINT = "__"
NAME_CHARS_MAX = 128  # The protocol's own bound on a tool's name.


def split_name(name: str, upstreams: Container[str]) -> tuple[str, str] | None:
    """Return upstream and tool: the shortest upstream that the name may begin with decides."""
    at = name.find(JOINT)
    while at >= 0:
        if name[:at] in upstreams and at + len(JOINT) < len(name):
            return name[:at], name[at + len(JOINT) :]
        at = name.find(JOINT, at + 1)
    return None


def joined_name(upstream: str, tool: str, upstreams: Container[str]) -> str | None:
    """Return the name a tool is offered under; None if that name would be too long, or mean another tool."""
    name = f"{upstream}{JOINT}{tool}"
    if len(name) > NAME_CHARS_MAX or split_name(name, upstreams) != (upstream, tool):
        return None
    return name
