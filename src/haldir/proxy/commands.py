"""Commands on upstreams and their tools."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.proxy.model import Tool, ToolRule, Upstream, UpstreamHealth
from haldir.storage.rows import Find


class AddUpstream(Command, frozen=True, tag="upstream.add"):
    """Put an MCP server behind Haldir. `operator`: it stands in the operator's own configuration.

    The operator's word replaces what stands; nobody else's does.
    """

    name: str
    transport: Literal["http", "stdio"]
    config_digest: str
    operator: bool = False
    tool_rules: tuple[ToolRule, ...] = ()

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Upstream.at(self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(upstream=self.name)
        before = rows.get(Upstream, self.name)
        if before is not None and not self.operator:
            return deny("exists", f"An upstream {self.name!r} exists already.", about)
        # The clock as version: a name removed and added again is never mistaken for what it was.
        version = max(now, before.version + 1) if before else now
        return allow(
            Upstream(
                self.name,
                self.transport,
                self.config_digest,
                self.operator,
                self.tool_rules,
                version,
                before.created_at if before else now,
            ),
            about=about,
        )


class RemoveUpstream(Command, frozen=True, tag="upstream.remove"):
    """Take an upstream away, and the pins of its tools; calls under way end as they end."""

    name: str
    operator: bool = False

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Upstream.at(self.name)
        yield Tool.where("upstream", self.name)
        yield UpstreamHealth.at(self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(upstream=self.name)
        upstream = rows.get(Upstream, self.name)
        if upstream is None:
            return deny("upstream_not_found", f"There is no upstream {self.name!r}.", about)
        if upstream.operator and not self.operator:
            return deny("operator_owned", f"The upstream {self.name!r} is the operator's.", about)
        health = rows.get(UpstreamHealth, self.name)
        gone = (upstream, *rows.where(Tool, "upstream", self.name), *([health] if health else []))
        return allow(drops=gone, about=about)


class HealthNoted(msgspec.Struct, frozen=True):
    """Whether that was news."""

    changed: bool


class NoteUpstreamHealth(Command, frozen=True, tag="upstream.health"):
    """Note that an upstream fails again and again, or that it is well again, so that people hear of it once."""

    upstream: str
    healthy: bool
    reason: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Upstream.at(self.upstream)
        yield UpstreamHealth.at(self.upstream)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(upstream=self.upstream)
        if rows.get(Upstream, self.upstream) is None:
            return deny("upstream_not_found", f"There is no upstream {self.upstream!r}.", about)
        before = rows.get(UpstreamHealth, self.upstream)
        if self.healthy == (before is None or before.healthy):
            return allow(about=about, result=HealthNoted(changed=False))
        return allow(UpstreamHealth(self.upstream, self.healthy, now), about=about, result=HealthNoted(changed=True))


class SeenTool(msgspec.Struct, frozen=True):
    name: str
    sha256: str  # Of the whole definition, as canonical JSON.


class ToolsObserved(msgspec.Struct, frozen=True):
    pinned: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


class ObserveTools(Command, frozen=True, tag="tools.observe"):
    """Take note of what an upstream offers: a new tool is pinned, one that changed is quarantined.

    A definition that returns to what was pinned leaves quarantine by itself.
    """

    upstream: str
    tools: tuple[SeenTool, ...]

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Upstream.at(self.upstream)
        for seen in self.tools:
            yield Tool.at(self.upstream, seen.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(upstream=self.upstream)
        if rows.get(Upstream, self.upstream) is None:
            return deny("upstream_not_found", f"There is no upstream {self.upstream!r}.", about)
        puts: list[Tool] = []
        pinned, quarantined = [], []
        for seen in self.tools:
            before = rows.get(Tool, self.upstream, seen.name)
            if before is None:
                puts.append(Tool(self.upstream, seen.name, seen.sha256, seen.sha256, now))
                pinned.append(seen.name)
            elif before.seen_sha256 != seen.sha256:
                puts.append(before.but(seen_sha256=seen.sha256))
                if seen.sha256 != before.pinned_sha256:
                    quarantined.append(seen.name)
        return allow(*puts, about=about, result=ToolsObserved(tuple(pinned), tuple(quarantined)))


class AcceptTool(Command, frozen=True, tag="tool.accept"):
    """Let a person accept a changed definition: the one whose hash they were shown, no other."""

    upstream: str
    tool: str
    sha256: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Tool.at(self.upstream, self.tool)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(upstream=self.upstream, tool=self.tool)
        tool = rows.get(Tool, self.upstream, self.tool)
        if tool is None:
            return deny("tool_not_found", f"{self.upstream!r} offers no tool {self.tool!r}.", about)
        if tool.seen_sha256 != self.sha256:
            reason = f"The definition of {self.tool!r} that {self.upstream!r} was last seen with has another hash."
            return deny("definition_mismatch", reason, about)
        return allow(tool.but(pinned_sha256=self.sha256, pinned_at=now), about=about)
