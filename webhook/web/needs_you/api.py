"""API of everything that needs a person: lists, matches, ignored users, dismissed servers, and a search by title."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Connection

from webhook import clock, sources
from webhook.domain.event import Kind, Movie, Show
from webhook.domain.outcome import Undelivered
from webhook.identity import matches
from webhook.identity.matches import UnmatchedJson
from webhook.identity.resolver import NO_LOOKUPS, candidate_json
from webhook.people import people
from webhook.people.scopes import Scope
from webhook.queries.paging import Page, TextPage
from webhook.queries.senders import SilentServerJson
from webhook.service import Service
from webhook.storage.json_shapes import CandidateJson
from webhook.transfer import lookup_queue
from webhook.transfer.lookup_queue import UnresolvedJson
from webhook.web import actions, visible
from webhook.web.http.api import found_or, list_of
from webhook.web.http.errors import Problem
from webhook.web.http.operations import Call, Operation
from webhook.web.needs_you import held
from webhook.web.needs_you import queries as needs
from webhook.web.needs_you.models import (
    DismissedImport,
    DismissedServer,
    IdentityIgnore,
    Ignored,
    Match,
    Matched,
    MatchedImport,
    NeedsYou,
    SearchQuery,
    Server,
    UnmatchedQuery,
    UnresolvedKey,
    UnresolvedMatch,
    UnresolvedQuery,
)

SEARCH_TIMEOUT = 10.0
"""Maximum seconds of a search, for which a person waits."""

MAX_SEARCHES = asyncio.Semaphore(4)
"""Maximum number of concurrent searches, since lookups limit calls."""


async def get_needs(call: Call[None, None]) -> NeedsYou:
    """Everything that waits for a person: the count of each kind, and the newest of each."""
    now, days = clock.now(), call.service.settings.silence_days

    def read(connection: Connection) -> NeedsYou:
        waits = needs.find_needs(connection, call.visitor, now, days)
        return {
            "count": waits.count,
            "counts": waits.counts,
            "last_play_at": visible.last_play(connection, call.visitor),
            "unclaimed": waits.unclaimed,
            "unmatched": waits.unmatched,
            "unresolved": waits.unresolved,
            "parked": waits.parked,
            "limited": waits.limited,
            "dead": waits.dead,
            "silent": waits.silent,
            "held": waits.held,
            "held_lists": waits.held_lists,
        }

    return await call.read(read)


# --- deliveries that no match was found for


async def list_open_matches(call: Call[None, UnmatchedQuery]) -> Page[UnmatchedJson]:
    """Unmatched items that wait for a person's choice."""
    query = call.query
    name = await call.person_filter(query.person)
    return await call.read(
        lambda connection: matches.list_unmatched_deliveries(
            connection, person_name=name, limit=query.limit, after=query.after
        )
    )


async def match_delivery(call: Call[Match, None]) -> Matched:
    """Match an item, for an episode its whole show; waiting deliveries are sent."""
    wanted, choice = call.id, call.body.choice
    chosen = await call.write(lambda connection: actions.match(connection, call.visitor, wanted, choice))
    call.service.interpreter.told.set()
    shown = await call.read(lambda connection: visible.one_delivery(connection, call.visitor, wanted))
    return {
        "keys": list(chosen.keys),
        "deliveries": list(chosen.deliveries),
        "delivery": found_or(shown, f"Delivery {wanted} was not found."),
    }


# --- what imports brought without ids


async def list_open_imports(call: Call[None, UnresolvedQuery]) -> TextPage[UnresolvedJson]:
    """Imported items without an id that no lookup could find."""
    query = call.query
    name = await call.person_filter(query.person)

    def read(connection: Connection) -> TextPage[UnresolvedJson]:
        owner = None if name is None else people.find_person(connection, name).id
        return lookup_queue.list_open_choices(connection, owner, limit=query.limit, after=query.after)

    return await call.read(read)


