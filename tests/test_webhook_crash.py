"""Deliveries survive the death of the process: what was not stored as delivered is sent again, under the same id."""

import threading
from pathlib import Path

from harness.eventually import eventually
from harness.haldir import Haldir
from harness.processes import Up
from receiver import Reply, receiving


def trigger(haldir: Haldir) -> str:
    event_id: str = haldir.rest("POST", "/v1/webhooks/trigger", {"event": "anomaly"})["event_id"]
    return event_id


def delivered(haldir: Haldir) -> int:
    count: int = haldir.rest("GET", "/v1/webhooks")["webhooks"][0]["fire_count"]
    return count


def test_an_event_whose_delivery_was_cut_short_by_kill_9_arrives_after_the_restart(tmp_path: Path) -> None:
    dead = threading.Event()
    with receiving() as receiver:
        with Up(tmp_path / "data", "--allow-private") as first:
            first.rest("POST", "/v1/webhooks", {"url": receiver.url})
            taken = trigger(first)
            eventually(lambda: delivered(first) == 1)
            receiver.answer = lambda _delivery: Reply(200 if dead.wait(30) else 500)
            cut, waiting = trigger(first), trigger(first)
            receiver.wait_for(2)
            first.kill()
            dead.set()
        with Up(tmp_path / "data", "--allow-private") as second:
            eventually(lambda: delivered(second) == 3)
            assert second.stop() == 0
        assert receiver.event_ids == [taken, cut, cut, waiting]
