"""A decision made on a page: the same verb as by REST, so the same rules and the same entry in the log."""

import msgspec

from haldir.faces.web.approval_verbs import ApprovalVerbs
from haldir.faces.web.shown import title_of
from haldir.faces.web.visits import Told, Visitor
from haldir.kernel.errors import HaldirError, Unauthenticated
from haldir.operations.approval_commands import Verdict
from haldir.operations.approvals_shown import ApprovalShown
from haldir.operations.authenticate import authorize
from haldir.operations.context import Context
from haldir.operations.verbs.approvals import Approved
from haldir.operations.wire import decode_request


class Decisions(msgspec.Struct, frozen=True):
    ctx: Context
    verbs: ApprovalVerbs

    async def decide(self, visitor: Visitor, approval_id: str, verdict: Verdict, note: str) -> Told:
        """Approve or deny, and return what to say of it. Raises Unauthenticated for a key that counts no longer."""
        try:
            operation, request = self.verbs.deciding(verdict, approval_id, note)
            caller = await authorize(self.ctx, visitor.caller, operation)
            decided = await operation.run(self.ctx, caller, request)
        except Unauthenticated:
            raise
        except HaldirError as error:
            return Told(f"Not decided. {error.message}", good=False)
        return told_of(decided, await self._title(visitor, approval_id))

    async def _title(self, visitor: Visitor, approval_id: str) -> str:
        """Return what was decided, in words; after the decision, which nothing here may undo."""
        try:
            request = decode_request(self.verbs.get.request, {}, {"request_id": approval_id})
            shown = await self.verbs.get.run(self.ctx, visitor.caller, request)
        except HaldirError:
            return approval_id
        assert isinstance(shown, ApprovalShown)
        return f"{title_of(shown)} ({approval_id})"


def told_of(decided: msgspec.Struct, what: str) -> Told:
    """Return what to say of a decision that counts."""
    if not isinstance(decided, Approved):
        return Told(f"Denied: {what}.", good=True)
    if decided.missing:
        return Told(f"Your approval counts, and {decided.missing} more must approve: {what}.", good=True)
    return Told(f"Approved, for this one time: {what}.", good=True)
