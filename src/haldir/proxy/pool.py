"""The upstreams as the rest of Haldir reaches them: one channel each, kept for as long as it is of use.

A channel never stays broken: connections, children and what was agreed over them are made anew when needed.
"""

import asyncio
import importlib
import time
from collections.abc import Awaitable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, final

import msgspec
from msgspec import UNSET, Raw

from haldir.kernel import strict_json
from haldir.kernel.clock import Clock
from haldir.kernel.errors import UpstreamError
from haldir.kernel.ids import TenantId
from haldir.proxy import message as rpc
from haldir.proxy.definition import Definition, read_definition
from haldir.proxy.dialogue import Dialogue, OnNotification, Question, ignore
from haldir.proxy.discovery import TOOLS, Offer, list_all
from haldir.proxy.exchange import Endpoint
from haldir.proxy.health import Health, HealthRecord
from haldir.proxy.message import Members
from haldir.proxy.model import Upstream, UpstreamConfig
from haldir.proxy.nursery import Nursery
from haldir.proxy.param_headers import HeaderNames, header_names, headers_for
from haldir.proxy.shared_child import SharedChild
from haldir.proxy.stdio import StdioEndpoint
from haldir.proxy.wires import ChildWire, HttpWire

if TYPE_CHECKING:  # Only a name here, see `_http_module`.
    from haldir.proxy.http import HttpEndpoints

T = TypeVar("T")


@final
class Channel:
    """One version of one upstream: where its exchanges begin, and the dialogue of stateless calls with it."""

    def __init__(
        self, upstream: Upstream, config: UpstreamConfig, endpoint: Endpoint, dialogue: Dialogue, clock: Clock
    ) -> None:
        self._made_for = upstream, config
        self.endpoint = endpoint
        self.dialogue = dialogue
        self.health = HealthRecord(clock)
        self.header_names: Mapping[str, HeaderNames] = {}

    def is_for(self, upstream: Upstream, config: UpstreamConfig) -> bool:
        """Tell whether nothing changed since: an upstream removed and added again may have the same version."""
        return self._made_for == (upstream, config)

    def headers_for(self, params: Members) -> dict[str, str]:
        """Return the headers in which the upstream wants some arguments of a tools/call repeated."""
        names = self.header_names and self.header_names.get(msgspec.json.decode(params["name"], type=str))
        if not names:
            return {}
        return headers_for(names, strict_json.decode(bytes(params.get("arguments", Raw(b"{}")))))

    async def watched(self, answering: Awaitable[T]) -> T:
        """Await an answer and count it."""
        started = time.monotonic()
        try:
            answer = await answering
        except UpstreamError as error:
            self.health.bad(error.message)
            raise
        self.health.good(time.monotonic() - started)
        return answer

    def close(self) -> None:
        if isinstance(self.endpoint, StdioEndpoint):
            self.endpoint.close()


