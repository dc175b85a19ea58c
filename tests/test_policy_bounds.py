"""What policies without end leave behind in the entry of a call: bounded, and nothing that matters is lost."""

import asyncio
from typing import Any

import msgspec
import pytest

from court import Court
from haldir.policy.bounds import HOLDS_MAX, LEFT_OPEN_BYTES_MAX, METERS_MAX, SHADOWS_MAX, too_many_windows
from haldir.policy.compile import compile_policies
from haldir.policy.judgement import Judgement, Remark, Terms
from policy_samples import call, policy


def judged(*definitions: str) -> Judgement:
    named = [(f"pol_{number:04}", policy(text)) for number, text in enumerate(definitions)]
    return compile_policies(named, 1).judge(call())


def rule(effect: str, when: str = '{"tool":"pay"}', more: str = "") -> str:
    return f'{{"type":"rule","effect":"{effect}","reason":"{"x" * 300}","when":{when}{more}}}'


def counting(within: int) -> str:
    return f'{{"calls":{{"per":"session","within_seconds":{within}}},"gt":1}}'


def test_of_many_holds_some_are_named_and_the_strictest_terms_of_all_count() -> None:
    many = [rule("hold", more=f',"approvers":{number % 5 + 1}') for number in range(40)]
    found = judged(*many, rule("hold", more=',"approvers":9,"four_eyes":true'))
    assert [each.policy_id for each in found.holds] == [f"pol_{number:04}" for number in range(HOLDS_MAX)]
    assert [each.terms.approvers for each in found.holds[:-1]] == [number % 5 + 1 for number in range(HOLDS_MAX - 1)]
    assert found.holds[-1].terms == Terms(9, four_eyes=True)
    exactly = judged(*many[:HOLDS_MAX])
    assert exactly.holds[-1].terms == Terms((HOLDS_MAX - 1) % 5 + 1)


def test_of_many_shadows_some_are_heard_and_the_rest_are_counted() -> None:
    sure = [rule("deny", more=',"mode":"shadow"')] * 20
    open_ones = [rule("deny", counting(60), ',"mode":"shadow"')] * 20
    found = judged(*sure, *open_ones)
    assert (len(found.shadowed), len(found.pending)) == (SHADOWS_MAX // 2 + 1, SHADOWS_MAX // 2)
    assert found.shadowed[-1] == Remark("", "32 more policies in shadow mode are left out.")
    assert [each.policy_id for each in found.shadowed[:2]] == ["pol_0000", "pol_0001"]
    assert not found.denied_by
    few = judged(*sure[: SHADOWS_MAX // 2], *open_ones[:2])
    assert (len(few.shadowed), len(few.pending)) == (SHADOWS_MAX // 2, 2)
    assert judged(*sure).shadowed[-1] == Remark("", "16 more policies in shadow mode are left out.")


def test_what_one_shadow_leaves_open_is_never_too_much_for_an_entry() -> None:
    tools = ",".join(f'"{"t" * 250}{number}"' for number in range(16))
    window = '{"calls":{"per":"session","within_seconds":%d,"tools":[%s]},"gt":1}'
    huge = '{"all":[' + ",".join(window % (60 + number, tools) for number in range(50)) + "]}"
    found = judged(rule("deny", huge, ',"mode":"shadow"'))
    assert (found.denied_by, found.pending, found.meters) == ("", (), ())
    assert found.shadowed == (Remark("", "1 more policies in shadow mode are left out."),)
    assert judged(rule("deny", huge)).denied_by == "pol_0000"


@pytest.mark.parametrize("number", [9, 60])
def test_what_leaves_no_more_open_than_an_entry_holds_is_left_open(number: int) -> None:
    found = judged(*[rule("deny", counting(60))] * number)
    size = len(msgspec.json.encode((found.pending, found.meters)))
    assert (len(found.pending), size <= LEFT_OPEN_BYTES_MAX) == ((number, True) if not found.denied_by else (0, True))
    assert bool(found.denied_by) == (number == 60)
    if found.denied_by:
        assert (found.denied_by, "make them fewer" in found.reason) == ("pol_0000", True)


def test_windows_of_shadows_never_become_too_many_for_an_entry() -> None:
    shadows = [rule("deny", f'{{"all":[{{"tool":"x"}},{counting(60 + at)}]}}', ',"mode":"shadow"') for at in range(500)]
    enforced: list[Any] = [rule("deny", f'{{"all":[{{"tool":"x"}},{counting(60)}]}}')]
    found = judged(*enforced, *shadows)
    assert [each.within_seconds for each in found.meters] == list(range(60, 77))
    assert not found.denied_by


def test_windows_without_end_deny_the_calls_that_would_be_measured_and_say_so() -> None:
    found = judged(*[rule("deny", f'{{"all":[{{"tool":"x"}},{counting(60 + at)}]}}') for at in range(900)])
    assert (found.denied_by, "make them fewer" in found.reason) == ("pol_0000", True)
    assert not judged(*[rule("deny", f'{{"all":[{{"tool":"x"}},{counting(60 + at)}]}}') for at in range(32)]).denied_by


def test_windows_and_words_of_shadows_never_deny_what_is_enforced_beside_them(runner: asyncio.Runner) -> None:
    """At the very bound of what is enforced, shadows without end change nothing, and the entry still fits."""
    wide = ",".join(f'"{chr(97 + at) * 250}"' for at in range(15))
    window = '{"calls":{"per":"session","within_seconds":%d,"tools":["pay",' + wide + ']},"gt":1}'
    words = "\U0001f6d1" * 300

    def spoken(effect: str, when: str, more: str = "") -> str:
        return f'{{"type":"rule","effect":"{effect}","reason":"{words}","when":{when}{more}}}'

    enforced = [spoken("deny", window % (60 + at)) for at in range(2)] + [spoken("hold", '{"tool":"pay"}')] * 9
    shadows = [spoken("deny", window % (90 + at), ',"mode":"shadow"') for at in range(30)]
    shadows += [spoken("deny", '{"tool":"pay"}', ',"mode":"shadow"')] * 30
    alone, beside = judged(*enforced), judged(*enforced, *shadows)
    assert (alone.denied_by, beside.denied_by) == ("", "")
    assert len(msgspec.json.encode((alone.pending, alone.meters))) > LEFT_OPEN_BYTES_MAX * 3 // 4
    court = Court(runner)
    court.upstream("bank", "pay")
    court.session("s", "execute")
    judgement = msgspec.structs.replace(beside, epoch=0)
    held = court.admit("s", "pay", upstream="bank", judgement=judgement, details_digest="sealed")
    assert held.code == "approval_required"


def test_with_more_windows_than_a_call_can_write_into_each_policy_that_brings_one_is_named() -> None:
    def named(*windows: int, mode: str = "enforce") -> list[str]:
        more = f',"mode":"{mode}"'
        policies = [(f"w{at}", policy(rule("deny", counting(within), more))) for at, within in enumerate(windows)]
        return [name for name, _ in too_many_windows([*policies, ("plain", policy(rule("deny")))])]

    most = range(1, METERS_MAX + 1)
    assert named(*most, 1, 2) == []
    assert named(*most, 100, 1, 100, 200) == [f"w{METERS_MAX}", f"w{METERS_MAX + 3}"]
    assert named(*most, 100, mode="shadow") == []
