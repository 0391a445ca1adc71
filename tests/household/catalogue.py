"""The catalogue: the films, episodes and tracks that the household owns, and what its servers know of them.

Everything is invented. Titles differ in what makes them hard to keep apart: which ids their agent writes, whether
a server knows their runtime, whether another title has the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    FILM = "film"
    EPISODE = "episode"
    TRACK = "track"


class Agent(StrEnum):
    """How Plex names what it has: the forms of contracts/webhooks.md, section 1.5."""

    PLEX = "plex"  # plex://episode/… and Guid[] with the episode's own ids
    TVDB = "thetvdb"  # com.plexapp.agents.thetvdb://SERIES/S/E
    TMDB = "themoviedb"
    IMDB = "imdb"
    HAMA_TVDB = "hama tvdb"
    HAMA_ANIDB = "hama anidb"
    LOCAL = "local"  # nothing but titles and numbers


class Durations(StrEnum):
    """How often a server sends an item's runtime."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Show:
    """A series. `label` tells it from another of the same name; `serial` makes its ids."""

    name: str
    year: int
    serial: int
    label: str = ""

    @property
    def ids(self) -> Mapping[str, int]:
        return {"tvdb": 300_000 + self.serial, "tmdb": 500_000 + self.serial, "anidb": 9_000 + self.serial}


@dataclass(frozen=True, kw_only=True)
class Title:
    """A film, an episode or a track. `name` is what a story calls it, `serial` makes its ids and keys.

    `last` is the number of the last episode where one file holds two, `copies` how often a server has it.
    """

    name: str
    kind: Kind
    title: str
    runtime: int
    serial: int
    servers: tuple[str, ...]
    agent: Agent = Agent.PLEX
    providers: tuple[str, ...] = ("tvdb", "tmdb", "imdb")
    durations: Durations = Durations.SOMETIMES
    year: int | None = None
    show: Show | None = None
    season: int | None = None
    number: int | None = None
    last: int | None = None
    artist: str | None = None
    album: str | None = None
    twin: bool = False
    copies: int = 1

    @property
    def ids(self) -> Mapping[str, int | str]:
        """The item's own ids; of an episode not its show's."""
        if self.kind is Kind.TRACK:
            return {"mbid": f"00000000-0000-4000-8000-{self.serial:012x}"}
        own = {"tvdb": 20_000_000 + self.serial, "tmdb": 30_000_000 + self.serial}
        return {**own, "imdb": f"tt4{self.serial:07}"}

    @property
    def numbers(self) -> range:
        """The numbers of the episodes that the file holds."""
        first = self.number or 0
        return range(first, (self.last or first) + 1)


@dataclass(frozen=True, kw_only=True)
class Season:
    """A season's worth of episodes, as the catalogue writes it down."""

    show: Show
    minutes: tuple[float, ...]
    servers: tuple[str, ...]
    season: int = 1
    first: int = 1
    pairs: bool = False
    agent: Agent = Agent.PLEX
    providers: tuple[str, ...] = ("tvdb", "tmdb", "imdb")
    durations: Durations = Durations.SOMETIMES
    twin: bool = False

    def episodes(self) -> Iterator[Title]:
        called = f"{self.show.name} {self.show.label}".strip()
        number = self.first
        for place, minutes in enumerate(self.minutes):
            last = number + 1 if self.pairs else None
            yield Title(
                name=f"{called} {self.season}x{number:02}",
                kind=Kind.EPISODE,
                title=f"Part {number} of {called}",
                runtime=int(minutes * 60),
                serial=self.show.serial * 100 + self.season * 40 + place,
                servers=self.servers,
                agent=self.agent,
                providers=self.providers,
                durations=self.durations,
                year=self.show.year,
                show=self.show,
                season=self.season,
                number=number,
                last=last,
                twin=self.twin,
            )
            number = (last or number) + 1


PLEX, JELLYFIN, EMBY = "plex", "jellyfin", "emby"
NAMES_ONLY: tuple[str, ...] = ()

