"""The JSON API for what needs a person: the list, and what settles an entry of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from starlette.requests import Request

from webhook import clock, sources
from webhook.event import Kind, Movie, Show
from webhook.identity import NO_LOOKUPS
from webhook.outcome import Undelivered
from webhook.trace import MOST
from webhook.web import changes, needs, views
from webhook.web.api import Answer, Answers, owner_only
from webhook.web.asked import Params, id_of, json_object, whole
from webhook.web.changes import write
from webhook.web.shell import Problem
from webhook.web.views import Visitor

if TYPE_CHECKING:
    from webhook.app import Service

PATIENCE = 10.0
"""Seconds that a search may take; a person waits for it."""

AT_ONCE = asyncio.Semaphore(4)
"""Searches at the same time; the lookups allow only so many calls."""

KINDS = (Kind.MOVIE.value, Kind.SHOW.value)


class NeedsApi(Answers):
    def table(self) -> list[tuple[str, Mapping[str, Answer]]]:
        return [
            ("/needs-you", {"GET": self.needs}),
            ("/identities/ignore", {"POST": self.ignore}),
            ("/deliveries/dismiss", {"POST": self.dismiss}),
            ("/unresolved/dismiss", {"POST": self.dismiss_import}),
            ("/search", {"GET": self.search}),
            ("/webhooks/{id}/redacted", {"GET": self.redacted}),
        ]

    async def needs(self, request: Request, visitor: Visitor) -> Any:
        now, days = clock.now(), self.service.settings.silence_days

        def found(connection: Connection) -> dict[str, Any]:
            waits = needs.of(connection, visitor, now, days)
            last = views.last_play(connection, visitor)
            return {"count": waits.count, "last_play_at": last, **asdict(waits)}

        return await self.database.read(found)

    async def ignore(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        given = await json_object(request)
        if given.keys() - {"identity", "ignored"}:
            raise Problem(422, "The body must hold identity, and ignored where it is false; nothing else.")
        wanted = changes.identity_given(given, sources.modules())
        ignored = given.get("ignored", True)
        if not isinstance(ignored, bool):
            raise Problem(422, "ignored must be true or false.")
        count = await write(self.database, lambda connection: changes.ignore(connection, wanted, ignored))
        self.service.interpreter.news.set()
        return {"identity": wanted, "ignored": ignored, "identities": count}

    async def dismiss(self, request: Request, visitor: Visitor) -> Any:
        ids = dismissed_given(await json_object(request))

        def dismissed(connection: Connection) -> int:
            which = needs.all_dead(connection, visitor) if ids is None else ids
            return changes.dismiss(connection, visitor, which)

        return {"dismissed": await write(self.database, dismissed)}

    async def dismiss_import(self, request: Request, visitor: Visitor) -> Any:
        key = (await json_object(request)).get("key")
        if not isinstance(key, str) or not key:
            raise Problem(422, "key must be the key of something that waits; see /api/v1/unresolved.")
        count = await write(
            self.database, lambda connection: changes.dismiss_import(connection, visitor, key)
        )
        return {"key": key, "dismissed": count}

    async def search(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        kind, title, year = params.choice("kind", KINDS), params.text("title"), year_of(params)
        if kind is None or title is None:
            raise Problem(400, "kind must be movie or show, and title say what to look for.")
        return {"items": await searched(self.service, kind, title, year), "next": None}

    async def redacted(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        return await self.database.read(lambda connection: changes.redacted(connection, visitor, wanted))


def dismissed_given(given: Mapping[str, Any]) -> list[int] | None:
    """The deliveries in a body, or None for all that are dead; raises Problem."""
    if given == {"state": "dead"}:
        return None
    ids = given.get("ids")
    fine = given.keys() == {"ids"} and isinstance(ids, list) and len(ids) <= MOST
    if not fine or not all(type(one) is int and whole(str(one)) for one in ids or ()):
        raise Problem(
            422, f'The body must hold ids, at most {MOST} numbers of deliveries, or "state": "dead".'
        )
    return list(ids or ())


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
