"""The tenants' policies: stored sealed, compiled once per epoch."""

from collections.abc import Sequence
from typing import Any

from haldir.kernel import strict_json
from haldir.kernel.errors import REFUSALS, HaldirError, Unavailable
from haldir.kernel.ids import TenantId
from haldir.policy.compile import PolicySet, compile_policies
from haldir.policy.fields import InvalidPolicy
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.proxy.model import PastPolicy, PolicyEpoch, StoredPolicy
from haldir.storage.engine import Reader
from haldir.storage.rows import Part
from haldir.vault.keyring import Keyring
from haldir.vault.seal import SealBroken

SNAPSHOT_TRIES = 5  # Policies change by hand: even two changes during one read are rare.


class PoliciesUnavailable(HaldirError):
    """The stored policies could not be read or understood: every call is denied until they can."""

    code = "policies_unavailable"
    status = 403
    hint = REFUSALS["policies_unavailable"].hint

    def __init__(self, epoch: int, why: str) -> None:
        super().__init__(f"The stored policies could not be read: {why}")
        self.epoch = epoch


class PolicyBook:
    """The compiled policies of each tenant. May be behind: Admit compares the epoch and calls it stale."""

    def __init__(self, store: Reader, keyring: Keyring) -> None:
        self._store, self._keyring = store, keyring
        self._compiled: dict[TenantId, PolicySet] = {}

    async def current(self, tenant: TenantId) -> PolicySet:
        """Return the policies as last read. Raises PoliciesUnavailable."""
        return self._compiled.get(tenant) or await self.reload(tenant)

    def forget(self, tenant: TenantId) -> None:
        """Have the tenant's policies read anew."""
        self._compiled.pop(tenant, None)

    async def reload(self, tenant: TenantId) -> PolicySet:
        """Read the policies anew, as of one epoch."""
        for _ in range(SNAPSHOT_TRIES):
            epoch = await policy_epoch(self._store, tenant)
            compiled = compile_policies(await self._read(tenant, epoch), epoch)
            if await policy_epoch(self._store, tenant) == epoch:
                self._compiled[tenant] = compiled
                return compiled
        raise PoliciesUnavailable(epoch, "they keep changing")

    async def _read(self, tenant: TenantId, epoch: int) -> list[tuple[str, Policy]]:
        try:
            return [(stored.id, policy) for stored, policy in await read_policies(self._store, self._keyring, tenant)]
        except (SealBroken, InvalidPolicy, strict_json.Malformed) as error:
            self._compiled.pop(tenant, None)
            raise PoliciesUnavailable(epoch, str(error)) from error


async def policy_epoch(store: Reader, tenant: TenantId) -> int:
    """Return the version that the tenant's policies have now; 0 before their first change."""
    for row in await store.load(tenant, PolicyEpoch, (), [()]):
        assert isinstance(row, PolicyEpoch)
        return row.epoch
    return 0


async def read_policies(store: Reader, keyring: Keyring, tenant: TenantId) -> list[tuple[StoredPolicy, Policy]]:
    """Return the tenant's policies in the order they were added. Raises what `opened_policies` does."""
    stored = [row for row in await store.load(tenant, StoredPolicy, (), [()]) if isinstance(row, StoredPolicy)]
    in_order = sorted(stored, key=lambda each: (each.created_at, each.id))
    return list(zip(in_order, await opened_policies(store, keyring, tenant, in_order), strict=True))


async def read_snapshot(
    store: Reader, keyring: Keyring, tenant: TenantId
) -> tuple[int, list[tuple[StoredPolicy, Policy]]]:
    """Return the policies and the version that they are. Raises Unavailable if they keep changing."""
    for _ in range(SNAPSHOT_TRIES):
        epoch = await policy_epoch(store, tenant)
        found = await read_policies(store, keyring, tenant)
        if await policy_epoch(store, tenant) == epoch:
            return epoch, found
    raise Unavailable("The policies keep changing.")


async def opened_policies(
    store: Reader, keyring: Keyring, tenant: TenantId, rows: Sequence[StoredPolicy | PastPolicy]
) -> list[Policy]:
    """Return what these rows say, in their order.

    Raises SealBroken, Malformed and InvalidPolicy where what was stored is not what was put.
    """
    digests = [(digest,) for digest in dict.fromkeys(row.definition_digest for row in rows)]
    parts = [part for part in await store.load(tenant, Part, ("digest",), digests) if isinstance(part, Part)]
    keys = await keyring.opening(tenant, parts)
    opened = {part.digest: strict_json.decode(keys.open(part)) for part in parts}
    if gone := next((row for row in rows if row.definition_digest not in opened), None):
        raise SealBroken(f"The definition of the policy {gone.id} is not in the database.")
    return [parse(_at_place(opened[row.definition_digest], row.place)) for row in rows]


def _at_place(definitions: Any, place: int) -> Any:
    """Return one definition of a list that was put at once, or the one that was put alone."""
    return definitions[place] if isinstance(definitions, list) else definitions