@final
class UpstreamPool:
    """Owns every connection and child process. `environment` is what children inherit, and nothing else."""

    def __init__(self, clock: Clock, environment: Mapping[str, str], *, allow_private: bool = False) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._http: HttpEndpoints | None = None
        self._nursery = Nursery(environment)
        self._channels: dict[tuple[TenantId, str], Channel] = {}

    @staticmethod
    async def warm_up() -> None:
        """Load what speaks HTTP, without holding up whoever is served meanwhile."""
        await asyncio.to_thread(_http_module)

    def channel(self, tenant: TenantId, upstream: Upstream, config: UpstreamConfig) -> Channel:
        """Return the channel of the upstream as it is now; the one of how it was is closed."""
        key = tenant, upstream.name
        channel = self._channels.get(key)
        if channel is None or not channel.is_for(upstream, config):
            if channel is not None:
                channel.close()
            channel = self._channels[key] = self._new_channel(upstream, config)
        return channel

    async def list_tools(self, tenant: TenantId, upstream: Upstream, config: UpstreamConfig) -> list[Definition]:
        """Return the definitions of all tools, without those that are malformed."""
        channel = self.channel(tenant, upstream, config)
        listed = map(read_definition, await _all_of(channel, TOOLS, config.deadline_seconds))
        definitions = [each for each in listed if each is not None]
        channel.header_names = header_names(definitions)
        return definitions

    async def list_offers(
        self, tenant: TenantId, upstream: Upstream, config: UpstreamConfig, offer: Offer
    ) -> list[Raw]:
        """Return the raw definitions of all that an upstream offers of one kind; nothing if it has no such kind."""
        return await _all_of(self.channel(tenant, upstream, config), offer, config.deadline_seconds)

    async def ask(
        self, tenant: TenantId, upstream: Upstream, config: UpstreamConfig, method: str, params: Members
    ) -> bytes:
        """Return the raw response to a request that is no tool's call. Raises UpstreamError."""
        channel = self.channel(tenant, upstream, config)
        return await channel.watched(channel.dialogue.ask(Question(method, params, ignore), config.deadline_seconds))

    async def call_tool(
        self,
        tenant: TenantId,
        upstream: Upstream,
        config: UpstreamConfig,
        params: bytes,
        deadline_seconds: float,
        *,
        on_notification: OnNotification = ignore,
    ) -> bytes:
        """Call a tool and return the raw JSON-RPC response, a result or an error.

        `params` is the JSON object of a tools/call. Notifications come with its own progress token.
        Raises UpstreamError, which says whether the tool may have run.
        """
        channel = self.channel(tenant, upstream, config)
        asked = rpc.members(params)

        async def ask() -> bytes:
            question = Question("tools/call", asked, on_notification, channel.headers_for(asked))
            return await channel.dialogue.ask(question, deadline_seconds)

        answer = await channel.watched(ask())
        if _wants_headers(answer):  # It did not act, for want of headers that only its list of tools tells of.
            await self.list_tools(tenant, upstream, config)
            answer = await channel.watched(ask())
        return answer

    def health(self, tenant: TenantId, name: str) -> Health:
        """Return how an upstream has been doing since this process began to speak with it."""
        channel = self._channels.get((tenant, name))
        return channel.health.now() if channel is not None else Health()

    def forget(self, tenant: TenantId, name: str) -> None:
        """Close the channel of an upstream that was removed."""
        channel = self._channels.pop((tenant, name), None)
        if channel is not None:
            channel.close()

    async def close(self) -> None:
        """Close every connection and end every child."""
        while self._channels:
            self._channels.popitem()[1].close()
        await self._nursery.close()
        if self._http is not None:
            await self._http.close()

    def _new_channel(self, upstream: Upstream, config: UpstreamConfig) -> Channel:
        if upstream.transport == "stdio":
            shared = SharedChild(self._nursery, config)
            dialogue = Dialogue(ChildWire(shared), config.deadline_seconds)
            played = StdioEndpoint(self._nursery, config, shared, dialogue)
            return Channel(upstream, config, played, dialogue, self._clock)
        if self._http is None:
            self._http = _http_endpoints()
        endpoint = self._http.endpoint(config, allow_private=upstream.operator or self._allow_private)
        dialogue = Dialogue(HttpWire(endpoint), config.deadline_seconds)
        return Channel(upstream, config, endpoint, dialogue, self._clock)


async def _all_of(channel: Channel, offer: Offer, deadline_seconds: float) -> list[Raw]:
    async def ask(params: Members) -> bytes:
        return await channel.dialogue.ask(Question(offer.method, params, ignore), deadline_seconds)

    return await channel.watched(list_all(offer, ask))


def _http_endpoints() -> "HttpEndpoints":
    made: HttpEndpoints = _http_module().HttpEndpoints()
    return made


def _http_module() -> ModuleType:
    return importlib.import_module("haldir.proxy.http")  # aiohttp is a third of a start; a start needs none of it.


def _wants_headers(answer: bytes) -> bool:
    error = rpc.read(answer).error
    return error is not UNSET and rpc.error_code(error) == rpc.HEADER_MISMATCH
