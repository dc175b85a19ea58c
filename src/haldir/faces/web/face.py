"""Where browsers come in: pages out, forms in. Whatever goes wrong becomes a page that says so."""

import secrets
from collections.abc import Sequence
from typing import final
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from starlette.types import Receive, Scope, Send

from haldir.faces.body import BODY_SECONDS_MAX, ClientGone, discard_body
from haldir.faces.fault_log import report_fault
from haldir.faces.rest.reply import CHALLENGE, UNAUTHORIZED
from haldir.faces.rest.request_rate import RequestRate
from haldir.faces.web.approval_pages import ApprovalPages
from haldir.faces.web.approval_verbs import ApprovalVerbs
from haldir.faces.web.assets import Assets
from haldir.faces.web.decide import Decisions
from haldir.faces.web.events import Events
from haldir.faces.web.forms import read_form, require_own_page
from haldir.faces.web.frame import FORM_TOKEN, Frame
from haldir.faces.web.html import Element
from haldir.faces.web.link_pages import LinkPages, unreferred
from haldir.faces.web.link_rate import LinkRate
from haldir.faces.web.plain_pages import HOME, PlainPages, place
from haldir.faces.web.reply import KEPT, WebReply, page_reply, see_other
from haldir.faces.web.sign_in import SignIn
from haldir.faces.web.visits import Visitor, Visits
from haldir.kernel.errors import (
    Forbidden,
    HaldirError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    TryLater,
    Unauthenticated,
)
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.kept_answers import Header

