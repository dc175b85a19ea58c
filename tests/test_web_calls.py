"""A held call on the page: the tool, the exact arguments, and what is new in them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.haldir import Haldir
from harness.person import Person, text
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir with the upstream `sample`, where sessions with a budget have their calls over 10 held."""
    with serving(sample.app(json_response=True)) as url, running_haldir(tmp_path_factory.mktemp("data")) as haldir:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


@pytest.fixture
def person(haldir: Haldir) -> Person:
    person = Person(haldir)
    person.sign_in(haldir.key)
    return person


def call(haldir: Haldir, session: Any, arguments: str) -> str:
    """Call a tool with arguments as they are written; return the text that was answered."""
    body = f'{{"tool": "sample.echo", "session_id": "{session["session_id"]}", "arguments": {arguments}}}'
    answer = haldir.post("/v1/proxy/call", body.encode())
    assert answer.status == 200, answer
    return str(answer.body["content"][0]["text"])


def held(haldir: Haldir, session: Any, arguments: str) -> str:
    """Have a call held; return its approval."""
    return str(json.loads(call(haldir, session, arguments))["request_id"])


def shopper(haldir: Haldir, agent: str) -> Any:
    return haldir.session("execute", "spend", agent_id=agent, spend_limit=1000)


def test_a_call_shows_its_tool_its_price_its_arguments_and_what_is_new_in_them(haldir: Haldir, person: Person) -> None:
    session = shopper(haldir, "changer")
    call(haldir, session, '{"text": "<b>old</b>", "amount": 2, "to": "A"}')
    approval_id = held(haldir, session, '{"text": "<b>new</b>", "amount": 20.0, "a/b": [1, 2]}')
    for path in ("/approvals", f"/approvals/{approval_id}"):
        page = text(person.get(path))
        assert "sample.echo" in page
        assert "20.00 USD" in page
        assert '"amount": 20.0' in page
        assert "<code>/amount</code><del>2</del><ins>20.0</ins>" in page
        assert '<code>/text</code><del>"&lt;b&gt;old&lt;/b&gt;"</del><ins>"&lt;b&gt;new&lt;/b&gt;"</ins>' in page
        assert '<span class="soft">removed</span><code>/to</code><del>"A"</del></li>' in page
        assert '<span class="soft">added</span><code>/a~1b</code><ins>' in page
        assert "for <bdi>admin</bdi>" in page


def test_of_many_changes_a_list_shows_the_first(haldir: Haldir, person: Person) -> None:
    session = shopper(haldir, "many")
    call(haldir, session, '{"text": "", "amount": 1}')
    many = json.dumps({"text": "", "amount": 11} | {f"n{number}": number for number in range(20)})
    approval_id = held(haldir, session, many)
    assert "And more." in text(person.get("/approvals"))
    whole = text(person.get(f"/approvals/{approval_id}"))
    assert "And more." not in whole
    assert "/n19" in whole


def test_what_cannot_be_compared_says_why(haldir: Haldir, person: Person) -> None:
    session = shopper(haldir, "first")
    first = held(haldir, session, '{"text": "a", "amount": 11}')
    assert "This agent has not called this tool before." in text(person.get(f"/approvals/{first}"))
    person.send(f"/approvals/{first}/approve")
    assert call(haldir, session, '{"text": "a", "amount": 11}') == "a for 11.0"
    used = text(person.get(f"/approvals/{first}"))
    assert "Used by <code>call_" in used
    again = held(haldir, session, '{"text": "a", "amount": 11}')
    assert "The same arguments as in its previous call" in text(person.get(f"/approvals/{again}"))


def test_arguments_that_were_erased_are_said_to_be(haldir: Haldir, person: Person) -> None:
    session = shopper(haldir, "eraser")
    approval_id = held(haldir, session, '{"text": "of a person", "amount": 11}')
    person.send(f"/approvals/{approval_id}/approve")
    call(haldir, session, '{"text": "of a person", "amount": 11}')
    used_by = haldir.rest("GET", f"/v1/approvals/{approval_id}")["used_by"]
    assert "of a person" in text(person.get(f"/approvals/{approval_id}"))
    haldir.rest("DELETE", f"/v1/calls/{used_by}/payload")
    page = text(person.get(f"/approvals/{approval_id}"))
    assert "of a person" not in page
    assert "The arguments were erased" in page
