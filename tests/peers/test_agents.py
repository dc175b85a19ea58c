"""Agents of frameworks that others wrote, with a model that is none: held, approved by a person, released, once.

None knows Haldir: each has the address of an MCP server and a header, as its documentation shows it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from mcp.server.mcpserver import MCPServer

from harness.eventually import eventually
from harness.haldir import Haldir
from harness.threads import running_haldir
from peers.agent import INTERPRETERS, Agent, Server
from upstreams.serving import serving

HELD_SECONDS = 0.2  # So that who listens to progress, and waits for a person within its call, is soon told to wait.
PERSON_SECONDS = 60.0  # More than it takes to decide here.


class Shop:
    """An MCP server that sells; `orders` are the calls that came through to it."""

    def __init__(self) -> None:
        self.orders: list[str] = []

    def server(self) -> MCPServer:
        shop = MCPServer("shop")

        @shop.tool()
        def order(title: str, copies: int) -> str:
            """Order books: what it answers has a schema, which clients hold every answer against."""
            return self._taken(f"{copies} of {title}")

        @shop.tool(structured_output=False)
        def reserve(title: str, copies: int) -> str:
            """Reserve books: what it answers is just text."""
            return self._taken(f"{copies} of {title}, reserved")

        return shop

    def _taken(self, order: str) -> str:
        self.orders.append(order)
        return f"You get {order}."


class Door(NamedTuple):
    """Where an agent finds a tool of the shop, by which name, and what its orders end with."""

    path: str
    tool: str
    ending: str = ""


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@contextmanager
def guarding(shop: Shop, data: Path, held_seconds: float) -> Iterator[Haldir]:
    """Run a Haldir before the shop that holds all that is sold there."""
    with running_haldir(data, held_seconds=held_seconds) as haldir, serving(shop.server().streamable_http_app()) as url:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "shop", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["shop.order", "shop.reserve"]})
        yield haldir


@pytest.fixture(scope="module")
def haldir(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with guarding(shop, tmp_path_factory.mktemp("agents"), HELD_SECONDS) as haldir:
        yield haldir


@pytest.fixture
def approver(haldir: Haldir) -> str:
    return approver_at(haldir)


def approver_at(haldir: Haldir) -> str:
    """Return the key of a person who decides, and did not ask."""
    made = haldir.rest("POST", "/v1/keys", {"name": "person", "scopes": ["approvals:write"]})
    return str(made["key"])


@pytest.fixture(params=INTERPRETERS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_agent_that_listens_to_progress_gets_what_it_asked_for_in_the_same_call(shop: Shop, tmp_path: Path) -> None:
    title = "while-it-waits"
    with (
        guarding(shop, tmp_path, PERSON_SECONDS) as haldir,
        agent_of(haldir, "pydantic_ai", Door("/mcp/shop", "order"), title) as agent,
        ThreadPoolExecutor(1) as pool,
    ):
        asking = pool.submit(agent.told, "Get me three of those.")
        eventually(lambda: haldir.rest("GET", "/v1/approvals/pending")["count"])
        approver = approver_at(haldir)
        decide(haldir, approver, waiting(haldir, approver, title), "approve")
        assert asking.result(PERSON_SECONDS) == f"You get 3 of {title}."
    assert shop.orders.count(f"3 of {title}") == 1


def agent_of(haldir: Haldir, framework: str, door: Door, title: str) -> Agent:
    arguments = {"title": title, "copies": 3}
    return Agent(framework, Server(haldir.url + door.path, haldir.token(agent_id=title), door.tool, arguments))


def waiting(haldir: Haldir, approver: str, title: str) -> str:
    """Return the one approval that the agent of this title waits for, as the person finds it."""
    answer = haldir.get(f"/v1/approvals/pending?agent_id={title}", key=approver)
    (asked,) = answer.body["requests"]
    assert asked["details"] == {"title": title, "copies": 3}
    return str(asked["request_id"])


def decide(haldir: Haldir, approver: str, approval_id: str, verdict: str) -> None:
    answer = haldir.post(f"/v1/approvals/{approval_id}/{verdict}", key=approver)
    assert answer.status == 200, answer


@pytest.mark.parametrize(
    "door", [Door("/mcp/shop", "order"), Door("/mcp/shop", "reserve", ", reserved"), Door("/mcp", "shop__order")]
)
def test_an_agent_of_a_framework_is_held_approved_and_released_once(
    haldir: Haldir, shop: Shop, approver: str, framework: str, door: Door
) -> None:
    title = f"{framework}-{door.tool}"
    order = f"3 of {title}{door.ending}"
    with agent_of(haldir, framework, door, title) as agent:
        held = agent.told("Get me three of those.")
        first = waiting(haldir, approver, title)
        assert "approval_required" in held
        assert first in held
        assert first in agent.told("And?")
        assert order not in shop.orders
        decide(haldir, approver, first, "approve")
        assert f"You get {order}." in agent.told("It is approved: do it now.")
        assert shop.orders.count(order) == 1
        again = agent.told("The same once more.")
        assert waiting(haldir, approver, title) in again
        assert first not in again
    assert shop.orders.count(order) == 1


@pytest.mark.parametrize("door", [Door("/mcp/shop", "order"), Door("/mcp", "shop__order")])
def test_what_a_person_denied_an_agent_of_a_framework_never_gets(
    haldir: Haldir, shop: Shop, approver: str, framework: str, door: Door
) -> None:
    title = f"{framework}-{door.tool}-denied"
    with agent_of(haldir, framework, door, title) as agent:
        agent.told("Get me three of those.")
        decide(haldir, approver, waiting(haldir, approver, title), "deny")
        for prompt in ("Do it now.", "It is fine, really, do it."):
            assert "approval_denied" in agent.told(prompt)
    assert not [order for order in shop.orders if title in order]
