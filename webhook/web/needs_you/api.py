"""What needs a person, and what settles it: matches for what was not recognised, users to ignore."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import clock, sources
from webhook.domain.event import Kind, Movie, Show
from webhook.domain.outcome import Undelivered
from webhook.identity import matches
from webhook.identity.resolver import NO_LOOKUPS
from webhook.people import people
from webhook.service import Service
from webhook.transfer import lookup_queue
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.api import Answers, Table, choice_given, owner_only
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, clean, id_of, json_object, whole
from webhook.web.needs_you import queries as needs
from webhook.web.visible import Visitor

PATIENCE = 10.0
"""Seconds that a search may take; a person waits for it."""

AT_ONCE = asyncio.Semaphore(4)
"""Searches at the same time; the lookups allow only so many calls."""

KINDS = (Kind.MOVIE.value, Kind.SHOW.value)
KEY = 300


class Needs(Answers):
    def table(self) -> Table:
        return [
            ("/needs-you", {"GET": self.needs}),
            ("/unmatched", {"GET": self.unmatched}),
            ("/unmatched/{id}/match", {"POST": self.match}),
            ("/unresolved", {"GET": self.unresolved}),
            ("/unresolved/match", {"POST": self.match_import}),
            ("/unresolved/dismiss", {"POST": self.dismiss_import}),
            ("/identities/ignore", {"POST": self.ignore}),
            ("/silent", {"GET": self.silent}),
            ("/silent/dismiss", {"POST": self.dismiss_silence}),
            ("/search", {"GET": self.search}),
        ]

    async def needs(self, request: Request, visitor: Visitor) -> Any:
        now, days = clock.now(), self.service.settings.silence_days

        def found(connection: Connection) -> dict[str, Any]:
            waits = needs.of(connection, visitor, now, days)
            last = visible.last_play(connection, visitor)
            return {"count": waits.count, "last_play_at": last, **asdict(waits)}

        return await self.database.read(found)

    # --- deliveries that no match was found for

    async def unmatched(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after()
        return await self.database.read(
            lambda connection: matches.list_unmatched_deliveries(
                connection, person_name=name, limit=limit, after=after
            )
        )

    async def match(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        choice = choice_given(await json_object(request))
        chosen = await self.database.run(
            lambda connection: changes.match(connection, visitor, wanted, choice)
        )
        self.service.interpreter.told.set()
        keys, released = list(chosen.keys), list(chosen.deliveries)
        shown = await self.database.read(lambda connection: visible.one_delivery(connection, visitor, wanted))
        return {"keys": keys, "deliveries": released, "delivery": shown}

    # --- what imports brought without ids

    async def unresolved(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.text("after", KEY)

        def page(connection: Connection) -> dict[str, Any]:
            owner = None if name is None else people.find_person(connection, name).id
            return lookup_queue.waiting(connection, owner, limit=limit, after=after)

        return await self.database.read(page)

    async def match_import(self, request: Request, visitor: Visitor) -> Any:
        given = await json_object(request)
        key = key_given(given)
        choice = choice_given({name: given[name] for name in given if name != "key"})
        plays = await self.database.run(
            lambda connection: changes.match_import(connection, visitor, key, choice)
        )
        self.service.interpreter.told.set()
        return {"key": key, "plays": plays}

    async def dismiss_import(self, request: Request, visitor: Visitor) -> Any:
        key = key_given(await json_object(request))
        count = await self.database.run(lambda connection: changes.dismiss_import(connection, visitor, key))
        return {"key": key, "dismissed": count}

    # --- users, servers, a search

    async def ignore(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        given = await json_object(request)
        if given.keys() - {"identity", "ignored"}:
            raise Problem(422, "The body must hold identity, and ignored where it is false; nothing else.")
        wanted = changes.parse_identity(given, sources.modules())
        ignored = given.get("ignored", True)
        if not isinstance(ignored, bool):
            raise Problem(422, "ignored must be true or false.")
        count = await self.database.run(lambda connection: changes.ignore(connection, wanted, ignored))
        self.service.interpreter.news.set()
        return {"identity": wanted, "ignored": ignored, "identities": count}

    async def silent(self, request: Request, visitor: Visitor) -> Any:
        now, days = clock.now(), self.service.settings.silence_days
        return await self.listed(
            lambda connection: visible.list_silent_servers(connection, visitor, now, days)
        )

    async def dismiss_silence(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        given = await json_object(request)
        source, server = given.get("source"), given.get("server")
        if given.keys() - {"source", "server"} or not isinstance(source, str):
            raise Problem(422, "The body must hold source and server, as /api/v1/silent has them.")
        if server is not None and not isinstance(server, str):
            raise Problem(422, "server must be the id of a server, or null.")
        await self.database.run(lambda connection: changes.dismiss_silence(connection, source, server))
        return {"source": source, "server": server, "dismissed": True}

    async def search(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        kind, title, year = params.choice("kind", KINDS), params.text("title"), year_of(params)
        if kind is None or title is None:
            raise Problem(400, "kind must be movie or show, and title say what to look for.")
        return {"items": await searched(self.service, kind, title, year), "next": None}


def key_given(given: Mapping[str, Any]) -> str:
    """The key of an import's question; raises Problem."""
    key = given.get("key")
    if not isinstance(key, str) or not key or not clean(key, KEY):
        raise Problem(422, "key must be the key of something that waits; see /api/v1/unresolved.")
    return key


def year_of(params: Params) -> int | None:
    value = params.text("year")
    year = None if value is None else whole(value)
    if value is not None and (year is None or not 1800 <= year <= 2999):
        raise Problem(400, "year must be a year such as 2013.")
    return year


async def searched(service: Service, kind: str, title: str, year: int | None) -> list[dict[str, Any]]:
    """What the lookups know by this title, the likeliest first; raises Problem where none can say."""
    identity = service.resolver.identity
    if not identity.lookups:
        raise Problem(409, f"It cannot be searched by title: {NO_LOOKUPS}.")
    item = Movie(title=title, year=year) if kind == Kind.MOVIE else Show(title=title, year=year)
    try:
        async with asyncio.timeout(PATIENCE), AT_ONCE:
            return [one.to_json() for one in await identity.candidates(item)]
    except (Undelivered, TimeoutError) as error:
        why = error.reason if isinstance(error, Undelivered) else "the lookups took too long to answer"
        raise Problem(503, f"The search did not come to an end: {why}. Try again in a moment.") from error
