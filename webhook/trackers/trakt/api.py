"""The calls to Trakt: as an account, and page by page where it answers so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from webhook.trackers import Access
from webhook.trackers._json import JsonObject, as_int, expect_rows, total
from webhook.trackers._pages import read_pages
from webhook.trackers.trakt.oauth import OAuth
from webhook.trackers.trakt.payloads import LABEL

PAGE_SIZE, MAX_PAGE_SIZE = 100, 250


class Api(OAuth):
    """The part of the tracker that calls; a 401 renews the sign-in once."""

    async def rows(
        self, path: str, params: Mapping[str, str], access: Access, limit: int = PAGE_SIZE
    ) -> list[JsonObject]:
        return [row async for rows in self.pages(path, params, access, limit) for row in rows]

    def pages(
        self, path: str, params: Mapping[str, str], access: Access, limit: int
    ) -> AsyncIterator[list[JsonObject]]:
        """Page after page; how many there are is in a header, and a short page means nothing."""

        async def read(page: int) -> tuple[list[JsonObject], int | None]:
            query = {**params, "page": str(page), "limit": str(limit)}
            response = self.accept(await self.ask(access, "GET", path, params=query))
            count = response.headers.get("x-pagination-page-count")
            return expect_rows(LABEL, response), (as_int(count) or 0) if count else None

        return read_pages(read, lambda row: row.get("id"))

    async def search(self, path: str, params: Mapping[str, str], access: Access) -> list[JsonObject]:
        return expect_rows(LABEL, self.accept(await self.ask(access, "GET", path, params=params)))

    async def remove(self, play: int, access: Access) -> int:
        """Take one play out of the history by its id; returns how many that were."""
        response = await self.ask(access, "POST", "/sync/history/remove", json={"ids": [play]})
        return total(self.accept_object(response, "deleted"), "deleted")
