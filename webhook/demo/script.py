"""The script of the evening: the scenes and their webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from typing_extensions import TypedDict

from webhook import clock
from webhook.demo.catalogue import PLAYING_FILMS, SHOW_BY_TITLE
from webhook.demo.household import Taste
from webhook.demo.senders import MS_PER_MINUTE, PLEX_SERVER, jellyfin_report, plex_report
from webhook.demo.stage import FaultJson

THUMBNAIL = b"\xff\xd8\xff\xe0" + bytes(20_000)
"""A thumbnail of about the size that Plex sends with every webhook."""

ANNA, BEN = (
    Taste(name=name, shows=(), films=(), source="plex", player=f"{name}'s television")
    for name in ("Anna", "Ben")
)
FILM, SHOW = PLAYING_FILMS[0], SHOW_BY_TITLE["Orbital Post"]


class SummaryJson(TypedDict):
    """What an evening came to: webhooks and deliveries by state, plays by how far they were watched, and what each tracker has."""

    webhooks: dict[str, int]
    plays: dict[str, int]
    deliveries: dict[str, int]
    trackers: dict[str, dict[str, int]]


EXPECTED_SUMMARY: SummaryJson = {
    "webhooks": {"interpreted": 10, "unclaimed": 1, "ignored": 1, "quarantined": 1},
    "plays": {"watched": 3},
    "deliveries": {"done": 12},
    "trackers": {"trakt": {"watched": 3}, "tvtime": {"episodes": 2, "movies": 1}},
}
"""The expected result of the evening."""


def tvtime_movie() -> dict[str, object]:
    """The film as the fake TV Time learns it."""
    return {"id": FILM.item.ids.tmdb, "name": FILM.title, "imdb_id": FILM.item.ids.imdb}


def tvtime_episodes() -> list[dict[str, object]]:
    """The two episodes as the fake TV Time learns them."""
    return [
        {"id": one.ids.tvdb, "show": SHOW.ids.tvdb, "name": SHOW.title, "season": 3, "number": one.number}
        for one in (SHOW.episode(3, 9), SHOW.episode(3, 10))
    ]


# --- what the media servers send


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A webhook request; `answer` is the expected status."""

    source: str
    content_type: str
    body: bytes
    answer: int = 200


def plex(event: str, share: float = 0, *, taste: Taste = ANNA, **more: Any) -> Request:
    """A webhook of Plex about the film: a form with the payload and a thumbnail."""
    report = plex_report(event, taste, FILM.item, FILM.minutes, clock.now(), share, **more)
    return form(orjson.dumps(report.payload))


def form(payload: bytes, answer: int = 200) -> Request:
    boundary = b"----watchmark"
    head = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    parts = head % (boundary, b"payload", b"\r\nContent-Type: application/json", payload)
    parts += head % (boundary, b"thumb", b'; filename="thumb.jpg"\r\nContent-Type: image/jpeg', THUMBNAIL)
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return Request(source="plex", content_type=kind, body=parts + b"--%b--\r\n" % boundary, answer=answer)


def jellyfin(kind: str, number: int, share: float, **more: Any) -> Request:
    """A webhook of Jellyfin's plugin about an episode: JSON labelled as text."""
    about = ("anna", "Anna's tablet", SHOW.episode(3, number), SHOW.minutes)
    body = orjson.dumps(jellyfin_report(kind, *about, clock.now(), share, **more).payload)
    return Request(source="jellyfin", content_type="text/plain; charset=utf-8", body=body)


def tautulli(action: str) -> Request:
    """A webhook of Tautulli: the same film from the same server."""
    payload = {
        "action": action,
        "media_type": "movie",
        "server_machine_id": PLEX_SERVER["uuid"],
        "username": "anna",
        "player": ANNA.player,
        "title": FILM.title,
        "year": str(FILM.year),
        "imdb_id": FILM.item.ids.imdb,
        "themoviedb_id": str(FILM.item.ids.tmdb),
        "duration_ms": str(FILM.minutes * MS_PER_MINUTE),
        "progress_percent": "91",
    }
    return Request(source="tautulli", content_type="application/json", body=orjson.dumps(payload))


# --- the evening


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A scene: its caption, its webhooks, and Trakt's failures before it."""

    says: str
    sends: Callable[[], Request]
    trouble: FaultJson | None = None


def scenes() -> list[Scene]:
    """The scenes of the evening, in which Trakt answers 503 once."""
    away: FaultJson = {"route": "POST /scrobble/stop", "status": 503, "times": 1}
    return [
        Scene(says="Anna starts Paper Harbour on Plex.", sends=lambda: plex("media.play")),
        Scene(says="She pauses it to get a drink.", sends=lambda: plex("media.pause", 0.41)),
        Scene(says="She continues.", sends=lambda: plex("media.resume", 0.41)),
        Scene(says="Plex reports the film as watched.", sends=lambda: plex("media.scrobble", 0.91)),
        Scene(says="Tautulli reports the same play; it counts once.", sends=lambda: tautulli("watched")),
        Scene(says="The credits end, and Plex reports a stop.", sends=lambda: plex("media.stop", 0.97)),
        Scene(
            says="Anna starts an episode of Orbital Post on Jellyfin.",
            sends=lambda: jellyfin("PlaybackStart", 9, 0),
        ),
        Scene(
            says="It is almost over …", sends=lambda: jellyfin("PlaybackProgress", 9, 0.96, IsPaused=False)
        ),
        Scene(
            says="… and the next one starts automatically, without a stop for the first.",
            sends=lambda: jellyfin("PlaybackStart", 10, 0),
        ),
        Scene(
            says="It ends while Trakt is down (503): TV Time gets it at once, Trakt when it is back.",
            sends=lambda: jellyfin("PlaybackStop", 10, 0.98, PlayedToCompletion=True),
            trouble=away,
        ),
        Scene(
            says="Ben, whose user is not claimed, watches something; it is kept until somebody claims him.",
            sends=lambda: plex("media.play", taste=BEN),
        ),
        Scene(
            says="A trailer plays before the next film; it is ignored, with the reason.",
            sends=lambda: plex("media.play", type="clip", subtype="trailer", extraType=1, Guid=[]),
        ),
        Scene(
            says="A broken webhook arrives; it is refused, but kept.",
            sends=lambda: form(b'{"event": "media.play", "Account": {"title": "an', answer=400),
        ),
    ]
