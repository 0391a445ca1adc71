"""Needs you: one list of everything that waits for a person."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.accounts.accounts import is_media_server
from webhook.queues import hand_marks, parking
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.page import Page
from webhook.web.http.params import Params, id_of, whole
from webhook.web.needs_you import held
from webhook.web.needs_you import queries as needs
from webhook.web.needs_you.api import search_titles
from webhook.web.needs_you.models import Choice, HeldMarks, Match, SearchForm
from webhook.web.visible import Visitor

NAMESPACES = {"tvdb": "TheTVDB", "tmdb": "TMDB", "imdb": "IMDb", "trakt": "Trakt"}
"""The namespaces of the ids that a person can enter."""

LIST = "/needs-you"
QUESTION = 300  # characters
OFFSET = re.compile(r"[+-]?[0-9]{1,4}")


class NeedsYou(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route(LIST, self.page(self.overview)),
            Route(f"{LIST}/match", self.page(self.question)),
            Route(f"{LIST}/match", self.change(self.match), methods=["POST"]),
            Route(f"{LIST}/leave", self.change(self.leave), methods=["POST"]),
            Route(f"{LIST}/claim", self.change(self.claim), methods=["POST"]),
            Route(f"{LIST}/heed", self.change(self.unignore, owner=True), methods=["POST"]),
            Route(f"{LIST}/silence", self.change(self.dismiss_silence, owner=True), methods=["POST"]),
            Route(f"{LIST}/held", self.change(self.decide_holds), methods=["POST"]),
            Route(f"{LIST}/retry", self.change(self.retry_all), methods=["POST"]),
            Route("/deliveries/{id}/dismiss", self.change(self.dismiss), methods=["POST"]),
            Route("/deliveries/dismiss", self.change(self.dismiss_all), methods=["POST"]),
        ]

    # --- the list

    async def overview(self, request: Request, visitor: Visitor) -> Response:
        now, days = clock.now(), self.service.settings.silence_days

        def read(connection: Connection) -> dict[str, object]:
            waits = needs.find_needs(connection, visitor, now, days)
            return {
                "needs": waits,
                "servers": [name for name, one in self.service.trackers.items() if is_media_server(one)],
                "names": visible.names(connection) if waits.unclaimed else [],
                "ignored": visible.ignore_list(connection, visitor),
                "last_play": visible.last_play(connection, visitor),
            }

        return self.render(request, "needs_you.html", await self.database.read(read), visitor)

    # --- whose is it

    async def claim(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Claim an identity for an existing or a new person, or ignore it."""
        wanted = number_field(fields, "identity")
        what = fields.get("do", "")
        new = "" if what == "me" else fields.get("new", "").strip()
        name = (visitor.name or "") if what == "me" else new or fields.get("person", "").strip()
        ignored = what == "ignore"
        if not ignored and not name:
            raise Problem(422, "Choose a person, or enter a new name. Nothing was changed; go back.")
        if not visitor.is_admin and what != "me":
            raise Problem(403, "Only the owner can assign this user to someone else.")

        def apply(connection: Connection) -> None:
            changes.require_assignable(connection, visitor, wanted)
            if ignored:
                changes.ignore_identity(connection, wanted, True)
                return
            if new:
                changes.add_person(connection, self.service.trackers, new)
            changes.find_person(connection, visitor, name)
            changes.claim_identity(connection, name, wanted)

        await self.database.run(apply)
        self.service.interpreter.news.set()
        return self.back(request, {"back": LIST, **fields}, "ignored" if ignored else "claimed")

    async def unignore(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = number_field(fields, "identity")
        await self.database.run(lambda connection: changes.ignore_identity(connection, wanted, False))
        self.service.interpreter.news.set()
        return f"{LIST}?said=heeded"

    # --- what is it

    async def question(self, request: Request, visitor: Visitor) -> Response:
        """One question: the candidates, a search by title, and ids by hand."""
        params = Params(request.query_params)
        which = params.text("of", QUESTION) or ""
        form = validate(
            SearchForm, {name: value for name, value in request.query_params.items() if value}, 400
        )
        title, year = form.title, form.year
        entry = await self.database.read(lambda connection: needs.one(connection, visitor, which))
        if entry is None:
            raise Problem(404, "This no longer needs an answer.")
        kind = form.kind or ("movie" if entry["kind"] == "movie" else "show")
        found, trouble = None, None
        if title is not None:
            try:
                found = await search_titles(self.service, kind, title, year)
            except Problem as error:
                trouble = error.detail
        known = {
            "of": which,
            "entry": entry,
            "title": title or entry["show"] or entry["title"] or "",
            "year": year or (entry["year"] if kind == "movie" else None) or "",
            "found": found,
            "trouble": trouble,
            "searches": bool(self.service.resolver.identity.lookups) and entry["kind"] != "track",
            "namespaces": NAMESPACES,
            "is_show": entry["kind"] in ("episode", "season", "show"),
        }
        return self.render(request, "match.html", known, visitor)

    async def match(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        which, choice = fields.get("of", ""), parse_choice_fields(fields)
        title = Params(fields).text("title")

        def apply(connection: Connection) -> str:
            if which.isdecimal():
                done = changes.match(connection, visitor, number_field(fields, "of"), choice, title)
                return f"matched-{len(done.deliveries)}"
            return f"written-{changes.match_import(connection, visitor, which, choice, title)}"

        said = await self.database.run(apply)
        self.service.interpreter.told.set()
        return f"{LIST}?said={said}"

    async def leave(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Dismiss a question: its deliveries or imported plays stay as they are."""
        which = fields.get("of", "")

        def apply(connection: Connection) -> str:
            if not which.isdecimal():
                return "asked" if changes.dismiss_import(connection, visitor, which) else "nothing"
            ids = needs.siblings(connection, visitor, number_field(fields, "of"))
            return f"dismissed-{changes.dismiss(connection, visitor, ids)}"

        return f"{LIST}?said={await self.database.run(apply)}"

    # --- whose doing was it

    async def decide_holds(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Act on marks that are held, or ignore them."""
        names = ("person", "source", "server", "action")
        given: dict[str, object] = {name: fields.get(name, "") for name in names}
        wanted = validate(HeldMarks, {**given, "until": number_field(fields, "until")})
        accepted = fields.get("do") == "accept"
        decide = hand_marks.accept if accepted else hand_marks.ignore
        count = await self.database.run(
            lambda connection: held.decide_holds(connection, visitor, wanted, decide)
        )
        self.service.interpreter.news.set()
        return f"{LIST}?said={'accepted' if accepted else 'left'}-{count}"

    # --- what was given up

    async def dismiss(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        count = await self.database.run(lambda connection: changes.dismiss(connection, visitor, [wanted]))
        return self.back(request, fields, f"dismissed-{count}")

    async def retry_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Retry the dead deliveries that are listed, but not the dismissed ones."""

        def apply(connection: Connection) -> int:
            ids = needs.all_dead(connection, visitor)
            return sum(parking.revive(connection, chunk, clock.now()) for chunk in changes.chunks(ids))

        count = await self.database.run(apply)
        self.service.interpreter.told.set()
        return f"{LIST}?said=retried-{count}"

    async def dismiss_all(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        def apply(connection: Connection) -> int:
            return changes.dismiss(connection, visitor, needs.all_dead(connection, visitor))

        return f"{LIST}?said=dismissed-{await self.database.run(apply)}"

    # --- what is heard no more

    async def dismiss_silence(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        source, server = fields.get("source", ""), fields.get("server")
        await self.database.run(lambda connection: changes.dismiss_silence(connection, source, server))
        return f"{LIST}?said=retired"


def number_field(fields: Mapping[str, str], name: str) -> int:
    number = whole(fields.get(name, ""))
    if number is None:
        raise Problem(422, f"{name} must be a number.")
    return number


def parse_choice_fields(fields: Mapping[str, str]) -> Choice:
    """Parse the choice in a form: the number of a candidate, or ids; raises Problem."""
    offset = fields.get("season_offset", "").strip() or "0"
    given: dict[str, object] = {"season_offset": int(offset) if OFFSET.fullmatch(offset) else offset}
    if fields.get("candidate", ""):
        return validate(Match, {**given, "candidate": number_field(fields, "candidate")}).choice
    named = {name: fields[name].strip() for name in NAMESPACES if fields.get(name, "").strip()}
    ids = {name: value if name == "imdb" else whole(value) or value for name, value in named.items()}
    if not ids:
        raise Problem(422, "Fill in one of the IDs. Nothing was changed; go back.")
    return validate(Match, {**given, "ids": ids}).choice
