"""The working set never says anything that is not so: it answers with the truth, or that it does not know."""

from collections.abc import Callable
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from haldir.journal.working_set import NotLoaded, WorkingSet
from haldir.proxy.model import Tool
from haldir.storage.rows import Find, Row

UPSTREAMS, NAMES = ("x", "y"), ("a", "b", "c")
KEYS = [(upstream, name) for upstream in UPSTREAMS for name in NAMES]
FINDS = [Tool.at(*key) for key in KEYS] + [Tool.where("upstream", upstream) for upstream in UPSTREAMS]

keys, finds = st.sampled_from(KEYS), st.sampled_from(FINDS)
steps = st.lists(
    st.tuples(st.just("load"), st.lists(finds, max_size=4))
    | st.tuples(st.just("put"), st.lists(keys, max_size=2))
    | st.tuples(st.just("drop"), st.lists(keys, max_size=2))
    | st.tuples(st.just("commit"), st.just(()))
    | st.tuples(st.just("evict"), st.integers(0, 4)),
    max_size=30,
)


class Store:
    """What is committed, and what the batch under way has changed since."""

    def __init__(self) -> None:
        self.committed = {KEYS[0]: tool(KEYS[0], 0), KEYS[4]: tool(KEYS[4], 0)}
        self.present = dict(self.committed)

    def find(self, find: Find) -> list[Row]:
        if find.columns == ("upstream",):
            return [row for key, row in self.committed.items() if key[0] == find.values[0]]
        return [row for key, row in self.committed.items() if key == find.values]


def tool(key: tuple[str, str], version: int) -> Tool:
    return Tool(*key, "pinned", f"seen {version}", 0)


@settings(max_examples=500)
@given(steps)
def test_what_is_known_is_true_whatever_is_loaded_changed_and_forgotten(steps: list[tuple[str, object]]) -> None:
    store, rows = Store(), WorkingSet()
    for version, (what, which) in enumerate(steps, 1):
        match what, which:
            case "load", list(wanted):
                missing = list(rows.missing(wanted))
                rows.adopt(missing, [row for find in missing for row in store.find(find)])
                assert list(rows.missing(wanted)) == []
            case "put", list(changed):
                store.present |= {key: tool(key, version) for key in changed}
                rows.change([tool(key, version) for key in changed], [])
            case "drop", list(changed):
                rows.change([], [tool(key, 0) for key in changed])
                store.present = {key: row for key, row in store.present.items() if key not in changed}
            case "evict", int(keep):
                commit(store, rows)
                known = len(rows)
                rows.evict(keep)
                assert len(rows) == min(known, keep)
            case _:
                commit(store, rows)
        assert_true(store, rows)


def commit(store: Store, rows: WorkingSet) -> None:
    changes = rows.take_changes()
    assert {key for (_, key), row in changes.items() if row is not None} <= set(store.present)
    store.committed = dict(store.present)


def assert_true(store: Store, rows: WorkingSet) -> None:
    for key in KEYS:
        known = answer(partial(rows.get, Tool, *key))
        assert known in (NotLoaded, store.present.get(key))
        assert rows.peek(Tool, *key) in (None, store.present.get(key))
    for upstream in UPSTREAMS:
        group = answer(partial(rows.where, Tool, "upstream", upstream))
        assert group in (NotLoaded, [row for key, row in sorted(store.present.items()) if key[0] == upstream])


def answer(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except NotLoaded:
        return NotLoaded


def test_what_a_batch_changed_outranks_what_the_database_says() -> None:
    old, new = tool(("x", "a"), 1), tool(("x", "a"), 2)
    rows = WorkingSet()
    rows.change([new], [])
    rows.adopt([Tool.where("upstream", "x"), Tool.at("x", "a")], [old])
    assert rows.where(Tool, "upstream", "x") == [new]
    assert rows.the(Tool, "x", "a") == new
