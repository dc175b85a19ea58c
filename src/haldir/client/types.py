"""What answers look like. Made from the catalogue by `make sdk`; change that, not this."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Access(TypedDict):
    """Decisions of the period, by kind of command, and why refusals were refused."""

    entries: int
    allowed: dict[str, int]
    refused: dict[str, int]
    refusals_by_code: dict[str, int]


class ActionLogged(TypedDict):
    logged: bool
    entry_id: str
    flagged: bool
    flag_reason: str


class AgentCreated(TypedDict):
    name: str
    key: str
    scopes: list[str]
    spend_limit: float | None
    ttl: int
    message: str


class AgentHeldSet(TypedDict):
    name: str
    held: Literal["auto", "plain", "stream", "input"]


class AgentRevoked(TypedDict):
    revoked: bool
    name: str


class AgentShown(TypedDict):
    name: str
    scopes: list[str]
    spend_limit: float | None
    ttl: int
    created_at: float
    revoked: bool
    session_id: str | None
    held: Literal["auto", "plain", "stream", "input"]


class AgentsListed(TypedDict):
    agents: list[AgentShown]
    count: int


class Alerting(TypedDict):
    """Rules and receivers at the period's end, and what was out of the ordinary in it."""

    anomaly_rules: int
    webhooks: int
    flagged_entries: int
    notices: dict[str, int]


class AnomalyRuleAdded(TypedDict):
    added: bool
    type: str
    rule_id: str


class AnomalyRuleRemoved(TypedDict):
    removed: bool
    rule_id: str


class AnomalyRulesListed(TypedDict):
    """Each rule is its definition, with `rule_id` and `created_at`."""

    rules: list[dict[str, Any]]
    count: int


class ApprovalHistory(TypedDict):
    """The first step first."""

    request_id: str
    history: list[StepShown]
    count: int


class ApprovalRequestedShown(TypedDict):
    request_id: str
    status: str
    expires_at: float


class ApprovalRuleAdded(TypedDict):
    """`version` counts the changes to the tenant's rules: approvals of an older one let nothing through.

    `warnings` name tools that no connected upstream is known to have: of these the rule holds nothing.
    """

    added: bool
    type: str
    rule_id: str
    version: int
    warnings: list[str]


class ApprovalRuleRemoved(TypedDict):
    removed: bool
    rule_id: str
    version: int


class ApprovalRuleShown(TypedDict):
    rule_id: str
    type: Literal["spend_over", "tool_blocked", "destructive", "all"]
    threshold: float
    tools: list[str]
    approvers: int
    four_eyes: bool
    created_by: str
    created_at: float


class ApprovalRulesListed(TypedDict):
    """`four_eyes` is the tenant's setting: it holds for every approval."""

    rules: list[ApprovalRuleShown]
    count: int
    version: int
    four_eyes: bool


class ApprovalShown(TypedDict):
    """`effect`: what it lets happen, once: a payment, a call, or (ask) nothing by itself.

    `decided_by` is the credential; `claimed_by` the name that came with the decision. `details` are what the
    approver has to see: of a payment its description, of a call its arguments, of an ask what it came with.
    Null stands for what was erased. `rule` is what holds it; null where a session asks of its own accord.
    `openers` opened the session and those above it, which are its `parents`, nearest first. `seconds_left` until
    it expires; 0 once it was denied, used, or has expired. `changes` are what differs from the arguments of the
    agent's previous call of that tool; null unless `compared` says that there is such a call to compare with.
    """

    request_id: str
    status: Literal["pending", "approved", "denied", "expired"]
    effect: Literal["payment", "call", "ask"]
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    action: str
    amount: float
    currency: str
    reason: str
    details: Any
    params: Any
    asked_by: str
    rule_id: str
    approvers: int
    four_eyes: bool
    votes: list[VoteShown]
    decided_by: str
    claimed_by: str
    decision_note: str
    created_at: float
    expires_at: float
    decided_at: float | None
    used_at: float | None
    used_by: str
    rule: RuleShown | None
    asked_by_name: str
    decided_by_name: str
    openers: list[PartyShown]
    parents: list[str]
    seconds_left: int
    changes: list[ChangeShown] | None
    compared: ComparedShown


class Approvals(TypedDict):
    """Rules at the period's end, and what people were asked in it."""

    rules: int
    requested: int
    decided: int
    expired: int


class Approved(TypedDict):
    """`approved` false: it counts, and `missing` more must approve."""

    approved: bool
    request_id: str
    missing: int


