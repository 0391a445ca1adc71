"""An invented world with everything in it that a careless match falls for, and the wire to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import SecretStr

from tests.fakes._server import Fake
from tests.fakes._world import Film, Part, Series, World
from tests.fakes.tmdb import Tmdb as FakeTmdb
from tests.fakes.trakt import Trakt as FakeTrakt
from tests.fakes.tvdb import Tvdb as FakeTvdb
from webhook.lookups import Lookup, tmdb, trakt, tvdb

ANIME_LIST = b"""<?xml version="1.0" encoding="utf-8"?>
<anime-list>
  <anime anidbid="900" tvdbid="7100" defaulttvdbseason="1" episodeoffset="" tmdbid="" imdbid="">
    <name>Kaze Club</name>
    <mapping-list><mapping anidbseason="0" tvdbseason="0">;1-2;2-0;3-1+2;</mapping></mapping-list>
  </anime>
  <anime anidbid="901" tvdbid="7100" defaulttvdbseason="2" episodeoffset=""><name>Kaze Club!!</name></anime>
  <anime anidbid="902" tvdbid="7100" defaulttvdbseason="2" episodeoffset="3"><name>Kaze Club: Ni</name></anime>
  <anime anidbid="903" tvdbid="7100" defaulttvdbseason="a" episodeoffset="6"><name>Kaze Club Zoku</name></anime>
  <anime anidbid="904" tvdbid="7100" defaulttvdbseason="1" episodeoffset="">
    <name>Kaze Club Split</name>
    <mapping-list>
      <mapping anidbseason="1" tvdbseason="2" start="7" end="12" offset="-6"/>
      <mapping anidbseason="1" tvdbseason="1">;6-5;5-6;</mapping>
    </mapping-list>
  </anime>
  <anime anidbid="905" tvdbid="movie" defaulttvdbseason="1" episodeoffset=""><name>Kaze Club the Film</name></anime>
