"""API of the watchlist: what is on it, and what each service knows of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from webhook.domain.event import Ids, Kind
from webhook.domain.watchlist import Leaving
from webhook.people.scopes import Scope
from webhook.queries.watchlist import WatchlistJson
from webhook.storage.json_fields import Count
from webhook.web.history import watchlist
from webhook.web.history.models import ItemIds, Title
from webhook.web.http.errors import Problem
from webhook.web.http.models import Body, OneOf, PersonQuery
from webhook.web.http.operations import Call, Operation

WANTED_KINDS = (Kind.MOVIE, Kind.SHOW)
HELD = ("remove", "keep")
EntryKey = Annotated[str, Field(json_schema_extra={"examples": ["movie:tmdb:496243"]})]
Service = Annotated[str, Field(json_schema_extra={"examples": ["trakt"]})]
BY_ENTRY_KEY, BY_SERVICE = {"key": EntryKey}, {"tracker": Service}


class NewEntry(Body):
    """A film or a show, by an id or by its title and year."""

    kind: Annotated[str, OneOf(lambda: WANTED_KINDS)]
    title: Title = None
    year: Annotated[int | None, Field(ge=1800, le=2999)] = None
    ids: ItemIds = Field(default_factory=dict)


class UntilChange(Body):
    until: Annotated[
        Leaving,
        Field(strict=False, description="When an item leaves the list: a show finished or begun, or never."),
    ]


class ServiceChange(Body):
    reads: bool | None = Field(None, description="Whether its list is read.")
    sends: bool | None = Field(None, description="Whether changes are sent to it.")
    held: Annotated[str, OneOf(lambda: HELD)] | None = Field(
        None, description="Titles gone there: remove them here too, or keep them."
    )
    send_missing: bool = Field(False, description="Send what its list lacks.")


class ChangedEntry(TypedDict):
    """An entry, and whether it was not on the list, or on it, before."""

    key: str
    changed: bool


class ChosenUntil(TypedDict):
    until: str


class ChangedTitles(TypedDict):
    """How many titles, or services, it was about."""

    count: Count


async def get_watchlist(call: Call[None, PersonQuery]) -> WatchlistJson:
    """A person's watchlist, newest first, and what each service knows of it."""
    return await watchlist.show_watchlist(call.service, await call.owner_of(call.query.person))


async def add_to_watchlist(call: Call[NewEntry, PersonQuery]) -> ChangedEntry:
    """Put a film or a show on the watchlist; it is sent to the services that are switched on for it."""
    owner, given = await call.owner_of(call.query.person), call.body
    item = watchlist.wanted_item(given.kind, given.title, given.year, Ids.from_json(given.ids))
    key, added = await watchlist.add_item(call.service, owner, item)
    return {"key": key, "changed": added}


async def remove_from_watchlist(call: Call[None, PersonQuery]) -> ChangedEntry:
    """Take an item off the watchlist, here and at the services that are switched on for it."""
    owner, key = await call.owner_of(call.query.person), call.path("key")
    if not await watchlist.remove_entries(call.service, owner, {key}):
        raise Problem(404, watchlist.NO_SUCH_ENTRY)
    return {"key": key, "changed": True}


async def change_until(call: Call[UntilChange, PersonQuery]) -> ChosenUntil:
    """Choose when an item leaves the watchlist by itself."""
    await watchlist.set_until(call.service, await call.owner_of(call.query.person), call.body.until)
    return {"until": call.body.until.value}


async def read_services(call: Call[None, PersonQuery]) -> ChangedTitles:
    """Have the watchlists of all services read now; `count` is the number of services."""
    return {"count": await watchlist.ask_to_read(call.service, await call.owner_of(call.query.person))}


async def change_service(call: Call[ServiceChange, PersonQuery]) -> ChangedTitles:
    """Switch a service's watchlist on or off, send it what it lacks, or decide about what is gone from it."""
    owner, tracker, given = await call.owner_of(call.query.person), call.path("tracker"), call.body
    await watchlist.change_service(call.service, owner, tracker, {"reads": given.reads, "sends": given.sends})
    count = 0
    if given.held is not None:
        remove = given.held == "remove"
        count += await watchlist.settle_hold(call.service, owner, tracker, remove=remove)
    if given.send_missing:
        count += await watchlist.send_all(call.service, owner, tracker)
    return {"count": count}


WRITE = Scope.HISTORY_WRITE
OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/watchlist", get_watchlist, Scope.READ, query=PersonQuery),
    Operation("POST", "/watchlist", add_to_watchlist, WRITE, body=NewEntry, query=PersonQuery),
    Operation("PATCH", "/watchlist", change_until, WRITE, body=UntilChange, query=PersonQuery),
    Operation("POST", "/watchlist/read", read_services, WRITE, query=PersonQuery),
    Operation(
        "PATCH",
        "/watchlist/services/{tracker}",
        change_service,
        WRITE,
        body=ServiceChange,
        query=PersonQuery,
        path_types=BY_SERVICE,
    ),
    Operation(
        "DELETE",
        "/watchlist/{key:path}",
        remove_from_watchlist,
        WRITE,
        query=PersonQuery,
        path_types=BY_ENTRY_KEY,
    ),
)
