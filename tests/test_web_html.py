"""Laws of what pages are made of: text comes out as the text it was, whatever it looks like."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.faces.web.html import document, h
from haldir.faces.web.legible import legible, pretty, span
from haldir.kernel import strict_json

# What a parser of HTML changes of itself: NUL, and line ends, which become one kind.
MARKUP = st.sampled_from(
    ("<", ">", "&", '"', "'", "<b>", "</p>", "<!--", "&lt;", "&#60;", "<script>", "title=", "a", "/")
)
TEXT = st.lists(MARKUP | st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)).map("".join)


class Read(HTMLParser):
    """What a browser would make of it: tags, attributes and the text between them."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.ends: list[str] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.ends.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXT, TEXT)
def test_text_and_attributes_are_read_as_they_were_given(inside: str, attribute: str) -> None:
    read = Read(str(h("p", inside, title=attribute)))
    assert read.tags == [("p", [("title", attribute)])]
    assert read.ends == ["p"]
    assert read.text == inside


def test_elements_nest_and_nothing_is_left_out() -> None:
    made = h("ul", [h("li", "a", None, ["b", h("br")]), None], class_="x", hidden=True, title=None, open=False, rows=2)
    assert str(made) == '<ul class="x" hidden rows="2"><li>ab<br></li></ul>'
    assert document(h("html", lang="en")) == b'<!doctype html>\n<html lang="en"></html>\n'


@pytest.mark.parametrize(
    ("tag", "inside", "attributes"),
    [
        ("script", ("alert(1)",), {}),
        ("style", ("p {}",), {}),
        ("br", ("text",), {}),
        ("p><p", (), {}),
        ("p", (), {"onclick": "alert(1)"}),
        ("p", (), {'a"b': "c"}),
    ],
)
def test_what_could_run_or_break_out_is_no_element(
    tag: str, inside: tuple[str, ...], attributes: dict[str, str]
) -> None:
    with pytest.raises(AssertionError):
        h(tag, *inside, **attributes)


@given(st.text())
def test_legible_text_has_no_character_that_cannot_be_seen(given_text: str) -> None:
    shown = legible(given_text)
    assert all(char == "\n" or char.isprintable() or char.isspace() for char in shown)
    assert "\u202e" not in shown
    assert legible(shown) == shown
    if given_text.isprintable():
        assert shown == given_text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_pretty_json_means_what_the_json_meant(value: object) -> None:
    shown = pretty(strict_json.encode(strict_json.decode(json.dumps(value).encode())))
    visible = json.loads(json.dumps(value), parse_constant=None)
    if "\\U" not in shown:  # Characters beyond the first plane have no escape of four digits.
        assert json.loads(shown) == visible


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_400, "1 d")],
)
def test_spans_are_said_to_one_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said
