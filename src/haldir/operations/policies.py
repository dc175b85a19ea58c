"""The tenants' policies: stored sealed, compiled once per epoch."""

from haldir.kernel import strict_json
from haldir.kernel.errors import REFUSALS, HaldirError
from haldir.kernel.ids import TenantId
from haldir.policy.compile import PolicySet, compile_policies
from haldir.policy.fields import InvalidPolicy
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.proxy.model import PolicyEpoch, StoredPolicy
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
            epoch = await self._epoch(tenant)
            compiled = compile_policies(await self._read(tenant, epoch), epoch)
            if await self._epoch(tenant) == epoch:
                self._compiled[tenant] = compiled
                return compiled
        raise PoliciesUnavailable(epoch, "they keep changing")

    async def _epoch(self, tenant: TenantId) -> int:
        for row in await self._store.load(tenant, PolicyEpoch, (), [()]):
            assert isinstance(row, PolicyEpoch)
            return row.epoch
        return 0

    async def _read(self, tenant: TenantId, epoch: int) -> list[tuple[str, Policy]]:
        try:
            return [(stored.id, policy) for stored, policy in await read_policies(self._store, self._keyring, tenant)]
        except (SealBroken, InvalidPolicy, strict_json.Malformed) as error:
            self._compiled.pop(tenant, None)
            raise PoliciesUnavailable(epoch, str(error)) from error


async def read_policies(store: Reader, keyring: Keyring, tenant: TenantId) -> list[tuple[StoredPolicy, Policy]]:
    """Return the tenant's policies in the order they were added."""
    stored = [row for row in await store.load(tenant, StoredPolicy, (), [()]) if isinstance(row, StoredPolicy)]
    digests = [(policy.definition_digest,) for policy in stored]
    parts = {
        part.digest: part for part in await store.load(tenant, Part, ("digest",), digests) if isinstance(part, Part)
    }
    keys = await keyring.opening(tenant, parts.values())
    found = []
    for policy in sorted(stored, key=lambda each: (each.created_at, each.id)):
        part = parts.get(policy.definition_digest)
        if part is None:
            raise SealBroken(f"The definition of the policy {policy.id} is not in the database.")
        found.append((policy, parse(strict_json.decode(keys.open(part)))))
    return found
