"""How long judging a call takes by a thousand policies of which twenty concern its tool, next to none at all.

Only the judgement: what the journal adds is measured by core.py. Processor time, so that others on the machine do not
count; the ratio is to an empty set in the same run. Arithmetic of that length says how much of p99 is the machine.
"""

import gc
import statistics
import time
from typing import NamedTuple

from haldir.kernel import strict_json
from haldir.policy.compile import PolicySet, compile_policies
from haldir.policy.facts import Facts
from haldir.policy.parse import parse

POLICIES = 1000
CONCERNED = 20
CALLS = 100_000
NOW = 1_800_000_000_000_000
ARGUMENTS = (
    b'{"to":"alice@example.com","amount":12.50,"note":"rent","items":[{"price":5},{"price":7.50}],"tags":["a","b"]}'
)

# What each of the twenty asks beside the tool, by turns; none of them denies, so that all of them are looked at.
ASKED = (
    '{"argument":"/amount","gt":1000}',
    '{"argument":"/to","in":["mallory@example.com","eve@example.com"]}',
    '{"argument":"/note","matches":"(?i)password|secret"}',
    '{"sum":"/items/*/price","gt":500}',
    '{"argument":"/tags","contains":"urgent"}',
    '{"agent":"intern-*"}',
    '{"time":{"zone":"Europe/Berlin","dates":"2001-01-01"}}',
    '{"all":[{"argument":"/amount","gt":10},{"calls":{"per":"session","within_seconds":3600},"gt":50}]}',
    '{"argument":"/note","length":{"gt":200}}',
    '{"not":{"scope":"execute:bank"}}',
)


class Figures(NamedTuple):
    p50_micros: float
    p99_micros: float


def rule(tool: str, asked: str) -> bytes:
    when = f'{{"all":[{{"tool":"{tool}"}},{asked}]}}'
    return f'{{"type":"rule","effect":"deny","reason":"No.","when":{when}}}'.encode()


def policies() -> PolicySet:
    texts = [rule("bank.pay", ASKED[at % len(ASKED)]) for at in range(CONCERNED)]
    others = (f"bank.tool_{at}" + ("*" if at % 2 else "") for at in range(POLICIES - CONCERNED))  # Half are patterns.
    texts += [rule(tool, ASKED[at % len(ASKED)]) for at, tool in enumerate(others)]
    return compile_policies([(f"pol_{at:04}", parse(strict_json.decode(text))) for at, text in enumerate(texts)], 1)


def judging(compiled: PolicySet) -> Figures:
    """Judge the same call again and again, at ever later instants; return how long one judgement takes."""
    arguments = strict_json.decode(ARGUMENTS)
    took = []
    gc.collect()
    for number in range(CALLS):
        facts = Facts("bank", "pay", arguments, "ses_1", "coder", NOW + number * 1000, ("execute:bank",), 12_500_000)
        began = time.thread_time_ns()
        judgement = compiled.judge(facts)
        took.append(time.thread_time_ns() - began)
        assert not judgement.denied_by
    took.sort()
    return Figures(statistics.median(took) / 1e3, took[len(took) * 99 // 100] / 1e3)


def counting(micros: float) -> Figures:
    """Add numbers for about so long, again and again."""
    took = []
    upto = range(round(micros * 115))
    for _ in range(CALLS):
        began = time.thread_time_ns()
        sum(upto)
        took.append(time.thread_time_ns() - began)
    took.sort()
    return Figures(statistics.median(took) / 1e3, took[len(took) * 99 // 100] / 1e3)


def main() -> None:
    began = time.perf_counter()
    compiled = policies()
    compiling_ms = (time.perf_counter() - began) * 1e3
    alone, found = judging(compile_policies([], 1)), judging(compiled)
    print(f"{'':24} {'p50 µs':>8} {'p99 µs':>8}")
    print(f"{'no policies':24} {alone.p50_micros:>8.2f} {alone.p99_micros:>8.2f}")
    print(f"{f'{POLICIES}, {CONCERNED} concerned':24} {found.p50_micros:>8.2f} {found.p99_micros:>8.2f}")
    control = counting(found.p50_micros)
    print(f"{'arithmetic of that length':24} {control.p50_micros:>7.2f} {control.p99_micros:>8.2f}")
    ratio = found.p50_micros / alone.p50_micros
    each = (found.p50_micros - alone.p50_micros) / CONCERNED
    print(f"\nThat is {ratio:.0f} times no policies; each that concerns the tool takes {each:.2f} µs.")
    print(f"Reading and compiling all of them took {compiling_ms:.0f} ms.")


if __name__ == "__main__":
    main()
