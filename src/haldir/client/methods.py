"""The verbs, called and waited for. Made from the catalogue by `make sdk`; change that, not this."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from haldir.client import types
from haldir.client.exchange import QueryValue, Request, given, reading, segment, writing


class Methods:
    """Every public verb of Haldir. What is None is not sent."""

    def _ask(self, request: Request) -> Any:
        raise NotImplementedError

    def _download(self, path: str, query: Mapping[str, QueryValue]) -> Iterator[bytes]:
        raise NotImplementedError

    def create_key(
        self,
        name: str | None = None,
        scopes: Sequence[str] | str | None = None,
        bootstrap_token: str | None = None,
        held: Literal["auto", "plain", "stream", "input"] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.KeyCreated:
        """Make a key in the caller's tenant; with the bootstrap token, a new tenant with its first key."""
        answer: types.KeyCreated = self._ask(
            writing(
                "POST",
                "/v1/keys",
                given(name=name, scopes=scopes, bootstrap_token=bootstrap_token, held=held),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_keys(self) -> types.KeysListed:
        """List the tenant's keys by prefix, newest first; never the keys themselves."""
        answer: types.KeysListed = self._ask(reading("GET", "/v1/keys"))
        return answer

    def revoke_key(self, prefix: str) -> types.KeyRevoked:
        """End a key, from the next decision on, on every replica."""
        answer: types.KeyRevoked = self._ask(reading("DELETE", f"/v1/keys/{segment(prefix)}"))
        return answer

    def set_key_held(
        self, prefix: str, held: Literal["auto", "plain", "stream", "input"], *, idempotency_key: str | None = None
    ) -> types.KeyHeldSet:
        """Say how a call by MCP that waits for a person comes back to a key, and to the sessions it opened."""
        answer: types.KeyHeldSet = self._ask(
            writing("PUT", f"/v1/keys/{segment(prefix)}/held", given(held=held), idempotency_key, once=True)
        )
        return answer

    def create_agent(
        self,
        name: str,
        scopes: Sequence[str] | None = None,
        spend_limit: float | None = None,
        ttl: int | None = None,
        held: Literal["auto", "plain", "stream", "input"] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.AgentCreated:
        """Name an agent and make its key, which acts in sessions opened from this template."""
        answer: types.AgentCreated = self._ask(
            writing(
                "POST",
                "/v1/agents",
                given(name=name, scopes=scopes, spend_limit=spend_limit, ttl=ttl, held=held),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_agents(self) -> types.AgentsListed:
        """List the tenant's agents, newest first."""
        answer: types.AgentsListed = self._ask(reading("GET", "/v1/agents"))
        return answer

    def revoke_agent(self, name: str) -> types.AgentRevoked:
        """End an agent and every session that bears its name, from the next decision on."""
        answer: types.AgentRevoked = self._ask(reading("DELETE", f"/v1/agents/{segment(name)}"))
        return answer

    def set_agent_held(
        self, name: str, held: Literal["auto", "plain", "stream", "input"], *, idempotency_key: str | None = None
    ) -> types.AgentHeldSet:
        """Say how a call by MCP that waits for a person comes back to an agent."""
        answer: types.AgentHeldSet = self._ask(
            writing("PUT", f"/v1/agents/{segment(name)}/held", given(held=held), idempotency_key, once=True)
        )
        return answer

    def create_session(
        self,
        agent_id: str,
        scopes: Sequence[str] | None = None,
        ttl: int | None = None,
        spend_limit: float | None = None,
        parent_session_id: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.SessionCreated:
        """Open a session for an agent; its token is the credential of that one run."""
        answer: types.SessionCreated = self._ask(
            writing(
                "POST",
                "/v1/sessions",
                given(
                    agent_id=agent_id,
                    scopes=scopes,
                    ttl=ttl,
                    spend_limit=spend_limit,
                    parent_session_id=parent_session_id,
                ),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def get_session(self, session_id: str) -> types.SessionShown:
        """Show a living session. Unknown, expired and revoked ones are all not found."""
        answer: types.SessionShown = self._ask(reading("GET", f"/v1/sessions/{segment(session_id)}"))
        return answer

    def revoke_session(self, session_id: str, cascade: bool | None = None) -> types.SessionRevoked:
        """End a session and all below it. Ending it twice is fine."""
        answer: types.SessionRevoked = self._ask(
            reading("DELETE", f"/v1/sessions/{segment(session_id)}", {"cascade": cascade})
        )
        return answer

    def check_permission(self, session_id: str, scope: str, *, idempotency_key: str | None = None) -> types.Checked:
        """Say whether a session has a scope; an unknown or ended session has none."""
        answer: types.Checked = self._ask(
            writing("POST", f"/v1/sessions/{segment(session_id)}/check", given(scope=scope), idempotency_key, once=True)
        )
        return answer

    def list_sessions(
        self,
        agent_id: str | None = None,
        roots_only: bool | None = None,
        include_revoked: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> types.SessionsListed:
        """List the tenant's sessions, newest first."""
        answer: types.SessionsListed = self._ask(
            reading(
                "GET",
                "/v1/sessions",
                {
                    "agent_id": agent_id,
                    "roots_only": roots_only,
                    "include_revoked": include_revoked,
                    "limit": limit,
                    "cursor": cursor,
                },
            )
        )
        return answer

    def get_descendants(self, session_id: str) -> types.Descendants:
        """Show a session and all below it as a tree, ended ones too."""
        answer: types.Descendants = self._ask(reading("GET", f"/v1/sessions/{segment(session_id)}/descendants"))
        return answer

    def store_secret(
        self,
        name: str,
        value: str,
        scope_required: str | None = None,
        exposure: Literal["inject", "reveal"] | None = None,
        upstreams: Sequence[str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.SecretStored:
        """Store a value under a name. It is sealed here; no log, entry or error ever has it."""
        answer: types.SecretStored = self._ask(
            writing(
                "POST",
                "/v1/secrets",
                given(name=name, value=value, scope_required=scope_required, exposure=exposure, upstreams=upstreams),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def get_secret(self, name: str, session_id: str | None = None) -> types.SecretRead:
        """Show a secret to a session that has its scope; recorded before it is opened."""
        answer: types.SecretRead = self._ask(reading("GET", f"/v1/secrets/{segment(name)}", {"session_id": session_id}))
        return answer

    def list_secrets(self, limit: int | None = None, cursor: str | None = None) -> types.SecretsListed:
        """List secrets by name: all of them to a key, to a session those that its scopes let it use."""
        answer: types.SecretsListed = self._ask(reading("GET", "/v1/secrets", {"limit": limit, "cursor": cursor}))
        return answer

    def delete_secret(self, name: str) -> types.SecretDeleted:
        """Erase a secret, value and key. Its entries stay."""
        answer: types.SecretDeleted = self._ask(reading("DELETE", f"/v1/secrets/{segment(name)}"))
        return answer

    def list_vault_keys(self) -> types.VaultKeysListed:
        """List the versions of the tenant's key, and how many secrets each opens; never the keys."""
        answer: types.VaultKeysListed = self._ask(reading("GET", "/v1/vault/keys"))
        return answer

    def rotate_vault_key(
        self, dry_run: bool | None = None, *, idempotency_key: str | None = None
    ) -> types.VaultKeyRotated:
        """Make a new version of the tenant's key and wrap the keys of all secrets with it; they stay readable."""
        answer: types.VaultKeyRotated = self._ask(
            writing("POST", "/v1/vault/rotate", given(dry_run=dry_run), idempotency_key, once=True)
        )
        return answer

    def authorize_payment(
        self,
        session_id: str,
        amount: float,
        currency: str | None = None,
        description: str | None = None,
        capture: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.PaymentAuthorizedShown:
        """Spend an amount from a session's budget, and from every budget above it, or nothing."""
        answer: types.PaymentAuthorizedShown = self._ask(
            writing(
                "POST",
                "/v1/payments/authorize",
                given(
                    session_id=session_id, amount=amount, currency=currency, description=description, capture=capture
                ),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_payments(
        self,
        session_id: str | None = None,
        state: Literal["reserved", "posted", "voided"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> types.PaymentsListed:
        """List payments, newest first."""
        answer: types.PaymentsListed = self._ask(
            reading("GET", "/v1/payments", {"session_id": session_id, "state": state, "limit": limit, "cursor": cursor})
        )
        return answer

    def get_payment(self, authorization_id: str) -> types.PaymentShown:
        """Show one payment."""
        answer: types.PaymentShown = self._ask(reading("GET", f"/v1/payments/{segment(authorization_id)}"))
        return answer

    def capture_payment(
        self, authorization_id: str, amount: float | None = None, *, idempotency_key: str | None = None
    ) -> types.PaymentResolvedShown:
        """Spend what a payment reserved, or part of it; the rest is given back."""
        answer: types.PaymentResolvedShown = self._ask(
            writing(
                "POST",
                f"/v1/payments/{segment(authorization_id)}/capture",
                given(amount=amount),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def void_payment(self, authorization_id: str, *, idempotency_key: str | None = None) -> types.PaymentResolvedShown:
        """Give back what a payment reserved."""
        answer: types.PaymentResolvedShown = self._ask(
            writing("POST", f"/v1/payments/{segment(authorization_id)}/void", given(), idempotency_key, once=True)
        )
        return answer

    def add_approval_rule(
        self,
        type: str | None = None,
        threshold: float | None = None,
        tools: Sequence[str] | None = None,
        approvers: int | None = None,
        four_eyes: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.ApprovalRuleAdded:
        """Add a rule; what it says is held from the next decision on."""
        answer: types.ApprovalRuleAdded = self._ask(
            writing(
                "POST",
                "/v1/approvals/rules",
                given(type=type, threshold=threshold, tools=tools, approvers=approvers, four_eyes=four_eyes),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_approval_rules(self) -> types.ApprovalRulesListed:
        """List the rules in the order they were added."""
        answer: types.ApprovalRulesListed = self._ask(reading("GET", "/v1/approvals/rules"))
        return answer

    def remove_approval_rule(self, rule_id: str) -> types.ApprovalRuleRemoved:
        """Remove a rule; what it alone held passes from the next decision on."""
        answer: types.ApprovalRuleRemoved = self._ask(reading("DELETE", f"/v1/approvals/rules/{segment(rule_id)}"))
        return answer

    def set_four_eyes(self, four_eyes: bool, *, idempotency_key: str | None = None) -> types.FourEyesSet:
        """Say whether a key that opened the session or asked may decide as well. It may unless this is on."""
        answer: types.FourEyesSet = self._ask(
            writing("PUT", "/v1/approvals/settings", given(four_eyes=four_eyes), idempotency_key, once=True)
        )
        return answer

    def request_approval(
        self,
        session_id: str | None = None,
        tool: str | None = None,
        action: str | None = None,
        amount: float | None = None,
        reason: str | None = None,
        details: Any | None = None,
        params: Any | None = None,
        ttl: int | None = None,
        expires_in_s: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.ApprovalRequestedShown:
        """Ask a person for a word. It lets nothing through by itself: whoever asked acts on it."""
        answer: types.ApprovalRequestedShown = self._ask(
            writing(
                "POST",
                "/v1/approvals/request",
                given(
                    session_id=session_id,
                    tool=tool,
                    action=action,
                    amount=amount,
                    reason=reason,
                    details=details,
                    params=params,
                    ttl=ttl,
                    expires_in_s=expires_in_s,
                ),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_pending_approvals(
        self,
        agent_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        since: int | None = None,
        wait: int | None = None,
    ) -> types.PendingListed:
        """List what waits for a person, newest first, at once or when that changes."""
        answer: types.PendingListed = self._ask(
            reading(
                "GET",
                "/v1/approvals/pending",
                {"agent_id": agent_id, "limit": limit, "cursor": cursor, "since": since, "wait": wait},
            )
        )
        return answer

    def get_approval(self, request_id: str, wait: int | None = None) -> types.ApprovalShown:
        """Show an approval, at once or when it is decided."""
        answer: types.ApprovalShown = self._ask(reading("GET", f"/v1/approvals/{segment(request_id)}", {"wait": wait}))
        return answer

    def approve_request(
        self,
        request_id: str,
        decided_by: str | None = None,
        note: str | None = None,
        reason: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.Approved:
        """Approve what waits. It lets exactly that through, once."""
        answer: types.Approved = self._ask(
            writing(
                "POST",
                f"/v1/approvals/{segment(request_id)}/approve",
                given(decided_by=decided_by, note=note, reason=reason),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def deny_request(
        self,
        request_id: str,
        decided_by: str | None = None,
        note: str | None = None,
        reason: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.Denied:
        """Deny what waits. Exactly that stays denied until the approval would have expired."""
        answer: types.Denied = self._ask(
            writing(
                "POST",
                f"/v1/approvals/{segment(request_id)}/deny",
                given(decided_by=decided_by, note=note, reason=reason),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def get_approval_history(self, request_id: str) -> types.ApprovalHistory:
        """Show who asked, each vote, the decision, the use or the end, and the entries in which they stand."""
        answer: types.ApprovalHistory = self._ask(reading("GET", f"/v1/approvals/{segment(request_id)}/history"))
        return answer

    def log_action(
        self,
        session_id: str,
        tool: str | None = None,
        action: str | None = None,
        cost_usd: float | None = None,
        details: Any | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.ActionLogged:
        """Enter what a session says it did."""
        answer: types.ActionLogged = self._ask(
            writing(
                "POST",
                "/v1/audit",
                given(session_id=session_id, tool=tool, action=action, cost_usd=cost_usd, details=details),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def get_audit_trail(
        self,
        session_id: str | None = None,
        agent_id: str | None = None,
        tool: str | None = None,
        flagged_only: bool | None = None,
        limit: int | None = None,
        kind: str | None = None,
        allowed: bool | None = None,
        since: float | str | None = None,
        until: float | str | None = None,
        cursor: str | None = None,
    ) -> types.AuditPage:
        """List entries, newest first. A page may hold fewer than `limit`, even none, and still have a `next_cursor`."""
        answer: types.AuditPage = self._ask(
            reading(
                "GET",
                "/v1/audit",
                {
                    "session_id": session_id,
                    "agent_id": agent_id,
                    "tool": tool,
                    "flagged": flagged_only,
                    "limit": limit,
                    "kind": kind,
                    "allowed": allowed,
                    "since": since,
                    "until": until,
                    "cursor": cursor,
                },
            )
        )
        return answer

    def verify_audit(self) -> types.AuditVerified:
        """Read the whole log and hold it against its signed head."""
        answer: types.AuditVerified = self._ask(reading("GET", "/v1/audit/verify"))
        return answer

    def get_tree_head(self) -> types.TreeHead:
        """Sign the log's present head."""
        answer: types.TreeHead = self._ask(reading("GET", "/v1/audit/tree-head"))
        return answer

    def audit_spend(self, session_id: str | None = None, agent_id: str | None = None) -> types.AuditSpend:
        """Add up what actions were reported to have cost."""
        answer: types.AuditSpend = self._ask(
            reading("GET", "/v1/audit/spend", {"session_id": session_id, "agent_id": agent_id})
        )
        return answer

    def export_audit(
        self,
        session_id: str | None = None,
        agent_id: str | None = None,
        tool: str | None = None,
        kind: str | None = None,
        flagged: bool | None = None,
        allowed: bool | None = None,
        since: float | str | None = None,
        until: float | str | None = None,
        format: str | None = None,
    ) -> Iterator[bytes]:
        """Export entries, oldest first. What is appended after this was asked is not in it."""
        return self._download(
            "/v1/audit/export",
            {
                "session_id": session_id,
                "agent_id": agent_id,
                "tool": tool,
                "kind": kind,
                "flagged": flagged,
                "allowed": allowed,
                "since": since,
                "until": until,
                "format": format,
            },
        )

    def export_manifest(
        self,
        session_id: str | None = None,
        agent_id: str | None = None,
        tool: str | None = None,
        kind: str | None = None,
        flagged: bool | None = None,
        allowed: bool | None = None,
        since: float | str | None = None,
        until: float | str | None = None,
    ) -> types.Manifest:
        """Return the manifest of what an export with these filters holds."""
        answer: types.Manifest = self._ask(
            reading(
                "GET",
                "/v1/audit/export/manifest",
                {
                    "session_id": session_id,
                    "agent_id": agent_id,
                    "tool": tool,
                    "kind": kind,
                    "flagged": flagged,
                    "allowed": allowed,
                    "since": since,
                    "until": until,
                },
            )
        )
        return answer

    def get_inclusion_proof(self, entry_id: str) -> types.InclusionProof:
        """Prove that an entry is in the log, under the head as it is signed now."""
        answer: types.InclusionProof = self._ask(reading("GET", f"/v1/audit/inclusion-proof/{segment(entry_id)}"))
        return answer

    def get_consistency_proof(self, first: int, second: int | None = None) -> types.ConsistencyProof:
        """Prove that the log of one size has grown out of the log of a smaller one."""
        answer: types.ConsistencyProof = self._ask(
            reading("GET", "/v1/audit/consistency-proof", {"first": first, "second": second})
        )
        return answer

    def compliance_evidence(
        self, since: float | str | None = None, until: float | str | None = None
    ) -> types.EvidencePack:
        """Gather the evidence of a period, signed: the same bytes each time, once the period is over."""
        answer: types.EvidencePack = self._ask(
            reading("GET", "/v1/compliance/evidence", {"since": since, "until": until})
        )
        return answer

    def compliance_evidence_manifest(
        self, since: float | str | None = None, until: float | str | None = None
    ) -> types.EvidenceManifest:
        """Return the digests of the evidence of a period, and its signature."""
        answer: types.EvidenceManifest = self._ask(
            reading("GET", "/v1/compliance/evidence/manifest", {"since": since, "until": until})
        )
        return answer

    def compliance_score(self) -> types.ComplianceScore:
        """Say how many of the named criteria are met by what is set up now."""
        answer: types.ComplianceScore = self._ask(reading("GET", "/v1/compliance/score"))
        return answer

    def add_upstream(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        deadline_seconds: float | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.UpstreamAdded:
        """Put an MCP server behind Haldir and ask it for its tools; one that is down is registered all the same."""
        answer: types.UpstreamAdded = self._ask(
            writing(
                "POST",
                "/v1/proxy/upstreams",
                given(name=name, url=url, headers=headers, tools=tools, deadline_seconds=deadline_seconds),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_upstreams(self) -> types.UpstreamsListed:
        """List the tenant's upstreams and how they do."""
        answer: types.UpstreamsListed = self._ask(reading("GET", "/v1/proxy/upstreams"))
        return answer

    def remove_upstream(self, name: str) -> types.UpstreamRemoved:
        """Take an upstream away. Calls under way end as they end."""
        answer: types.UpstreamRemoved = self._ask(reading("DELETE", f"/v1/proxy/upstreams/{segment(name)}"))
        return answer

    def list_tools(self, session_id: str | None = None) -> types.ToolsListed:
        """List the tools behind Haldir; for a session token, an agent key or a named session, what it may use."""
        answer: types.ToolsListed = self._ask(reading("GET", "/v1/proxy/tools", {"session_id": session_id}))
        return answer

    def accept_tool(
        self, name: str, tool: str, sha256: str, *, idempotency_key: str | None = None
    ) -> types.ToolAccepted:
        """Accept the changed definition of a tool: the one with this hash, and no other."""
        answer: types.ToolAccepted = self._ask(
            writing(
                "POST",
                f"/v1/proxy/upstreams/{segment(name)}/tools/{segment(tool)}/accept",
                given(sha256=sha256),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def call_tool(
        self, tool: str, session_id: str, arguments: dict[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Run one tool call under governance and answer with the upstream's result."""
        answer: dict[str, Any] = self._ask(
            writing(
                "POST",
                "/v1/proxy/call",
                given(tool=tool, session_id=session_id, arguments=arguments),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def add_policy(self, definition: Mapping[str, Any], *, idempotency_key: str | None = None) -> types.PolicyAdded:
        """Add a policy; it holds from the next decision on. What could never fire is refused."""
        answer: types.PolicyAdded = self._ask(
            writing("POST", "/v1/proxy/policies", definition, idempotency_key, once=True)
        )
        return answer

    def list_policies(self) -> types.PoliciesListed:
        """List the tenant's policies in the order they were added, and the version that they are."""
        answer: types.PoliciesListed = self._ask(reading("GET", "/v1/proxy/policies"))
        return answer

    def remove_policy(self, policy_id: str) -> types.PolicyRemoved:
        """Remove a policy; it holds until the decision before this one."""
        answer: types.PolicyRemoved = self._ask(reading("DELETE", f"/v1/proxy/policies/{segment(policy_id)}"))
        return answer

    def replace_policies(
        self,
        policies: Sequence[dict[str, Any]],
        expected_version: int | None = None,
        dry_run: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.PoliciesReplaced:
        """Make the tenant's policies exactly these, all at once; those that are not among them are removed."""
        answer: types.PoliciesReplaced = self._ask(
            writing(
                "PUT",
                "/v1/proxy/policies",
                given(policies=policies, expected_version=expected_version, dry_run=dry_run),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_policy_versions(self, limit: int | None = None, before: int | None = None) -> types.PolicyVersionsListed:
        """List the versions of the tenant's policies, newest first."""
        answer: types.PolicyVersionsListed = self._ask(
            reading("GET", "/v1/proxy/policies/versions", {"limit": limit, "before": before})
        )
        return answer

    def get_policy_version(self, version: int) -> types.PoliciesOfVersion:
        """Show the policies as they were in one version."""
        answer: types.PoliciesOfVersion = self._ask(reading("GET", f"/v1/proxy/policies/versions/{segment(version)}"))
        return answer

    def roll_back_policies(
        self,
        version: int,
        expected_version: int | None = None,
        dry_run: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.PoliciesReplaced:
        """Put the policies of an older version in force again, as a new version."""
        answer: types.PoliciesReplaced = self._ask(
            writing(
                "POST",
                "/v1/proxy/policies/rollback",
                given(version=version, expected_version=expected_version, dry_run=dry_run),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def replay_policies(
        self,
        since: float | str,
        until: float | str | None = None,
        policies: Sequence[dict[str, Any]] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.PoliciesReplayed:
        """Hold recorded calls against a candidate set of policies; it is recorded who did."""
        answer: types.PoliciesReplayed = self._ask(
            writing(
                "POST",
                "/v1/proxy/policies/replay",
                given(since=since, until=until, policies=policies, limit=limit, cursor=cursor),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def lint_policies(
        self, policies: Sequence[dict[str, Any]], *, idempotency_key: str | None = None
    ) -> types.PoliciesLinted:
        """Say what is wrong or odd with policies, also against the tools that upstreams have. Changes nothing."""
        answer: types.PoliciesLinted = self._ask(
            writing("POST", "/v1/proxy/policies/lint", given(policies=policies), idempotency_key, once=True)
        )
        return answer

    def get_policy_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of policies, for editors."""
        answer: dict[str, Any] = self._ask(reading("GET", "/v1/proxy/policies/schema"))
        return answer

    def list_calls(
        self,
        state: Literal["open", "posted", "voided", "indeterminate"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> types.CallsListed:
        """List calls in one state, newest first; those that need a person are the indeterminate ones."""
        answer: types.CallsListed = self._ask(
            reading("GET", "/v1/calls", {"state": state, "limit": limit, "cursor": cursor})
        )
        return answer

    def get_call(self, call_id: str) -> types.CallShown:
        """Show one admitted call."""
        answer: types.CallShown = self._ask(reading("GET", f"/v1/calls/{segment(call_id)}"))
        return answer

    def resolve_call(
        self,
        call_id: str,
        state: Literal["post", "void"],
        amount: float | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.CallResolvedShown:
        """Say how an indeterminate call ended: post what it cost, or void it."""
        answer: types.CallResolvedShown = self._ask(
            writing(
                "POST",
                f"/v1/calls/{segment(call_id)}/resolve",
                given(state=state, amount=amount),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def get_payload(self, call_id: str) -> types.PayloadShown:
        """Show what a call came with and was answered, once it is recorded who asked for that."""
        answer: types.PayloadShown = self._ask(reading("GET", f"/v1/calls/{segment(call_id)}/payload"))
        return answer

    def erase_payload(self, call_id: str) -> types.PayloadErased:
        """Erase what a call came with and was answered; its entries stay, with the digests."""
        answer: types.PayloadErased = self._ask(reading("DELETE", f"/v1/calls/{segment(call_id)}/payload"))
        return answer

    def add_anomaly_rule(
        self, definition: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> types.AnomalyRuleAdded:
        """Add a rule; it looks at every decision from the next one on. What could never flag is refused."""
        answer: types.AnomalyRuleAdded = self._ask(
            writing("POST", "/v1/anomalies/rules", definition, idempotency_key, once=True)
        )
        return answer

    def list_anomaly_rules(self) -> types.AnomalyRulesListed:
        """List the tenant's rules in the order they were added."""
        answer: types.AnomalyRulesListed = self._ask(reading("GET", "/v1/anomalies/rules"))
        return answer

    def remove_anomaly_rule(self, rule_id: str) -> types.AnomalyRuleRemoved:
        """Remove a rule; what it flagged stays flagged."""
        answer: types.AnomalyRuleRemoved = self._ask(reading("DELETE", f"/v1/anomalies/rules/{segment(rule_id)}"))
        return answer

    def get_usage(self, month: str | None = None) -> types.Usage:
        """Say how much the tenant did in a month, by day."""
        answer: types.Usage = self._ask(reading("GET", "/v1/usage", {"month": month}))
        return answer

    def get_status(self) -> types.Status:
        """Say whether this Haldir does its work, and which version it is."""
        answer: types.Status = self._ask(reading("GET", "/v1/status"))
        return answer

    def get_metrics(self) -> types.Metrics:
        """Count what the tenant has and did."""
        answer: types.Metrics = self._ask(reading("GET", "/v1/metrics"))
        return answer

    def get_overview(self) -> types.Overview:
        """Show the tenant at a glance: what goes on, what waits for a person, what is wrong."""
        answer: types.Overview = self._ask(reading("GET", "/v1/admin/overview"))
        return answer

    def register_webhook(
        self,
        url: str | None = None,
        name: str | None = None,
        events: Sequence[str] | None = None,
        format: Literal["haldir", "slack", "teams", "email"] | None = None,
        email: str | None = None,
        links: bool | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.WebhookMade:
        """Add an endpoint; it hears what happens from here on. Its secret is shown once."""
        answer: types.WebhookMade = self._ask(
            writing(
                "POST",
                "/v1/webhooks",
                given(url=url, name=name, events=events, format=format, email=email, links=links),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_webhooks(self) -> types.WebhooksListed:
        """List the tenant's endpoints and how deliveries to them go."""
        answer: types.WebhooksListed = self._ask(reading("GET", "/v1/webhooks"))
        return answer

    def remove_webhook(self, webhook_id: int) -> types.WebhookRemoved:
        """Take an endpoint away; what was not delivered to it is not."""
        answer: types.WebhookRemoved = self._ask(reading("DELETE", f"/v1/webhooks/{segment(webhook_id)}"))
        return answer

    def enable_webhook(self, webhook_id: int, *, idempotency_key: str | None = None) -> types.WebhookSwitchedTo:
        """Have a disabled endpoint hear again, from here on; what it missed can be replayed.

        Where its messages have links that decide, that hands out the power to decide, as registering it did.
        """
        answer: types.WebhookSwitchedTo = self._ask(
            writing("POST", f"/v1/webhooks/{segment(webhook_id)}/enable", given(), idempotency_key, once=True)
        )
        return answer

    def disable_webhook(self, webhook_id: int, *, idempotency_key: str | None = None) -> types.WebhookSwitchedTo:
        """Deliver nothing more to an endpoint until it is enabled."""
        answer: types.WebhookSwitchedTo = self._ask(
            writing("POST", f"/v1/webhooks/{segment(webhook_id)}/disable", given(), idempotency_key, once=True)
        )
        return answer

    def rotate_webhook_secret(
        self, webhook_id: int, grace_seconds: int | None = None, *, idempotency_key: str | None = None
    ) -> types.SecretMade:
        """Give an endpoint a new secret; for a while deliveries are signed with both."""
        answer: types.SecretMade = self._ask(
            writing(
                "POST",
                f"/v1/webhooks/{segment(webhook_id)}/rotate-secret",
                given(grace_seconds=grace_seconds),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def trigger_event(
        self, event: str, webhook_id: int | None = None, *, idempotency_key: str | None = None
    ) -> types.EventTriggered:
        """Make an event up, so that a developer sees it arrive. It stands in the log like any other."""
        answer: types.EventTriggered = self._ask(
            writing(
                "POST", "/v1/webhooks/trigger", given(event=event, webhook_id=webhook_id), idempotency_key, once=True
            )
        )
        return answer

    def list_deliveries(
        self,
        event_id: str | None = None,
        webhook_id: int | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> types.DeliveriesListed:
        """List attempts, newest first."""
        answer: types.DeliveriesListed = self._ask(
            reading(
                "GET",
                "/v1/webhooks/deliveries",
                {"event_id": event_id, "webhook_id": webhook_id, "before": before, "limit": limit},
            )
        )
        return answer

    def replay_delivery(self, delivery_id: str, *, idempotency_key: str | None = None) -> types.EventsReplayed:
        """Deliver the event of an attempt again, to the same endpoint."""
        answer: types.EventsReplayed = self._ask(
            writing(
                "POST", f"/v1/webhooks/deliveries/{segment(delivery_id)}/replay", given(), idempotency_key, once=True
            )
        )
        return answer

    def replay_events(
        self,
        webhook_id: int,
        since: float | str,
        until: float | str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> types.EventsReplayed:
        """Deliver again what an endpoint heard, or would have heard, in a span of time."""
        answer: types.EventsReplayed = self._ask(
            writing(
                "POST",
                f"/v1/webhooks/{segment(webhook_id)}/replay",
                given(since=since, until=until),
                idempotency_key,
                once=True,
            )
        )
        return answer

    def list_events(self, cursor: str | None = None) -> types.EventsListed:
        """List events as they come, for those who cannot be reached by a webhook."""
        answer: types.EventsListed = self._ask(reading("GET", "/v1/webhooks/events", {"cursor": cursor}))
        return answer
