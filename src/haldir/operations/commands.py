"""Every command there is: what a log may hold, for those who replay it."""

import msgspec

from haldir.approvals.commands import AddApprovalRule, ExpireApproval, RemoveApprovalRule, SetFourEyes
from haldir.approvals.model import Approval, ApprovalRules, Hold, PendingCount
from haldir.gate.commands import (
    CreateAgent,
    CreateKey,
    CreateTenant,
    RevokeAgent,
    RevokeKey,
    RevokeSession,
    SetAgentHeld,
    SetKeyHeld,
)
from haldir.gate.model import Agent, ApiKey, Request, Session, Tenant
from haldir.gate.request_commands import ForgetRequests, KeepAnswer, ReleaseRequest, ReserveRequest
from haldir.gate.visit_commands import BeginVisit, EndVisit
from haldir.ledger.model import Budget, Payment, Reservation
from haldir.operations.approval_commands import DecideApproval, RequestApproval
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit
from haldir.operations.call_ending_commands import Lapse, Resolve, Settle
from haldir.operations.credentials import credential_refusal
from haldir.operations.observer import Guardian
from haldir.operations.payload_commands import ErasePayload, ExpirePayloads, ReadPayload, ReplayPolicies
from haldir.operations.payment_commands import AuthorizePayment, CapturePayment, VoidPayment
from haldir.operations.refusals import RecordRefusal
from haldir.operations.secret_commands import RevealSecret
from haldir.operations.session_commands import CreateSession, OpenAgentSession
from haldir.proxy.commands import AcceptTool, AddUpstream, NoteUpstreamHealth, ObserveTools, RemoveUpstream
from haldir.proxy.model import (
    Call,
    PastPolicy,
    PolicyEpoch,
    PolicyVersion,
    RateWindow,
    StoredPolicy,
    Tool,
    Upstream,
    UpstreamHealth,
    UsageWindow,
)
from haldir.proxy.policy_commands import AddPolicy, RemovePolicy, ReplacePolicies
from haldir.storage.rows import Credential, Row
from haldir.vault.commands import DeleteSecret, RewrapSecrets, RotateTenantKey, StoreSecret
from haldir.vault.model import SecretVersion, StoredSecret, TenantKeyVersions
from haldir.watch.commands import AddAnomalyRule, RemoveAnomalyRule
from haldir.watch.model import Activity, AnomalyRules, ReportedSpend, Tally, ToolUsed
from haldir.watch.replay import Laws
from haldir.webhooks.commands import (
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayEvents,
    RotateWebhookSecret,
    TriggerEvent,
)
from haldir.webhooks.model import Webhook, WebhookCount

AnyCommand = (
    CreateTenant
    | CreateKey
    | RevokeKey
    | SetKeyHeld
    | CreateAgent
    | RevokeAgent
    | SetAgentHeld
    | OpenAgentSession
    | BeginVisit
    | EndVisit
    | CreateSession
    | RevokeSession
    | AuthorizePayment
    | CapturePayment
    | VoidPayment
    | AddApprovalRule
    | RemoveApprovalRule
    | SetFourEyes
    | RequestApproval
    | DecideApproval
    | ExpireApproval
    | LogAction
    | AddUpstream
    | RemoveUpstream
    | ObserveTools
    | NoteUpstreamHealth
    | AcceptTool
    | AddPolicy
    | RemovePolicy
    | ReplacePolicies
    | Admit
    | Settle
    | Lapse
    | Resolve
    | ReadPayload
    | ErasePayload
    | ExpirePayloads
    | ReplayPolicies
    | RecordRefusal
    | AddAnomalyRule
    | RemoveAnomalyRule
    | RegisterWebhook
    | RemoveWebhook
    | RotateWebhookSecret
    | EnableWebhook
    | DisableWebhook
    | TriggerEvent
    | ReplayEvents
    | StoreSecret
    | DeleteSecret
    | RevealSecret
    | RotateTenantKey
    | RewrapSecrets
    | ReserveRequest
    | KeepAnswer
    | ReleaseRequest
    | ForgetRequests
)

# Every table that follows from the log alone.
ROW_TYPES: tuple[type[Row], ...] = (
    Tenant,
    ApiKey,
    Agent,
    Session,
    Credential,
    Budget,
    Reservation,
    Payment,
    ApprovalRules,
    Approval,
    Hold,
    PendingCount,
    Upstream,
    UpstreamHealth,
    Tool,
    StoredPolicy,
    PastPolicy,
    PolicyEpoch,
    PolicyVersion,
    RateWindow,
    UsageWindow,
    Call,
    AnomalyRules,
    Activity,
    ToolUsed,
    Tally,
    ReportedSpend,
    Webhook,
    WebhookCount,
    StoredSecret,
    SecretVersion,
    TenantKeyVersions,
    Request,
)

LAWS = Laws(msgspec.json.Decoder(AnyCommand).decode, credential_refusal, Guardian(), ROW_TYPES)
