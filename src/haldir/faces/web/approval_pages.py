"""The pages about approvals: those that wait, and each one for itself, with what became of it."""

import asyncio
from collections.abc import Sequence

import msgspec

from haldir.faces.web.approval_verbs import ApprovalVerbs
from haldir.faces.web.frame import Frame
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.past import history, particulars
from haldir.faces.web.shown import View, card, title_of, whole
from haldir.faces.web.visits import Visitor
from haldir.kernel.clock import unix_seconds
from haldir.operations.approvals_shown import ApprovalShown
from haldir.operations.authenticate import authorize, may_ask
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.key_names import key_names
from haldir.operations.pending_watch import read_pending_count
from haldir.operations.verbs.approvals import PendingListed
from haldir.operations.wire import decode_request

SHOWN_MAX = 50  # Approvals on a page: more than anybody reads before deciding on the first.
STAMPED = "pending"  # What the pages' script looks for: the part of a page that is to be kept up to date.


class ApprovalPages(msgspec.Struct, frozen=True):
    """Makes the pages for whoever is signed in. Raises HaldirError for whoever may not see them."""

    ctx: Context
    frame: Frame
    verbs: ApprovalVerbs

    async def waiting(self, visitor: Visitor, before: str) -> Element:
        """Return the page of approvals that wait, newest first, from before the one named (if any)."""
        asked = {"limit": str(SHOWN_MAX), "cursor": before}
        listed = await self._ask(self.verbs.list_pending, visitor, asked)
        assert isinstance(listed, PendingListed)
        view = await self._view(visitor, listed.requests)
        count = await self._count(visitor, listed, before)
        title = f"({count}) Approvals" if count else "Approvals"
        main = _list(listed, count, view, before)
        return self.frame.page(title, main, visitor=visitor, told=visitor.visit.told)

    async def one(self, visitor: Visitor, approval_id: str) -> Element:
        """Return the page of one approval, in any state. Raises NotFound."""
        # First, so that what comes meanwhile makes the page look outdated.
        waits = await read_pending_count(self.ctx.store, visitor.visit.tenant)
        approval = await self._ask(self.verbs.get, visitor, {"request_id": approval_id})
        assert isinstance(approval, ApprovalShown)
        view = await self._view(visitor, [approval])
        main = h(
            "div",
            h("p", h("a", "All that wait", href="/approvals"), class_="back"),
            await asyncio.to_thread(whole, approval, view),  # Arguments of a megabyte would keep everybody waiting.
            history(approval, view),
            particulars(approval, view),
            id=STAMPED,
            data_stamp=str(waits.version),
            data_now=str(view.now),
            data_quiet=True,
        )
        return self.frame.page(title_of(approval), main, visitor=visitor, told=visitor.visit.told)

    async def _count(self, visitor: Visitor, listed: PendingListed, before: str) -> int:
        """Return how many approvals wait: those listed, where that is all of them."""
        if not before and listed.next_cursor is None:
            return listed.count
        return (await read_pending_count(self.ctx.store, visitor.visit.tenant)).pending

    async def _ask(self, operation: Operation, visitor: Visitor, texts: dict[str, str]) -> msgspec.Struct:
        caller = await authorize(self.ctx, visitor.caller, operation)
        return await operation.run(self.ctx, caller, decode_request(operation.request, {}, texts))

    async def _view(self, visitor: Visitor, approvals: Sequence[ApprovalShown]) -> View:
        named = {each for approval in approvals for each in _credentials(approval)}
        names = await key_names(self.ctx, visitor.visit.tenant, named)
        may_decide = may_ask(visitor.caller, self.verbs.approve)
        return View(visitor, unix_seconds(self.ctx.clock()), may_decide, names)


def _credentials(approval: ApprovalShown) -> set[str]:
    opened_by = (each.credential for each in approval.openers)
    return {approval.asked_by, approval.decided_by, *opened_by, *(vote.approved_by for vote in approval.votes)}


def _list(listed: PendingListed, count: int, view: View, before: str) -> Element:
    cards: Node = (
        h("ol", [card(each, view) for each in listed.requests], class_="cards")
        if listed.requests
        else h(
            "div",
            h("p", h("strong", "Nothing waits for you.")),
            h("p", "A call or payment that a rule holds appears here as soon as it is asked for.", class_="soft"),
            class_="empty",
        )
    )
    return h(
        "div",
        h(
            "div",
            h("h1", "Approvals"),
            h("p", f"{count} waiting", class_="soft count"),
            h("p", "Reload to see what is new", class_="live"),  # Until a script does it.
            class_="heading",
        ),
        h("p", h("a", "Newest", href="/approvals"), class_="back") if before else None,
        cards,
        _older(listed.next_cursor),
        id=STAMPED,
        data_stamp=str(listed.version),
        data_now=str(view.now),
        data_count=str(count),
    )


def _older(cursor: str | None) -> Element | None:
    return h("p", h("a", "Older", href=f"/approvals?before={cursor}"), class_="more") if cursor else None
