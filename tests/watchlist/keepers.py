"""The fakes of services with a watchlist, each with the same few hands: what she lists, puts on and takes off there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tests.fakes.plex import Plex
from tests.fakes.simkl import Simkl
from tests.fakes.trakt import Trakt, iso
from webhook.domain.event import Ids, Movie, Show

PARASITE = Movie(title="Parasite", year=2019, ids=Ids(tmdb=496243, imdb="tt6751668"))
HARBOUR = Movie(title="Harbour", year=2001, ids=Ids(tmdb=603, imdb="tt0133093"))
TIDEWATER = Show(title="Saltmarsh", year=2020, ids=Ids(tvdb=811890, tmdb=13960))
KNOWN: tuple[Movie | Show, ...] = (PARASITE, HARBOUR, TIDEWATER)


def many(count: int) -> list[Movie]:
    return [
        Movie(
            title=f"Film {number}", year=1990, ids=Ids(tmdb=70_000 + number, imdb=f"tt{7_000_000 + number}")
        )
        for number in range(count)
    ]


class Keeper(Protocol):
    """A fake, and what she does at the service herself."""

    fake: Any
    route: str
    """The route of the calls that read the list."""

    def settings(self, url: str) -> Mapping[str, str]: ...

    def sign_in(self) -> dict[str, Any]: ...

    def put(self, *items: Movie | Show) -> None: ...

    def take(self, *items: Movie | Show) -> None: ...

    def listed(self) -> set[str]: ...


class TraktKeeper:
    route = "GET /sync/watchlist"

    def __init__(self) -> None:
        self.fake = Trakt()
        self.fake.catalogue.load(
            {
                "movies": [about(one) for one in (*KNOWN, *many(61)) if isinstance(one, Movie)],
                "shows": [
                    {**about(one), "episodes": [{"season": 1, "number": 1, "ids": {"tvdb": 8118901}}]}
                    for one in KNOWN
                    if isinstance(one, Show)
                ],
            }
        )

    def settings(self, url: str) -> Mapping[str, str]:
        given = {"CLIENT_ID": "fake-client-id", "CLIENT_SECRET": "fake-client-secret"}
        given |= {"API_URL": url, "AUTH_URL": url, "WRITES_PER_SECOND": "0"}
        return {f"TRAKT_{name}": value for name, value in given.items()}

    def sign_in(self) -> dict[str, Any]:
        return dict(self.fake.sign_in("anna"))

    def put(self, *items: Movie | Show) -> None:
        rows = self.fake.user("anna").watchlist
        for item in items:
            entry = self.entry(item)
            rows[entry.key] = {
                "listed_at": iso(self.fake.clock.now()),
                "rank": len(rows) + 1,
                "id": next(self.fake.ids),
                "notes": None,
                "type": entry.kind,
                **entry.wire(),
            }

    def take(self, *items: Movie | Show) -> None:
        for item in items:
            self.fake.user("anna").watchlist.pop(self.entry(item).key, None)

    def entry(self, item: Movie | Show) -> Any:
        kind: Any = item.kind.value
        return self.fake.catalogue.by_ids(kind, item.ids.by_namespace())

    def listed(self) -> set[str]:
        return {row[row["type"]]["title"] for row in self.fake.user("anna").watchlist.values()}


class SimklKeeper:
    route = "GET /sync/all-items"

    def __init__(self) -> None:
        self.fake = Simkl(strict=True)
        for one in (*KNOWN, *many(61)):
            kind = "movie" if isinstance(one, Movie) else "tv"
            place = {"season": 1, "number": 1, "ids": {"tvdb": 8118901}}
            episodes = [] if kind == "movie" else [place]
            ids = one.ids.by_namespace()
            self.fake.catalogue.add(kind, one.title or "", one.year, ids=ids, episodes=episodes)

    def settings(self, url: str) -> Mapping[str, str]:
        given = {"CLIENT_ID": "fake-client-id", "API_URL": url, "WRITES_PER_SECOND": "0"}
        return {f"SIMKL_{name}": value for name, value in given.items()}

    def sign_in(self) -> dict[str, Any]:
        return dict(self.fake.sign_in("anna"))

    def put(self, *items: Movie | Show) -> None:
        for item in items:
            self.fake.user("anna").lists[self.key(item)] = "plantowatch"
            self.fake.user("anna").listed_at[self.key(item)] = self.fake.clock.now()
            self.touch(item, "plantowatch")

    def take(self, *items: Movie | Show) -> None:
        for item in items:
            self.fake.user("anna").lists.pop(self.key(item), None)
            self.touch(item, "removed_from_list")

    def touch(self, item: Movie | Show, stamp: str) -> None:
        self.fake.touch(self.fake.user("anna"), self.fake.entry(self.key(item)), stamp)

    def key(self, item: Movie | Show) -> str:
        kind = "movie" if isinstance(item, Movie) else "show"
        entry = self.fake.catalogue.find(kind, {"ids": item.ids.by_namespace()})
        assert entry is not None
        return f"{entry.type}:{entry.simkl}"

    def listed(self) -> set[str]:
        lists = self.fake.user("anna").lists
        return {self.fake.entry(key).title for key, status in lists.items() if status == "plantowatch"}


class PlexKeeper:
    route = "GET /library/sections/watchlist"

    def __init__(self) -> None:
        self.fake = Plex()
        self.keys = {
            one.title: self.fake.know(one.kind.value, one.title or "", one.year, one.ids.by_namespace())
            for one in (*KNOWN, *many(61))
        }
        self.tokens = self.fake.add_person("anna")

    def settings(self, url: str) -> Mapping[str, str]:
        given = {"URL": url, "TOKEN": "owner-token", "ACCOUNT_URL": url, "DISCOVER_URL": url}
        given |= {"METADATA_URL": f"{url}/metadata"}
        return {f"PLEX_{name}": value for name, value in given.items()}

    def sign_in(self) -> dict[str, Any]:
        return dict(self.tokens)

    @property
    def wanted(self) -> dict[str, Any]:
        return self.fake.wanted.setdefault(str(self.tokens["account_token"]), {})

    def put(self, *items: Movie | Show) -> None:
        for item in items:
            self.wanted[self.keys[item.title]] = self.fake.clock.now()

    def take(self, *items: Movie | Show) -> None:
        for item in items:
            self.wanted.pop(self.keys[item.title], None)

    def listed(self) -> set[str]:
        return {self.fake.titles[key]["title"] for key in self.wanted}


def about(item: Movie | Show) -> dict[str, Any]:
    return {"title": item.title, "year": item.year, "ids": item.ids.by_namespace()}


KEEPERS: Mapping[str, Callable[[], Keeper]] = {
    "plex": PlexKeeper,
    "simkl": SimklKeeper,
    "trakt": TraktKeeper,
}
