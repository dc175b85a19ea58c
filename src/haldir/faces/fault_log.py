"""What a face writes down of a fault of Haldir's own: where it went wrong, never values or messages.

They may hold what was secret.
"""

import logging
import re
import traceback

from starlette.types import Scope

SEALED_PATH = re.compile(r"/approve/[^/]+")  # What stands there decides: it is written down nowhere.

_log = logging.getLogger(__name__)


def report_fault(error: Exception, scope: Scope, request_id: str = "") -> None:
    """Log it in one line, under the id that its answer has; an answer of MCP has none."""
    frames = traceback.extract_tb(error.__traceback__)
    particulars = ({"request_id": request_id} if request_id else {}) | {
        "method": scope["method"],
        "path": SEALED_PATH.sub("/approve/***", scope["path"]),
        "error": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    _log.error("unhandled_error", extra={"event": particulars})
