"""What a running server has to say beside its answers: one line of JSON each, on standard error."""

import json
import logging
from typing import Any

from haldir.kernel.clock import SECOND, moment


def write_events_to_standard_error() -> None:
    """Configure the event log of this process; standard output stays free for what was asked for."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


class JsonLines(logging.Formatter):
    """An event is a log record whose message is its name; its particulars are in `extra={"event": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        particulars: dict[str, Any] = getattr(record, "event", {})
        line = {
            "timestamp": moment(round(record.created * SECOND)).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **particulars,
        }
        if record.exc_info:  # Without the values of variables, which may be secrets.
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
