"""Households whose pages are looked at, each at the same moment: the demo's, an empty one, and ones of unusual names."""

from __future__ import annotations

import colorsys
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from PIL import Image
from sqlalchemy import Connection

from tests.evening import film, plex
from tests.web.conftest import Household, serving
from webhook import clock
from webhook.accounts import accounts
from webhook.demo import posters
from webhook.demo.populate import populate
from webhook.domain.event import Episode, Ids, Item, Movie, Show
from webhook.domain.play import Play, State
from webhook.history import library, shows
from webhook.lookups import ListedEpisode
from webhook.people import identities, passwords, people
from webhook.pictures.store import WIDTHS, PictureStore
from webhook.queues import inbox
from webhook.transfer import merge
from webhook.transfer.records import Viewing

EVENING = datetime(2026, 11, 27, 20, 30, tzinfo=ZoneInfo("Europe/Berlin"))
"""When it is, in every household."""

NOWHERE = "http://127.0.0.1:1"
SET_UP = {
    "TRAKT_CLIENT_ID": "a" * 64, "TRAKT_CLIENT_SECRET": "b" * 64, "TRAKT_API_URL": NOWHERE,
    "SIMKL_CLIENT_ID": "c" * 64, "SIMKL_API_URL": NOWHERE, "CLAIM_FIRST_USER": "false",
    "BASE_URL": "http://watchmark.home", "ALLOWED_HOSTS": "*",
}  # fmt: skip
LINK = "lets-the-owner-in"


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What everybody and everything is called in a household."""

    owner: str
    other: str
    film: str
    show: str
    episode: str


LONG = Names(
    owner="Maximiliane-Alexandra von und zu Hohenstein-Oberwesel-Bacharach",
    other="Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunter",
    film="The Improbable and Entirely Accurate Account of the Lighthouse Keeper's Third Cousin, Who Refused to Come Ashore",
    show="Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetzgebungsverfahren",
    episode="In Which Everybody Who Was Invited Arrives, and a Good Many Who Were Not, at the Same Time",
)
RTL = Names(
    owner="נועה בן־דוד", other="سلمى", film="حارس المطر الأخير", show="ספריית הרוחות של נהריה", episode="الليلة الأولى"
)  # fmt: skip


@contextmanager
def fixed_evening() -> Iterator[None]:
    """The service's clock stands still."""
    now = EVENING.astimezone(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: now)
        yield


@contextmanager
def household(name: str, folder: Path) -> Iterator[Household]:
    """The running service of a household, whose owner's link is `LINK`."""
    draw_pictures(folder, WORLDS[name][1])
    with fixed_evening(), serving(folder, **SET_UP) as home:
        WORLDS[name][0](home)
        home.do(let_in)
        yield home


def let_in(connection: Connection) -> None:
    owner = passwords.find_owner(connection)
    assert owner is not None
    passwords.invite(connection, LINK, clock.now(), person_id=owner.id, asks_password=False)


# --- their rows


def move_demo_in(home: Household) -> None:
    populate(home.service, EVENING, {"Mira": {"access_token": "t"}}, "a password of the demo")


def stay_empty(home: Household) -> None:
    home.password("me")


def move_in(names: Names) -> Callable[[Household], None]:
    """Fill a household with a few weeks of one film and one show, and with something of everything that waits."""

    def fill(home: Household) -> None:
        home.password("me")
        home.do(lambda connection: write(connection, home))
        payloads = [
            film("media.scrobble", title=names.film, ratingKey="1"),
            plex("media.play", user=names.other, grandparentTitle=names.show, title=names.episode),
            film("media.play", title=names.film, viewOffset=3_000_000, ratingKey="3", guid="local://3", Guid=[]),
        ]  # fmt: skip
        for number, payload in enumerate(payloads):
            payload["Account"]["title"] = payload["Account"]["title"].replace("anna", names.owner)
            receive(home, payload, clock.now() - timedelta(minutes=20 - number))
        home.settle("dead", reason="The service refused it, and gave no reason.")

    def write(connection: Connection, home: Household) -> None:
        now = clock.now()
        owner = people.find_person(connection, "me")
        people.rename(connection, owner, names.owner)
        other = people.add_person(connection, names.other, now)
        sealed = home.service.seal.seal({"access_token": "t"})
        accounts.store_tokens(connection, owner.id, home.service.trackers["trakt"], sealed, names.owner, now)
        identities.claim_identities(connection, names.owner, f"plex:{names.owner}", now)
        for person_id in (owner.id, other):
            merge.merge_entries(connection, person_id, list(viewings(names)), now)
        library.follow_show(connection, owner.id, Show(title=names.show, ids=Ids(tvdb=77)), now)
        aired = (now - timedelta(days=2)).date().isoformat()
        listed = [
            ListedEpisode(season=1, number=number, title=names.episode, aired=aired)
            for number in range(1, 30)
        ]
        shows.store_lists(connection, [shows.ShowList("tvdb:77", "tvdb", listed, now)])

    return fill


def viewings(names: Names) -> Iterator[Viewing]:
    for number in range(24):
        item: Item = Episode(
            title=names.episode, show=names.show, season=1, number=number + 1, show_ids=Ids(tvdb=77)
        )
        if number % 3 == 0:
            item = Movie(title=names.film, year=1999, ids=Ids(tmdb=number + 1))
        at = clock.now() - timedelta(days=2 * number + 1, hours=number % 5)
        watched = Play(
            item=item, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source="plex",
            duration_ms=3_000_000, player=names.owner,
        )  # fmt: skip
        yield Viewing(play=watched)


def receive(home: Household, payload: Mapping[str, Any], at: datetime) -> None:
    received = inbox.ReceivedWebhook(
        source="plex", token_id=None, received_at=at, content_type="application/json", raw=orjson.dumps(payload)
    )  # fmt: skip
    home.do(lambda connection: inbox.store_webhooks(connection, [received]))
    home.interpret()


# --- their pictures


def draw_pictures(folder: Path, keys: Callable[[], Iterator[str]]) -> None:
    """A plain picture of its own colour for each key, before the service reads which there are."""
    store = PictureStore(folder / "pictures", 64 * 1024 * 1024)
    for key in keys():
        red, green, blue = colorsys.hsv_to_rgb(zlib.crc32(key.encode()) / 2**32, 0.55, 0.8)
        colour = (int(255 * red), int(255 * green), int(255 * blue))
        for shape, widths in WIDTHS.items():
            store.save(
                key, shape, posters.RANK, {width: plain_picture(colour, shape, width) for width in widths}
            )


def plain_picture(colour: tuple[int, int, int], shape: str, width: int) -> bytes:
    content = io.BytesIO()
    height = width * 3 // 2 if shape == "poster" else width * 9 // 16
    Image.new("RGB", (width, height), colour).save(content, "WEBP", quality=30, method=0)
    return content.getvalue()


def demo_keys() -> Iterator[str]:
    for wanted in posters.list_commissions():
        if wanted.title not in posters.UNDRAWN:
            yield from sorted(posters.keys_of(wanted.item))


def few_keys() -> Iterator[str]:
    yield from ("show:tvdb:77", "movie:tmdb:1", "movie:tmdb:900001")


WORLDS: Mapping[str, tuple[Callable[[Household], None], Callable[[], Iterator[str]]]] = {
    "full": (move_demo_in, demo_keys),
    "empty": (stay_empty, few_keys),
    "long": (move_in(LONG), few_keys),
    "rtl": (move_in(RTL), few_keys),
}
"""How each household is filled, and the keys of the pictures that it has."""
