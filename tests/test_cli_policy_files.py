"""YAML and JSON become the same strict tree, whose every part knows its line and column, or a clear refusal."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # As the code under test.
from hypothesis import given
from hypothesis import strategies as st

from haldir.faces.cli.policy_code import yaml_document
from haldir.faces.cli.policy_code.document import Document, Place, Unreadable
from haldir.faces.cli.policy_code.files import BadPolicyFile, load_document, load_policies
from haldir.faces.cli.policy_code.json_document import read_json
from haldir.faces.cli.policy_code.yaml_document import read_yaml
from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number
from haldir.policy.fields import pointer
from policy_samples import definitions

PARSERS = [yaml.SafeLoader, yaml.CSafeLoader]


Dumper = type("Dumper", (yaml.SafeDumper,), {})  # Writes trees of `kernel.strict_json` as anybody's library would.


def number_node(dumper: Any, number: Number) -> Any:
    return yaml.ScalarNode(dumper.resolve(yaml.ScalarNode, number.text, (True, False)), number.text)


yaml.add_representer(Number, number_node, Dumper)
# Some numbers of YAML 1.2 are text to a library of 1.1, which leaves them without quotes: those are refused.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8).filter(
    lambda text: not yaml_document._DOUBTFUL.fullmatch(text)
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,6})?", fullmatch=True).map(Number)
trees = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def pointers(tree: Any, at: str = "") -> set[str]:
    match tree:
        case dict():
            return {at}.union(*(pointers(value, at + pointer(name)) for name, value in tree.items()))
        case list():
            return {at}.union(*(pointers(value, f"{at}/{number}") for number, value in enumerate(tree)))
    return {at}


@pytest.mark.parametrize("parser", PARSERS)
@given(tree=st.lists(definitions, max_size=3) | trees, flow=st.booleans())
def test_a_tree_written_as_yaml_or_as_json_is_read_as_the_same_tree(parser: Any, tree: Any, *, flow: bool) -> None:
    as_json = strict_json.encode(tree)
    as_yaml = yaml.dump(tree, Dumper=Dumper, default_flow_style=flow, allow_unicode=True, width=1000).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_document, "_PARSER", parser)
        read = read_yaml(as_yaml)
    assert read.tree == read_json(as_json).tree == tree
    assert set(read.places) == set(read_json(as_json).places) == pointers(tree)


@given(tree=trees, indent=st.none() | st.integers(0, 4))
def test_every_place_of_json_is_where_its_part_begins(tree: Any, indent: int | None) -> None:
    plain = json.loads(strict_json.encode(tree), parse_float=str, parse_int=str)
    text = json.dumps(plain, indent=indent, ensure_ascii=False)
    lines = text.split("\n")
    document = read_json(text.encode())
    for at, place in document.places.items():
        said = lines[place.line - 1][place.column - 1 :]
        name, inside = at.rpartition("/")[2].replace("~1", "/").replace("~0", "~"), at.rpartition("/")[0]
        parent = value_at(plain, inside) if at else None
        begins = (
            json.dumps(name, ensure_ascii=False)
            if isinstance(parent, dict)
            else json.dumps(value_at(plain, at), ensure_ascii=False)[0]
        )
        assert said.startswith(begins), (at, said)


def value_at(tree: Any, at: str) -> Any:
    for step in at.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree


def test_every_part_of_yaml_knows_its_place() -> None:
    document = read_yaml(
        b"# Comment\n- name: no-rm\n  tools:\n    - rm\n    - b\n-   {name: x, 'a/b': [1,\n  {c: d}]}\n"
    )
    assert document.places == {
        "": Place(2, 1),
        "/0": Place(2, 3),
        "/0/name": Place(2, 3),
        "/0/tools": Place(3, 3),
        "/0/tools/0": Place(4, 7),
        "/0/tools/1": Place(5, 7),
        "/1": Place(6, 5),
        "/1/name": Place(6, 6),
        "/1/a~1b": Place(6, 15),
        "/1/a~1b/0": Place(6, 23),
        "/1/a~1b/1": Place(7, 3),
        "/1/a~1b/1/c": Place(7, 4),
    }
    assert document.place("/1/a~1b/1/missing") == Place(7, 3)
    assert document.place("/9/at/all") == Place(2, 1)
    assert Document(None, {}).place("/x") == Place(1, 1)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("09:00", "09:00"),
        ("1:30", "1:30"),
        ("2026-11-25", "2026-11-25"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ("'017'", "017"),
        ("1.2.3", "1.2.3"),
        ("'1e3'", "1e3"),
        ("-0.50", Number("-0.50")),
        ("12345678901234567890.1", Number("12345678901234567890.1")),
        ('"\\ud83d\\ude00"', None),
        ("0xyz", "0xyz"),
        ("=", "="),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_plain_words_mean_what_they_mean_in_yaml_1_2(
    monkeypatch: pytest.MonkeyPatch, parser: Any, text: str, value: Any
) -> None:
    monkeypatch.setattr(yaml_document, "_PARSER", parser)
    if "\\ud" in text:
        with pytest.raises(Unreadable):
            read_yaml(f"a: {text}\n".encode())
    else:
        assert read_yaml(f"a: {text}\n".encode()).tree == {"a": value}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (b"", (1, 1), "empty"),
        (b"# nothing\n", (1, 1), "empty"),
        (b"a: 1\nb: 2\na: 3\n", (3, 1), "'a' stands twice"),
        (b"a: {b: 1, b: 2}", (1, 11), "'b' stands twice"),
        (b"a: &x [1]\nb: *x\n", (1, 4), "anchors and aliases"),
        (b"a: *x\n", (1, 4), "anchors and aliases"),
        (b"a: !!python/object:os.system x\n", (1, 4), "tag"),
        (b"a: !!str 1\n", (1, 4), "tag"),
        (b"- 1\n- 017\n", (2, 3), "017"),
        (b"a: 1_000", (1, 4), "1_000"),
        (b"a: 0x1F", (1, 4), "0x1F"),
        (b"a: 0o17", (1, 4), "0o17"),
        (b"a: .5", (1, 4), ".5"),
        (b"a: 5.", (1, 4), "5."),
        (b"a: +5", (1, 4), "+5"),
        (b"a: 1e3", (1, 4), "1e3"),
        (b"a: 1.5E+3", (1, 4), "1.5E+3"),
        (b"08: x", (1, 1), "08"),
        (b"a: -.inf", (1, 4), "-.inf"),
        (b"a: .NaN", (1, 4), ".NaN"),
        (b"a: " + b"9" * 5000, (1, 4), "longer than"),
        (b"1: x", (1, 1), "name must be text"),
        (b"? [a]\n: x", (1, 3), "name must be text"),
        (b"a: b\n---\nc: d\n", (2, 1), "second document"),
        (b"a: [1, 2\n", (2, 1), "not YAML"),
        (b"a:\n\t- b\n", (2, 1), "not YAML"),
        (b"\xff\xfe", (1, 1), "not UTF-8"),
        (b"a: \x00", (1, 1), "not YAML"),
        (b"[" * 66 + b"]" * 66, (1, 66), "64 levels"),
        (b"[" + b"1," * 100_000 + b"1]", None, "100000 values"),
    ],
)
def test_yaml_that_could_be_read_in_two_ways_or_without_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, parser: Any, content: bytes, place: tuple[int, int] | None, said: str
) -> None:
    monkeypatch.setattr(yaml_document, "_PARSER", parser)
    with pytest.raises(Unreadable) as refusal:
        read_yaml(content)
    assert said in refusal.value.message
    assert place is None or refusal.value.place == place


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (b"", (1, 1), "not JSON"),
        (b'{"a": 1,\n "a": 2}', (1, 1), "stands twice in one object ('a')"),
        (b'{"a":\n nope}', (2, 2), "not JSON"),
        (b"[NaN]", (1, 1), "NaN"),
        (b"[" * 66 + b"]" * 66, (1, 1), "64 levels"),
        (b"\xff", (1, 1), "not UTF-8"),
    ],
)
def test_json_is_as_strict_as_everywhere(content: bytes, place: tuple[int, int], said: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        read_json(content)
    assert said in refusal.value.message
    assert refusal.value.place == place


def test_json_has_its_exponents() -> None:
    assert read_json(b'{"a": 1.5E+3}').tree == {"a": Number("1.5E+3")}


def test_a_folder_states_what_its_files_state_and_each_knows_where(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("name: b\ntype: block_tool\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.yml").write_text("- {name: c1}\n- {name: c2, tool: x}\n")
    (tmp_path / "a.json").write_text('[\n {"name": "a"}]')
    (tmp_path / "d.yaml").write_text("[]")
    for ignored in ("README.md", "x.cases.yaml", ".hidden.yaml", ".git/x.yaml"):
        (tmp_path / ignored).parent.mkdir(exist_ok=True)
        (tmp_path / ignored).write_text("not: [a policy")
    stated = load_policies(tmp_path)
    assert [each.definition.get("name") for each in stated] == ["a", "b", "c1", "c2"]
    assert [each.where("/name") for each in stated] == [
        f"{tmp_path}/a.json:2:3",
        f"{tmp_path}/b.yaml:1:1",
        f"{tmp_path}/deeper/c.yml:1:4",
        f"{tmp_path}/deeper/c.yml:2:4",
    ]
    assert stated[3].where("/tool/0") == f"{tmp_path}/deeper/c.yml:2:14"
    assert [each.definition for each in load_policies(tmp_path / "a.json")] == [{"name": "a"}]


def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: a\nname: b\n")
    (tmp_path / "large.json").write_text(f'"{"x" * (1 << 20)}"')
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.yaml").write_text("- {}\n- text\n")
    for path, said in [
        ("bad.yaml", "bad.yaml:2:1: 'name' stands twice in one mapping"),
        ("large.json", "large.json: is larger than 1048576 bytes"),
        ("empty", "empty: there are no files here that end in .yaml, .yml, .json"),
        ("text.yaml", "text.yaml:2:3: this must be a mapping"),
        ("gone.yaml", "gone.yaml: cannot be read: No such file or directory"),
    ]:
        with pytest.raises(BadPolicyFile) as refusal:
            load_policies(tmp_path / path)
        assert refusal.value.message == f"{tmp_path}/{said}"
    with pytest.raises(BadPolicyFile, match="Is a directory"):
        load_document(tmp_path / "empty")