</anime-list>"""


def series(title: str, year: int, number: int, seasons: Mapping[int, int], **more: Any) -> Series:
    """A series whose ids are all made of one number, so that they are easy to tell apart."""
    bare = set(more.pop("bare", ()))
    ids = more.pop(
        "ids", {"tvdb": number, "tmdb": number + 50_000, "imdb": f"tt{number:07}", "trakt": number + 90_000}
    )
    parts, absolute = [], 0
    for season, count in seasons.items():
        for index in range(1, count + 1):
            absolute += season > 0
            own = number * 1000 + season * 100 + index
            known: dict[str, Any] = {
                "tvdb": own,
                "tmdb": own + 5_000_000,
                "imdb": f"tt{own:08}",
                "trakt": own + 9_000_000,
            }
            if (season, index) in bare:
                known = {name: known[name] for name in ("tmdb", "trakt")}
            parts.append(
                Part(
                    season=season,
                    number=index,
                    ids=known,
                    title=f"{title} {season}-{index}",
                    aired=f"{year + max(season, 1) - 1}-03-{index:02}",
                    absolute=absolute if season else None,
                    dvd=(season, count + 1 - index) if season else None,
                )
            )
    return Series(title=title, year=year, ids=ids, parts=parts, **more)


def film(title: str, year: int | None, number: int, **more: Any) -> Film:
    ids = {"tvdb": number, "tmdb": number + 50_000, "imdb": f"tt{number:07}", "trakt": number + 90_000}
    return Film(title=title, year=year, ids={**ids, **more.pop("ids", {})}, **more)


def everything() -> World:
    world = World()
    world.add(
        film("Harbour Lights", 2016, 5001),
        film("Harbour Lights", 1974, 5002),
        film("Harbour Lights: The Return", 2017, 5003),
        film("The Long Winter", 2010, 5010),
        film("The Long Winter", 2011, 5011),
        film("Burning Sea", 2018, 5020),
        film("Burning Sea", 2018, 5021),
        film("Spider Realm", 2023, 5030, original="蜘蛛之境", aliases=("Spinnenreich",)),
        film("Salt Road", 1999, 5040),
        film("Salt Roads", 1999, 5041),
        film("Paper Boats", 2004, 5050, original="Bateaux de papier"),
        film("Night & Day", 2012, 5060),
        film("Hidden Valley", 2001, 5070, unknown_to=frozenset({"trakt"})),
        film("Quiet Room", 1988, 5080, unknown_to=frozenset({"tmdb"})),
        film("Undated", None, 5090),
        film("Café Rouge", 1995, 5100),
    )
    world.add(
        # the same numbers as the film's, of another kind
        series("Harbour Lights", 2016, 5001, {1: 3}),
        series("Lantern Street", 1994, 7000, {0: 3, 1: 10, 2: 10, 3: 4}, original="Rue des Lanternes"),
        series("Ghost House", 2019, 7010, {1: 6, 2: 6}),
        series("Ghost House", 2021, 7011, {1: 6}),
        series("Star Fleet", 1978, 7020, {1: 8}),
        series("Star Fleet", 2004, 7021, {1: 8, 2: 8}),
        series("Twin Roads", 2020, 7030, {1: 4}),
        series("Twin Roads", 2020, 7031, {1: 4}),
        series("New Wind", 2022, 7040, {1: 5}, bare=[(1, 4), (1, 5)]),
        series("Blue Dog (2018)", 2018, 7050, {1: 5, 2: 5}),
        series("Blue Dog", 1999, 7051, {1: 5}),
        series("The Journey (AU)", 2017, 7060, {5: 6}),
        series("Kaze Club", 2009, 7100, {0: 3, 1: 6, 2: 6}, original="カゼ部", aliases=("Kazebu",)),
        series("Kaze Club!!", 2010, 7101, {1: 6}, unknown_to=frozenset({"tvdb"})),
        series("长风", 2023, 7110, {1: 12}),
        # a series whose number is an episode's of another one
        series("Numbers Game", 2015, 7_000_101, {1: 1}, ids={"tvdb": 7_000_101, "tmdb": 12_000_102, "imdb": "tt0777001", "trakt": 777_001}),
    )  # fmt: skip
    return world


class Wire(httpx.AsyncBaseTransport):
    """Leads each host to its fake, without a socket."""

    def __init__(self, fakes: Mapping[str, Fake]) -> None:
        self.inner = {host: httpx.ASGITransport(app=fake) for host, fake in fakes.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner[request.url.host].handle_async_request(request)


class Services:
    """The three fakes over one world, and lookups at them."""

    def __init__(self, world: World) -> None:
        self.tmdb, self.tvdb, self.trakt = FakeTmdb(world), FakeTvdb(world), FakeTrakt(known={})
        self.trakt.catalogue.load(world.trakt())
        self.fakes: dict[str, Fake] = {"tmdb": self.tmdb, "tvdb": self.tvdb, "trakt": self.trakt}
        self.http = httpx.AsyncClient(transport=Wire(self.fakes))

    def lookups(self, *names: str) -> list[Lookup]:
        token, key = SecretStr(self.tmdb.switches.token), SecretStr(self.tvdb.switches.key)
        built: dict[str, Lookup] = {
            "trakt": trakt.build(
                trakt.Settings(client_id="fake-client-id", api_url="http://trakt"), self.http
            ),
            "tmdb": tmdb.build(tmdb.Settings(token=token, api_url="http://tmdb/3"), self.http),
            "tvdb": tvdb.build(tvdb.Settings(api_key=key, api_url="http://tvdb/v4"), self.http),
        }
        return [built[name] for name in names or built]

    def asked(self) -> int:
        """How many questions all of them got."""
        return sum(len(fake.calls) for fake in self.fakes.values())


def all_of(lookups: Sequence[Lookup]) -> str:
    return "+".join(lookup.name for lookup in lookups)
