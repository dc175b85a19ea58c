"""How a held call comes back to a caller: as its key says, or the key or agent that its session comes from."""

from haldir.gate.model import Agent, ApiKey, HeldSetting, Session
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import find_row


async def held_setting(ctx: Context, caller: Caller) -> HeldSetting:
    """Return the setting; `auto` where no key or agent stands behind the caller."""
    kind, name = caller.credential.kind, caller.credential.id
    if kind == "session":
        session = await find_row(ctx, caller.tenant, Session, name)
        kind, _, name = session.opened_by.partition(":") if session else ("", "", "")
    match kind:
        case "key":
            row: ApiKey | Agent | None = await find_row(ctx, caller.tenant, ApiKey, name)
        case "agent":
            row = await find_row(ctx, caller.tenant, Agent, name)
        case _:
            row = None
    return row.held if row else "auto"
