"""The verbs of the catalogue that the pages about approvals speak, and what a form asks of them."""

from collections.abc import Iterable

import msgspec

from haldir.operations.approval_commands import Verdict
from haldir.operations.catalogue import Operation
from haldir.operations.wire import decode_request


class ApprovalVerbs(msgspec.Struct, frozen=True):
    """Whatever is refused by REST is refused here."""

    list_pending: Operation
    get: Operation
    approve: Operation
    deny: Operation

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> "ApprovalVerbs":
        named = {each.name: each for each in operations}
        names = ("list_pending_approvals", "get_approval", "approve_request", "deny_request")
        return cls(*(named[name] for name in names))

    def deciding(self, verdict: Verdict, approval_id: str, note: str) -> tuple[Operation, msgspec.Struct]:
        """Return the verb that decides so, and what it is asked by a form. Raises InvalidRequest."""
        operation = self.approve if verdict == "approve" else self.deny
        members = {"note": note.strip().replace("\r\n", "\n")}
        return operation, decode_request(operation.request, members, {"request_id": approval_id})
