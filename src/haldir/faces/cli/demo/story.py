"""What the demo does, step by step: nothing is staged, every answer comes from the running processes."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

from haldir.faces.cli.demo.agent import Agent, connected
from haldir.faces.cli.demo.server import DemoFailed, Server, check, start
from haldir.faces.cli.demo.step import Decision, Step, Story

BUDGET = 20
SCOPES = ["execute:shop:find_books", "execute:shop:order_book", "execute:shop:refund"]
PRICE = 12
RING, BOOK = {"query": "ring"}, {"title": "The Two Towers", "amount": PRICE}
FORBIDDEN, HARMLESS = b'"tool":"close_shop"', b'"tool":"find_books"'  # As long as each other: no byte else moves.


class Scene(NamedTuple):
    """One call of the agent, and the refusal it must meet; "" for none."""

    name: str
    title: str
    tool: str
    arguments: dict[str, Any]
    refusal: str


SCENES = (
    Scene("free", "A call within scope", "find_books", RING, ""),
    Scene("paid", "A call within scope and budget", "order_book", BOOK, ""),
    Scene("scope", "A tool outside the session's scopes", "close_shop", {}, "scope_missing"),
    Scene("policy", "A tool that a policy blocks", "refund", {"title": "The Two Towers"}, "policy_denied"),
    Scene("budget", "A price above what is left", "order_book", BOOK, "budget_exceeded"),
)
AFTER_REVOCATION = Scene("revoked", "Any call after the session was revoked", "find_books", RING, "session_revoked")
NAMES = (
    "start",
    "tools",
    *(scene.name for scene in SCENES),
    "spent",
    "revoked",
    "log",
    "verify",
    "stop",
    "untouched",
    "tampered",
    "tampered_files",
)

Watch = Callable[[Step], None]
ShowLog = Callable[[tuple[Decision, ...]], None]


async def tell(folder: Path, watch: Watch, show_log: ShowLog) -> Story:
    """Play the demo in an empty folder, showing each step as it is done. What breaks it off is its last step."""
    steps: list[Step] = []
    log: tuple[Decision, ...] = ()

    def note(step: Step) -> None:
        steps.append(step)
        watch(step)

    try:
        log = await _whole(folder, note, show_log, steps)
    except Exception as error:  # noqa: BLE001 - it runs what others wrote; whatever breaks is shown, not thrown.
        note(_broken_off(NAMES[len(steps)], error))
    return Story(steps=tuple(steps), log=log)


async def _whole(folder: Path, note: Watch, show_log: ShowLog, steps: list[Step]) -> tuple[Decision, ...]:
    server = await start(folder / "data")
    try:
        note(_start_step(server))
        async for step in _calls(server):
            note(step)
        log = _log(server)
        show_log(log)
        note(_log_step(log, steps))
        note(_verify_step("verify", "The log verifies", server, None))
    finally:
        exit_code = await server.stop()
    note(_stop_step(exit_code))
    async for step in _tampering(server.data, folder / "tampered", log):
        note(step)
    return log


def _broken_off(name: str, error: BaseException) -> Step:
    while isinstance(error, BaseExceptionGroup):  # As task groups raise what one of their tasks raised.
        error = error.exceptions[0]
    reason = str(error) if isinstance(error, DemoFailed) else f"{type(error).__name__}: {error}"
    return Step(
        name=name,
        title="The demo could not go on",
        done=f"the step {name}",
        expected={"error": ""},
        seen={"error": reason.partition("\n")[0]},
    )


def _start_step(server: Server) -> Step:
    return Step(
        name="start",
        title="Haldir starts with the bookshop behind it",
        done="haldir up --upstream shop=…",
        expected={"upstreams": ["shop"]},
        seen={"upstreams": list(server.admin.get("/v1/proxy/upstreams")["upstreams"])},
        told=f"listens on {server.url}",
    )


async def _calls(server: Server) -> AsyncIterator[Step]:
    server.admin.post("/v1/proxy/policies", {"type": "block_tool", "tool": "refund"})
    opened = server.admin.post(
        "/v1/sessions", {"agent_id": "bookworm", "scopes": SCOPES, "spend_limit": BUDGET, "ttl": 600}
    )
    async with connected(f"{server.url}/mcp/shop", opened["token"]) as agent:
        yield await _tools(agent)
        for scene in SCENES:
            yield await _call(agent, scene)
        yield _budget(server, opened["session_id"])
        server.admin.delete(f"/v1/sessions/{opened['session_id']}")
        yield await _call(agent, AFTER_REVOCATION)


async def _tools(agent: Agent) -> Step:
    tools = await agent.tools()
    return Step(
        name="tools",
        title="The agent sees only what it may call",
        done="tools/list",
        expected={"tools": ["find_books", "order_book"]},
        seen={"tools": tools},
        told=", ".join(tools),
    )


async def _call(agent: Agent, scene: Scene) -> Step:
    answer = await agent.call(scene.tool, scene.arguments)
    given = ", ".join(f"{name}={value!r}" for name, value in scene.arguments.items())
    return Step(
        name=scene.name,
        title=scene.title,
        done=f"{scene.tool}({given})",
        expected={"refusal": scene.refusal},
        seen={"refusal": answer.refusal},
        told=answer.text,
    )


def _budget(server: Server, session_id: str) -> Step:
    session = server.admin.get(f"/v1/sessions/{session_id}")
    spent, left = session["spent"], session["remaining_budget"]
    return Step(
        name="spent",
        title="Only the call that went through was paid",
        done="haldir session show",
        expected={"spent": PRICE, "left": BUDGET - PRICE},
        seen={"spent": spent, "left": left},
        told=f"spent {spent:.2f} of {BUDGET:.2f} USD, left {left:.2f}",
    )


def _log(server: Server) -> tuple[Decision, ...]:
    """Return every entry of the log, oldest first."""
    entries = server.admin.get("/v1/audit", kind="all", limit=1000)["entries"]
    return tuple(
        Decision(
            entry_id=entry["entry_id"],
            kind=entry["kind"],
            tool=entry["tool"],
            allowed=entry["allowed"],
            code=entry["code"],
            reason=entry["reason"],
        )
        for entry in reversed(entries)
    )


def _log_step(log: tuple[Decision, ...], steps: list[Step]) -> Step:
    calls = [entry.code for entry in log if entry.kind == "call.admit"]
    return Step(
        name="log",
        title="Every decision stands in the log",
        done="haldir audit tail --all",
        expected={"calls": [step.expected["refusal"] for step in steps if "refusal" in step.expected]},
        seen={"calls": calls},
        told=f"{len(log)} entries, {len(calls)} of them decisions on calls",
    )


def _verify_step(name: str, title: str, server: Server, forged: str | None) -> Step:
    answer = server.admin.get("/v1/audit/verify")
    found = [finding["message"] for finding in answer.get("findings", [])]
    return Step(
        name=name,
        title=title,
        done=f"haldir audit verify --data {server.data.name}",
        expected={"verified": forged is None, "entry": forged},
        seen={"verified": answer["verified"], "entry": answer.get("tampered_entry")},
        told="\n".join([f"verify: {'ok' if answer['verified'] else 'FAILED'}", *found]),
    )


def _stop_step(exit_code: int) -> Step:
    return Step(
        name="stop",
        title="The server stops when it is told to",
        done="kill -TERM",
        expected={"exit": 0},
        seen={"exit": exit_code},
        told=f"exit {exit_code}",
    )


async def _tampering(data: Path, copy: Path, log: tuple[Decision, ...]) -> AsyncIterator[Step]:
    """Rewrite the refused attempt in a copy of the database, as an insider with the disk could."""
    yield await _check_step("untouched", "The database checks out as it stands", data, None)
    shutil.copytree(data, copy)
    _edit(copy / "haldir.db")
    forged = next(entry.entry_id for entry in log if entry.tool == "close_shop")
    title = "One row of a copy rewritten, close_shop made to read find_books: verify names it"
    server = await start(copy)
    try:
        yield _verify_step("tampered", title, server, forged)
    finally:
        await server.stop()
    yield await _check_step("tampered_files", "Without a server, fsck names it too", copy, forged)


async def _check_step(name: str, title: str, data: Path, forged: str | None) -> Step:
    exit_code, report = await check(data)
    findings = report["findings"]
    return Step(
        name=name,
        title=title,
        done=f"haldir fsck --data {data.name}",
        expected={"exit": 0 if forged is None else 1, "entry": forged},
        seen={"exit": exit_code, "entry": findings[0]["entry_id"] if findings else None},
        told="\n".join([f"fsck: {'ok' if report['ok'] else 'FAILED'}", *(each["message"] for each in findings)]),
    )


def _edit(database: Path) -> None:
    before = database.read_bytes()
    if FORBIDDEN not in before:
        raise DemoFailed(f"{database} does not hold the entry that was to be rewritten.")
    database.write_bytes(before.replace(FORBIDDEN, HARMLESS))
