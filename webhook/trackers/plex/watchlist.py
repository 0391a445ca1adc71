"""The watchlist of a Plex account: https://discover.provider.plex.tv, which needs no server.

| call | meaning |
|---|---|
| `GET /library/sections/watchlist/all` | a page of the list; whole once as many titles came as `totalSize` says |
| `PUT /actions/addToWatchlist?ratingKey=…`, `removeFromWatchlist` | by Plex's own key of the title |
| `GET {metadata}/library/metadata/matches?type=movie&title=tmdb-496243` | that key, by another id |
| `GET {metadata}/library/metadata/{key}` | the ids of a title that the list names none of |

It is signed in to by the account's own token; the one of the server that a sign-in is kept for is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import httpx

from webhook.client import call
from webhook.domain import values
from webhook.domain.event import Ids, Kind, Movie, Show
from webhook.domain.guids import parse_guids
from webhook.domain.outcome import Done, Retry, Snooze
from webhook.domain.retry import UNSURE_PAUSE
from webhook.domain.watchlist import WantedItem
from webhook.trackers import Access, Delivery
from webhook.trackers._json import JsonObject, as_int, as_rows, as_text, child, expect_object, unknown_shape
from webhook.trackers._media_server import MediaServer
from webhook.trackers._watchlist import NOT_ON_IT, ON_IT, incomplete_list, require_listable, unknown_title
from webhook.trackers.plex.sign_in import LABEL

PAGE_SIZE = 100
MAX_PAGES = 200
MATCHED_IDS = ("tmdb", "imdb", "tvdb")
"""The ids by which Plex's own key of a title is found, the surest first."""

MAX_KNOWN = 5000
"""The titles whose ids are held in memory."""

SIGN_IN_AGAIN = "sign in to Plex again, so that your watchlist can be read"