ROOMS = frozenset({"", "sign-in", "sign-out", "approvals", "approve", "assets"})  # First segments of pages' paths.
LINKS = "/approve/"
LIVE = b"haldir-live"  # The header of a page that asks for itself: nobody did anything, so no visit is prolonged.
REQUEST_ID_BYTES = 16
QUERY_FIELDS_MAX = 16


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator may choose here. `url` is where browsers reach this Haldir, as far as anybody said."""

    url: str
    rate: RequestRate | None = None
    body_seconds_max: float = BODY_SECONDS_MAX


@final
class WebFace:
    """The pages, as raw ASGI."""

    def __init__(self, ctx: Context, operations: Sequence[Operation], settings: WebSettings) -> None:
        place_of = urlsplit(settings.url)
        self._origin = f"{place_of.scheme}://{place_of.netloc}"
        self._settings = settings
        self._assets = Assets()
        frame, verbs = Frame(self._assets), ApprovalVerbs.of(operations)
        self._visits = Visits(ctx, secure=place_of.scheme == "https")
        self._sign_in = SignIn(ctx, self._visits, verbs.list_pending)
        self._events = Events(ctx, self._visits)
        self._plain, self._approvals = PlainPages(frame), ApprovalPages(ctx, frame, verbs)
        self._decisions = Decisions(ctx, verbs)
        self._links = LinkPages(ctx, frame, verbs, LinkRate(ctx.clock))

    @staticmethod
    def serves(path: str) -> bool:
        return path.lstrip("/").partition("/")[0] in ROOMS

    def close(self) -> None:
        """End the streams, which would stay open for hours."""
        self._events.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        try:
            if scope["path"] == "/approvals/events":
                await self._stream(scope, receive, send)
            elif scope["path"].startswith(LINKS):
                await unreferred(await self._answer_link(scope, receive)).send(send)
            else:
                await (await self._answer(scope, receive)).send(send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the face is where a fault ends: one log line, one answer.
            report_fault(error, scope, secrets.token_hex(REQUEST_ID_BYTES))
            await self._problem(InternalError(), None).send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> WebReply:
        visitor = None
        try:
            visitor = await self._visits.visitor(scope["headers"])
            if visitor is not None and self._settings.rate is not None:
                self._settings.rate.take(visitor.caller)
                self._settings.rate.check(visitor.caller)
            segments = scope["path"].strip("/").split("/")
            if scope["method"] == "POST":
                return await self._post(segments, scope, receive, visitor)
            await discard_body(receive, self._settings.body_seconds_max)
            if scope["method"] not in {"GET", "HEAD"}:
                raise MethodNotAllowed("Pages are read with GET and forms sent with POST.")
            return await self._get(segments, scope, visitor)
        except Unauthenticated:  # The key was revoked between two looks.
            return self._to_sign_in(scope)
        except HaldirError as error:
            return self._problem(error, visitor)

    async def _answer_link(self, scope: Scope, receive: Receive) -> WebReply:
        """Show what a link decides, or decide it; who is signed in does not matter, nor where the form came from."""
        token, address = scope["path"].removeprefix(LINKS), (scope["client"] or ("", 0))[0]
        try:
            if scope["method"] == "POST":
                form = await read_form(scope, receive, self._settings.body_seconds_max)
                return await self._links.decide(token, address, form.get("note", ""))
            await discard_body(receive, self._settings.body_seconds_max)
            if scope["method"] not in {"GET", "HEAD"}:
                raise MethodNotAllowed("A link is opened with GET, and decides with POST.")
            return await self._links.show(token, address)
        except HaldirError as error:
            return self._problem(error, None)

    async def _get(self, segments: list[str], scope: Scope, visitor: Visitor | None) -> WebReply:
        query = _query(scope)
        match segments:
            case [""]:
                return see_other(HOME)
            case ["assets", name]:
                return self._asset(name)
            case ["sign-in"]:
                goes_to = place(query.get("next", ""))
                return see_other(goes_to) if visitor else page_reply(self._plain.sign_in(goes_to))
            case ["approvals"]:
                if visitor is None:
                    return self._to_sign_in(scope)
                return self._page(await self._approvals.waiting(visitor, query.get("before", "")), scope, visitor)
            case ["approvals", approval_id]:
                if visitor is None:
                    return self._to_sign_in(scope)
                return self._page(await self._approvals.one(visitor, approval_id), scope, visitor)
            case ["sign-out"] | ["approvals", _, "approve" | "deny"]:
                raise MethodNotAllowed("This is sent with POST, by the button of a page.")
        raise NotFound("There is no such page.")

    async def _post(self, segments: list[str], scope: Scope, receive: Receive, visitor: Visitor | None) -> WebReply:
        form = await read_form(scope, receive, self._settings.body_seconds_max)
        require_own_page(scope["headers"], self._origin)
        match segments:
            case ["sign-in"]:
                return await self._signed_in(form, scope)
            case ["sign-out"]:
                return await self._signed_out(form, visitor)
            case ["approvals", approval_id, "approve" | "deny" as verdict]:
                if visitor is None:
                    return see_other(_sign_in_for(f"{HOME}/{approval_id}"))
                _require_own_form(form, visitor)
                told = await self._decisions.decide(visitor, approval_id, verdict, form.get("note", ""))
                return see_other(HOME, self._visits.cookie(visitor.visit.telling(told.text, good=told.good)))
        raise MethodNotAllowed("Nothing is sent here.")

    async def _signed_in(self, form: dict[str, str], scope: Scope) -> WebReply:
        goes_to = place(form.get("next", ""))
        try:
            visit = await self._sign_in.visit(form.get("key", "").strip(), (scope["client"] or ("", 0))[0])
        except HaldirError as error:
            return page_reply(self._plain.sign_in(goes_to, _said(error)), error.status, *_headers(error))
        return see_other(goes_to, self._visits.cookie(visit))

    async def _signed_out(self, form: dict[str, str], visitor: Visitor | None) -> WebReply:
        if visitor is not None:
            _require_own_form(form, visitor)
            await self._sign_in.end(visitor)
        return see_other("/sign-in", self._visits.no_cookie())

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await self._visits.visitor(scope["headers"])
            if visitor is None:
                raise Unauthenticated("Nobody is signed in here.")
            await self._events.stream(visitor.visit, receive, send)
        except HaldirError as error:
            await self._problem(error, None).send(send)

    def _page(self, page: Element, scope: Scope, visitor: Visitor) -> WebReply:
        """Return a page, and the cookie anew where that is due."""
        if not self._visits.due(visitor.visit) or LIVE in dict(scope["headers"]):
            return page_reply(page)
        return page_reply(page, 200, self._visits.cookie(msgspec.structs.replace(visitor.visit, told=None)))

    def _to_sign_in(self, scope: Scope) -> WebReply:
        """Send whoever showed no cookie to the form that takes a key, by a page of ours if that may bring the cookie.

        A browser leaves it out where it follows a link of another site (SameSite=Strict). Most say that they do.
        """
        path = _sign_in_for(place(scope["path"]))
        site = dict(scope["headers"]).get(b"sec-fetch-site", b"")
        return see_other(path) if site in {b"same-origin", b"none"} else page_reply(self._plain.moment(path))

    def _asset(self, name: str) -> WebReply:
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound("There is no such file.")
        return WebReply(200, asset.body, ((b"content-type", asset.kind), KEPT))

    def _problem(self, error: HaldirError, visitor: Visitor | None) -> WebReply:
        return page_reply(self._plain.problem(error, visitor), error.status, *_headers(error))


def _query(scope: Scope) -> dict[str, str]:
    try:
        return dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        return {}


def _require_own_form(form: dict[str, str], visitor: Visitor) -> None:
    if not visitor.sent_form(form.get(FORM_TOKEN, "")):
        raise Forbidden("This form is of an earlier visit. Open the page again and send it from there.")


def _sign_in_for(path: str) -> str:
    return "/sign-in" if path == HOME else f"/sign-in?next={quote(place(path), safe='/')}"


def _said(error: HaldirError) -> str:
    if isinstance(error, Unauthenticated):
        return "This key does not work here: it is not one of this Haldir's, or it was revoked."
    return error.message


def _headers(error: HaldirError) -> list[Header]:
    if isinstance(error, TryLater):
        return [(b"retry-after", str(error.retry_after_seconds).encode())]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", b"GET, HEAD, POST")]
    return [CHALLENGE] if error.status == UNAUTHORIZED else []
