"""What a Plex Media Server lets itself be told: watched, unwatched and ratings, for the person of the token."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ._plex_live import LivePlex, json_container, page

PARTS = {"show": "grandparentRatingKey", "season": "parentRatingKey"}


class WrittenPlex(LivePlex):
    """The part of the server that is written to. GET and PUT do the same, as they do there."""

    machine: str
    history: list[dict[str, Any]]

    def write_table(self) -> list[tuple[str, Callable[[Request], Response]]]:
        return [
            ("/:/scrobble", self.scrobble),
            ("/:/unscrobble", self.unscrobble),
            ("/:/rate", self.set_rating),
            ("/:/progress", self.set_position),
        ]

    def written(self, request: Request) -> list[str] | Response:
        """The items that a call means: of a show or a season every episode."""
        asked = request.query_params
        if asked.get("identifier") != "com.plexapp.plugins.library" or "key" not in asked:
            return page(400, "Bad Request")
        item = self.items.get(asked["key"])
        if item is None:
            return page(404, "Not Found")
        part = PARTS.get(item["type"])
        if part is None:
            return [asked["key"]]
        return [key for key, one in self.items.items() if str(one.get(part)) == asked["key"]]

    def scrobble(self, request: Request) -> Response:
        """Each call counts anew, and is dated now; only a whole show or season leaves an entry in the history."""
        keys, account = self.written(request), self.account_of(request) or 0
        if isinstance(keys, Response):
            return keys
        whole = keys != [request.query_params["key"]]
        for key in keys:
            self.mark(account, key, self.clock.now())
            self.marks[account][key].pop("viewOffset", None)
            if whole:
                self.view(self.items[key], self.clock.now(), account=account, counted=False)
        return json_container([])

    def set_position(self, request: Request) -> Response:
        """Only from a minute on; what is watched stays so."""
        keys, account = self.written(request), self.account_of(request) or 0
        if isinstance(keys, Response):
            return keys
        position = int(request.query_params["time"])
        if position >= 60_000:
            self.marks.setdefault(account, {}).setdefault(keys[0], {})["viewOffset"] = position
        return json_container([])

    def unscrobble(self, request: Request) -> Response:
        keys = self.written(request)
        if isinstance(keys, Response):
            return keys
        for key in keys:
            self.unmark(self.account_of(request) or 0, key)
            self.marks.get(self.account_of(request) or 0, {}).get(key, {}).pop("viewOffset", None)
        return json_container([])

    def set_rating(self, request: Request) -> Response:
        keys, asked = self.written(request), request.query_params
        if isinstance(keys, Response):
            return keys
        at = datetime.fromtimestamp(int(asked.get("ratedAt", self.clock.now().timestamp())), UTC)
        rating = float(asked.get("rating", "nan"))
        if not -1 <= rating <= 10 or at > self.clock.now():
            return page(400, "Bad Request")
        self.rate(self.account_of(request) or 0, asked["key"], None if rating < 0 else rating, at)
        return json_container([])
