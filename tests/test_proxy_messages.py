"""Events, lists and messages are cut by the byte: laws over any stream and any list."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.faces.mcp.tool_list import filtered, tools_in
from haldir.kernel import strict_json
from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.definition import read_definition
from haldir.proxy.era import CLIENT_INFO_KEY, IMPLEMENTATION, MODERN, VERSION_KEY, Era, header_value, read_header_value
from haldir.proxy.param_headers import header_names, headers_for, mismatch
from haldir.proxy.sse import EVENT_BYTES_MAX, EventParser, EventTooLarge, frame, parse, with_data

line_end = st.sampled_from([b"\n", b"\r\n", b"\r"])
line = st.sampled_from(
    [
        b"data: x",
        b"data:",
        b"data",
        b"id: 7",
        b"event: message",
        b": ping",
        b"retry: 5",
        b"data:  two",
        b"\xff\xfe",
        b"unknown: y",
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """A stream of whole events, and where it is cut into chunks."""
    stream = b""
    for _ in range(draw(st.integers(0, 6))):
        end = draw(line_end)
        stream += b"".join(each + end for each in draw(st.lists(line, min_size=1, max_size=4))) + end
    return stream, sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))


@given(streams())
def test_events_are_the_stream_however_it_was_cut_into_chunks(cut_stream: tuple[bytes, list[int]]) -> None:
    stream, cuts = cut_stream
    parser, events = EventParser(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += list(parser.feed(stream[start:end]))
    whole = list(EventParser().feed(stream))
    assert b"".join(event.raw for event in events).rstrip(b"\r\n") == stream.rstrip(b"\r\n")
    assert [(event.id, event.kind, event.data) for event in events if event.raw.strip()] == [
        (event.id, event.kind, event.data) for event in whole if event.raw.strip()
    ]


def test_an_event_says_what_the_standard_says() -> None:
    event = parse(b"\xef\xbb\xbfid: 1\r\nevent: other\ndata:a\rdata: b\ndata\n: c\n\n")
    assert (event.id, event.kind, event.data, event.is_message) == ("1", "other", b"a\nb\n", False)


def test_an_event_without_end_is_refused() -> None:
    parser = EventParser()
    for _ in range(EVENT_BYTES_MAX >> 16):
        assert list(parser.feed(b"x" * (1 << 16))) == []
    with pytest.raises(EventTooLarge):
        list(parser.feed(b"x"))


@given(st.dictionaries(st.text(), st.text()))
def test_a_message_survives_its_frame_and_a_replacement_keeps_the_rest(value: dict[str, str]) -> None:
    message = json.dumps(value, indent=2).encode()
    assert json.loads(parse(frame(message).raw).data) == value
    event = parse(b": note\r\nid: 3\r\nretry: 9\r\ndata: old\r\ndata: older\r\n\r\n")
    replaced = parse(with_data(event, message).raw)
    assert (json.loads(replaced.data), replaced.id) == (value, "3")
    assert b"retry: 9" in replaced.raw
    assert b"data: old" not in replaced.raw


names = st.text("abcXYZ09_-.", min_size=1, max_size=5)
definition = st.fixed_dictionaries(
    {"name": names, "description": st.text(), "inputSchema": st.just({"type": "object", "x": [1.0, 1e400, {}]})}
)


@given(
    st.lists(definition, max_size=6),
    st.sets(names),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, "public"]),
    st.text(),
)
def test_a_filtered_list_is_the_same_but_for_what_may_not_be_used(
    tools: list[Any], allowed: set[str], indent: int | None, scope: str | None, extra: str
) -> None:
    result: dict[str, Any] = {"a": {"tools": ["not this"]}, "tools": tools, 'é"\\': extra, "nextCursor": "n"} | (
        {"cacheScope": scope} if scope else {}
    )
    answer = (
        json.dumps({"jsonrpc": "2.0", "x": {"result": 1}, "result": result, "id": 7}, indent=indent)
        .replace("Infinity", "1e400")
        .encode()
    )
    read = tools_in(answer) or []
    cut = filtered(answer, read, lambda definition: definition.name in allowed)
    kept = [tool for tool in tools if tool["name"] in allowed]
    expected = result | {"tools": kept} | ({"cacheScope": "private"} if scope else {})
    assert json.loads(cut)["result"] == json.loads(json.dumps(expected).replace("Infinity", "1e400"))
    if len(kept) == len(tools) and not scope:
        assert cut == answer
    assert cut.count(b"1e400") == len(kept)
    assert [json.loads(each.encoded) for each in read if each] == json.loads(answer)["result"]["tools"]


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "é", "a/b", "a\u202e"])
def test_a_tool_whose_name_the_protocol_forbids_is_not_offered(name: str) -> None:
    assert offered([{"name": name, "inputSchema": {}}, FINE]) == [FINE]


@pytest.mark.parametrize(
    "malformed",
    [
        {"name": "y", "description": 7, "inputSchema": {}},
        {"name": "y", "description": "no schema"},
        {"name": "y", "inputSchema": None},
        {"name": "y", "inputSchema": []},
        {"name": 7, "inputSchema": {}},
        {"inputSchema": {}},
        ["y"],
        "y",
        None,
    ],
)
def test_a_malformed_definition_is_not_offered(malformed: Any) -> None:
    assert offered([malformed, FINE, FINE | {"description": None}]) == [FINE, FINE | {"description": None}]


FINE: dict[str, Any] = {"name": "fine", "inputSchema": {}}


def offered(definitions: list[Any]) -> Any:
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": definitions}}).encode()
    return json.loads(filtered(answer, tools_in(answer) or [], lambda _: True))["result"]["tools"]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id":1,"result":{"tools":[{"name":"shown"}],"tools":[{"name":"hidden"}],"tools":[]}}',
        b'{"id":1,"result":{"tools":[{"name":"shown","inputSchema":{}}]},"result":{}}',
        b'{"id":1,"result":{"tools":["  "],"nextCursor":"n","tools":[]}}',
    ],
)
def test_a_list_that_says_two_things_is_no_list(answer: bytes) -> None:
    with pytest.raises(UpstreamError, match="twice"):
        tools_in(answer)


def test_a_definition_that_says_two_things_is_not_offered() -> None:
    assert tools_in(b'{"id":1,"result":{"tools":[{"name":"a","name":"b","inputSchema":{}}]}}') == [None]


members = st.lists(
    st.tuples(st.sampled_from(["a", "b", ",", " "]), st.sampled_from(["1", "12", '""', '" "', '"   ,"', "{}"]))
)


@given(members)
def test_a_member_that_stands_twice_is_always_found(pairs: list[tuple[str, str]]) -> None:
    encoded = ("{" + " ,".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}").encode()
    if len({name for name, _ in pairs}) == len(pairs):
        assert {name: bytes(value).decode() for name, value in rpc.strict_members(encoded).items()} == dict(pairs)
    else:
        with pytest.raises(UpstreamError, match="twice"):
            rpc.strict_members(encoded)


@pytest.mark.parametrize(
    ("response", "ending"),
    [
        ({"result": {"content": []}}, ("posted", "")),
        ({"result": {"content": [], "isError": False, "resultType": "complete"}}, ("posted", "")),
        ({"result": {"content": [], "isError": True}}, ("voided", "tool_error")),
        ({"result": {"resultType": "input_required", "inputRequests": {}}}, ("voided", "input_required")),
        ({"error": {"code": -32602, "message": "no"}}, ("voided", "rpc_error")),
    ],
)
def test_only_a_success_is_paid_for(response: dict[str, Any], ending: tuple[str, str]) -> None:
    judged = rpc.ending_of(json.dumps({"jsonrpc": "2.0", "id": 1, **response}).encode())
    assert (judged.state, judged.error) == ending


@pytest.mark.parametrize("garbage", [b"", b"[]", b"1", b'{"id":{}}', b'{"result":1', b"\xff", b"[" * 100_000])
def test_garbage_is_an_upstream_error_and_never_a_fault_of_ours(garbage: bytes) -> None:
    with pytest.raises(UpstreamError, match="not an MCP message"):
        rpc.read(garbage)


def test_an_answer_is_told_by_its_id_and_an_error_also_without_one() -> None:
    assert rpc.is_answer(b'{"id":1,"result":{}}', 1)
    assert not rpc.is_answer(b'{"id":"1","result":{}}', 1)
    assert not rpc.is_answer(b'{"id":2,"result":{}}', 1)
    assert rpc.is_answer(b'{"id":null,"error":{"code":1,"message":""}}', 1)
    assert not rpc.is_answer(b'{"error":"Bad Request"}', 1)
    assert not rpc.is_answer(b'{"id":1,"method":"x","result":{}}', 1)


def test_params_are_dressed_for_the_era_of_the_upstream_and_keep_what_a_caller_said_of_itself() -> None:
    said = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}, "mine": 1}
    params = rpc.members(json.dumps({"name": "t", "_meta": {VERSION_KEY: MODERN, **said}}).encode())
    modern, old = (json.loads(rpc.build(Era(version).dress(params))) for version in (MODERN, "2025-06-18"))
    assert modern["_meta"] == {VERSION_KEY: MODERN, **said, CLIENT_INFO_KEY: IMPLEMENTATION}
    assert old == {"name": "t", "_meta": {"mine": 1}}
    bare = json.loads(rpc.build(Era(MODERN).dress({})))["_meta"]
    assert (bare[VERSION_KEY], bare["io.modelcontextprotocol/clientCapabilities"]) == (MODERN, {})


@given(st.text())
def test_any_text_survives_a_header(text: str) -> None:
    if all(not 0xD800 <= ord(char) < 0xE000 for char in text):
        value = header_value(text)
        assert value.isascii()
        assert value.isprintable()
        assert read_header_value(value) == text


SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "size": {"type": "integer", "x-mcp-header": "Size"},
        "inner": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        "list": {"type": "array", "items": {"properties": {"no": {"x-mcp-header": "No"}}}},
    },
}


def test_arguments_are_repeated_in_the_headers_a_schema_names_and_compared_with_them() -> None:
    read = [
        read_definition(rpc.raw({"name": name, "inputSchema": schema})) for name, schema in (("t", SCHEMA), ("u", {}))
    ]
    marked = header_names([each for each in read if each is not None])
    assert set(marked) == {"t"}
    arguments = strict_json.decode('{"region":"Süd","size":42,"inner":{"on":true}}'.encode())
    headers = headers_for(marked["t"], arguments)
    assert headers == {"mcp-param-region": "=?base64?U8O8ZA==?=", "mcp-param-size": "42", "mcp-param-on": "true"}
    assert mismatch(marked["t"], arguments, headers) is None
    assert mismatch(marked["t"], arguments, headers | {"mcp-param-size": "42.0"}) is None
    assert mismatch(marked["t"], arguments, headers | {"mcp-param-size": "43"}) == "mcp-param-size"
    assert mismatch(marked["t"], {}, headers) is not None
    assert mismatch(marked["t"], arguments, {}) is not None
