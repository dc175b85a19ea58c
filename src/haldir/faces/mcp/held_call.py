"""A call that a person may have to approve first, and how it comes back to its caller meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, final

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.faces.mcp.failures import CallFailure, failure_of
from haldir.faces.mcp.faults import tool_answer
from haldir.faces.mcp.held_waits import HeldWaits, Waiter
from haldir.kernel.errors import Refused
from haldir.operations.approvals_shown import held_call
from haldir.operations.context import Context
from haldir.operations.upstreams import output_is_typed

T = TypeVar("T")


@final
class HeldCall:
    """One call. However it comes back, it is the journal that lets it through, once."""

    def __init__(self, ctx: Context, waits: HeldWaits, waiter: Waiter) -> None:
        self._ctx, self._waits, self._waiter = ctx, waits, waiter

    async def made(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the attempt, and once more if it was held and decided within this request. Raises what it raises."""
        try:
            return await attempt()
        except Refused as refused:
            if refused.refusal != APPROVAL_REQUIRED or not self._streams():
                raise
            if not await self._waits.decided(self._waiter, refused.approval_id):
                raise
        return await attempt()

    def failure(self, error: CallFailure, call_id: str) -> bytes:
        """Return the answer to a call of an upstream's tool that failed, or waits for a person.

        Raises the refusal itself where it is of the credential or session.
        """
        if isinstance(error, Refused) and error.refusal == APPROVAL_REQUIRED:
            return self._held(error)
        return failure_of(error, self._waiter.inbound, call_id)

    def _held(self, refused: Refused) -> bytes:
        """What waits is no error, except where clients would refuse to read it otherwise.

        Of a tool with an output schema only an error may lack the content that the schema asks for (MCP 2026-07-28,
        Tools, Output Schema).
        """
        waiter = self._waiter
        failed = output_is_typed(self._ctx, waiter.caller.tenant, waiter.upstream, waiter.tool)
        modern = waiter.inbound.is_modern
        return tool_answer(waiter.inbound.id_raw, held_call(refused), modern=modern, failed=failed)

    def _streams(self) -> bool:
        inbound = self._waiter.inbound
        return inbound.takes_stream and inbound.progress_token is not None
