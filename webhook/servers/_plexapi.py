"""The one place that knows plexapi: https://python-plexapi.readthedocs.io

Not a server: the leading underscore keeps it out of the scan. It is imported late, and everything in it
waits for the network: it is called in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from plexapi.server import PlexServer

from webhook.client import SHOWN
from webhook.domain.outcome import Dead, Retry
from webhook.servers._asking import Door

TIMEOUT = 20
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of one answer; a page of the history has a few hundred thousand at most."""

PIECE = 64 * 1024
METADATA = "/library/metadata/"
MAY_BE_MISSING = (METADATA, "/library/all")
SHOWS = "2"
"""The number of the type; for shows the library asks by the show's own guid."""

UNWANTED = "Media,Country,Director,Writer,Role,Producer,Similar,Rating,Collection"
LISTED = {"Guid": "id", "Genre": "tag"}
"""The elements inside an item that are read, and the attribute of each that says something."""

Row = Mapping[str, Any]


class Missing(Exception):
    """The server has none of the items that were asked for."""


class Pms(PlexServer):
    """A Plex Media Server, asked who it is when it is made. Everything raises Retry or Dead.

    plexapi's own errors hold the address and the whole answer; they are not let out.
    """

    def __init__(self, door: Door, token: str) -> None:
        self.door = door
        super().__init__(door.url, token, timeout=TIMEOUT)

    def query(
        self,
        key: str,
        method: Any = None,
        headers: Any = None,
        params: Any = None,
        timeout: Any = None,
        **more: Any,
    ) -> Element:
        try:
            found = super().query(key, self.get, headers, params, timeout, **more)
        except ParseError as error:
            raise self.strange("something that is no XML") from error
        except OSError as error:  # as every error of requests is one: no whole answer came
            reason = f"{self.door.label} cannot be reached ({type(error).__name__})"
            raise self.door.away(Retry(reason)) from error
        if not isinstance(found, Element) or found.tag != "MediaContainer":
            raise self.strange("a page that is none of its own")
        return found

    def strange(self, what: str) -> Dead:
        return self.door.stranger(f"{self.door.label} answered with {what}", "")

    def get(self, url: str, headers: Row, **asked: Any) -> Any:
        """One call, following no redirects: the token is for this address only."""
        plain = {**headers, "Accept-Encoding": "identity"}
        response = self._session.get(url, headers=plain, allow_redirects=False, stream=True, **asked)
        response._content = self.body(response)
        if response.status_code == 404 and any(path in url for path in MAY_BE_MISSING):
            raise Missing
        if response.status_code != 200:
            raise self.door.refused(response.status_code, response.headers, response.text[:SHOWN])
        return response

    def body(self, response: Any) -> bytes:
        """The whole answer, up to MAX_ANSWER bytes; raises Retry or Dead."""
        body = bytearray()
        with response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self.strange("something compressed, which nobody asked for")
            for piece in response.iter_content(PIECE):
                body += piece
                if len(body) > MAX_ANSWER:
                    raise self.door.away(
                        Retry(f"{self.door.label} sent an answer over {MAX_ANSWER >> 20} MiB")
                    )
        return bytes(body)

    def names(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """The names of the accounts, the players and the libraries, by the number each has here."""
        accounts = {str(one.id): one.name for one in self.systemAccounts() if one.name}
        players = {str(one.id): one.name for one in self.systemDevices() if one.name}
        sections = self.query("/library/sections").iter("Directory")
        libraries = {one.attrib.get("key", ""): one.attrib.get("title", "") for one in sections}
        return {"1": self.myPlexUsername or "", **accounts}, players, libraries

    def history_page(self, since: int | None, start: int, size: int) -> tuple[list[Row], int]:
        """A page of the history, oldest first, and how many entries there are in all; `since` in Unix seconds."""
        asked: dict[str, Any] = {"sort": "viewedAt:asc"}
        if since is not None:
            asked["viewedAt>"] = since
        paged = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
        found = self.query("/status/sessions/history/all", params=asked, headers=paged)
        page: list[Row] = [dict(entry.attrib) for entry in found]
        total = found.attrib.get("totalSize") or found.attrib.get("size") or ""
        return page, int(total) if total.isdigit() else len(page)

    def described(self, keys: Sequence[str]) -> dict[str, Row]:
        """What the server knows of these items, by key, with their guids; without those that are gone."""
        if not keys:
            return {}
        asked = {"includeGuids": "1", "excludeElements": UNWANTED, "excludeFields": "summary,tagline"}
        try:
            return shaped(self.query(METADATA + ",".join(keys), params=asked))
        except Missing:  # of all of them, or of one: that depends on the server's version
            half = len(keys) // 2
            return {**self.described(keys[:half]), **self.described(keys[half:])} if half else {}

    def show(self, guid: str, shows: Sequence[str], episodes: Sequence[str]) -> Row | None:
        """A show by its guid, found by its key or those of its episodes, else among all; None where it is not here."""
        return (
            self.of_guid(guid, shows) or self.of_guid(guid, self.shows_of(episodes)) or self.among_all(guid)
        )

    def of_guid(self, guid: str, keys: Sequence[str]) -> Row | None:
        return next((row for row in self.described(keys).values() if row.get("guid") == guid), None)

    def shows_of(self, episodes: Sequence[str]) -> list[str]:
        """The keys of the shows that these episodes are of."""
        keys = (row.get("grandparentRatingKey") for row in self.described(episodes).values())
        return [key for key in dict.fromkeys(keys) if key]

    def among_all(self, guid: str) -> Row | None:
        found = self.all({"type": SHOWS, "guid": guid})
        return self.of_guid(guid, [key for entry in found if (key := entry.attrib.get("ratingKey"))])

    def all(self, asked: Mapping[str, str]) -> Iterable[Element]:
        try:
            return self.query("/library/all", params=asked)
        except Missing:
            return ()

    def close(self) -> None:
        self._session.close()


def shaped(found: Iterable[Element]) -> dict[str, Row]:
    """The items by key, as the server's JSON and its webhooks would have them."""
    return {
        entry.attrib["ratingKey"]: {
            **entry.attrib,
            **{tag: [one.attrib.get(name) for one in entry.iter(tag)] for tag, name in LISTED.items()},
        }
        for entry in found
        if "ratingKey" in entry.attrib
    }
