"""The catalogue as a whole: every public verb, in the order the reference lists them."""

from haldir.operations.catalogue import Operation
from haldir.operations.verbs import (
    agents,
    anomalies,
    approval_rules,
    approvals,
    audit,
    audit_spend,
    calls,
    keys,
    payments,
    policies,
    proofs,
    proxy_call,
    secrets,
    session_lists,
    sessions,
    upstreams,
    usage,
    webhooks,
)

OPERATIONS: tuple[Operation, ...] = (
    *keys.OPERATIONS,
    *agents.OPERATIONS,
    *sessions.OPERATIONS,
    *session_lists.OPERATIONS,
    *secrets.OPERATIONS,
    *payments.OPERATIONS,
    *approval_rules.OPERATIONS,
    *approvals.OPERATIONS,
    *audit.OPERATIONS,
    *audit_spend.OPERATIONS,
    *proofs.OPERATIONS,
    *upstreams.OPERATIONS,
    *proxy_call.OPERATIONS,
    *policies.OPERATIONS,
    *calls.OPERATIONS,
    *anomalies.OPERATIONS,
    *usage.OPERATIONS,
    *webhooks.OPERATIONS,
)
