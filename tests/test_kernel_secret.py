"""A secret hides from everything but `reveal`."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from haldir.kernel.secret import Secret

VALUE = "hunter2-hunter2"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__, lambda secret: repr([secret]), ascii]
)
@pytest.mark.parametrize("value", [VALUE, VALUE.encode()])
def test_a_secret_shows_stars(show: Callable[[Any], str], value: str | bytes) -> None:
    assert VALUE not in show(Secret(value))
    assert "Secret(***)" in show(Secret(value))


@pytest.mark.parametrize(
    "serialise", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, msgspec.msgpack.encode, vars]
)
def test_a_secret_cannot_be_serialised_or_copied(serialise: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as refusal:
        serialise(Secret(VALUE))
    assert VALUE not in str(refusal.value)


def test_a_secret_is_in_no_traceback_even_with_the_locals_shown() -> None:
    def fail(secret: Secret[str]) -> None:
        raise RuntimeError(f"about {secret}")

    try:
        fail(Secret(VALUE))
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Secret(***)" in shown
    assert VALUE not in shown


def test_a_secret_is_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("haldir").warning("using %s and %r", Secret(VALUE), Secret(VALUE))
    assert caplog.messages == ["using Secret(***) and Secret(***)"]


def test_reveal_gives_the_value_out() -> None:
    assert Secret(VALUE).reveal() == VALUE
