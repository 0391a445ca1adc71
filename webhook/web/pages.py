"""The pages: drawn here on the server, complete without scripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from webhook import clock, sources, trace, trackers
from webhook.web import changes, views
from webhook.web.addresses import address_of, addresses
from webhook.web.asked import Params, clean, form, id_of, whole
from webhook.web.changes import write
from webhook.web.drawing import STATIC, draw
from webhook.web.shell import Problem, path_of
from webhook.web.sign_in import (
    LONGEST,
    SHORTEST,
    Passwords,
    Patience,
    Sessions,
    accept,
    base,
    invited,
    named,
    refuse_other_sites,
)
from webhook.web.views import DELIVERY_STATES, STATES, STUCK, Visitor

if TYPE_CHECKING:
    from webhook.app import Service

Page = Callable[[Request, Visitor], Awaitable[Response]]
Change = Callable[[Request, Visitor, Mapping[str, str]], Awaitable[str]]

SAID = {
    "replayed": "It is interpreted again. Reload to see what came of it.",
    "retried": "It is tried again. Reload to see what came of it.",
    "nothing": "There was nothing to do: it is done, or waits for its turn already.",
    "claimed": "Claimed. What waited for it is interpreted now.",
}
"""What a page says after a change, by the word in its address."""


class Pages:
    def __init__(self, service: Service, sessions: Sessions, passwords: Passwords) -> None:
        self.service = service
        self.sessions = sessions
        self.passwords = passwords
        self.patience = Patience()
        self.database = service.database

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.page(self.first)),
            Route("/webhooks", self.page(self.webhooks)),
            Route("/trace/{id}", self.page(self.trace)),
            Route("/trace/{id}/replay", self.change(self.replay), methods=["POST"]),
            Route("/deliveries", self.page(self.deliveries)),
            Route("/deliveries/retry", self.change(self.retry_all), methods=["POST"]),
            Route("/deliveries/{id}/retry", self.change(self.retry), methods=["POST"]),
            Route("/claim", self.change(self.claim), methods=["POST"]),
            Route("/setup", self.page(self.setup)),
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.change(self.nothing, ends=True), methods=["POST"]),
            Route("/welcome/{secret}", self.welcome, methods=["GET", "POST"]),
            Mount("/static", Kept(directory=STATIC)),
        ]

    # --- what every page has in common

    def page(self, draws: Page) -> Callable[[Request], Awaitable[Response]]:
        """A page for who has signed in; everybody else is asked to."""

        async def endpoint(request: Request) -> Response:
            visitor = await self.sessions.visitor(request)
            if visitor is not None:
                return await draws(request, visitor)
            path = here(request, base(self.service.settings, request))
            if from_outside(request):
                return self.drawn(request, "outside.html", {"onward": onward_from_outside(path)})
            return self.to(request, f"/sign-in?{urlencode({'next': path})}")

        return endpoint

    def change(self, makes: Change, *, ends: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """A form of ours: refused from other sites and without the session's token, then back to its page."""

        async def endpoint(request: Request) -> Response:
            refuse_other_sites(request, self.service.settings)
            visitor = await self.sessions.visitor(request)
            if visitor is None:
                return self.to(request, "/sign-in")
            fields = await form(request)
            if fields.get("form_token") != self.sessions.form_token(visitor):
                raise Problem(403, "This form is of another sign-in. Go back, reload the page and try again.")
            response = self.to(request, await makes(request, visitor, fields))
            if ends:
                self.sessions.end(request, response)
            return response

        return endpoint

    def to(self, request: Request, path: str) -> Response:
        return RedirectResponse(base(self.service.settings, request) + path, 303)

    def drawn(
        self,
        request: Request,
        template: str,
        known: Mapping[str, Any],
        visitor: Visitor | None = None,
        status: int = 200,
    ) -> Response:
        token = self.sessions.form_token(visitor) if visitor else ""
        prefix = base(self.service.settings, request)
        common = {
            "base": prefix,
            "visitor": visitor,
            "form_token": token,
            "here": here(request, prefix),
            "said": said(request),
        }
        return HTMLResponse(draw(template, {**common, **known}), status)

    async def error(self, request: Request, status: int, detail: str) -> Response:
        return self.drawn(
            request, "error.html", {"status": status, "detail": detail, "said": None}, status=status
        )

    # --- looking

    async def first(self, request: Request, visitor: Visitor) -> Response:
        now, days = clock.now(), self.service.settings.silence_days
        known = await self.database.read(
            lambda connection: {
                "playing": views.playing(connection, visitor),
                "webhooks": views.webhooks(connection, visitor)["items"],
                "counts": views.counts(connection, visitor),
                "accounts": views.accounts(connection, visitor),
                "unclaimed": views.unclaimed(connection, visitor),
                "silent": views.silent(connection, visitor, now, days),
                "names": views.names(connection),
            }
        )
        return self.drawn(request, "first.html", {**known, "states": DELIVERY_STATES}, visitor)

    async def webhooks(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        chosen = {
            "state": params.choice("state", STATES),
            "source": params.choice("source", sources.modules()),
        }
        limit, after = params.limit(), params.after()
        listed = await self.database.read(
            lambda connection: views.webhooks(connection, visitor, limit=limit, after=after, **chosen)
        )
        known = {
            "chosen": chosen,
            "states": STATES,
            "sources": sources.modules(),
            "webhooks": listed["items"],
        }
        return self.drawn(request, "webhooks.html", {**known, "older": older(chosen, listed)}, visitor)

    async def trace(self, request: Request, visitor: Visitor) -> Response:
        wanted = id_of(request)

        def told(connection: Any) -> tuple[Any, Any]:
            entry = views.one_webhook(connection, visitor, wanted)
            return entry, entry and views.plays_of(connection, entry)

        entry, plays = await self.database.read(told)
        if entry is None:
            raise Problem(404, f"There is no webhook {wanted}.")
        module = sources.modules().get(entry["source"])
        label = module.LABEL if module else entry["source"]
        return self.drawn(request, "trace.html", {"webhook": entry, "plays": plays, "label": label}, visitor)

    async def deliveries(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        chosen = self.delivery_filters(params)
        limit, after = params.limit(), params.after()
        name = visitor.only or chosen["person"]
        listed, counts, names = await self.database.read(
            lambda connection: (
                trace.deliveries(
                    connection,
                    limit=limit,
                    after=after,
                    state=chosen["state"],
                    tracker=chosen["tracker"],
                    person_name=name,
                ),
                views.counts(connection, visitor),
                views.names(connection) if visitor.everything else [],
            )
        )
        known = {
            "deliveries": listed["items"],
            "older": older(chosen, listed),
            "counts": counts,
            "names": names,
        }
        choices = {
            "chosen": chosen,
            "states": DELIVERY_STATES,
            "trackers": trackers.modules(),
            "stuck": STUCK,
        }
        return self.drawn(request, "deliveries.html", {**known, **choices}, visitor)

    @staticmethod
    def delivery_filters(params: Params) -> dict[str, str | None]:
        return {
            "state": params.choice("state", DELIVERY_STATES),
            "tracker": params.choice("tracker", trackers.modules()),
            "person": params.text("person"),
        }

    async def setup(self, request: Request, visitor: Visitor) -> Response:
        address = address_of(self.service, request)
        found, last = await self.database.read(
            lambda connection: (
                addresses(connection, self.service, visitor, address),
                trace.last_webhooks(connection) if visitor.everything else {},
            )
        )
        return self.drawn(request, "setup.html", {"addresses": found, "last": last}, visitor)

    # --- changing

    async def replay(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await write(self.database, lambda connection: changes.replay(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return f"/trace/{wanted}?said={'replayed' if count else 'nothing'}"

    async def retry(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await write(self.database, lambda connection: changes.retry(connection, visitor, wanted))
        self.service.interpreter.told.set()
        return self.back(request, fields, "retried" if count else "nothing")

    async def retry_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        chosen = self.delivery_filters(Params(fields))
        count = await write(
            self.database,
            lambda connection: changes.retry_all(
                connection, visitor, chosen["state"], chosen["tracker"], chosen["person"]
            ),
        )
        self.service.interpreter.told.set()
        return f"/deliveries?said=retried-{count}"

    async def claim(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        if not visitor.everything:
            raise Problem(403, "Whose a user is, only the owner may say.")
        wanted = changes.identity_given(fields, sources.modules())
        name = fields.get("person", "")

        def changed(connection: Any) -> None:
            changes.somebody(connection, visitor, name)
            changes.claim(connection, name, wanted)

        await write(self.database, changed)
        self.service.interpreter.news.set()
        return "/?said=claimed"

    async def nothing(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return "/sign-in"

    def back(self, request: Request, fields: Mapping[str, str], word: str) -> str:
        """The page of ours that the form stood on, saying what was done."""
        prefix = base(self.service.settings, request)
        path = local(fields.get("back", "")).removeprefix(prefix) or "/"
        return f"{path}{'&' if '?' in path else '?'}said={word}"

    # --- signing in

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            onward = local(request.query_params.get("next", ""))
            if await self.sessions.visitor(request):
                return self.to(request, "/")
            return self.asked(request, onward)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        onward = local(fields.get("next", ""))
        tries = ("name", name.casefold()[:LONGEST]), ("address", address(request))
        if seconds := self.patience.take(*tries):
            return self.held(request, onward, seconds)
        row = await self.database.read(lambda connection: named(connection, name)) if clean(name) else None
        if len(password) > LONGEST or not await self.passwords.right(row, password) or row is None:
            return self.asked(request, onward, "This name and password do not belong together.", 401)
        self.patience.forget(*tries)
        response = RedirectResponse(onward or base(self.service.settings, request) + "/", 303)
        self.sessions.begin(request, response, row)
        return response

    def asked(self, request: Request, onward: str, wrong: str | None = None, status: int = 200) -> Response:
        return self.drawn(request, "sign_in.html", {"onward": onward, "wrong": wrong}, status=status)

    def held(self, request: Request, onward: str, seconds: int) -> Response:
        why = f"Too many tries. Wait {-(-seconds // 60)} minutes, then try again."
        response = self.asked(request, onward, why, 429)
        response.headers["Retry-After"] = str(seconds)
        return response

    async def welcome(self, request: Request) -> Response:
        """The one-time link: the owner sets a password and is in."""
        secret = request.path_params["secret"]
        owner = await self.database.read(lambda connection: invited(connection, secret, clock.now()))
        if owner is None:
            return self.drawn(request, "expired.html", {}, status=404)
        if request.method != "POST":
            return self.invitation(request, owner.name)
        refuse_other_sites(request, self.service.settings)
        fields = await form(request)
        try:
            if fields.get("password") != fields.get("again"):
                raise Problem(422, "The two passwords differ.")
            hashed = await self.passwords.hashed(fields.get("password", ""))
        except Problem as error:
            return self.invitation(request, owner.name, error.detail, error.status)
        row = await write(self.database, lambda connection: accept(connection, secret, hashed, clock.now()))
        if row is None:
            return self.drawn(request, "expired.html", {}, status=404)
        response = self.to(request, "/setup")
        self.sessions.begin(request, response, row)
        return response

    def invitation(
        self, request: Request, name: str, wrong: str | None = None, status: int = 200
    ) -> Response:
        known = {"name": name, "wrong": wrong, "shortest": SHORTEST}
        return self.drawn(request, "welcome.html", known, status=status)


class Kept(StaticFiles):
    """Static files, kept by the browser: their addresses change with what is in them."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        if "\0" in path:
            raise Problem(404, "There is nothing at this address.")
        return await super().get_response(path, scope)


def here(request: Request, prefix: str) -> str:
    """The path and query of this page, without what it last said."""
    path = prefix + quote(path_of(request.scope))
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "said"]
    return f"{path}?{urlencode(kept)}" if kept else path


def local(path: str) -> str:
    """The path where it is one of this server's own, else nothing."""
    fine = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if fine and path.isascii() and len(path) <= LONGEST else ""


def said(request: Request) -> str | None:
    """What the last change did, for the top of the page."""
    word = request.query_params.get("said", "")
    if word.startswith("retried-") and (number := whole(word[8:])):
        return f"Tried again: {number}. Reload to see what came of it."
    return SAID["nothing"] if word == "retried-0" else SAID.get(word)


def older(chosen: Mapping[str, str | None], listed: Mapping[str, Any]) -> str | None:
    """The query of the next page of a list."""
    if listed["next"] is None:
        return None
    return urlencode({**{name: value for name, value in chosen.items() if value}, "after": listed["next"]})


def address(request: Request) -> str:
    return request.client.host if request.client else ""


def from_outside(request: Request) -> bool:
    """Whether a link on another site led here: browsers hold a strict cookie back from such a request."""
    arrived = "arrived" in request.query_params
    return request.headers.get("sec-fetch-site") == "cross-site" and not arrived


def onward_from_outside(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}arrived=1"
