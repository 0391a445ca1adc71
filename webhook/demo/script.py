"""The script of the evening: the scenes and their webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from webhook.demo.stage import JsonObject

THUMBNAIL = b"\xff\xd8\xff\xe0" + bytes(20_000)
"""A thumbnail of about the size that Plex sends with every webhook."""

MATRIX: JsonObject = {
    "title": "The Matrix",
    "year": 1999,
    "duration": 8_160_000,
    "Guid": [{"id": "imdb://tt0133093"}, {"id": "tmdb://603"}, {"id": "tvdb://169"}],
}
SHOW: JsonObject = {
    "title": "Game of Thrones",
    "year": 2011,
    "ids": {"tvdb": 121361, "imdb": "tt0944947", "tmdb": 1399},
    "episodes": [
        {"season": 3, "number": 9, "title": "The Rains of Castamere", "ids": {"tvdb": 4517466}},
        {"season": 3, "number": 10, "title": "Mhysa", "ids": {"tvdb": 4517467}},
    ],
}
CATALOGUE: JsonObject = {
    "movies": [
        {"title": "The Matrix", "year": 1999, "ids": {"imdb": "tt0133093", "tmdb": 603}, "runtime": 136}
    ],
    "shows": [SHOW],
}
PLEX_SERVER = {"title": "Living room", "uuid": "demo-plex-server"}
JELLYFIN_SERVER = "d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3"
EPISODE_MS = 3_120_000
TICKS_PER_MS = 10_000

EXPECTED_SUMMARY: JsonObject = {
    "webhooks": {"interpreted": 10, "unclaimed": 1, "ignored": 1, "quarantined": 1},
    "plays": {"watched": 3},
    "deliveries": {"done": 12},
    "trackers": {"trakt": {"watched": 3}, "tvtime": {"episodes": 2, "movies": 1}},
}
"""The expected result of the evening."""


# --- what the media servers send


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A webhook request; `answer` is the expected status."""

    source: str
    content_type: str
    body: bytes
    answer: int = 200


def plex(event: str, offset: int | None = None, *, user: str = "anna", **about: Any) -> Request:
    """A webhook of Plex: a form with the payload and a thumbnail."""
    metadata = {
        "librarySectionType": "movie",
        "librarySectionTitle": "Films",
        "type": "movie",
        **MATRIX,
        **about,
    }
    if offset is not None:
        metadata["viewOffset"] = offset
    payload = {
        "event": event,
        "Account": {"id": 1, "title": user},
        "Server": PLEX_SERVER,
        "Player": {"title": f"{user}'s television", "uuid": f"player-of-{user}", "local": True},
        "Metadata": metadata,
    }
    return form(orjson.dumps(payload))


def form(payload: bytes, answer: int = 200) -> Request:
    boundary = b"----watchmark"
    head = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    parts = head % (boundary, b"payload", b"\r\nContent-Type: application/json", payload)
    parts += head % (boundary, b"thumb", b'; filename="thumb.jpg"\r\nContent-Type: image/jpeg', THUMBNAIL)
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    return Request(source="plex", content_type=kind, body=parts + b"--%b--\r\n" % boundary, answer=answer)


def jellyfin(kind: str, number: int, percent: float, **more: Any) -> Request:
    """A webhook of Jellyfin's plugin: JSON labelled as text."""
    episode = next(one for one in SHOW["episodes"] if one["number"] == number)
    payload = {
        "NotificationType": kind,
        "UtcTimestamp": datetime.now(UTC).isoformat(),
        "ServerId": JELLYFIN_SERVER,
        "ServerName": "Attic",
        "NotificationUsername": "anna",
        "UserId": "a1" * 16,
        "DeviceId": "anna-tablet",
        "DeviceName": "Anna's tablet",
        "ItemId": f"{number:032x}",
        "ItemType": "Episode",
        "Name": episode["title"],
        "SeriesName": SHOW["title"],
        "SeasonNumber": episode["season"],
        "EpisodeNumber": number,
        "Year": 2013,
        "Provider_tvdb": str(episode["ids"]["tvdb"]),
        "RunTimeTicks": EPISODE_MS * TICKS_PER_MS,
        "PlaybackPositionTicks": int(EPISODE_MS * percent / 100) * TICKS_PER_MS,
        **more,
    }
    return Request(source="jellyfin", content_type="text/plain; charset=utf-8", body=orjson.dumps(payload))


def tautulli(action: str) -> Request:
    """A webhook of Tautulli: the same film from the same server."""
    payload = {
        "action": action,
        "media_type": "movie",
        "server_machine_id": PLEX_SERVER["uuid"],
        "username": "anna",
        "player": "anna's television",
        "title": "The Matrix",
        "year": "1999",
        "imdb_id": "tt0133093",
        "themoviedb_id": "603",
        "duration_ms": str(MATRIX["duration"]),
        "progress_percent": "91",
    }
    return Request(source="tautulli", content_type="application/json", body=orjson.dumps(payload))


# --- the evening


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A scene: its caption, its webhooks, and Trakt's failures before it."""

    says: str
    sends: Callable[[], Request]
    trouble: Mapping[str, Any] | None = None


def film_item(percent: float) -> int:
    return int(MATRIX["duration"] * percent / 100)


def scenes() -> list[Scene]:
    """The scenes of the evening, in which Trakt answers 503 once."""
    away = {"route": "POST /scrobble/stop", "status": 503, "times": 1}
    return [
        Scene(says="Anna starts The Matrix on Plex.", sends=lambda: plex("media.play", 0)),
        Scene(says="She pauses it to get a drink.", sends=lambda: plex("media.pause", film_item(41))),
        Scene(says="She continues.", sends=lambda: plex("media.resume", film_item(41))),
        Scene(says="Plex reports the film as watched.", sends=lambda: plex("media.scrobble", film_item(91))),
        Scene(says="Tautulli reports the same play; it counts once.", sends=lambda: tautulli("watched")),
        Scene(
            says="The credits end, and Plex reports a stop.", sends=lambda: plex("media.stop", film_item(97))
        ),
        Scene(
            says="Anna starts an episode of Game of Thrones on Jellyfin.",
            sends=lambda: jellyfin("PlaybackStart", 9, 0),
        ),
        Scene(says="It is almost over …", sends=lambda: jellyfin("PlaybackProgress", 9, 96, IsPaused=False)),
        Scene(
            says="… and the next one starts automatically, without a stop for the first.",
            sends=lambda: jellyfin("PlaybackStart", 10, 0),
        ),
        Scene(
            says="It ends while Trakt is down (503): TV Time gets it at once, Trakt when it is back.",
            sends=lambda: jellyfin("PlaybackStop", 10, 98, PlayedToCompletion=True),
            trouble=away,
        ),
        Scene(
            says="Ben, whose user is not claimed, watches something; it is kept until somebody claims him.",
            sends=lambda: plex("media.play", 0, user="ben"),
        ),
        Scene(
            says="A trailer plays before the next film; it is ignored, with the reason.",
            sends=lambda: plex("media.play", 0, type="clip", subtype="trailer", extraType=1, Guid=[]),
        ),
        Scene(
            says="A broken webhook arrives; it is refused, but kept.",
            sends=lambda: form(b'{"event": "media.play", "Account": {"title": "an', answer=400),
        ),
    ]