class Audit(TypedDict):
    """The log at the period's end, signed, and the proof that it grew out of what it was at the period's beginning.

    `verified` says what reading the whole log came to when the pack was made; `faults` is empty unless it was altered.
    """

    hashing: str
    tree_size: int
    root_hash: str
    checkpoint: str
    verifier_key: str
    consistency: ConsistencyShown | None
    verified: bool
    faults: list[str]


class AuditPage(TypedDict):
    count: int
    entries: list[EntryShown]
    next_cursor: str | None


class AuditSpend(TypedDict):
    """Sums of `cost_usd` as it was reported, exact to a millionth; no budget, payment or price is in them.

    `by_tool` holds the first tools by name; `tools_left_out` says whether there are more.
    """

    total_usd: float
    action_count: int
    by_tool: dict[str, float]
    tools_left_out: bool


class AuditVerified(TypedDict, total=False):
    """`error` and `tampered_entry` are those of the first finding."""

    verified: bool
    entries_checked: int
    root_hash: str
    message: str
    error: str
    tampered_entry: str
    findings: list[FindingShown]


class CallResolvedShown(TypedDict):
    call_id: str
    state: str
    posted: float


class CallShown(TypedDict):
    """`state`: open (under way), posted, voided, or indeterminate (nobody knows whether it happened)."""

    call_id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    state: Literal["open", "posted", "voided", "indeterminate"]
    error: str
    price: float
    policy_version: int
    arguments_digest: str
    result_digest: str
    admitted_at: float
    deadline_at: float
    settled_at: float | None
    resolved_by: str


class CallsListed(TypedDict):
    calls: list[CallShown]
    count: int
    next_cursor: str | None


class ChangeShown(TypedDict):
    """One difference: `was` is null if something was `added`, `now` if something was `removed`.

    `cut`: a value is longer than 2,000 characters of JSON, and is a text with their first, and how many there are.
    """

    pointer: str
    kind: Literal["added", "removed", "changed"]
    was: Any
    now: Any
    cut: bool


class Check(TypedDict):
    name: str
    ok: bool
    message: str
    duration_ms: float


class Checked(TypedDict):
    allowed: bool
    session_id: str
    scope: str


class ComparedShown(TypedDict):
    """The call that `changes` compare with: the agent's last one of the same tool before it asked, of any session.

    `state` says why there are none: the approval is of no call, the agent made none before, its arguments were not
    kept, one of the two was erased, one has more than 256 KiB, or it is not for this credential to see.
    `more`: there are more than the hundred changes shown.
    """

    state: Literal["compared", "no_call", "no_previous_call", "not_kept", "erased", "too_large", "not_shown"]
    call_id: str
    admitted_at: float | None
    more: bool


class ComplianceScore(TypedDict):
    """The share of criteria that are met, in percent; each counts the same, and says what it looked at."""

    score: int
    criteria: list[Criterion]


class ConsistencyProof(TypedDict):
    algorithm: str
    first_size: int
    second_size: int
    first_root: str
    second_root: str
    consistency_path: list[str]


class ConsistencyShown(TypedDict):
    first_size: int
    first_root: str
    second_size: int
    second_root: str
    path: list[str]


class Criterion(TypedDict):
    """One thing that was looked at; `means` says what it takes to meet it."""

    name: str
    met: bool
    means: str


class DayUsed(TypedDict):
    day: str
    action_count: int
    refused_count: int
    flagged_count: int
    spent_usd: float


class DeliveriesListed(TypedDict):
    deliveries: list[DeliveryShown]
    count: int
    next_before: str | None


class DeliveryShown(TypedDict):
    """One attempt. `status_code` is null where there was no answer."""

    delivery_id: str
    webhook_id: int
    event_id: str
    webhook_url: str
    event_type: str
    attempt: int
    status_code: int | None
    response_excerpt: str
    error: str
    duration_ms: int
    created_at: float


class Denied(TypedDict):
    denied: bool
    request_id: str


class Descendants(TypedDict):
    """`truncated`: there are more sessions below than the 1,000 that are shown."""

    root: SessionTree
    descendant_count: int
    max_delegation_depth: int
    truncated: bool


class Encryption(TypedDict):
    """How what is stored is protected, and how often the tenant's key was renewed until the period's end."""

    sealed_with: str
    key_hierarchy: str
    credentials_stored_as: str
    digests: str
    tenant_key_versions: int
    secrets_stored: int
    secrets_deleted: int
    secrets_revealed: int


