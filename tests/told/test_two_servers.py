"""Two servers of one person agree: each is told what was watched on the other, once, and nothing goes round."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.fakes.plex import ANNA
from tests.told.home import Home
from tests.told.test_echoes import stopped
from tests.trackers._adapters import FILM
from tests.trackers._at_home import FILM_DTO, PLEX_FILM
from webhook import clock

JELLYFIN_FILM = FILM_DTO["Id"]


def scrobbled(home: Home) -> dict[str, Any]:
    """Plex says that the film was watched to its end there, as it has counted it by then."""
    fake = home.fakes["plex"]
    fake.mark(ANNA, "4711", clock.now())
    return {
        "event": "media.scrobble", "user": True, "owner": False,
        "Account": {"id": ANNA, "title": "anna"}, "Server": {"title": fake.name, "uuid": fake.machine},
        "Player": {"title": "TV", "uuid": "tv1", "local": True}, "Metadata": {**PLEX_FILM, "librarySectionType": "movie"},
    }  # fmt: skip


def both(make_home: Callable[..., Home]) -> Home:
    home = make_home("plex", "jellyfin")
    home.fakes["jellyfin"].switches.version = "10.8.13"
    return home


def drain(home: Home) -> None:
    """Deliver, and let every webhook of it come back, until nothing more happens."""
    seen = 0
    for _ in range(10):
        home.delivered()
        sent = home.fakes["jellyfin"].sent
        if seen == len(sent):
            return
        for payload in sent[seen:]:
            home.post(payload, "jellyfin")
        seen = len(sent)
    raise AssertionError("it goes round")


def test_what_was_watched_on_plex_is_watched_on_jellyfin(make_home: Callable[..., Home]) -> None:
    home = both(make_home)

    home.post(scrobbled(home), "plex")
    drain(home)

    assert set(home.fakes["jellyfin"].watched()) == {JELLYFIN_FILM}
    assert home.fakes["plex"].marks[ANNA]["4711"]["viewCount"] == 1
    assert home.count_plays() == 1


def test_what_was_watched_on_jellyfin_is_watched_on_plex(make_home: Callable[..., Home]) -> None:
    home = both(make_home)

    home.post(stopped(home), "jellyfin")
    drain(home)

    assert home.fakes["plex"].marks[ANNA]["4711"]["viewCount"] == 1
    assert home.fakes["jellyfin"].sent == []
    assert home.count_plays() == 1


def test_a_rewatch_stays_one_and_unmarks_nothing(make_home: Callable[..., Home]) -> None:
    home = both(make_home)
    home.say("watched", FILM, clock.now() - timedelta(days=9))
    drain(home)

    home.post(stopped(home), "jellyfin")
    drain(home)

    assert home.count_plays() == 2
    assert home.fakes["plex"].marks[ANNA]["4711"]["viewCount"] == 1
    assert set(home.fakes["jellyfin"].watched()) == {JELLYFIN_FILM}


def test_a_mark_taken_back_on_one_is_taken_back_on_the_other_once(make_home: Callable[..., Home]) -> None:
    home = both(make_home)
    fake = home.fakes["jellyfin"]
    fake.mark_by_hand("aa" * 16, JELLYFIN_FILM)
    home.post(fake.sent[0], "jellyfin")
    home.delivered()
    marked = dict(home.fakes["plex"].watched())

    fake.mark_by_hand("aa" * 16, JELLYFIN_FILM, played=False)
    drain(home)

    assert set(marked) == {"4711"}
    assert home.fakes["plex"].watched() == {}
    assert len(home.fakes["plex"].made("PUT /:/")) == 2
    assert len(fake.sent) == 2