class PlexWatchlist(MediaServer):
    """The part of the tracker that keeps the watchlist."""

    discover: str
    metadata: str
    known_ids: dict[str, Ids]

    async def watchlist(self, access: Access) -> list[WantedItem]:
        rows, total = await self.list_rows(access)
        if len(rows) != total:
            raise incomplete_list(LABEL, len(rows), total)
        return [await self.read_row(key, row, access) for key, row in rows.items()]

    async def list_rows(self, access: Access) -> tuple[dict[str, JsonObject], int]:
        """Every row by its key, and how many there are; a page that brings nothing new is the last."""
        found: dict[str, JsonObject] = {}
        start, total = 0, 0
        for _ in range(MAX_PAGES):
            params = {"includeCollections": "1", "includeExternalMedia": "1", "includeGuids": "1"}
            params |= {"sort": "watchlistedAt:desc", "X-Plex-Container-Start": str(start)}
            params |= {"X-Plex-Container-Size": str(PAGE_SIZE)}
            address = f"{self.discover}/library/sections/watchlist/all"
            response = self.accept_answer(await self.ask_account(access, "GET", address, params))
            container = child(expect_object(LABEL, response, "MediaContainer"), "MediaContainer")
            size, rows = as_int(container.get("totalSize")), as_rows(container.get("Metadata"))
            if size is None or not all(values.text(row.get("ratingKey")) for row in rows):
                raise unknown_shape(LABEL, response, unsure=False)
            fresh = {str(row["ratingKey"]): row for row in rows if str(row["ratingKey"]) not in found}
            found |= fresh
            start, total = start + len(rows), size
            if not fresh or start >= total:
                break
        return found, total

    async def read_row(self, key: str, row: JsonObject, access: Access) -> WantedItem:
        """A title of the list; one of which Plex knows no ids any more stays, by Plex's own."""
        kind = Kind.MOVIE if row.get("type") == "movie" else Kind.SHOW
        ids = read_ids_of(row, kind)
        if not any(name != "plex" for name in ids.by_namespace()):
            ids = ids.merge(await self.find_ids(key, kind, access))
        make = Movie if kind is Kind.MOVIE else Show
        item = make(title=as_text(row.get("title")), year=as_int(row.get("year")), ids=ids)
        return WantedItem(item=item, at=values.moment(row.get("watchlistedAt")), handle=key)

    async def find_ids(self, key: str, kind: Kind, access: Access) -> Ids:
        if key not in self.known_ids:
            response = await self.ask_account(access, "GET", f"{self.metadata}/library/metadata/{key}")
            if response.status_code == 404:
                return Ids()
            rows = self.metadata_rows(response)
            self.known_ids[key] = read_ids_of(rows[0], kind) if rows else Ids()
            if len(self.known_ids) > MAX_KNOWN:
                del self.known_ids[next(iter(self.known_ids))]
        return self.known_ids[key]

    # What is sent

    async def list_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        key = delivery.remote_id or await self.find_key(item, access)
        if key is None:
            raise unknown_title(LABEL, item)
        address = f"{self.discover}/actions/addToWatchlist"
        response = await self.ask_account(access, "PUT", address, {"ratingKey": key})
        if response.status_code == 409 or "already on the watchlist" in response.text:
            return Done(answer=ON_IT, remote_id=key)
        if response.status_code == 404:
            raise unknown_title(LABEL, item)
        self.accept_answer(response)
        return Done(answer="added", remote_id=key)

    async def unlist_title(self, delivery: Delivery, access: Access) -> Done:
        item = require_listable(LABEL, delivery.item)
        key = delivery.remote_id or await self.find_key(item, access)
        if key is None:
            return Done(answer=NOT_ON_IT)
        address = f"{self.discover}/actions/removeFromWatchlist"
        response = await self.ask_account(access, "PUT", address, {"ratingKey": key})
        if response.status_code == 404 or "not on the watchlist" in response.text:
            return Done(answer=NOT_ON_IT, remote_id=key)
        self.accept_answer(response)
        return Done(answer="removed", remote_id=key)

    async def find_key(self, item: Movie | Show, access: Access) -> str | None:
        """Plex's own key of a title, by an id that its answer has as well; never by a title alone."""
        known = item.ids.by_namespace()
        for name in MATCHED_IDS:
            if name not in known:
                continue
            params = {"type": item.kind.value, "title": f"{name}-{known[name]}"}
            address = f"{self.metadata}/library/metadata/matches"
            response = await self.ask_account(access, "GET", address, params)
            if response.status_code == 404:
                continue
            for row in self.metadata_rows(response):
                ids = read_ids_of(row, item.kind).by_namespace()
                if ids.get(name) == known[name] and (key := values.text(row.get("ratingKey"))):
                    return key
        return None

    # Calls

    def metadata_rows(self, response: httpx.Response) -> list[JsonObject]:
        body = expect_object(LABEL, self.accept_answer(response), "MediaContainer")
        return as_rows(child(body, "MediaContainer").get("Metadata"))

    async def ask_account(
        self, access: Access, method: str, url: str, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One call as the account itself; raises Snooze where its token is not known or not accepted."""
        token = as_text(access.tokens.get("account_token"))
        if token is None:
            raise missing_sign_in()
        headers = self.headers({"token": token})
        response = await call(self.http, LABEL, method, url, headers=headers, params=params)
        if response.status_code == 401:
            raise missing_sign_in()
        return response

    def accept_answer(self, response: httpx.Response) -> httpx.Response:
        """The response if it is a success; a wrong address is nothing that a person's sign-in could mend."""
        if response.status_code in (403, 404):
            raise Retry(
                f"{LABEL} answered {response.status_code}: it has no watchlist there", after=UNSURE_PAUSE
            )
        return self.accept(response)


def missing_sign_in() -> Snooze:
    """The marks at the server go on: only what is about the watchlist waits."""
    return Snooze(SIGN_IN_AGAIN, after=timedelta(days=1), lane=False)


def read_ids_of(row: JsonObject, kind: Kind) -> Ids:
    return parse_guids([*values.texts(row.get("guid")), *values.texts(row.get("Guid"), "id")], kind).ids