class EntryShown(TypedDict):
    """One entry. `entry_hash` and `prev_hash` are leaf hashes; `details` of what Haldir did is its command.

    `policy_version` is the version of the policies by which a tool call was judged, null for what they do not judge.
    `remarks`: what policies in shadow mode would have done, and which rule names the call as allowed.
    """

    entry_id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    action: str
    kind: str
    allowed: bool
    code: str
    reason: str
    call_id: str | None
    cost_usd: float
    flagged: bool
    flag_reason: str
    timestamp: float
    details: Any
    prev_hash: str
    entry_hash: str
    policy_version: int | None
    remarks: list[str]


class EventTriggered(TypedDict):
    triggered: bool
    event: str
    event_id: str


class EventsListed(TypedDict):
    """Each event is what a webhook would be sent."""

    events: list[dict[str, Any]]
    cursor: str


class EventsReplayed(TypedDict):
    """`replayed` events are on their way again; where there were more, the next request begins at `next_since`."""

    webhook_id: int
    replayed: int
    next_since: float | None


class EvidenceManifest(TypedDict):
    """What a pack holds: the SHA-256 of the canonical JSON of each section, and the signature over them all."""

    format_version: int
    tenant_id: str
    period: PeriodShown
    sections: list[SectionDigest]
    signature: EvidenceSignature


class EvidencePack(TypedDict):
    format_version: int
    tenant_id: str
    period: PeriodShown
    identity: Identity
    access: Access
    encryption: Encryption
    audit: Audit
    spend: Spend
    approvals: Approvals
    alerting: Alerting
    signature: EvidenceSignature


class EvidenceSignature(TypedDict):
    """By the key that signs the log's heads, over the canonical JSON of the pack without its `signature`."""

    algorithm: str
    public_key: str
    key_id: str
    sha256: str
    signature: str


class EvidencedAgent(TypedDict):
    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class EvidencedKey(TypedDict):
    prefix: str
    name: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class FindingShown(TypedDict):
    problem: str
    message: str
    entry_id: str | None


class FlipShown(TypedDict):
    call_id: str
    at: float
    session_id: str
    agent_id: str
    tool: str
    was: VerdictShown
    would_be: VerdictShown


class FourEyesSet(TypedDict):
    four_eyes: bool
    version: int


class Identity(TypedDict):
    """Keys and agents as they stood at the period's end, oldest first; sessions as they came and went in it."""

    keys: list[EvidencedKey]
    keys_total: int
    agents: list[EvidencedAgent]
    agents_total: int
    sessions_opened: int
    sessions_revoked: int


class InclusionProof(TypedDict):
    """Hashes in hex, the path from the leaf's sibling up; `sth` is the signed head they lead to."""

    algorithm: str
    entry_id: str
    leaf_index: int
    leaf_hash: str
    tree_size: int
    root_hash: str
    audit_path: list[str]
    sth: TreeHead


class KeyCreated(TypedDict):
    key: str
    prefix: str
    name: str
    tier: str
    scopes: list[str]
    message: str


class KeyHeldSet(TypedDict):
    prefix: str
    held: Literal["auto", "plain", "stream", "input"]


class KeyRevoked(TypedDict):
    revoked: bool
    prefix: str


class KeyShown(TypedDict):
    """`last_used` is right to the minute; null is never."""

    prefix: str
    name: str
    tier: str
    scopes: list[str]
    created_at: float
    revoked: bool
    last_used: float | None
    held: Literal["auto", "plain", "stream", "input"]
    created_by: str


class KeysListed(TypedDict):
    keys: list[KeyShown]
    count: int


class LackingShown(TypedDict):
    """A call that the candidate cannot be held against: its arguments were erased, or not kept."""

    call_id: str
    at: float
    tool: str
    why: str


class LogSeen(TypedDict):
    entries: int
    root_hash: str


class Manifest(TypedDict):
    """The last line of an export. `sha256` is over the ids of its entries, joined by newlines.

    `generated_at` is not the time of day but the moment that the export speaks of: the end of its period, or the time
    of the log's newest entry. So the same export has the same bytes, whenever it is made.
    """

    format_version: int
    tenant_id: str
    generated_at: float
    filters: dict[str, str]
    count: int
    first_timestamp: float | None
    last_timestamp: float | None
    last_chain_hash: str
    sha256: str
    tree_size: int
    root_hash: str


