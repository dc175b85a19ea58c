"""The page behind a link that decides. Opening it decides nothing: mail scanners and previews follow every link.

The link is all the authority there is: no cookie counts, and the token stands nowhere in the page.
"""

import asyncio

import msgspec

from haldir.approvals.model import Approval
from haldir.faces.web.approval_verbs import ApprovalVerbs
from haldir.faces.web.decide import told_of
from haldir.faces.web.frame import Frame
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.link_rate import LinkRate
from haldir.faces.web.past import history
from haldir.faces.web.reply import WebReply, page_reply
from haldir.faces.web.shown import View, whole
from haldir.faces.web.visits import Told
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import NotFound, Refused
from haldir.operations.approval_links import DecidingLink, caller_by, link_of
from haldir.operations.approvals_shown import ApprovalShown, shown_approvals
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.key_names import key_names
from haldir.operations.living import dead_credential, find_row
from haldir.operations.verbs.approvals import NOTE_CHARS_MAX

GONE = 410
WORDS = {"approve": ("Approve", "approves", "yes"), "deny": ("Deny", "denies", "no")}
NOTHING_LEFT = h("p", "There is nothing left to do by this link.", class_="soft")


class LinkPages(msgspec.Struct, frozen=True):
    """Shows and decides. Raises HaldirError for a link that is none, or counts no longer."""

    ctx: Context
    frame: Frame
    verbs: ApprovalVerbs
    rate: LinkRate

    async def show(self, token: str, address: str) -> WebReply:
        """Return what a link would do, with the button that does it; what it can do no more, it says."""
        link = self._link(token, address)
        caller = await caller_by(self.ctx, link)
        if refusal := await dead_credential(self.ctx, caller):
            raise Refused(*refusal)
        approval = await self._approval(link)
        over = _over(approval, link, caller)
        return await self._page(link, approval, Told(over, good=False) if over else None, GONE if over else 200)

    async def decide(self, token: str, address: str, note: str) -> WebReply:
        """Decide as the link says, by the same verb as everywhere; return what came of it."""
        link = self._link(token, address)
        caller = await caller_by(self.ctx, link)
        operation, request = self.verbs.deciding(link.verdict, link.approval_id, note)
        try:
            told, status = told_of(await operation.run(self.ctx, caller, request), link.approval_id), 200
        except Refused as refused:
            if refused.code in {"link_ended", "approval_not_found"}:
                raise
            told, status = Told(f"Not decided. {refused.message}", good=False), refused.status
        return await self._page(link, await self._approval(link), told, status)

    def _link(self, token: str, address: str) -> DecidingLink:
        link = link_of(self.ctx, token)
        self.rate.take(("address", address) if link is None else (link.tenant, f"{link.webhook_id} {link.approval_id}"))
        if link is None:
            raise NotFound("This is no link of this Haldir's. Perhaps it was not copied whole.")
        return link

    async def _approval(self, link: DecidingLink) -> ApprovalShown:
        row = await find_row(self.ctx, link.tenant, Approval, link.approval_id)
        if row is None:
            raise NotFound("What this link was to decide is not there any more.")
        return (await shown_approvals(self.ctx, link.tenant, [row], self.ctx.clock()))[0]

    async def _page(self, link: DecidingLink, approval: ApprovalShown, told: Told | None, status: int) -> WebReply:
        deciders = {approval.asked_by, approval.decided_by, *(vote.approved_by for vote in approval.votes)}
        names = await key_names(self.ctx, link.tenant, deciders)
        view = View(None, unix_seconds(self.ctx.clock()), may_decide=False, key_names=names)
        form = NOTHING_LEFT if told else _form(link)
        main: list[Node] = [await asyncio.to_thread(whole, approval, view, form)]  # Arguments may have a megabyte.
        main += [history(approval, view) if told else None, _elsewhere(link)]
        word, _, _ = WORDS[link.verdict]
        return page_reply(self.frame.page(f"{word} by link", *main, told=told), status)


def unreferred(reply: WebReply) -> WebReply:
    """Return a reply whose address no other page is ever told."""
    headers = (*reply.headers, (b"referrer-policy", b"no-referrer"), (b"x-robots-tag", b"noindex"))
    return msgspec.structs.replace(reply, headers=headers)


def _over(approval: ApprovalShown, link: DecidingLink, caller: Caller) -> str | None:
    """Return why there is nothing left to decide by this link, or None."""
    mine = str(caller.credential)
    if approval.status == "expired":
        return "This link has expired: nobody decided in time."
    if approval.status != "pending":
        used = "This link was used, or another of the same message" if approval.decided_by == mine else "Too late"
        return f"{used}: {approval.decided_by} has {approval.status} it."
    if link.verdict == "approve" and any(vote.approved_by == mine for vote in approval.votes):
        return "This link was used: it has approved, and others must, too."
    return None


def _form(link: DecidingLink) -> Element:
    """Return the form that decides; without an address of its own it goes to the one that was opened."""
    word, does, look = WORDS[link.verdict]
    note = f"{link.approval_id}-note"
    return h(
        "form",
        h("p", f"This {does} exactly this, once. Whoever has the link can do it: do not pass it on.", class_="soft"),
        h(
            "div",
            h("label", "Note ", h("span", "optional", class_="soft"), for_=note),
            h("textarea", id=note, name="note", rows=1, maxlength=NOTE_CHARS_MAX, autocomplete="off"),
        ),
        h("div", h("button", word, class_=look), class_="buttons"),
        method="post",
        class_="decide",
    )


def _elsewhere(link: DecidingLink) -> Element:
    return h("p", h("a", "Sign in for more", href=f"/approvals/{link.approval_id}"), class_="more")
