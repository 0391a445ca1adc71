"""API of films: one with its viewings, and the watchlist."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection

from webhook import clock
from webhook.people.scopes import Scope
from webhook.web.history.films import FILM_KEY, FilmJson, parse_film_key, set_on_watchlist, whole_film
from webhook.web.http.api import found_or
from webhook.web.http.models import PersonQuery
from webhook.web.http.operations import Call, Operation

FilmKey = Annotated[str, Field(json_schema_extra={"pattern": FILM_KEY.pattern, "examples": ["tmdb:603"]})]
BY_FILM_KEY = {"key": FilmKey}
UNKNOWN = "There is no such film in this history."


class Film(FilmJson):
    person: str


async def get_film(call: Call[None, PersonQuery]) -> Film:
    """A film with its viewings, what each tracker was sent of them, and its place in the library."""
    key = parse_film_key(call.path("key"))
    owner = await call.owner_of(call.query.person)
    found = await call.read(lambda connection: whole_film(connection, owner.id, key))
    return {"person": owner.name, **found_or(found, UNKNOWN)}


async def add_to_watchlist(call: Call[None, PersonQuery]) -> Film:
    """Put a film of the history on the watchlist."""
    return await change_watchlist(call, wanted=True)


async def remove_from_watchlist(call: Call[None, PersonQuery]) -> Film:
    """Take a film off the watchlist."""
    return await change_watchlist(call, wanted=False)


async def change_watchlist(call: Call[None, PersonQuery], *, wanted: bool) -> Film:
    key = parse_film_key(call.path("key"))
    owner = await call.owner_of(call.query.person)

    def change(connection: Connection) -> FilmJson | None:
        known = whole_film(connection, owner.id, key)
        if known is not None:
            can = call.service.trackers
            set_on_watchlist(connection, owner.id, known, can, clock.now(), wanted=wanted)
        return known and {**known, "watchlist": wanted}

    found = await call.write(change)
    call.service.interpreter.told.set()
    return {"person": owner.name, **found_or(found, UNKNOWN)}


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        "PUT",
        "/films/{key:path}/watchlist",
        add_to_watchlist,
        Scope.HISTORY_WRITE,
        path_types=BY_FILM_KEY,
        query=PersonQuery,
    ),
    Operation(
        "DELETE",
        "/films/{key:path}/watchlist",
        remove_from_watchlist,
        Scope.HISTORY_WRITE,
        path_types=BY_FILM_KEY,
        query=PersonQuery,
    ),
    Operation("GET", "/films/{key:path}", get_film, Scope.READ, path_types=BY_FILM_KEY, query=PersonQuery),
)
