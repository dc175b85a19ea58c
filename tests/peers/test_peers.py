"""Clients and servers that others wrote: each client uses each server through both endpoints and sees the same."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haldir.config_file import OperatorUpstream
from haldir.proxy.model import UpstreamConfig
from harness.haldir import Haldir
from harness.official import official_client
from harness.threads import running_haldir
from outside.places import OLD_PYTHON, node_server

OLD_CLIENT = Path(__file__).parent / "old_client.py"
OLD_CLIENT_SECONDS_MAX = 60
DOCUMENT = "demo://resource/static/document/features.md"
DYNAMIC = "demo://resource/dynamic/text/7"

Step = tuple[Any, ...]
Ask = Callable[[Haldir, str, list[Step]], list[Any]]


class Endpoint(NamedTuple):
    """Where an upstream is reached, and what stands before its names there."""

    path: str
    prefix: str


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What server-filesystem may read and write."""
    return tmp_path_factory.mktemp("shared").resolve()


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory, shared_folder: Path) -> Iterator[Haldir]:
    data = tmp_path_factory.mktemp("peers")
    memory = {"MEMORY_FILE_PATH": str(data / "memory.json")}
    configs = {
        "everything": UpstreamConfig(command=node_server("server-everything")),
        "files": UpstreamConfig(command=node_server("server-filesystem", str(shared_folder))),
        "memory": UpstreamConfig(command=node_server("server-memory"), env=memory),
    }
    with running_haldir(data, *(OperatorUpstream(name, config) for name, config in configs.items())) as running:
        yield running


def ask_with_old_client(haldir: Haldir, path: str, steps: list[Step]) -> list[Any]:
    """Ask with the 1.x client, in an interpreter of its own."""
    asked = json.dumps({"url": f"{haldir.url}{path}", "token": haldir.token(), "steps": steps})
    ended = subprocess.run(
        [OLD_PYTHON, OLD_CLIENT],
        input=asked,
        capture_output=True,
        text=True,
        timeout=OLD_CLIENT_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results: list[Any] = json.loads(ended.stdout)
    return results


def ask_with_new_client(mode: str) -> Ask:
    """Ask with the 2.x client: `legacy` shakes hands, `auto` tries 2026-07-28 first."""

    async def talk(haldir: Haldir, path: str, steps: list[Step]) -> list[Any]:
        async with official_client(haldir, path, haldir.token(), mode) as client:
            results = [await getattr(client, method)(*arguments) for method, *arguments in steps]
        return [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results]

    return lambda haldir, path, steps: asyncio.run(talk(haldir, path, steps))


@pytest.fixture(
    params=[ask_with_old_client, ask_with_new_client("legacy"), ask_with_new_client("auto")],
    ids=["1.x", "2.x legacy", "2.x auto"],
)
def ask(request: pytest.FixtureRequest) -> Ask:
    asking: Ask = request.param
    return asking


def endpoints(upstream: str) -> list[Endpoint]:
    return [Endpoint(f"/mcp/{upstream}", ""), Endpoint("/mcp", f"{upstream}__")]


@pytest.mark.parametrize("endpoint", endpoints("everything"), ids=["alone", "joined"])
def test_tools_resources_and_prompts_of_server_everything(haldir: Haldir, ask: Ask, endpoint: Endpoint) -> None:
    path, prefix = endpoint
    tools, echoed, total, refused, structured = ask(
        haldir,
        path,
        [
            ("list_tools",),
            ("call_tool", f"{prefix}echo", {"message": "mellon"}),
            ("call_tool", f"{prefix}get-sum", {"a": 2, "b": 40}),
            ("call_tool", f"{prefix}get-sum", {"a": "two"}),
            ("call_tool", f"{prefix}get-structured-content", {"location": "New York"}),
        ],
    )
    assert {f"{prefix}echo", f"{prefix}get-sum", f"{prefix}get-tiny-image"} <= names(tools["tools"], "name")
    assert text(echoed) == "Echo: mellon"
    assert "42" in text(total)
    assert refused["isError"] is True
    assert set(structured["structuredContent"]) == {"temperature", "conditions", "humidity"}


@pytest.mark.parametrize("endpoint", endpoints("everything"), ids=["alone", "joined"])
def test_resources_and_prompts_of_server_everything(haldir: Haldir, ask: Ask, endpoint: Endpoint) -> None:
    path, prefix = endpoint
    resources, templates, document, dynamic, prompts, prompt = ask(
        haldir,
        path,
        [
            ("list_resources",),
            ("list_resource_templates",),
            ("read_resource", DOCUMENT),
            ("read_resource", DYNAMIC),
            ("list_prompts",),
            ("get_prompt", f"{prefix}args-prompt", {"city": "Moria"}),
        ],
    )
    assert DOCUMENT in names(resources["resources"], "uri")
    assert "demo://resource/dynamic/text/{resourceId}" in names(templates["resourceTemplates"], "uriTemplate")
    assert document["contents"][0]["uri"] == DOCUMENT
    assert "Resource 7" in dynamic["contents"][0]["text"]
    assert {f"{prefix}simple-prompt", f"{prefix}args-prompt"} <= names(prompts["prompts"], "name")
    assert "Moria" in prompt["messages"][0]["content"]["text"]


@pytest.mark.parametrize("endpoint", endpoints("files"), ids=["alone", "joined"])
def test_files_are_written_read_and_kept_inside(
    haldir: Haldir, ask: Ask, endpoint: Endpoint, shared_folder: Path
) -> None:
    path, prefix = endpoint
    file = str(shared_folder / "runes.txt")
    written, read, listed, outside = ask(
        haldir,
        path,
        [
            ("call_tool", f"{prefix}write_file", {"path": file, "content": "speak, friend"}),
            ("call_tool", f"{prefix}read_text_file", {"path": file}),
            ("call_tool", f"{prefix}list_directory", {"path": str(shared_folder)}),
            ("call_tool", f"{prefix}read_text_file", {"path": "/etc/hostname"}),
        ],
    )
    assert "Successfully wrote" in text(written)
    assert text(read) == (shared_folder / "runes.txt").read_text(encoding="utf-8") == "speak, friend"
    assert "[FILE] runes.txt" in text(listed)
    assert outside["isError"] is True


@pytest.mark.parametrize("endpoint", endpoints("memory"), ids=["alone", "joined"])
def test_a_graph_is_remembered(haldir: Haldir, ask: Ask, endpoint: Endpoint) -> None:
    path, prefix = endpoint
    entity = {"name": "Durin", "entityType": "dwarf", "observations": ["made the doors"]}
    _, graph, found, _ = ask(
        haldir,
        path,
        [
            ("call_tool", f"{prefix}create_entities", {"entities": [entity]}),
            ("call_tool", f"{prefix}read_graph", {}),
            ("call_tool", f"{prefix}search_nodes", {"query": "doors"}),
            ("call_tool", f"{prefix}delete_entities", {"entityNames": ["Durin"]}),
        ],
    )
    assert json.loads(text(graph))["entities"] == [entity]
    assert found["structuredContent"]["entities"] == [entity]


def names(definitions: list[Any], key: str) -> set[str]:
    return {definition[key] for definition in definitions}


def text(result: Any) -> str:
    said: str = result["content"][0]["text"]
    return said
