"""Pages of connections: every service with its state, settings, test and sign-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.accounts import settings_store
from webhook.accounts.accounts import list_switches
from webhook.domain.event import Kind
from webhook.domain.rules import SWITCHES
from webhook.network import discovery
from webhook.network.discovery import FoundServer
from webhook.settings import SettingsError
from webhook.texts import texts
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.connections import actions as connections
from webhook.web.connections import catalog, comparison, receiver_view, states, testing
from webhook.web.connections.actions import UnverifiedSettings
from webhook.web.connections.catalog import KIND_WORDS, NOT_USED, ServiceInfo, ServiceKind
from webhook.web.connections.form_errors import FormError
from webhook.web.connections.models import MARKS, ConnectionJson, Rules, ServerSignIn
from webhook.web.connections.sign_in_view import list_sign_ins
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.once import Once
from webhook.web.http.page import Endpoint, Makes
from webhook.web.http.params import whole
from webhook.web.http.sessions import base
from webhook.web.setup.pages import read_sources
from webhook.web.setup.steps import read_accounts
from webhook.web.visible import Visitor

TONES: Mapping[str, str] = {
    "working": "good",
    "not_set_up": "quiet",
    "not_tested": "wait",
    "not_working": "bad",
    "down": "bad",
    "service_closed": "bad",
}
"""The colour of a state, by default that of one that needs attention; the word is always shown too."""

TELL_LABELS: Mapping[str, str] = texts(
    {
        "watched": "what you watched elsewhere, as watched",
        "unwatched": "when something is marked unwatched",
        "rate": "ratings",
        "add": "what is added to the library, as a collection",
        "favourite": "favourites",
        "watchlist": "your watchlist",
        "progress": "where you left something elsewhere, to go on from there",
    }
)
LIST_LABELS: Mapping[str, str] = texts(
    {
        "libraries": "Only these libraries",
        "not_libraries": "Never these libraries",
        "players": "Only these players",
        "not_players": "Never these players",
    }
)
GROUPS = texts(("Needs attention", "Ready to connect", "Working"))
"""The headings of the list, what needs attention first."""
REDRAW_STATUSES = frozenset({409, 422})
"""Statuses whose error is shown on the page that the form was on."""

SETUP = "/start"
"""The page of the first start, to which its forms lead back."""

PENDING_PREFIX = "connection "
"""The prefix that marks sealed settings in a form which are not saved yet."""


class Connections(Once):
    def routes(self) -> list[BaseRoute]:
        forms: Mapping[str, Endpoint] = {
            "test": self.change_or_redraw(self.test),
            "settings": self.change_or_redraw(self.settings, owner=True),
            "sign-in": self.change_or_redraw(self.sign_in),
            "cancel": self.change_or_redraw(self.cancel),
            "disconnect": self.change_or_redraw(self.disconnect),
            "account": self.change_or_redraw(self.options),
            "server": self.change_or_redraw(self.server, owner=True),
            "find": self.answers(self.find, owner=True),
        }
        return [
            Route("/connections", self.page(self.every)),
            Route("/connections/compare", self.page(self.compare)),
            Route("/connections/{name}", self.page(self.one)),
            *(
                Route(f"/connections/{{name}}/{form}", endpoint, methods=["POST"])
                for form, endpoint in forms.items()
            ),
        ]

    # --- drawn

    async def every(self, request: Request, visitor: Visitor) -> Response:
        listed, unreadable = await self.database.read(
            lambda connection: (
                states.list_services(connection, self.service, visitor),
                visitor.is_admin and settings_store.is_unreadable(connection, self.service.seal),
            )
        )
        known = {
            **await read_sources(self.service, request, visitor),
            "groups": by_need(listed),
            "kinds": KIND_WORDS,
            "not_used": NOT_USED,
            "tones": TONES,
            "unreadable": unreadable,
        }
        return self.render(request, "connections.html", known, visitor)

    async def compare(self, request: Request, visitor: Visitor) -> Response:
        """Show what each tracker costs and keeps, for the choice of where plays should go."""
        trackers, servers = comparison.split_servers(comparison.list_choices(self.service.trackers))
        accounts = await self.database.read(
            lambda connection: read_accounts(connection, self.service, visitor)
        )
        known = {
            "trackers": trackers,
            "servers": servers,
            "connected": accounts,
            "costs": comparison.COST_LABELS,
            "dates": comparison.DATE_LABELS,
            "rewatches": comparison.REWATCH_LABELS,
            "anime": comparison.ANIME_LABELS,
            "sign_ins": comparison.SIGN_IN_LABELS,
        }
        return self.render(request, "compare.html", known, visitor)

    async def one(self, request: Request, visitor: Visitor) -> Response:
        return await self.render_service(request, visitor, FormError())

    async def find(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Show which servers of this kind are near, and fill in the address of the first or the chosen one."""
        one = catalog.find_service(visitor, request.path_params["name"])
        found = await connections.find_servers(self.service, one.name, fields.get("address"))
        return await self.render_service(request, visitor, FormError(), found)

    async def render_service(
        self,
        request: Request,
        visitor: Visitor,
        refused: FormError,
        found: Sequence[FoundServer] | None = None,
    ) -> Response:
        """Render the page of one connection, with the error of the last form or the servers that were found."""
        if found:
            refused = FormError(
                form="settings", typed=connections.fill_address(request.path_params["name"], found)
            )
        one = catalog.find_service(visitor, request.path_params["name"])
        tracker = self.service.trackers.get(one.name) if one.takes_accounts else None

        def read(connection: Connection) -> dict[str, object]:
            shown = states.describe_service(connection, self.service, visitor, one)
            return {
                "one": {**shown, "settings": refused.settings(shown["settings"])},
                "options": {account["id"]: refused.options(account) for account in shown["accounts"]},
                "sign_ins": list_sign_ins(connection, self.service, visitor, one.name, shown["accounts"]),
                "names": visible.names(connection) if visitor.is_admin else [visitor.name],
            }

        can = () if tracker is None else list_switches(tracker)
        receiver = None
        if tracker is not None and tracker.sign_in == "receiver" and visitor.is_admin:
            typed = refused.typed if refused.form == "sign-in" else {}
            receiver = await receiver_view.describe_receiver(self.service, visitor, one, typed)
        more = {
            "receiver": receiver,
            "refused": refused,
            "in_setup": is_in_setup(request),
            "found": found,
            "can_find": discovery.PROBES.keys(),
            "drawn_at": None
            if refused.why is None and found is None
            else f"{base(self.service.settings, request)}/connections/{one.name}",
            "pending": getattr(request.state, "pending", None),
            "tones": TONES,
            "takes_accounts": one.takes_accounts,
            "lists": LIST_LABELS,
            "tells": {name: text for name, text in TELL_LABELS.items() if name in can},
            "kinds": [] if tracker is None else [kind.value for kind in Kind if kind in tracker.kinds],
            "can_reopen": self.service.reopen is not None,
        }
        return self.render(
            request, "connection.html", {**await self.database.read(read), **more}, visitor, refused.status
        )

    # --- changed

    def change_or_redraw(self, makes: Makes, *, owner: bool = False) -> Endpoint:
        """Handle a form as `change` does, and show errors on the page of the form."""

        async def remember_fields(request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
            request.state.typed = fields
            return await makes(request, visitor, fields)

        change = self.change(remember_fields, owner=owner)

        async def endpoint(request: Request) -> Response:
            try:
                return await change(request)
            except Problem as error:
                visitor = await self.sessions.visitor(request)
                if error.status not in REDRAW_STATUSES or visitor is None:
                    raise
                await self.prepare(request, visitor)
                form = request.url.path.rpartition("/")[2]
                typed = getattr(request.state, "typed", {})
                refused = FormError(form=form, typed=typed, why=error.detail, status=error.status)
                return await self.render_service(request, visitor, refused)

        return endpoint

    async def test(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        one = catalog.find_service(visitor, request.path_params["name"])
        wanted = account_id_of(fields, "account") if "account" in fields else None
        await testing.test(self.service, visitor, one, wanted)
        return f"/connections#{one.name}" if "listed" in fields else page_of(request, one)

    async def settings(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        one = catalog.find_service(visitor, request.path_params["name"])
        anyway = "pending" in fields
        wanted = self.open_form_seal(one, fields["pending"]) if anyway else self.changes_of(one, fields)
        try:
            await connections.save(self.service, one, wanted, anyway)
        except UnverifiedSettings:
            request.state.pending = self.service.seal.seal({PENDING_PREFIX + one.name: wanted})
            raise
        return page_of(request, one, "saved")

    def changes_of(self, one: ServiceInfo, fields: Mapping[str, str]) -> dict[str, str | None]:
        """The settings that a form changes, by variable; an empty secret stays as it is, None removes a value."""
        wanted: dict[str, str | None] = {}
        for key, info in one.fields.items():
            shown = states.setting(self.service, key, info)
            given = fields.get(key, "").strip()
            if shown["fixed"] or key not in fields:
                continue
            if f"remove_{key}" in fields:
                wanted[key] = None
            elif given if shown["secret"] else given != shown["value"]:
                wanted[key] = given or None
        return wanted

    def open_form_seal(self, one: ServiceInfo, sealed: str) -> dict[str, str | None]:
        try:
            wanted: dict[str, str | None] = self.service.seal.open(sealed)[PENDING_PREFIX + one.name]
        except (SettingsError, KeyError, TypeError) as error:
            raise Problem(
                422, "What you entered has expired. Nothing was changed; enter it again."
            ) from error
        return wanted

    async def sign_in(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        one = catalog.find_service(visitor, request.path_params["name"])
        person_id, _ = await connections.resolve_person(self.service, visitor, fields.get("person"))
        if states.sign_in_of(self.service, one) in ("device", "web"):
            await connections.begin_sign_in(self.service, person_id, one)
            return page_of(request, one)
        if "preview" in fields:
            connections.require_owner(visitor)
            receiver_view.check_preview(fields)
            raise Problem(409, receiver_view.PREVIEW)
        await connections.sign_in(self.service, visitor, person_id, one, fields)
        return page_of(request, one, "connected")

    async def server(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Sign in to a media server itself, so that it is listened to."""
        one = catalog.find_service(visitor, request.path_params["name"])
        names = ("address",) if fields.get("by") == "code" else ("address", "username", "password")
        wanted = validate(ServerSignIn, {name: fields[name] for name in names if name in fields})
        made = await connections.connect_server(self.service, visitor, one, wanted)
        return page_of(request, one, "connected" if isinstance(made, str) else "")

    async def cancel(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        one = catalog.find_service(visitor, request.path_params["name"])
        made = connections.find_sign_in(self.service, visitor, fields.get("sign_in", ""))
        self.service.sign_ins.cancel(made)
        return page_of(request, one)

    async def disconnect(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        one = catalog.find_service(visitor, request.path_params["name"])
        await connections.disconnect(self.service, visitor, account_id_of(fields, "account"))
        return page_of(request, one, "disconnected")

    async def options(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Save one account's options and rules."""
        one = catalog.find_service(visitor, request.path_params["name"])
        wanted, rules = account_id_of(fields, "account"), validate(Rules, rules_of(fields)).to_json()
        tells = [name for name in SWITCHES if f"tell_{name}" in fields]

        def apply(connection: Connection) -> None:
            changes.set_rules(connection, visitor, wanted, rules)
            changes.set_tells(connection, self.service.trackers, visitor, wanted, tells)

        await self.database.run(apply)
        return page_of(request, one, "saved")


KIND_ORDER: Sequence[ServiceKind] = ("server", "tracker", "lookup", "notices")
"""What one connects first comes first."""


def by_need(listed: Sequence[ConnectionJson]) -> list[tuple[str, list[ConnectionJson]]]:
    """The services under headings: what needs attention first, what works last."""
    groups: dict[str, list[ConnectionJson]] = {name: [] for name in GROUPS}
    for one in sorted(listed, key=lambda one: KIND_ORDER.index(one["kind"])):
        idle = one["state"] in ("not_set_up", "not_tested") or (
            one["kind"] == "tracker" and not one["accounts"]
        )
        heading = (
            "Working" if one["state"] == "working" else "Ready to connect" if idle else "Needs attention"
        )
        groups[heading].append(one)
    return [(heading, found) for heading, found in groups.items() if found]


def page_of(request: Request, one: ServiceInfo, said: str = "") -> str:
    """Redirect to the page of the form with a message: the service's, or that of the first start."""
    message = {"said": said} if said else {}
    if not is_in_setup(request):
        return f"/connections/{one.name}" + (f"?{urlencode(message)}" if message else "")
    asked = {**({"tracker": one.name} if one.kind == "tracker" else {}), **message}
    return SETUP + (f"?{urlencode(asked)}" if asked else "")


def is_in_setup(request: Request) -> bool:
    return request.query_params.get("then") == SETUP


def account_id_of(fields: Mapping[str, str], name: str) -> int:
    found = whole(fields.get(name, ""))
    if found is None:
        raise Problem(404, "This account was not found.")
    return found


def rules_of(fields: Mapping[str, str]) -> dict[str, object]:
    """An account's rules from a form, in which a list has one entry per line."""
    lists: dict[str, Sequence[str]] = {name: split_lines(fields.get(name, "")) for name in LIST_LABELS}
    kinds = [kind.value for kind in Kind if f"kind_{kind.value}" in fields]
    mark = fields.get("watched_mark", "").strip()
    try:
        percent = float(mark.replace(",", ".")) if mark else None
    except ValueError:
        percent = 0.0
    least, most = MARKS
    if percent is not None and not least <= percent <= most:
        why = f"This must be a percentage from {least} to {most}, such as 80. Nothing was changed."
        raise Problem(422, why)
    return {"watched_mark": percent, "dry_run": "dry_run" in fields, "kinds": kinds, **lists}


def split_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