class Metrics(TypedDict):
    """Of this tenant alone. `unique_agents` ever had a session; volumes are of captured payments in USD."""

    total_api_keys: int
    total_sessions: int
    active_sessions: int
    unique_agents: int
    total_actions: int
    flagged_actions: int
    actions_today: int
    total_spend_usd: float
    total_secrets: int
    total_payments: int
    total_payment_volume_usd: float
    pending_approvals: int
    total_approvals: int
    top_tools: dict[str, int]
    top_agents: dict[str, int]
    usage_this_month: MonthUsed


class MonthUsed(TypedDict):
    month: str
    action_count: int


class Overview(TypedDict):
    """`upstreams` as this process has seen them; `flagged` are the newest entries that a rule flagged."""

    tenant_id: str
    generated_at: float
    active_sessions: int
    pending_approvals: int
    today: Today
    month_spent_usd: float
    upstreams: dict[str, UpstreamSeen]
    webhooks_active: int
    webhooks_disabled: int
    top_tools: dict[str, int]
    top_agents: dict[str, int]
    flagged: list[EntryShown]
    log: LogSeen


class PartyShown(TypedDict):
    """A credential that has a part in something. `name` is what its key or, of a link, its webhook is called, if so."""

    credential: str
    name: str


class PayloadErased(TypedDict):
    erased: bool
    call_id: str


class PayloadShown(TypedDict):
    """`arguments` as the caller gave them and `result` as the caller got it, a JSON-RPC answer; or null.

    The states: `kept`; `erased`, by hand or after its time; `too_large` to be kept, so that only the digest in the
    log stands for it; `not_kept`: none came, it was refused for another reason than policies, or keeping was off.
    """

    call_id: str
    arguments_state: Literal["kept", "erased", "not_kept", "too_large"]
    arguments: Any
    result_state: Literal["kept", "erased", "not_kept", "too_large"]
    result: Any


class PaymentAuthorizedShown(TypedDict):
    """`remaining_budget` null is no limit. `state`: posted (spent), or reserved until it is captured or voided."""

    authorized: bool
    authorization_id: str
    session_id: str
    agent_id: str
    amount: float
    currency: str
    description: str
    state: Literal["reserved", "posted", "voided"]
    remaining_budget: float | None
    timestamp: float


class PaymentResolvedShown(TypedDict):
    """`amount` was reserved, `posted` of it is spent."""

    authorization_id: str
    session_id: str
    agent_id: str
    state: str
    amount: float
    posted: float
    currency: str
    remaining_budget: float | None
    timestamp: float


class PaymentShown(TypedDict):
    """`description` null was erased. `resolved_at` null: the payment is still reserved."""

    authorization_id: str
    session_id: str
    agent_id: str
    state: Literal["reserved", "posted", "voided"]
    amount: float
    posted: float
    currency: str
    description: str | None
    created_at: float
    resolved_at: float | None


class PaymentsListed(TypedDict):
    payments: list[PaymentShown]
    count: int
    next_cursor: str | None


class PendingListed(TypedDict):
    """`version` counts the changes to what waits: the next answer is another only once it is another."""

    count: int
    requests: list[ApprovalShown]
    next_cursor: str | None
    version: int


class PeriodShown(TypedDict):
    """`since` belongs to it, `until` does not."""

    since: str
    until: str


class PoliciesLinted(TypedDict):
    """`ok`: there are no errors, whatever warnings there are."""

    ok: bool
    findings: list[PolicyFinding]


class PoliciesListed(TypedDict):
    """Each policy is its definition, with `policy_id` and `created_at`; `policy_id` is its name, where it has one."""

    policies: list[dict[str, Any]]
    count: int
    version: int


class PoliciesOfVersion(TypedDict):
    """The policies as they were in one version. `digest` names them as a whole, as the entry of a replay does."""

    version: int
    policies: list[dict[str, Any]]
    count: int
    digest: str


class PoliciesReplaced(TypedDict):
    """`version` is the one in force now; a dry run, or a set without a change, leaves it as it was.

    `findings` is what is odd with these policies, though nothing is wrong.
    """

    version: int
    changes: list[PolicyChange]
    unchanged: int
    dry_run: bool
    findings: list[PolicyFinding]


class PoliciesReplayed(TypedDict):
    """`replayed`: calls held against the candidate, of which `flips` would have been decided otherwise.

    `candidate_digest` names the candidate in the entry about this; versions of policies have such a `digest`, too.
    `refused_otherwise`: calls that were refused for another reason than policies, by its code; they are not judged.
    """

    flips: list[FlipShown]
    replayed: int
    not_replayed: list[LackingShown]
    refused_otherwise: dict[str, int]
    next_cursor: str | None
    candidate_digest: str


