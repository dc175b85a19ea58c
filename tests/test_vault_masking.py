"""Secrets taken out of JSON that somebody is to see."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from haldir.kernel import strict_json
from haldir.kernel.secret import Secret
from haldir.vault.masking import masked

VALUES = {
    "KEY": "s3cr3t-value",
    "LONGER": "s3cr3t-value-and-more",
    "QUOTED": 'a"b\\c\nd',
    "PIN": "4711",
    "LONG_PIN": "123456",
}
SECRETS = {name: Secret(value) for name, value in VALUES.items()}


def shown(value: Any) -> Any:
    return json.loads(masked(json.dumps(value).encode(), SECRETS))


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({"a": "s3cr3t-value"}, {"a": "${secret:KEY}"}),
        (["Bearer s3cr3t-value!"], ["Bearer ${secret:KEY}!"]),
        ({"a": {"s3cr3t-value": 1}}, {"a": {"${secret:KEY}": 1}}),
        ("s3cr3t-value-and-more s3cr3t-value", "${secret:LONGER} ${secret:KEY}"),
        ({"text": json.dumps({"key": VALUES["QUOTED"]})}, {"text": '{"key": "${secret:QUOTED}"}'}),
        (f"-{VALUES['QUOTED']}-", "-${secret:QUOTED}-"),
        ("4711", "${secret:PIN}"),
        ("4711 days", "4711 days"),
        ([4711, 123456, 1234567], ["${secret:PIN}", "${secret:LONG_PIN}", 1234567]),
        ([None, True, 1.50, "${secret:KEY}"], [None, True, 1.5, "${secret:KEY}"]),
    ],
    ids=str,
)
def test_where_a_value_stands_its_reference_is_shown(said: Any, seen: Any) -> None:
    assert shown(said) == seen


def test_what_holds_no_value_comes_as_it_was_sent() -> None:
    sent = b'{ "b": 1.50, "a": [1e400, "\\u00e9"] }'
    assert masked(sent, SECRETS) == sent


@pytest.mark.parametrize("sent", [b"<p>s3cr3t-value</p>", b'{"a": 1, "a": "s3cr3t-value"}', b"\xff s3cr3t-value", b""])
def test_what_is_no_json_is_shown_as_one_text(sent: bytes) -> None:
    text = json.loads(masked(sent, SECRETS))
    assert text == sent.decode(errors="replace").replace("s3cr3t-value", "${secret:KEY}")


def test_another_encoding_is_not_found() -> None:
    hidden = base64.b64encode(b"s3cr3t-value").decode()
    assert shown([hidden]) == [hidden]


values = st.text(min_size=6, max_size=12).filter(lambda text: "secret" not in text and "${" not in text)


@given(values, st.text(max_size=20), st.text(max_size=20))
@example("\\\\\\\\\\\\", "", "\\")
def test_no_value_is_shown_whatever_stands_around_it(value: str, before: str, after: str) -> None:
    seen = masked(strict_json.encode({"a": [before + value + after]}), {"N": Secret(value)})
    assert value not in json.loads(seen)["a"][0].replace("${secret:N}", "")
