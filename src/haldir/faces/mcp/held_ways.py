"""In which way a held call comes back: as its key says, as far as its client can take it."""

from typing import Literal, assert_never

from haldir.faces.mcp.inbound import Inbound
from haldir.gate.model import HeldSetting
from haldir.proxy.era import CAPABILITIES_KEY

Way = Literal["plain", "stream", "input"]


def way_of(setting: HeldSetting, inbound: Inbound) -> Way:
    """Return the way. What the client cannot take falls back to a plain result, which every client can."""
    match setting:
        case "plain":
            return "plain"
        case "stream":
            return "stream" if inbound.takes_stream else "plain"
        case "input":
            return "input" if inbound.is_modern else "plain"
        case "auto":
            if takes_url(inbound):
                return "input"
            return "stream" if inbound.takes_stream and inbound.progress_token is not None else "plain"
    assert_never(setting)


def takes_url(inbound: Inbound) -> bool:
    """Tell whether the client says that it can send its user to a page (MCP 2026-07-28, Elicitation, URL mode)."""
    capabilities = inbound.meta.get(CAPABILITIES_KEY) if inbound.is_modern else None
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)