class PolicyAdded(TypedDict):
    """`version` counts the changes to the tenant's policies; entries name the one that decided."""

    added: bool
    type: str
    policy_id: str
    version: int
    warnings: list[PolicyWarning]


class PolicyChange(TypedDict):
    """What becomes of one policy: its definition before and after, null where there is none."""

    policy_id: str
    change: Literal["added", "changed", "removed"]
    before: Any | None
    after: Any | None


class PolicyFinding(TypedDict):
    """An error cannot mean what it says; a warning may not do what its author thinks.

    `policy` is the name, if there is one, and `pointer` a JSON pointer into the request.
    """

    severity: Literal["error", "warning"]
    policy: str
    pointer: str
    message: str


class PolicyRemoved(TypedDict):
    removed: bool
    policy_id: str
    version: int


class PolicyVersionShown(TypedDict):
    """One change of the set. `restores` is the version it brought back; null for none."""

    version: int
    changed_at: float
    changed_by: str
    put: int
    removed: int
    restores: int | None


class PolicyVersionsListed(TypedDict):
    versions: list[PolicyVersionShown]
    current: int
    count: int
    next_before: int | None


class PolicyWarning(TypedDict):
    """What a policy that stands may not do as its author thinks; `pointer` leads to where it says so."""

    pointer: str
    message: str


class RotationSummary(TypedDict):
    rotated: int
    failed: int


class RuleShown(TypedDict):
    """The rule that holds a request; of several the one that is named first."""

    id: str
    kind: str
    reason: str


class SecretDeleted(TypedDict):
    deleted: bool
    name: str


class SecretListed(TypedDict):
    name: str
    version: int
    scope_required: str
    exposure: Literal["inject", "reveal"]
    upstreams: list[str]
    created_at: float


class SecretMade(TypedDict):
    webhook_id: int
    secret: str
    secret_prev: str
    secret_prev_expires_at: float
    grace_seconds: int
    message: str


class SecretRead(TypedDict):
    """`value` of a secret whose exposure is `inject` is the reference that stands for it."""

    name: str
    value: str
    version: int
    exposure: Literal["inject", "reveal"]


class SecretStored(TypedDict):
    """`version` counts the values that this name has had."""

    stored: bool
    name: str
    version: int
    scope_required: str
    exposure: Literal["inject", "reveal"]
    upstreams: list[str]


class SecretsListed(TypedDict):
    """Names, and in `details` what is known of each; never values."""

    secrets: list[str]
    count: int
    details: list[SecretListed]
    next_cursor: str | None


class SectionDigest(TypedDict):
    name: str
    sha256: str


class SessionCreated(TypedDict):
    """`token` is shown once. `spend_limit` null is unlimited; `expires_at` 0 is until revoked."""

    session_id: str
    token: str
    agent_id: str
    scopes: list[str]
    spend_limit: float | None
    expires_at: float
    ttl: int
    parent_session_id: str
    delegation_depth: int


class SessionListed(TypedDict):
    """`spent` is all that was posted in the session and below it; `spend_limit` null is unlimited."""

    session_id: str
    agent_id: str
    parent_session_id: str
    scopes: list[str]
    spent: float
    spend_limit: float | None
    revoked: bool
    created_at: float
    expires_at: float


class SessionRevoked(TypedDict, total=False):
    """`cascade_revoked`: the sessions below that were alive until now, at most 1,000 of them."""

    revoked: bool
    session_id: str
    cascade_revoked: list[str] | None


class SessionShown(TypedDict):
    session_id: str
    agent_id: str
    scopes: list[str]
    spend_limit: float | None
    spent: float
    remaining_budget: float | None
    is_valid: bool
    created_at: float
    expires_at: float
    parent_session_id: str
    delegation_depth: int


class SessionTree(TypedDict):
    """A session with those below it. `subtree_sessions` counts itself too."""

    session_id: str
    agent_id: str
    parent_session_id: str
    scopes: list[str]
    spent: float
    spend_limit: float | None
    revoked: bool
    created_at: float
    expires_at: float
    subtree_spent: float
    subtree_sessions: int
    children: list[SessionTree]


class SessionsListed(TypedDict):
    sessions: list[SessionListed]
    count: int
    next_cursor: str | None


class Spend(TypedDict):
    """Money as texts. `reported` is what agents said that their actions cost; the rest was spent from budgets."""

    reported: str
    reported_by_tool: dict[str, str]
    spent_on_calls: dict[str, str]
    spent_on_payments: dict[str, str]


