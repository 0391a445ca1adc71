"""A Plex Media Server on loopback, as far as it is asked for what was played, and listened to.

https://www.plexopedia.com/plex-media-server/api/server/session-history/

`python -m tests.fakes.plex_server --port 0` runs it alone, empty. Items are described as in the Metadata
of Plex's webhooks; everything is answered in XML, or in JSON where that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ._plex_live import LivePlex, json_container, page, wants_json
from ._server import main

Json = dict[str, Any]

PAGE = 50
IN_HISTORY = (
    *("key", "ratingKey", "librarySectionID", "parentKey", "grandparentKey", "title", "grandparentTitle"),
    *("type", "index", "parentIndex", "originallyAvailableAt"),
)
"""What the history itself keeps of an item; a deleted one loses its keys."""

KEYS = ("key", "ratingKey", "parentKey", "grandparentKey")
LISTS = ("Guid", "Genre", "Media", "Role")
TAGS = {"track": "Track", "show": "Directory"}


@dataclass
class Switches:
    """What can be set at `/_control/switches`."""

    token: str = "owner-token"
    all_or_nothing: bool = False  # whether one missing item makes a whole batch a 404
    ping: float = 10.0  # seconds between two pings to who listens
    silent: bool = False  # whether nothing more is sent to who listens, not even a ping
    starting: bool = False  # whether the sessions are refused, as while a server starts
    contained: bool = True  # whether alerts come in a container, as a list
    played_threshold: int = 90
    played_behaviour: int = 3  # by percentage (0), by credits (1, 2), or by whichever is first
    sorts: bool = True  # whether the library honours a sort


class PlexServer(LivePlex):
    """The server. Fill it with `view`, which takes a viewing as the webhook of it tells it."""

    switches: Switches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.name = "Attic"
        self.machine = "5f" * 20
        self.accounts = {0: "", 1: "Nora"}
        self.devices = {1: "Sofa"}
        self.libraries = {1: "Films", 2: "Series", 3: "Music"}
        self.items: dict[str, Json] = {}
        self.history: list[Json] = []
        self.pictures: dict[str, bytes] = {}  # by the path that an item names

    def state(self) -> Json:
        return {"accounts": self.accounts, "items": self.items, "history": self.history}

    def view(self, metadata: Mapping[str, Any], at: datetime, *, account: int = 1, device: int = 1, counted: bool = True) -> Json:  # fmt: skip
        """Somebody watches an item to its end; the history may also list what was not `counted`."""
        if "ratingKey" in metadata:
            self.items[str(metadata["ratingKey"])] = dict(metadata)
            if counted:
                self.mark(account, str(metadata["ratingKey"]), at)
        entry = {name: metadata[name] for name in IN_HISTORY if name in metadata}
        entry |= {
            "historyKey": f"/status/sessions/history/{len(self.history) + 1}",
            "viewedAt": int(at.timestamp()),
            "accountID": account,
            "deviceID": device,
        }
        self.history.append(entry)
        return entry

    def delete(self, rating_key: str) -> None:
        """The item is deleted; the history keeps its titles."""
        del self.items[rating_key]
        for entry in self.history:
            if entry.get("ratingKey") == rating_key:
                for name in KEYS:
                    entry.pop(name, None)

    def routes(self) -> list[BaseRoute]:
        identity = Route("/identity", self.identity)
        table: list[tuple[str, Callable[[Request], Response]]] = [
            ("/", self.root),
            ("/accounts", self.show_accounts),
            ("/devices", self.show_devices),
            ("/library/sections", self.show_libraries),
            ("/library/metadata/{keys}", self.metadata),
            ("/library/metadata/{key}/{kind}/{stamp}", self.picture),
            ("/library/all", self.all),
            ("/status/sessions/history/all", self.show_history),
            *self.live_table(),
        ]
        return [
            identity,
            *self.live_controls(),
            *(Route(path, self.door(handler)) for path, handler in table),
        ]

    def door(self, handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return page(401, "Unauthorized") if self.account_of(request) is None else handler(request)

        return endpoint

    def identity(self, request: Request) -> Response:
        """What anybody is told, without a token."""
        about = {"machineIdentifier": self.machine, "version": "1.43.3.10400"}
        return json_container([], **about) if wants_json(request) else container([], **about)

    def root(self, request: Request) -> Response:
        about = {"friendlyName": self.name, "machineIdentifier": self.machine}
        about["myPlexUsername"] = "nora@example.org"
        return json_container([], **about) if wants_json(request) else container([], **about)

    def show_accounts(self, request: Request) -> Response:
        found = [
            element("Account", {"id": number, "key": f"/accounts/{number}", "name": name})
            for number, name in self.accounts.items()
        ]
        if wants_json(request):
            entries = [{"id": number, "name": name} for number, name in self.accounts.items()]
            return json_container([], Account=entries, size=len(entries))
        return container(found)

    def show_devices(self, request: Request) -> Response:
        return container(
            element("Device", {"id": number, "name": name, "platform": "Linux"})
            for number, name in self.devices.items()
        )

    def show_libraries(self, request: Request) -> Response:
        kinds = {1: "movie", 2: "show", 3: "artist"}
        found = [
            {"key": str(number), "title": title, "type": kinds.get(number, "movie")}
            for number, title in self.libraries.items()
        ]
        if wants_json(request):
            return json_container([], Directory=found, size=len(found))
        return container(element("Directory", entry) for entry in found)

    def metadata(self, request: Request) -> Response:
        keys = request.path_params["keys"].split(",")
        found = [self.items[key] for key in keys if key in self.items]
        if not found or (self.switches.all_or_nothing and len(found) < len(keys)):
            return page(404, "Not Found")
        asked = request.query_params
        left_out = set(asked.get("excludeElements", "").split(",")) | set(
            asked.get("excludeFields", "").split(",")
        )
        if asked.get("includeGuids") != "1":
            left_out.add("Guid")
        if wants_json(request):
            mine = [{**item, **self.marks_of(request, item)} for item in found]
            return json_container([without(item, left_out) for item in mine])
        return container(described({**item, **self.marks_of(request, item)}, left_out) for item in found)

    def picture(self, request: Request) -> Response:
        found = self.pictures.get(request.url.path)
        return page(404, "Not Found") if found is None else Response(found, media_type="image/jpeg")

    def all(self, request: Request) -> Response:
        """Every item of a type; by its main guid, whose other guids are not looked into."""
        asked = request.query_params
        kind = {"1": "movie", "2": "show", "4": "episode"}.get(asked.get("type", ""))
        found = [item for item in self.items.values() if kind in (None, item["type"])]
        if "guid" in asked:
            found = [item for item in found if item.get("guid") == asked["guid"]]
        return container(described(item, {"Guid"}) for item in found)

    def show_history(self, request: Request) -> Response:
        asked = request.query_params
        by, _, direction = asked.get("sort", "viewedAt:desc").partition(":")
        kept = [entry for entry in self.history if entry["viewedAt"] >= int(asked.get("viewedAt>", 0))]
        if (account := self.account_of(request)) != 1:
            kept = [entry for entry in kept if entry["accountID"] == account]
        for name, field_name in (("accountID", "accountID"), ("metadataItemID", "ratingKey")):
            if name in asked:
                kept = [entry for entry in kept if str(entry.get(field_name)) == asked[name]]
        kept.sort(key=lambda entry: entry[by], reverse=direction == "desc")
        start = int(request.headers.get("x-plex-container-start", 0))
        size = int(request.headers.get("x-plex-container-size", PAGE))
        shown = kept[start : start + size]
        if wants_json(request):
            return json_container(shown, totalSize=len(kept), offset=start)
        return container([described(entry, set()) for entry in shown], totalSize=len(kept), offset=start)


def described(item: Mapping[str, Any], left_out: set[str]) -> Element:
    made = element(
        TAGS.get(item["type"], "Video"),
        {name: value for name, value in item.items() if name not in (*LISTS, *left_out)},
    )
    for name in LISTS:
        for entry in item.get(name, ()) if name not in left_out else ():
            SubElement(made, name, {key: str(value) for key, value in entry.items()})
    return made


def without(item: Mapping[str, Any], left_out: set[str]) -> Json:
    return {name: value for name, value in item.items() if name not in left_out}


def element(tag: str, values: Mapping[str, Any]) -> Element:
    return Element(tag, {name: str(value) for name, value in values.items() if not isinstance(value, list)})


def container(found: Iterable[Element], **values: Any) -> Response:
    inside = list(found)
    made = element("MediaContainer", {"size": len(inside), **values})
    made.extend(inside)
    return Response(tostring(made, encoding="utf-8", xml_declaration=True), media_type="text/xml")


if __name__ == "__main__":
    main(PlexServer())
