"""What is new in the arguments of a call, beside the agent's previous call of that tool."""

from collections.abc import Iterator

from haldir.approvals.changes import ChangeShown
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import clock_time, iso_time, legible, pretty
from haldir.operations.approvals_shown import ApprovalShown

BRIEF_CHANGES_MAX = 8  # In a list, where the arguments stand below them anyhow.
WHY_NOT = {
    "no_call": "",
    "no_previous_call": "This agent has not called this tool before.",
    "not_kept": "What its previous call came with was not kept, so nothing can be compared.",
    "erased": "What its previous call came with was erased, so nothing can be compared.",
    "too_large": "The arguments are too large to be compared with those of its previous call.",
    "not_shown": "",
}


def compared(approval: ApprovalShown, *, brief: bool) -> Element | None:
    """Return what changed, or why that cannot be said; nothing where the approval is of no call."""
    call = approval.compared
    if approval.changes is None:
        why = WHY_NOT.get(call.state, "")
        return h("p", why, class_="soft reason") if why else None
    when = h("time", clock_time(call.admitted_at), datetime=iso_time(call.admitted_at)) if call.admitted_at else None
    if not approval.changes:
        return h("p", "The same arguments as in its previous call, ", when, ".", class_="soft reason")
    shown = approval.changes[:BRIEF_CHANGES_MAX] if brief else approval.changes
    more = call.more or len(shown) < len(approval.changes)
    return h(
        "div",
        h("p", "New since its previous call, ", when, ":", class_="soft"),
        h("ul", [h("li", list(_change(each))) for each in shown]),
        h("p", "And more.", class_="soft") if more else None,
        class_="changes",
    )


def _change(change: ChangeShown) -> Iterator[Node]:
    yield h("span", change.kind, class_="soft")
    yield h("code", legible(change.pointer) or "all of it")
    if change.kind != "added":
        yield h("del", pretty(bytes(change.was)))
    if change.kind != "removed":
        yield h("ins", pretty(bytes(change.now)))
