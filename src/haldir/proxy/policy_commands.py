"""Commands on the tenant's policies: each change is a version of the whole set, and none is ever forgotten."""

from collections.abc import Iterable, Sequence

import msgspec

from haldir.journal.command import Command, Decision, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.proxy.model import PolicyEpoch, PolicyVersion, StoredPolicy
from haldir.storage.rows import Find


class PolicyChanged(msgspec.Struct, frozen=True):
    epoch: int


class AddPolicy(Command, frozen=True, tag="policy.add"):
    """Add a policy; every verdict judged before is stale from here on."""

    policy_id: str
    policy_kind: str
    definition_digest: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield PolicyEpoch.at()
        yield StoredPolicy.at(self.policy_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if rows.get(StoredPolicy, self.policy_id):
            return deny("exists", f"A policy {self.policy_id} exists already.")
        epoch = _epoch(rows) + 1
        policy = StoredPolicy(self.policy_id, self.policy_kind, self.definition_digest, now, since_epoch=epoch)
        return _changed(self, epoch, now, puts=(policy,))


class RemovePolicy(Command, frozen=True, tag="policy.remove"):
    """Remove a policy; every verdict judged before is stale from here on."""

    policy_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield PolicyEpoch.at()
        yield StoredPolicy.at(self.policy_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        policy = rows.get(StoredPolicy, self.policy_id)
        if policy is None:
            return _unknown(self.policy_id)
        return _changed(self, _epoch(rows) + 1, now, removed=(policy,))


class PutPolicy(msgspec.Struct, frozen=True, array_like=True):
    """A policy by what it is called, and its kind."""

    id: str
    kind: str


class ReplacePolicies(Command, frozen=True, tag="policy.replace"):
    """Make the tenant's policies another set, at once: `puts` are new or take the place of what stood.

    Refused unless the policies are at `expected_epoch`, by which the changes were worked out; nothing to change
    changes nothing. The part `definitions_digest` is a list of what `puts` say, in their order. `restores` is the
    version whose set this is, if an older one is brought back.
    """

    expected_epoch: int
    definitions_digest: str
    puts: tuple[PutPolicy, ...] = ()
    removes: tuple[str, ...] = ()
    restores: int = 0

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield PolicyEpoch.at()
        for put in self.puts:
            yield StoredPolicy.at(put.id)
        for policy_id in self.removes:
            yield StoredPolicy.at(policy_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        epoch = _epoch(rows)
        if epoch != self.expected_epoch:
            reason = f"The policies are at version {epoch} by now, not at {self.expected_epoch}."
            return deny("policies_changed", reason)
        if not self.puts and not self.removes:
            return allow(result=PolicyChanged(epoch))
        removed: list[StoredPolicy] = []
        for policy_id in self.removes:
            policy = rows.get(StoredPolicy, policy_id)
            if policy is None:
                return _unknown(policy_id)
            removed.append(policy)
        replaced = [before for put in self.puts if (before := rows.get(StoredPolicy, put.id))]
        puts = [
            StoredPolicy(put.id, put.kind, self.definitions_digest, now, place, epoch + 1)
            for place, put in enumerate(self.puts)
        ]
        return _changed(self, epoch + 1, now, puts=puts, replaced=replaced, removed=removed, restores=self.restores)


def _changed(
    command: Command,
    epoch: int,
    now: Micros,
    *,
    puts: Sequence[StoredPolicy] = (),
    replaced: Sequence[StoredPolicy] = (),
    removed: Sequence[StoredPolicy] = (),
    restores: int = 0,
) -> Decision:
    """Return the decision that begins version `epoch`."""
    return allow(
        *puts,
        *(policy.until(epoch) for policy in (*replaced, *removed)),
        PolicyEpoch(epoch),
        PolicyVersion(epoch, now, str(command.asked_by), len(puts), len(removed), restores),
        drops=tuple(removed),
        result=PolicyChanged(epoch),
    )


def _unknown(policy_id: str) -> Decision:
    return deny("policy_not_found", f"There is no policy {policy_id}.")


def _epoch(rows: WorkingSet) -> int:
    return (rows.get(PolicyEpoch) or PolicyEpoch()).epoch