class Status(TypedDict):
    """`status` is `ok` if everything a request needs answers, else `degraded`."""

    status: str
    service: str
    version: str
    checks: list[Check]


class StepShown(TypedDict):
    """`by` is the credential, `name` what its key is called. `note` is "" where nothing was said, or it was erased.

    Each of several votes is `approved`. `used` is by the payment or call that the approval let through.
    """

    kind: Literal["asked", "approved", "denied", "expired", "used"]
    at: float
    by: str
    name: str
    note: str
    entry_id: str


class Today(TypedDict):
    actions: int
    refused: int
    flagged: int
    spent_usd: float


class ToolAccepted(TypedDict):
    accepted: bool
    upstream: str
    tool: str


class ToolShown(TypedDict):
    """`scope` is what a session needs to call it; a quarantined tool waits to be accepted by its `sha256`."""

    name: str
    description: str
    upstream: str
    inputSchema: Any
    scope: str
    quarantined: bool
    sha256: str


class ToolsListed(TypedDict):
    count: int
    tools: list[ToolShown]


class TreeHead(TypedDict):
    """The log's signed head twice: as `sth:<size>:<root>:<signed_at>`, and as a C2SP checkpoint."""

    tree_size: int
    root_hash: str
    signed_at: int
    signature: str
    algorithm: str
    public_key: str
    key_id: str
    signing_key_source: str
    tenant_id: str
    checkpoint: str
    verifier_key: str


class UpstreamAdded(TypedDict, total=False):
    registered: bool
    name: str
    url: str
    healthy: bool
    tools_discovered: int
    tool_names: list[str]
    error: str


class UpstreamRemoved(TypedDict):
    removed: bool
    name: str


class UpstreamSeen(TypedDict):
    healthy: bool
    error: str


class UpstreamShown(TypedDict):
    """How an upstream does, as this process has seen it since it started."""

    url: str
    transport: Literal["http", "stdio"]
    operator: bool
    healthy: bool
    tools: int
    total_calls: int
    total_errors: int
    avg_latency_ms: float
    last_check: float
    created_at: float
    error: str


class UpstreamsListed(TypedDict):
    upstreams: dict[str, UpstreamShown]
    total_tools: int
    policies: int


class Usage(TypedDict):
    """Tool calls, payments and reports, refused ones too; `spent_usd` is what was posted or reported."""

    tenant_id: str
    month: str
    action_count: int
    refused_count: int
    flagged_count: int
    spent_usd: float
    days: list[DayUsed]


class VaultKeyRotated(TypedDict):
    """Names of the secrets whose keys are wrapped with the new version; those that `failed` cannot be opened."""

    dry_run: bool
    key_version: int
    rotated: list[str]
    failed: list[str]
    summary: RotationSummary


class VaultKeyShown(TypedDict):
    """`secrets` is how many secrets this version opens; the `current` one seals whatever is new."""

    version: int
    current: bool
    created_at: float
    secrets: int


class VaultKeysListed(TypedDict):
    keys: list[VaultKeyShown]
    count: int
    total_secrets: int


class VerdictShown(TypedDict):
    """What the policies made of the call by themselves: allow, hold or deny, which policy, and what it says."""

    effect: Literal["allow", "hold", "deny"]
    policy_id: str
    reason: str


class VoteShown(TypedDict):
    """One approval of those needed. `claimed_by` is the name that came with it, which nobody checked."""

    approved_by: str
    claimed_by: str
    note: str
    timestamp: float


class WebhookMade(TypedDict):
    """`url` begins with `mailto:` if it is a mailbox; then nothing is signed, and there is no `secret`."""

    registered: bool
    webhook_id: int
    url: str
    name: str
    events: list[str]
    format: Literal["haldir", "slack", "teams", "email"]
    links: bool
    secret: str
    message: str


class WebhookRemoved(TypedDict):
    removed: bool
    webhook_id: int


class WebhookShown(TypedDict):
    """`url` hides what may be a token; `failing_since` is when deliveries began to fail, if they do."""

    webhook_id: int
    url: str
    name: str
    events: list[str]
    format: Literal["haldir", "slack", "teams", "email"]
    links: bool
    active: bool
    disabled_reason: str
    fire_count: int
    fail_count: int
    failing_since: float | None
    signed: bool
    created_at: float


class WebhookSwitchedTo(TypedDict):
    webhook_id: int
    active: bool


class WebhooksListed(TypedDict):
    webhooks: list[WebhookShown]
    count: int