async def match_import(call: Call[UnresolvedMatch, None]) -> MatchedImport:
    """Match an imported item, for an episode its whole show; all its plays are updated."""
    key, choice = call.body.key, call.body.choice
    plays = await call.write(lambda connection: actions.match_import(connection, call.visitor, key, choice))
    call.service.interpreter.told.set()
    return {"key": key, "plays": plays}


async def dismiss_import(call: Call[UnresolvedKey, None]) -> DismissedImport:
    """Dismiss an imported item, whose plays stay without ids."""
    key = call.body.key
    count = await call.write(lambda connection: actions.dismiss_import(connection, call.visitor, key))
    return {"key": key, "dismissed": count}


# --- users, servers, a search


async def ignore_identity(call: Call[IdentityIgnore, None]) -> Ignored:
    """Ignore a user, or with `ignored` false stop ignoring them."""
    body = call.body
    wanted = actions.require_source(body.identity, sources.modules())
    count = await call.write(lambda connection: actions.ignore(connection, wanted, body.ignored))
    call.service.interpreter.news.set()
    return {"identity": wanted, "ignored": body.ignored, "identities": count}


async def list_silent(call: Call[None, None]) -> Page[SilentServerJson]:
    """The servers that fell silent."""
    now, days = clock.now(), call.service.settings.silence_days
    return list_of(
        await call.read(lambda connection: visible.list_silent_servers(connection, call.visitor, now, days))
    )


async def dismiss_silence(call: Call[Server, None]) -> DismissedServer:
    """Dismiss a silent server until it sends again. Owner only."""
    source, server = call.body.source, call.body.server
    await call.write(lambda connection: actions.dismiss_silence(connection, source, server))
    return {"source": source, "server": server, "dismissed": True}


async def search(call: Call[None, SearchQuery]) -> Page[CandidateJson]:
    """Search the lookups for films or shows by title."""
    query = call.query
    return list_of(await search_titles(call.service, query.kind, query.title, query.year))


async def search_titles(service: Service, kind: str, title: str, year: int | None) -> list[CandidateJson]:
    """The lookups' candidates for this title, likeliest first; raises Problem."""
    identity = service.resolver.identity
    if not identity.lookups:
        raise Problem(409, f"It cannot be searched by title: {NO_LOOKUPS}.")
    item = Movie(title=title, year=year) if kind == Kind.MOVIE else Show(title=title, year=year)
    try:
        async with asyncio.timeout(SEARCH_TIMEOUT), MAX_SEARCHES:
            return [candidate_json(one) for one in await identity.candidates(item)]
    except (Undelivered, TimeoutError) as error:
        why = error.reason if isinstance(error, Undelivered) else "the lookups took too long to answer"
        raise Problem(503, f"The search did not come to an end: {why}. Try again in a moment.") from error


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    *held.OPERATIONS,
    Operation("GET", "/needs-you", get_needs, Scope.READ),
    Operation("GET", "/unmatched", list_open_matches, Scope.READ, query=UnmatchedQuery),
    Operation("POST", "/unmatched/{id}/match", match_delivery, Scope.HISTORY_WRITE, body=Match),
    Operation("GET", "/unresolved", list_open_imports, Scope.READ, query=UnresolvedQuery),
    Operation("POST", "/unresolved/match", match_import, Scope.HISTORY_WRITE, body=UnresolvedMatch),
    Operation("POST", "/unresolved/dismiss", dismiss_import, Scope.HISTORY_WRITE, body=UnresolvedKey),
    Operation(
        "POST", "/identities/ignore", ignore_identity, Scope.ADMIN, owner_only=True, body=IdentityIgnore
    ),
    Operation("GET", "/silent", list_silent, Scope.READ),
    Operation("POST", "/silent/dismiss", dismiss_silence, Scope.ADMIN, owner_only=True, body=Server),
    Operation("GET", "/search", search, Scope.READ, query=SearchQuery),
)
