"""`haldir policy test`: cases judge policies without any server, and say what came otherwise."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from harness.commands import haldir

POLICIES = """
- {name: no-rm, type: block_tool, tool: rm}
- {name: small, type: spend_limit, max: 25}
- {name: slowly, type: rate_limit, max_per_minute: 3, per: agent}
- name: office
  type: rule
  effect: deny
  reason: Come back in the morning.
  when: {all: [{tool: open}, {not: {time: {zone: Europe/Berlin, start_hour: 8, end_hour: 18}}}]}
- name: two-eyes
  type: rule
  effect: hold
  reason: Large orders need a person.
  when: {all: [{tool: shop.order}, {argument: /amount, gt: 20}]}
- name: often
  type: rule
  effect: hold
  reason: Many orders today.
  when: {any: [{calls: {per: session, within_seconds: 86400, tools: [shop.order]}, gt: 10}, {spend: {per: agent, within_seconds: 86400}, gt: 100}]}
- name: buyers
  type: rule
  effect: deny
  reason: Not yours.
  when: {all: [{tool: order}, {not: {any: [{agent: buyer-*}, {scope: admin}, {session: s1}]}}]}
- {name: quiet, type: rate_limit, max_per_minute: 1, mode: shadow}
- {name: soon, type: block_tool, tool: order, mode: shadow}
- {name: named, type: rule, effect: allow, reason: Reading is fine., when: {tool: read}}
"""
PASSING = """
- {name: a blocked tool, call: {upstream: shop, tool: rm}, expect: deny, by: no-rm, reason: blocks}
- {name: an unknown tool, call: {upstream: shop, tool: look}, expect: allow}
- {name: a call that is not measured, call: {upstream: shop, tool: look, calls: {often: 10, quiet: 5}}, expect: allow}
- {name: what is missing, call: {upstream: shop, tool: order, session: s1}, expect: hold, by: two-eyes}
- {name: a named one, call: {upstream: shop, tool: read}, expect: allow, by: named, reason: Reading is fine}
- {name: too much, call: {upstream: shop, tool: look, arguments: {amount: 25.01}}, expect: deny, by: small}
- {name: not too much, call: {upstream: shop, tool: look, arguments: {amount: 25.00}}, expect: allow}
- {name: the third call, call: {upstream: shop, tool: look, calls: 2}, expect: allow}
- {name: the fourth call, call: {upstream: shop, tool: look, calls: 3}, expect: deny, by: slowly}
- {name: of others, call: {upstream: shop, tool: look, calls: {slowly: 2, often: 99}}, expect: hold, by: often}
- {name: at night, call: {upstream: shop, tool: open, at: "2026-11-25T18:00:00+01:00"}, expect: deny, by: office}
- {name: by day, call: {upstream: shop, tool: open, at: "2026-11-25T16:59:59"}, expect: allow}
- {name: by the second, call: {upstream: shop, tool: open, at: 1795622399}, expect: allow}
- name: a large order
  call: {upstream: shop, tool: order, agent: buyer-1, arguments: {amount: 20.5}, at: "2026-11-25T12:00:00Z"}
  expect: hold
  by: two-eyes
  reason: need a person
- {name: another shop's, call: {upstream: other, tool: order, agent: buyer-1, arguments: {amount: 20.5}}, expect: allow}
- {name: deny beats hold, call: {upstream: shop, tool: order, arguments: {amount: 21}}, expect: deny, by: buyers}
- {name: by scope, call: {upstream: shop, tool: order, scopes: [admin], arguments: {amount: 3}}, expect: allow}
- {name: by session, call: {upstream: shop, tool: order, session: s1, arguments: {amount: 3}}, expect: allow}
- {name: the eleventh, call: {upstream: shop, tool: order, agent: buyer-1, calls: {often: 10}}, expect: hold, by: often}
- {name: the tenth, call: {upstream: shop, tool: order, agent: buyer-1, arguments: {amount: 3}, calls: {often: 9}}, expect: allow}
- {name: money, call: {upstream: shop, tool: look, spend: 90, price: 10.01}, expect: hold, by: often}
- {name: less money, call: {upstream: shop, tool: look, spend: {often: 90, small: 1000}, price: 10}, expect: allow}
- name: both hold
  call: {upstream: shop, tool: order, agent: buyer-1, arguments: {amount: 21}, calls: {often: 10}}
  expect: hold
  by: two-eyes
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    return tmp_path


def outcome(folder: Path, cases: str, *options: str) -> Result:
    (folder / "shop.cases.yaml").write_text(cases)
    return haldir("policy", "test", str(folder), *options)


def test_cases_that_come_as_expected_pass_without_any_server(folder: Path) -> None:
    passed = outcome(folder, PASSING)
    assert (passed.exit_code, passed.stdout) == (0, "No case is decided by: quiet, soon.\n23 cases, 0 failed.\n"), (
        passed.stdout
    )


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (
            "{name: wrong, call: {upstream: shop, tool: rm}, expect: allow}",
            ["    expected: allow", "    got:      deny by no-rm: Policy no-rm (block_tool) blocks the tool 'rm'."],
        ),
        (
            "{name: wrong, call: {upstream: shop, tool: rm}, expect: deny, by: small}",
            [
                "    expected: deny by small",
                "    got:      deny by no-rm: Policy no-rm (block_tool) blocks the tool 'rm'.",
            ],
        ),
        (
            "{name: wrong, call: {upstream: shop, tool: rm}, expect: deny, reason: because}",
            [
                "    expected: deny, and a reason with 'because'",
                "    got:      deny by no-rm: Policy no-rm (block_tool) blocks the tool 'rm'.",
            ],
        ),
        (
            "{name: wrong, call: {upstream: shop, tool: look}, expect: hold}",
            ["    expected: hold", "    got:      allow"],
        ),
        (
            "{name: wrong, call: {upstream: shop, tool: open}, expect: allow}",
            [
                "    expected: allow",
                "    got:      allow",
                "    A policy depends on the time: say when the call is, with `at`.",
            ],
        ),
    ],
)
def test_a_case_that_comes_otherwise_is_shown_with_what_came(folder: Path, case: str, lines: list[str]) -> None:
    fine = "{name: fine, call: {upstream: shop, tool: rm}, expect: deny}"
    failed = outcome(folder, f"- {fine}\n- {case}\n")
    assert failed.exit_code == 1
    said = failed.stdout.splitlines()
    assert said[: len(lines) + 1] == [f"{folder}/shop.cases.yaml:2:3: wrong", *lines]
    assert said[-1] == "2 cases, 1 failed."
    as_json = json.loads(haldir("policy", "test", str(folder), "--json").stdout)
    assert (as_json["ok"], [each["ok"] for each in as_json["cases"]]) == (False, [True, False])
    assert as_json["cases"][1]["where"] == f"{folder}/shop.cases.yaml:2:3"
    assert as_json["cases"][0]["got"]["by"] == ["no-rm"]


