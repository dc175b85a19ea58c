"""How a command ends: the exit codes, and the one clear line that says why it did not do what was asked."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from haldir.client import HaldirAPIError, TurnedDown
from haldir.config_file import SettingsError
from haldir.faces.cli.screen import plain
from haldir.kernel.errors import HaldirError

CHECK_FAILED = 1
WRONG_SETTING = 2  # As click uses it for a wrong command line.
UNREACHABLE = 3
SAID_NO = 4


@contextmanager
def explained(*, as_json: bool) -> Iterator[None]:
    """Turn what went wrong into one line on standard error and an exit code."""
    try:
        yield
    except HaldirAPIError as error:
        code = SAID_NO if isinstance(error, TurnedDown) else UNREACHABLE
        sys.exit(_tell(code, error.code, error.message, error.hint, error.request_id, as_json=as_json))
    except SettingsError as error:
        sys.exit(_tell(WRONG_SETTING, error.code, error.message, error.hint, "", as_json=as_json))
    except HaldirError as error:
        sys.exit(_tell(UNREACHABLE, error.code, error.message, error.hint, "", as_json=as_json))
    except BrokenPipeError:  # Nobody reads on, as behind `| head`: the root ends it.
        raise
    except OSError as error:  # A folder that cannot be made, a disk that is full.
        sys.exit(_tell(UNREACHABLE, "system_error", str(error), "", "", as_json=as_json))


def _tell(exit_code: int, code: str, reason: str, hint: str, request_id: str, *, as_json: bool) -> int:
    if as_json:
        document = {"code": code, "error": reason, "hint": hint, "request_id": request_id}
        line = json.dumps({name: text for name, text in document.items() if text})
    else:
        sentences = [f"{said.rstrip('.')}." for said in (reason, hint) if said]
        request = f" [request {request_id}]" if request_id else ""
        line = plain(f"haldir: {code}: {' '.join(sentences)}{request}")
    click.echo(line, err=True)
    return exit_code
