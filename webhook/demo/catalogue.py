"""The catalogue of the demo: invented shows, films and albums, with invented ids that no service has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TypedDict

from webhook.domain.event import Episode, Ids, Movie, Track
from webhook.domain.json_shapes import IdsJson
from webhook.lookups import ListedEpisode

FIRST_ID = 99_000_000
"""Far above the ids that services give, so that no link and no lookup finds anything real."""


@dataclass(frozen=True)
class DemoShow:
    """An invented show; `seasons` are the numbers of episodes. Of one on air the last season is weekly."""

    number: int
    title: str
    year: int
    minutes: int
    seasons: tuple[int, ...]
    words: str = ""
    on_air: bool = False

    @property
    def ids(self) -> Ids:
        return Ids(tvdb=FIRST_ID + self.number)

    @cached_property
    def episodes(self) -> list[Episode]:
        return [
            self.episode(season, number)
            for season, count in enumerate(self.seasons, 1)
            for number in range(1, count + 1)
        ]

    def episode(self, season: int, number: int) -> Episode:
        own = FIRST_ID + 100_000 + self.number * 1_000 + season * 50 + number
        return Episode(
            title=self.episode_title(season, number), show=self.title, season=season, number=number,
            year=self.year + season - 1, ids=Ids(tvdb=own), show_ids=self.ids,
        )  # fmt: skip

    def episode_title(self, season: int, number: int) -> str:
        """A title of two of the show's words, or of the demo's."""
        step = season * 7 + number * 3 + self.number
        if self.words:
            words = self.words.split()
            return f"{words[step % len(words)]} {number}"
        return (
            f"{FIRST_WORDS[step % len(FIRST_WORDS)]} {SECOND_WORDS[(step * 5 + season) % len(SECOND_WORDS)]}"
        )

    def listing(self, today: date) -> list[ListedEpisode]:
        """The list of episodes as a lookup gives it, with the days on which they are first shown."""
        return [
            ListedEpisode(
                season=one.season or 0, number=one.number or 0, title=one.title, ids=one.ids,
                minutes=self.minutes, aired=self.air_day(one, today).isoformat(),
            )
            for one in self.episodes
        ]  # fmt: skip

    def air_day(self, episode: Episode, today: date) -> date:
        season, number = episode.season or 0, episode.number or 0
        if self.on_air and season == len(self.seasons):
            # Three weeks of it are still to come, the first of them within the next days.
            return today + timedelta(days=1 + self.number % 5, weeks=number - self.seasons[-1] + 2)
        return date(self.year + season - 1, 1 + self.number % 9, 5) + timedelta(weeks=number)


FIRST_WORDS = (
    "The Lantern", "The Borrowed", "The Second", "Low", "The Missing", "The Seventh", "The Patient", "The Paper",
    "Winter", "The Crooked", "The Honest", "The Upstairs", "Slow", "The Copper", "The Floating", "The Stranger's",
    "Sunday",
)  # fmt: skip
SECOND_WORDS = (
    "Keeper", "Tide", "Umbrella", "Promise", "Orchard", "Letters", "Weather", "Arrangement", "Piano", "Harvest",
    "Window", "Reckoning", "Birthday", "Bridge", "Neighbour", "Signal", "Silence", "Map", "Visitor",
)  # fmt: skip

SHOWS = (
    DemoShow(0, "Saltmere", 2019, 45, (8, 8, 10, 8)),
    DemoShow(1, "The Last Ferry to Orrin", 2024, 50, (6, 6, 8), on_air=True),
    DemoShow(2, "Kestrel & Daughters", 2016, 24, (13, 13, 13, 12)),
    DemoShow(3, "Nine Small Planets", 2021, 48, (10, 10, 10)),
    DemoShow(4, "A Quiet Department", 2018, 29, (8, 8, 8, 6)),
    DemoShow(5, "Die Vermesserin von Oberau", 2023, 44, (8, 8), words="Höhenlinie Grenzstein Nebel Schneefall Lotpunkt"),
    DemoShow(6, "雨の図書室", 2022, 24, (12, 13), words="傘 手紙 屋根 灯り 雨音 栞"),
    DemoShow(7, "月影食堂の午前二時", 2020, 24, (12, 12, 12), words="味噌汁 卵焼き おにぎり 茶漬け 肉じゃが"),
    DemoShow(8, "حارس المطر الأخير", 2021, 42, (15,), words="الغيمة الباب النهر المصباح الرسالة"),
    DemoShow(9, "ספריית הרוחות של נהריה", 2020, 38, (10, 10), words="הדלת המפתח הגשם המדף"),
    DemoShow(10, "느린 우체국의 긴 겨울", 2024, 62, (16,), words="편지 눈길 우표 난로"),
    DemoShow(11, "The Improbable and Entirely Accurate Account of the Lighthouse Keeper's Third Cousin, "
        "Who Refused to Come Ashore", 2022, 31, (8, 8)),
    DemoShow(12, "Glasshouse Lane", 2015, 42, (22, 22, 20)),
    DemoShow(13, "Tin Roof Summer", 2025, 36, (8,)),
    DemoShow(14, "Ember & Crumb", 2022, 58, (10, 10, 10, 10), on_air=True),
    DemoShow(15, "The Patient Telescope", 2017, 50, (6, 6, 6)),
    DemoShow(16, "Skoddeheim", 2023, 47, (8, 8)),
    DemoShow(17, "North of Ninebridge", 2012, 43, (10, 10, 10, 10)),
    DemoShow(18, "Bellweather", 2014, 43, (22, 22, 22, 18)),
    DemoShow(19, "Orbital Post", 2018, 41, (13, 13, 13)),
    DemoShow(20, "The Ninth Parish", 2013, 44, (12, 12, 12, 12, 12)),
    DemoShow(21, "Brasswork", 2026, 55, (9,), on_air=True),
    DemoShow(22, "Pip the Cloud Shepherd", 2018, 11, (26, 26, 26)),
    DemoShow(23, "Marmalade Junction", 2020, 12, (20, 20)),
    DemoShow(24, "Der kleine Mondfuchs", 2021, 9, (26, 26), words="Sternenstaub Laternenfest Schneehöhle Mondmilch"),
    DemoShow(25, "Captain Button and the Sock Sea", 2019, 22, (13, 13)),
    DemoShow(26, "纸船小队", 2023, 10, (26,), words="河灯 风筝 纸伞 萤火虫"),
)  # fmt: skip
SHOW_BY_TITLE = {show.title: show for show in SHOWS}
CHILDRENS_SHOWS = SHOWS[-5:]


@dataclass(frozen=True, slots=True)
class DemoFilm:
    number: int
    title: str
    year: int
    minutes: int
    has_ids: bool = True

    @property
    def item(self) -> Movie:
        own = FIRST_ID + self.number
        return Movie(
            title=self.title, year=self.year, ids=Ids(tmdb=own, imdb=f"tt{own}") if self.has_ids else Ids()
        )


FILM_TITLES = """
The Cartographer's Winter|A Map of Small Rooms|Otter Season|The Last Projectionist of Vale Street|Moth Light
Blue Hour, Platform Nine|The Weight of Apples|Tomorrow, in Gdynia|The Clockmaker's Understudy
Eleven Minutes of Snow|Saffron Road|Quiet as Copper|The Borrowed House|Ladders to the Sea|Night Swimming Club
The Beekeeper Signs Off|Fathom Street|A Comedy of Ladders|Low Sun|The Long Way to Breakfast|Hollow Pines
Postcards from the Dam|The Inventor of Tuesday|Red Kite, White Kite|Under the Pear Tree|Signal Hill, 1961
The Understory|Two Chairs and a Piano|Everything We Left on the Tram|Glacier Express|Nobody's Orchestra
The Tenant of Room Zero|Halfway to Halden|Cold Harbour Blues|Marigold Heights
The Night the Lifts Stopped|Ash Wednesday Racing|A Field Guide to Silence|Little Cathedral|The Salt Merchant's Son
Das Haus am Ende der Linie 4|Le Jardin des horloges|La última panadería de la calle Olmo|海底の郵便局|雪国快车上的陌生人
آخر قطار إلى البحر|הצלם של רחוב הברושים|밤을 접는 사람들|The Very Long Goodbye of Mr. Abernathy Plum and His
A Lighthouse in the Suburbs|The Apprentice Astronomer|Green Ink|The Third Harmonica|Kilometre Zero|Lost Property
The Baker of Rue Sans Nom|The Thursday Orchestra|Stone Fruit|A Cabin for Two Winters|The Unfinished Staircase
Lemon Street Irregulars|The Man Who Mended Maps|Snow on the Runway|The Tallest House in Tallow|Pelican Lake
The Honest Forger|Last Bus to Saint-Aubin|Wild Geese, Standing Still|The Accordion Heist|Seventeen Keys|Dry Dock
The Summer of Wrong Numbers|Mothers of the Valley|The Archive of Lost Songs|Bright Little Engine|Ferrous|The Tide Clerk
Halcyon Motel|The Fourth Wall of Number Nine|Ghost Pepper|A Small Country by the Sea|The Translator's Cat|Copper Rain
"""
CHILDRENS_FILM_TITLES = """
Hedgehog Airlines|The Moon Has a Mitten|Big Small Bear|Professor Pumpkin's Flying Bakery|Die Reise der Schnecke Tilda
The Dragon Who Was Afraid of Soup
"""
LONG_ENDING = " Entirely Unreasonable Parrot"


def name_films(titles: str) -> list[str]:
    known = [title.strip() for line in titles.strip().splitlines() for title in line.split("|")]
    return [title + LONG_ENDING if title.endswith("and His") else title for title in known]


FILMS = tuple(
    DemoFilm(number, title, 1958 + (number * 37) % 68, 84 + (number * 29) % 71)
    for number, title in enumerate(name_films(FILM_TITLES), 1)
)
CHILDRENS_FILMS = tuple(
    DemoFilm(number, title, 2012 + number % 13, 71 + number % 17)
    for number, title in enumerate(name_films(CHILDRENS_FILM_TITLES), 201)
)
UNMATCHED_FILM = DemoFilm(301, "The Glass Orchard", 2021, 104, has_ids=False)
"""A film that its server sends without an id, so that a person has to say which one it is."""

NAMESAKES = (DemoFilm(302, "The Glass Orchard", 1987, 112), DemoFilm(303, "The Glass Orchard", 2012, 96))
"""The films of the same title that the tracker knows."""

UNWATCHED_FILMS = tuple(
    DemoFilm(number, title, 2024 + number % 3, 92 + number % 40)
    for number, title in enumerate(
        ("The Harbour Master's Dog", "Thirteen Kinds of Rain", "Velvet Antenna", "A Short History of Tides"),
        401,
    )
)
"""Films of the watchlist."""

PLAYING_FILMS = (
    DemoFilm(601, "Paper Harbour", 2025, 112), DemoFilm(602, "Sparrow Logic", 2023, 97),
    DemoFilm(603, "The Umbrella Thieves", 1987, 104),
)  # fmt: skip
"""The film that is playing as the demo opens, and those after it."""

FILMS_ELSEWHERE = (DemoFilm(501, "Window Seat 14A", 2023, 98), DemoFilm(502, "Grandfather's Reel", 1974, 88))
"""Films that nobody saw on a server of the household."""


@dataclass(frozen=True, slots=True)
class DemoAlbum:
    artist: str
    title: str
    year: int
    tracks: tuple[str, ...]

    def items(self) -> Iterator[Track]:
        for number, title in enumerate(self.tracks, 1):
            yield Track(
                title=title, artist=self.artist, album=self.title, album_artist=self.artist, number=number,
                year=self.year,
            )  # fmt: skip


ALBUMS = tuple(
    DemoAlbum(artist, title, year, tuple(tracks.split("|")))
    for artist, title, year, tracks in (
        (
            "Harbour Lights Ensemble",
            "Tidal",
            2018,
            "Ebb|Slack Water|Moorings|Buoy Song|Neap|Undertow|Flotsam",
        ),
        ("Ida Marlowe", "Kitchen Radio", 2021, "Kettle|Sunday Static|Crumbs|Long Wave|Two Sugars|Hum"),
        ("The Paper Foxes", "Folded", 2016, "Crease|Valley Fold|Mountain Fold|Crane|Unfold|Glue|Scissors"),
        (
            "Night Train Quartet",
            "Terminus",
            2020,
            "Ticket Hall|Window Seat|Local Stops|Last Train|First Train",
        ),
        ("Nadir Qasim", "Oud at Midnight", 2014, "Jasmine|Alley|Copper Moon|The Well|Return"),
        ("Low Tide Radio", "Transmissions", 2023, "Carrier|Noise Floor|Skywave|Sign-off|Test Card|Beacon"),
    )
)


# --- for a fake tracker


class FilmJson(TypedDict):
    """A film as the fake Trakt learns it."""

    title: str
    year: int
    ids: IdsJson
    runtime: int


class EpisodeJson(TypedDict):
    """An episode as the fake Trakt learns it."""

    season: int | None
    number: int | None
    title: str | None
    ids: IdsJson


class ShowJson(TypedDict):
    """A show as the fake Trakt learns it."""

    title: str
    year: int
    ids: IdsJson
    episodes: list[EpisodeJson]


class CatalogueJson(TypedDict):
    """The catalogue of the fake Trakt."""

    movies: list[FilmJson]
    shows: list[ShowJson]


def trakt_catalogue() -> CatalogueJson:
    """The films and shows as the fake Trakt learns them."""
    films = (*FILMS, *CHILDRENS_FILMS, *UNWATCHED_FILMS, *PLAYING_FILMS, *FILMS_ELSEWHERE, *NAMESAKES)
    return {"movies": [film_json(film) for film in films], "shows": [show_json(show) for show in SHOWS]}


def film_json(film: DemoFilm) -> FilmJson:
    ids = film.item.ids.by_namespace()
    return {"title": film.title, "year": film.year, "ids": ids, "runtime": film.minutes}


def show_json(show: DemoShow) -> ShowJson:
    episodes: list[EpisodeJson] = [
        {"season": one.season, "number": one.number, "title": one.title, "ids": one.ids.by_namespace()}
        for one in show.episodes
    ]
    return {"title": show.title, "year": show.year, "ids": show.ids.by_namespace(), "episodes": episodes}
