"""The one place that knows plexapi: https://python-plexapi.readthedocs.io

It is imported late, and everything in it waits for the network: it is called in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from plexapi.server import PlexServer
from requests import Session
from requests.adapters import HTTPAdapter

from webhook.client import MAX_EXCERPT, make_context
from webhook.domain.outcome import Dead, Retry
from webhook.servers._http import JsonRow, ServerAddress

CALL_TIMEOUT = 20
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes of one answer; a page of the history has a few hundred thousand at most."""

CHUNK_SIZE = 64 * 1024
METADATA = "/library/metadata/"
PATHS_WITHOUT_ITEMS = (METADATA, "/library/all")
SHOW_TYPE = "2"
"""The number of the type; for shows the library asks by the show's own guid."""

EXCLUDED_ELEMENTS = "Media,Country,Director,Writer,Role,Producer,Similar,Rating,Collection"
INNER_ELEMENTS = {"Guid": "id", "Genre": "tag"}
"""The elements inside an item that are read, and the attribute of each."""


class TrustingAdapter(HTTPAdapter):
    """Connections that also trust an authority of one's own."""

    def __init__(self, ca_file: str) -> None:
        self.context = make_context(ca_file)
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, ssl_context=self.context, **named)


def make_session(ca_file: str) -> Session:
    session = Session()
    if ca_file:
        session.mount("https://", TrustingAdapter(ca_file))
    return session


class Missing(Exception):
    """The server has none of the items that were asked for."""


class Pms(PlexServer):
    """A Plex Media Server, asked who it is when it is made. Everything raises Retry or Dead.

    plexapi's own errors hold the address and the whole answer; they are not let out.
    """

    def __init__(self, address: ServerAddress, token: str, ca_file: str = "") -> None:
        self.address = address
        super().__init__(address.url, token, make_session(ca_file), timeout=CALL_TIMEOUT)

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
            raise self.wrong_answer("something that is no XML") from error
        except OSError as error:  # as every error of requests is one: no whole answer came
            raise self.unreachable(error) from error
        if not isinstance(found, Element) or found.tag != "MediaContainer":
            raise self.wrong_answer("a page that is none of its own")
        return found

    def unreachable(self, error: OSError) -> Retry:
        reason = f"{self.address.label} cannot be reached ({type(error).__name__})"
        return self.address.unreachable(Retry(reason))

    def wrong_answer(self, what: str) -> Dead:
        return self.address.wrong_answer(f"{self.address.label} answered with {what}", "")

    def get(self, url: str, headers: JsonRow, **asked: Any) -> Any:
        """One call, following no redirects: the token is for this address only."""
        plain = {**headers, "Accept-Encoding": "identity"}
        response = self._session.get(url, headers=plain, allow_redirects=False, stream=True, **asked)
        response._content = self.body(response)
        if response.status_code == 404 and any(path in url for path in PATHS_WITHOUT_ITEMS):
            raise Missing
        if response.status_code != 200:
            raise self.address.rejection(response.status_code, response.headers, response.text[:MAX_EXCERPT])
        return response

    def body(self, response: Any) -> bytes:
        """The whole answer, up to MAX_ANSWER_BYTES bytes; raises Retry or Dead."""
        body = bytearray()
        with response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self.wrong_answer("something compressed, which nobody asked for")
            for piece in response.iter_content(CHUNK_SIZE):
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise self.address.unreachable(
                        Retry(f"{self.address.label} sent an answer over {MAX_ANSWER_BYTES >> 20} MiB")
                    )
        return bytes(body)

    def picture(self, path: str) -> bytes | None:
        """The bytes of a picture of this server; None where it has none."""
        try:
            response = self.get(self.url(path), self._headers(), timeout=CALL_TIMEOUT)
        except Missing:
            return None
        except OSError as error:
            raise self.unreachable(error) from error
        return bytes(response.content)

    def names(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """The names of the accounts, the players and the libraries, by the number each has here."""
        accounts = {str(one.id): one.name for one in self.systemAccounts() if one.name}
        players = {str(one.id): one.name for one in self.systemDevices() if one.name}
        sections = self.query("/library/sections").iter("Directory")
        libraries = {one.attrib.get("key", ""): one.attrib.get("title", "") for one in sections}
        return {"1": self.myPlexUsername or "", **accounts}, players, libraries

    def history_page(self, since: int | None, start: int, size: int) -> tuple[list[JsonRow], int]:
        """A page of the history, oldest first, and how many entries there are in all; `since` in Unix seconds."""
        asked: dict[str, Any] = {"sort": "viewedAt:asc"}
        if since is not None:
            asked["viewedAt>"] = since
        paged = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
        found = self.query("/status/sessions/history/all", params=asked, headers=paged)
        page: list[JsonRow] = [dict(entry.attrib) for entry in found]
        total = found.attrib.get("totalSize") or found.attrib.get("size") or ""
        return page, int(total) if total.isdigit() else len(page)

    def describe(self, keys: Sequence[str]) -> dict[str, JsonRow]:
        """The metadata of these items by key, with their guids; without those that are gone."""
        if not keys:
            return {}
        asked = {
            "includeGuids": "1",
            "excludeElements": EXCLUDED_ELEMENTS,
            "excludeFields": "summary,tagline",
        }
        try:
            return to_rows(self.query(METADATA + ",".join(keys), params=asked))
        except Missing:  # of all of them, or of one: that depends on the server's version
            half = len(keys) // 2
            return {**self.describe(keys[:half]), **self.describe(keys[half:])} if half else {}

    def show(self, guid: str, shows: Sequence[str], episodes: Sequence[str]) -> JsonRow | None:
        """A show by its guid, found by its key or those of its episodes, else among all; None where it is not here."""
        return (
            self.of_guid(guid, shows) or self.of_guid(guid, self.shows_of(episodes)) or self.among_all(guid)
        )

    def of_guid(self, guid: str, keys: Sequence[str]) -> JsonRow | None:
        return next((row for row in self.describe(keys).values() if row.get("guid") == guid), None)

    def shows_of(self, episodes: Sequence[str]) -> list[str]:
        """The keys of the shows that these episodes are of."""
        keys = (row.get("grandparentRatingKey") for row in self.describe(episodes).values())
        return [key for key in dict.fromkeys(keys) if key]

    def among_all(self, guid: str) -> JsonRow | None:
        found = self.all({"type": SHOW_TYPE, "guid": guid})
        return self.of_guid(guid, [key for entry in found if (key := entry.attrib.get("ratingKey"))])

    def all(self, asked: Mapping[str, str]) -> Iterable[Element]:
        try:
            return self.query("/library/all", params=asked)
        except Missing:
            return ()

    def close(self) -> None:
        self._session.close()


def to_rows(found: Iterable[Element]) -> dict[str, JsonRow]:
    """The items by key, as the server's JSON and its webhooks would have them."""
    return {
        entry.attrib["ratingKey"]: {
            **entry.attrib,
            **{
                tag: [one.attrib.get(name) for one in entry.iter(tag)] for tag, name in INNER_ELEMENTS.items()
            },
        }
        for entry in found
        if "ratingKey" in entry.attrib
    }