@pytest.mark.parametrize(
    ("cases", "place", "said"),
    [
        ("- {name: a, call: {upstream: u, tool: t}, expect: allow, why: x}", "1:58", "no 'why'"),
        ("- {name: a, call: {upstream: u, tool: t, argument: {}}, expect: allow}", "1:42", "did you mean 'arguments'?"),
        ("- {name: a, call: {upstream: u}, expect: allow}", "1:13", "`tool` is required"),
        ("- {name: a, call: {upstream: u, tool: t}, expect: maybe}", "1:43", "maybe"),
        ("- {name: a, call: {upstream: u, tool: t, at: never}, expect: deny}", "1:42", "ISO 8601"),
        ("- {name: a, call: {upstream: u, tool: t, calls: -1}, expect: deny}", "1:42", "whole number"),
        ("- {name: a, call: {upstream: u, tool: t, calls: {x: 1.5}}, expect: deny}", "1:50", "whole number"),
        ("- {name: a, call: {upstream: u, tool: t, spend: many}, expect: deny}", "1:42", "JSON number"),
        ("- {name: a, call: {upstream: u, tool: t, price: -3}, expect: deny}", "1:42", "price"),
        ("- {name: a, call: {upstream: u, tool: t, arguments: []}, expect: deny}", "1:42", "object"),
        ("[]", "", "nothing is tested"),
        ("- text", "1:3", "must be a mapping"),
        ("- {a: b", "2:1", "not YAML"),
    ],
)
def test_cases_that_cannot_be_read_end_with_2_and_their_place(folder: Path, cases: str, place: str, said: str) -> None:
    refused = outcome(folder, cases)
    assert refused.exit_code == 2, refused.stdout
    assert said in refused.stderr
    assert f"{folder}/shop.cases.yaml{':' if place else ''}{place}: " in refused.stderr


def test_policies_that_cannot_be_read_end_with_2_and_their_place(folder: Path) -> None:
    case = "{name: a, call: {upstream: u, tool: t}, expect: allow}"
    wrong: list[tuple[str, str]] = [
        ("- {name: a, type: block_tool, tol: x}", "policies.yaml:1:31: block_tool has no field 'tol'"),
        ("- {type: block_tool, tool: x}", "policies.yaml:1:3: To be applied, a policy needs the field 'name'"),
        ("- &a {type: block_tool}", "policies.yaml:1:3: anchors"),
        (
            "- {name: a, type: block_tool, tool: x}\n- {name: a, type: block_tool, tool: y}",
            "policies.yaml:2:4: Two policies are named 'a'.",
        ),
    ]
    for text, said in wrong:
        (folder / "policies.yaml").write_text(text)
        refused = outcome(folder, f"[{case}]")
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
    assert haldir("policy", "test", str(folder / "gone")).exit_code == 2


def test_cases_may_stand_elsewhere_in_several_files_and_as_json(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("cases")
    case = {"name": "a", "call": {"upstream": "shop", "tool": "rm"}, "expect": "deny"}
    (elsewhere / "one.json").write_text(json.dumps(case))
    (elsewhere / "two.yaml").write_text("name: b\ncall: {upstream: shop, tool: look}\nexpect: allow\n")
    files = ("--cases", str(elsewhere / "one.json"), "--cases", str(elsewhere / "two.yaml"))
    passed = haldir("policy", "test", str(folder / "policies.yaml"), *files)
    assert (passed.exit_code, passed.stdout.splitlines()[-1]) == (0, "2 cases, 0 failed.")
    assert haldir("policy", "test", str(folder / "policies.yaml")).exit_code == 2


def test_the_example_of_the_documentation_passes(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "policies.md").read_text(encoding="utf-8")
    for name, block in re.findall(r"```yaml\n# policies/(\S+?)(?=[:\n])(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(f"#{block}", encoding="utf-8")
    passed = haldir("policy", "test", str(tmp_path))
    assert (passed.exit_code, passed.stdout) == (0, "2 cases, 0 failed.\n")
