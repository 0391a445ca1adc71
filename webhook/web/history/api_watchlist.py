"""API of the watchlist: what is on it, and what each service knows of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from webhook.domain.event import Ids, Kind
from webhook.domain.watchlist import Leaving
from webhook.people.scopes import Scope
from webhook.queries.watchlist import WatchlistEntryJson, WatchlistJson, WatchlistServiceJson
from webhook.storage.json_fields import Count
from webhook.web.history import watchlist
from webhook.web.history.models import ItemIds, Title
from webhook.web.http.api import found_or
from webhook.web.http.errors import Problem
from webhook.web.http.models import Body, Expect, OneOf, PersonQuery
from webhook.web.http.operations import Call, Operation

WANTED_KINDS = (Kind.MOVIE, Kind.SHOW)
EntryKey = Annotated[str, Field(json_schema_extra={"examples": ["movie:tmdb:496243"]})]
Service = Annotated[str, Field(json_schema_extra={"examples": ["trakt"]})]
BY_ENTRY_KEY, BY_SERVICE = {"key": EntryKey}, {"tracker": Service}


class NewEntry(Body):
    """A film or a show, by an id or by its title and year."""

    kind: Annotated[str, OneOf(lambda: WANTED_KINDS)]
    title: Title = None
    year: Annotated[int | None, Field(ge=1800, le=2999)] = None
    ids: ItemIds = Field(default_factory=dict)


class LeavingChange(Body):
    until: Annotated[
        Leaving,
        Field(strict=False, description="When an item leaves the list: a show finished or begun, or never."),
    ]


class ServiceChange(Body):
    reads: bool | None = Field(None, description="Whether its list is read.")
    sends: bool | None = Field(None, description="Whether changes are sent to it.")


class HeldChoice(Body):
    remove: Annotated[bool, Expect("true to take the titles off here too, or false to keep them")]


class AddedEntry(TypedDict):
    added: bool
    entry: WatchlistEntryJson


class RemovedEntry(TypedDict):
    key: str
    removed: bool


class AskedServices(TypedDict):
    services: Count


class ServiceResult(TypedDict):
    """What a decision came to, and the service as it is now."""

    changed: Count
    service: WatchlistServiceJson


async def get_watchlist(call: Call[None, PersonQuery]) -> WatchlistJson:
    """A person's watchlist, newest first, and what each service knows of it."""
    return await watchlist.show_watchlist(call.service, await call.owner_of(call.query.person))


async def add_to_watchlist(call: Call[NewEntry, PersonQuery]) -> AddedEntry:
    """Put a film or a show on the watchlist; it is sent to the services that are switched on for it."""
    owner, given = await call.owner_of(call.query.person), call.body
    item = watchlist.wanted_item(given.kind, given.title, given.year, Ids.from_json(given.ids))
    added = await watchlist.add_item(call.service, owner, item)
    shown = await watchlist.show_watchlist(call.service, owner)
    entry = next((one for one in shown["items"] if watchlist.is_entry_of(one, item)), None)
    return {"added": added, "entry": found_or(entry, watchlist.NO_SUCH_ENTRY)}


async def remove_from_watchlist(call: Call[None, PersonQuery]) -> RemovedEntry:
    """Take an item off the watchlist, here and at the services that are switched on for it."""
    owner, key = await call.owner_of(call.query.person), call.path("key")
    if not await watchlist.remove_entries(call.service, owner, {key}):
        raise Problem(404, watchlist.NO_SUCH_ENTRY)
    return {"key": key, "removed": True}


async def change_until(call: Call[LeavingChange, PersonQuery]) -> WatchlistJson:
    """Choose when an item leaves the watchlist by itself."""
    owner = await call.owner_of(call.query.person)
    await watchlist.set_until(call.service, owner, call.body.until)
    return {**await watchlist.show_watchlist(call.service, owner), "until": call.body.until.value}


async def read_services(call: Call[None, PersonQuery]) -> AskedServices:
    """Have the watchlists of all services read now."""
    owner = await call.owner_of(call.query.person)
    return {"services": await watchlist.ask_to_read(call.service, owner)}


async def change_service(call: Call[ServiceChange, PersonQuery]) -> ServiceResult:
    """Switch the reading of a service's watchlist, or the sending to it, on or off."""
    owner = await call.owner_of(call.query.person)
    await watchlist.change_service(call.service, owner, call.path("tracker"), call.body.model_dump())
    return await service_result(call, 0)


async def settle_hold(call: Call[HeldChoice, PersonQuery]) -> ServiceResult:
    """Decide about titles that were suddenly gone from a service's watchlist and are held here."""
    owner = await call.owner_of(call.query.person)
    tracker, remove = call.path("tracker"), call.body.remove
    return await service_result(
        call, await watchlist.settle_hold(call.service, owner, tracker, remove=remove)
    )


async def send_all(call: Call[None, PersonQuery]) -> ServiceResult:
    """Send a service every title of the watchlist that its own lacks."""
    owner = await call.owner_of(call.query.person)
    return await service_result(call, await watchlist.send_all(call.service, owner, call.path("tracker")))


async def service_result(call: Call[Any, PersonQuery], changed: int) -> ServiceResult:
    owner = await call.owner_of(call.query.person)
    shown = await watchlist.show_watchlist(call.service, owner)
    (found,) = (one for one in shown["services"] if one["tracker"] == call.path("tracker"))
    return {"changed": changed, "service": found}


WRITE = Scope.HISTORY_WRITE
OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation("GET", "/watchlist", get_watchlist, Scope.READ, query=PersonQuery),
    Operation("POST", "/watchlist", add_to_watchlist, WRITE, body=NewEntry, query=PersonQuery),
    Operation("PATCH", "/watchlist", change_until, WRITE, body=LeavingChange, query=PersonQuery),
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
        "POST",
        "/watchlist/services/{tracker}/held",
        settle_hold,
        WRITE,
        body=HeldChoice,
        query=PersonQuery,
        path_types=BY_SERVICE,
    ),
    Operation(
        "POST",
        "/watchlist/services/{tracker}/send",
        send_all,
        WRITE,
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
