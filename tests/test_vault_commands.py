"""What each command on secrets decides, case by case and over invented histories, at the journal's door."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from court import START, TENANT, Court, told
from haldir.gate.commands import RevokeSession
from haldir.journal.command import CredentialRef, Outcome
from haldir.kernel.clock import SECOND
from haldir.operations.secret_commands import RevealSecret, SecretRevealed
from haldir.storage.rows import Part
from haldir.vault.commands import (
    DeleteSecret,
    RewrapSecrets,
    RotateTenantKey,
    SecretStored,
    StoreSecret,
    WrappedSecret,
)
from haldir.vault.model import SecretVersion, StoredSecret, TenantKey, TenantKeyVersions


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def verdict(outcome: Outcome) -> str:
    return "allowed" if outcome.allowed else outcome.code


class Vault:
    """Applies one command a verb; a part is as many bytes as say what it is."""

    def __init__(self, court: Court) -> None:
        self.court = court

    def store(self, name: str, digest: str, *, key_version: int = 1, **fields: Any) -> Outcome:
        fields = {"scope_required": "read", "exposure": "reveal"} | fields
        command = StoreSecret(op_id=self.court.op(), name=name, value_digest=digest, key_version=key_version, **fields)
        return self.court.apply(command, [Part(digest, key_version, digest.encode())])

    def delete(self, name: str) -> Outcome:
        return self.court.apply(DeleteSecret(op_id=self.court.op(), name=name))

    def reveal(self, name: str, session: str, digest: str = "", **fields: Any) -> Outcome:
        command = RevealSecret(op_id=self.court.op(), name=name, session_id=session, value_digest=digest, **fields)
        return self.court.apply(command)

    def rotate(self, version: int) -> Outcome:
        digest = f"key-{version}"
        command = RotateTenantKey(op_id=self.court.op(), version=version, digest=digest)
        return self.court.apply(command, [Part(digest, 0, b"")])

    def rewrap(self, key_version: int, *wrapped: tuple[str, int, str]) -> Outcome:
        command = RewrapSecrets(
            op_id=self.court.op(),
            key_version=key_version,
            wrapped=tuple(WrappedSecret(name, version) for name, version, _ in wrapped),
        )
        parts = [Part(digest, key_version, f"{digest} by {key_version}".encode()) for _, _, digest in wrapped]
        return self.court.apply(command, parts)

    def parts(self) -> dict[str, bytes]:
        return {part.digest: part.sealed for part in self.court.rows(Part)}


@pytest.fixture
def vault(court: Court) -> Vault:
    return Vault(court)


def test_a_stored_secret_has_its_row_its_version_and_its_part(court: Court, vault: Vault) -> None:
    stored = vault.store("a", "d1", scope_required="billing", exposure="inject", upstreams=("shop",))
    assert told(stored, SecretStored) == SecretStored(1)
    assert court.rows(StoredSecret) == [StoredSecret("a", 1, "billing", ("shop",), "inject", START)]
    assert court.rows(SecretVersion) == [SecretVersion("a", 1, "d1", 1, START)]
    assert vault.parts() == {"d1": b"d1"}


def test_a_new_value_replaces_the_old_one_which_is_erased(court: Court, vault: Vault) -> None:
    vault.store("a", "d1", scope_required="billing", exposure="inject", upstreams=("shop",))
    court.now += SECOND
    assert told(vault.store("a", "d2"), SecretStored) == SecretStored(2)
    assert court.rows(StoredSecret) == [StoredSecret("a", 2, "read", (), "reveal", START)]
    assert court.row(SecretVersion, "a", 1) == SecretVersion("a", 1, "d1", 1, START, START + SECOND)
    assert court.row(SecretVersion, "a", 2) == SecretVersion("a", 2, "d2", 1, START + SECOND)
    assert vault.parts() == {"d2": b"d2"}


def test_a_deleted_secret_is_gone_and_its_versions_count_on(court: Court, vault: Vault) -> None:
    vault.store("a", "d1")
    vault.store("b", "d2")
    court.now += SECOND
    assert vault.delete("a").allowed
    assert court.row(StoredSecret, "a") == StoredSecret("a", 1, "read", (), "reveal", START, START + SECOND)
    assert court.row(SecretVersion, "a", 1) == SecretVersion("a", 1, "d1", 1, START, START + SECOND)
    assert vault.parts() == {"d2": b"d2"}
    assert [(verdict(each), each.reason) for each in (vault.delete("a"), vault.delete("x"))] == [
        ("secret_not_found", "There is no secret 'a'."),
        ("secret_not_found", "There is no secret 'x'."),
    ]
    court.now += SECOND
    assert told(vault.store("a", "d3"), SecretStored) == SecretStored(2)
    assert court.row(StoredSecret, "a") == StoredSecret("a", 2, "read", (), "reveal", START + 2 * SECOND)
    assert court.row(SecretVersion, "a", 1) == SecretVersion("a", 1, "d1", 1, START, START + SECOND)


def test_a_secret_is_shown_to_a_living_session_with_its_scope(court: Court, vault: Vault) -> None:
    court.session("rich", "billing", ttl_seconds=60)
    court.session("poor", "read", "billings")
    vault.store("a", "d1", scope_required="billing:eu")
    shown = vault.reveal("a", "rich", "d1")
    assert told(shown, SecretRevealed) == SecretRevealed(1, "reveal")
    assert told(vault.reveal("a", "rich", "d1", asked_by=CredentialRef("session", "rich")), SecretRevealed).version == 1
    refused = vault.reveal("a", "poor", "d1")
    assert (refused.code, refused.reason) == (
        "scope_missing",
        "The secret 'a' needs the scope 'billing:eu', which this session lacks.",
    )
    foreign = vault.reveal("a", "rich", "d1", asked_by=CredentialRef("session", "poor"))
    assert verdict(foreign) == "session_not_found"
    assert verdict(vault.reveal("a", "nobody", "d1")) == "session_not_found"
    court.now += 60 * SECOND
    assert verdict(vault.reveal("a", "rich", "d1")) == "session_expired"
    court.apply(RevokeSession(op_id=court.op(), session_id="poor"))
    assert verdict(vault.reveal("a", "poor", "d1")) == "session_revoked"


def test_an_unknown_name_is_told_before_anything_is_said_of_the_session(court: Court, vault: Vault) -> None:
    court.session("rich", "*")
    vault.store("gone", "d1")
    vault.delete("gone")
    found = [vault.reveal(name, session) for name in ("never", "gone") for session in ("", "nobody", "rich")]
    assert {verdict(each) for each in found} == {"secret_not_found"}


def test_what_was_at_hand_and_is_no_longer_in_force_is_stale_and_leaves_no_entry(court: Court, vault: Vault) -> None:
    court.session("rich", "*")
    vault.store("a", "d1")
    vault.store("a", "d2", exposure="inject")
    for digest in ("d1", ""):
        assert vault.reveal("a", "rich", digest).stale
    last = vault.reveal("a", "rich", "d2")
    assert (last.index, told(last, SecretRevealed)) == (3, SecretRevealed(2, "inject"))


def test_the_tenants_key_is_rotated_one_version_after_the_other(court: Court, vault: Vault) -> None:
    assert [vault.rotate(version).stale for version in (1, 3, 0)] == [True] * 3
    assert vault.rotate(2).allowed
    court.now += SECOND
    assert vault.rotate(2).stale
    assert vault.rotate(3).allowed
    later = (TenantKey(2, "key-2", START), TenantKey(3, "key-3", START + SECOND))
    assert court.rows(TenantKeyVersions) == [TenantKeyVersions(later)]


def test_the_key_is_rotated_five_hundred_times_and_no_more(court: Court, vault: Vault, runner: asyncio.Runner) -> None:
    async def nearly_all() -> None:
        async with court.engine.transaction(TENANT) as transaction:
            later = tuple(TenantKey(version, "key", START) for version in range(2, 501))
            await transaction.save(TenantKeyVersions, [TenantKeyVersions(later)])

    runner.run(nearly_all())
    assert [verdict(vault.rotate(version)) for version in (501, 502)] == ["allowed", "rotations_exhausted"]
    assert vault.store("a", "d1", key_version=501).allowed


def test_a_secret_sealed_with_an_older_key_than_the_newest_is_stale(court: Court, vault: Vault) -> None:
    assert vault.store("a", "d1", key_version=2).stale
    vault.rotate(2)
    assert vault.store("a", "d1", key_version=1).stale
    assert vault.store("a", "d1", key_version=2).allowed
    assert court.rows(SecretVersion) == [SecretVersion("a", 1, "d1", 2, START)]


def test_a_rewrapped_secret_has_the_same_version_and_digest_and_another_part(court: Court, vault: Vault) -> None:
    vault.store("a", "d1")
    vault.store("b", "d2")
    vault.store("c", "d3")
    vault.rotate(2)
    assert vault.rewrap(2, ("a", 1, "d1"), ("b", 1, "d2")).allowed
    assert {row.name: (row.version, row.key_version) for row in court.rows(SecretVersion)} == {
        "a": (1, 2),
        "b": (1, 2),
        "c": (1, 1),
    }
    assert vault.parts() == {"key-2": b"", "d1": b"d1 by 2", "d2": b"d2 by 2", "d3": b"d3"}


@pytest.mark.parametrize("meanwhile", ["deleted", "replaced", "rotated", "unknown"])
def test_what_changed_meanwhile_is_not_rewrapped_and_nothing_erased_comes_back(
    court: Court, vault: Vault, meanwhile: str
) -> None:
    vault.store("a", "d1")
    vault.store("b", "d2")
    vault.rotate(2)
    match meanwhile:
        case "deleted":
            vault.delete("b")
        case "replaced":
            vault.store("b", "d4", key_version=2)
        case "rotated":
            vault.rotate(3)
    before = vault.parts()
    assert vault.rewrap(2, ("a", 1, "d1"), ("x" if meanwhile == "unknown" else "b", 1, "d2")).stale
    assert vault.parts() == before
    assert {row.key_version for row in court.rows(SecretVersion) if row.name == "a"} == {1}


NAMES = ("a", "b")
events = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.sampled_from(NAMES), st.sampled_from(["read", "pay"])),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("rotate")),
        st.tuples(st.just("rewrap"), st.sets(st.sampled_from(NAMES), min_size=1)),
        st.tuples(st.just("reveal"), st.sampled_from(NAMES), st.sampled_from(["reader", "payer", "both"])),
    ),
    max_size=30,
)


@given(events)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_a_secret_is_its_last_value_shown_with_scope_only_and_erased_for_good(
    history: list[tuple[Any, ...]],
) -> None:
    with asyncio.Runner() as runner:
        court = Court(runner)
        vault = Vault(court)
        scopes = {"reader": ("read",), "payer": ("pay",), "both": ("pay", "read")}
        for session, granted in scopes.items():
            court.session(session, *granted)
        standing: dict[str, dict[str, Any]] = {}
        stored = dict.fromkeys(NAMES, 0)
        key = 1
        for number, event in enumerate(history):
            match event:
                case ("store", name, scope):
                    stored[name] += 1
                    standing[name] = {"digest": f"d{number}", "scope": scope, "key": key}
                    outcome = vault.store(name, f"d{number}", key_version=key, scope_required=scope)
                    assert told(outcome, SecretStored).version == stored[name]
                case ("delete", name):
                    assert vault.delete(name).allowed == (standing.pop(name, None) is not None)
                case ("rotate",):
                    key += 1
                    assert vault.rotate(key).allowed
                case ("rewrap", names):
                    known = {name: standing[name] for name in names if name in standing}
                    wrapped = [(name, stored[name], known[name]["digest"]) for name in known]
                    missing = [(name, stored[name] or 1, "lost") for name in names - known.keys()]
                    assert vault.rewrap(key, *wrapped, *missing).allowed == (not missing)
                    for each in known.values() if not missing else ():
                        each["key"] = key
                case ("reveal", name, session):
                    secret = standing.get(name)
                    outcome = vault.reveal(name, session, secret["digest"] if secret else "")
                    assert outcome.allowed == (secret is not None and secret["scope"] in scopes[session])
        kept = {row.digest: row.key_version for row in court.rows(SecretVersion) if row.erased_at is None}
        assert kept == {each["digest"]: each["key"] for each in standing.values()}
        assert {digest for digest in vault.parts() if digest.startswith("d")} == kept.keys()