HARBOUR = Show(name="Harbour", year=2018, serial=1)
SEASONS = (
    Season(show=HARBOUR, minutes=(45, 44, 46, 45, 43, 45, 47, 45), servers=(PLEX, JELLYFIN)),
    Season(show=HARBOUR, minutes=(58, 12), season=0, servers=(PLEX, JELLYFIN)),
    Season(
        show=Show(name="Sparrow Street", year=2005, serial=2),
        minutes=(22, 21, 22, 23, 22, 22), servers=(PLEX,), agent=Agent.TVDB,
    ),
    Season(
        show=Show(name="Peas", year=2014, serial=3),
        minutes=(7, 6.5, 3, 11, 7, 5), servers=(PLEX,), durations=Durations.NEVER,
    ),
    Season(
        show=Show(name="Marbles", year=2016, serial=4),
        minutes=(7, 8, 4, 10), servers=(PLEX,), durations=Durations.ALWAYS,
    ),
    Season(
        show=Show(name="Cloud Road", year=2021, serial=5),
        minutes=(24, 24, 24, 24), servers=(PLEX,), agent=Agent.HAMA_ANIDB,
    ),
    Season(
        show=Show(name="Paper Crane", year=2012, serial=6),
        minutes=(24, 25, 24), season=2, servers=(PLEX,), agent=Agent.HAMA_TVDB,
    ),
    Season(
        show=Show(name="Night Ferry", year=2020, serial=7),
        minutes=(51, 52, 50), servers=(PLEX,), agent=Agent.LOCAL, durations=Durations.NEVER,
    ),
    Season(
        show=Show(name="The Circle", year=1978, serial=8, label="(1978)"),
        minutes=(30, 30, 31), servers=(PLEX,), agent=Agent.TVDB, twin=True,
    ),
    Season(
        show=Show(name="The Circle", year=2004, serial=9, label="(2004)"),
        minutes=(42, 41, 43), servers=(PLEX,), agent=Agent.TMDB, twin=True,
    ),
    Season(
        show=Show(name="Two Halves", year=2010, serial=10),
        minutes=(48, 50), pairs=True, servers=(PLEX, JELLYFIN, EMBY), durations=Durations.ALWAYS,
    ),
    Season(
        show=Show(name="Paper Boats", year=2017, serial=11),
        minutes=(29, 30, 31, 30), servers=(JELLYFIN,), providers=NAMES_ONLY,
    ),
    Season(
        show=Show(name="Doodles", year=2019, serial=12), minutes=(6, 7, 10, 8), servers=(JELLYFIN,),
    ),
    Season(
        show=Show(name="Home Reel", year=2009, serial=13),
        minutes=(26, 27), servers=(JELLYFIN,), providers=NAMES_ONLY, durations=Durations.NEVER,
    ),
    Season(
        show=Show(name="Orbit", year=1971, serial=14, label="(1971)"),
        minutes=(50, 50), servers=(JELLYFIN, EMBY), providers=("tvdb",), twin=True,
    ),
    Season(
        show=Show(name="Orbit", year=2022, serial=15, label="(2022)"),
        minutes=(55, 54), servers=(JELLYFIN, EMBY), providers=("tmdb",), twin=True,
    ),
    Season(
        show=Show(name="Lagoon", year=1988, serial=18, label="(1988)"),
        minutes=(44, 45), servers=(JELLYFIN,), providers=NAMES_ONLY, twin=True,
    ),
    Season(
        show=Show(name="Lagoon", year=2020, serial=19, label="(2020)"),
        minutes=(52, 50), servers=(JELLYFIN,), providers=NAMES_ONLY, twin=True,
    ),
    Season(
        show=Show(name="Tin Roof", year=1995, serial=20, label="(1995)"),
        minutes=(25, 26), servers=(PLEX,), agent=Agent.LOCAL, twin=True,
    ),
    Season(
        show=Show(name="Tin Roof", year=2018, serial=21, label="(2018)"),
        minutes=(23, 24), servers=(PLEX,), agent=Agent.LOCAL, twin=True,
    ),
    Season(
        show=Show(name="Glasshouse", year=2023, serial=16),
        minutes=(40, 41, 40, 42), servers=(EMBY,), providers=("tvdb", "imdb"),
    ),
    Season(
        show=Show(name="Saltmarsh", year=2015, serial=17),
        minutes=(35, 36, 35), servers=(EMBY,), providers=NAMES_ONLY,
    ),
)  # fmt: skip


def film(
    title: str, year: int, minutes: float, serial: int, servers: tuple[str, ...], agent: Agent = Agent.PLEX,
    providers: tuple[str, ...] = ("tmdb", "imdb"), durations: Durations = Durations.SOMETIMES,
    *, twin: bool = False, copies: int = 1,
) -> Title:  # fmt: skip
    return Title(
        name=f"{title} ({year})", kind=Kind.FILM, title=title, year=year, runtime=int(minutes * 60),
        serial=serial, servers=servers, agent=agent, providers=providers, durations=durations, twin=twin, copies=copies,
    )  # fmt: skip


def track(title: str, minutes: float, serial: int, servers: tuple[str, ...]) -> Title:
    return Title(
        name=title, kind=Kind.TRACK, title=title, artist="The Gulls", album="Low Water", year=1998,
        runtime=int(minutes * 60), serial=serial, servers=servers, durations=Durations.ALWAYS,
    )  # fmt: skip


FILMS = (
    film("Low Tide", 2011, 104, 9001, (PLEX, JELLYFIN), copies=2),
    film("The Lighthouse Keeper", 2019, 96, 9002, (PLEX,), Agent.IMDB, copies=2),
    film("Salt", 1954, 81, 9003, (PLEX,), twin=True),
    film("Salt", 2015, 118, 9004, (PLEX,), Agent.IMDB, twin=True),
    film("Ten Minutes", 2001, 10, 9005, (PLEX, EMBY), durations=Durations.NEVER),
    film("Slow Train", 1968, 151, 9006, (JELLYFIN,), providers=NAMES_ONLY),
    film("Ash", 2020, 92, 9007, (JELLYFIN, EMBY)),
    film("Driftwood", 1999, 88, 9008, (EMBY,), providers=NAMES_ONLY),
)
TRACKS = (
    track("Undertow", 3.5, 9501, (PLEX, JELLYFIN)),
    track("Seven Bells", 4.2, 9502, (PLEX,)),
    track("Long Shore", 9.5, 9503, (PLEX, JELLYFIN)),
    track("Foghorn", 2.5, 9504, (JELLYFIN,)),
)
TITLES: Mapping[str, Title] = {
    entry.name: entry
    for entry in (*(episode for season in SEASONS for episode in season.episodes()), *FILMS, *TRACKS)
}


def season_of(title: Title) -> list[Title]:
    """The episodes of the same season, in their order."""
    return [other for other in TITLES.values() if (other.show, other.season) == (title.show, title.season)]


def following(title: Title) -> Title | None:
    """The episode after this one, which auto-play plays."""
    after = (title.last or title.number or 0) + 1
    return next(
        (
            other for other in TITLES.values()
            if title.show is not None and (other.show, other.season, other.number) == (title.show, title.season, after)
        ),
        None,
    )  # fmt: skip
