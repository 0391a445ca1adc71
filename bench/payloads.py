"""A realistic Plex webhook: 3 KB of JSON and a 20 KB JPEG."""

from __future__ import annotations

import json
import random
from pathlib import Path

BOUNDARY = "------------------------j4fq0bench0boundary0x"
ROLES = [
    {"id": 1000 + n, "filter": f"actor={1000 + n}", "tag": f"Performer Number {n}", "role": f"Part {n}"}
    for n in range(24)
]


def plex(event: str, number: int = 1, user: str = "anna") -> bytes:
    """The JSON of an event about one of many distinct episodes."""
    season, episode = divmod(number, 1000)
    payload = {
        "event": event,
        "user": True,
        "owner": True,
        "Account": {"id": 1, "thumb": "https://plex.invalid/users/avatar", "title": user},
        "Server": {"title": "Attic", "uuid": "a" * 40},
        "Player": {
            "local": True,
            "publicAddress": "203.0.113.9",
            "title": "Living Room",
            "uuid": "living-room",
        },
        "Metadata": {
            "librarySectionType": "show",
            "librarySectionTitle": "Series",
            "ratingKey": str(50_000 + number),
            "type": "episode",
            "title": f"Part {number}",
            "grandparentTitle": "Tidewater",
            "guid": f"plex://episode/{number:024x}",
            "Guid": [{"id": f"tvdb://{7_000_000 + number}"}, {"id": f"imdb://tt{8_000_000 + number}"}],
            "parentIndex": season + 1,
            "index": episode + 1,
            "duration": 2_640_000,
            "summary": "The tide turns, and with it the fortunes of the lighthouse. " * 8,
            "Role": ROLES,
        },
    }
    return json.dumps(payload).encode()


def user(number: int, people: int) -> str:
    """A user of the server; where it is one alone, the first of the service."""
    return "me" if people == 1 else f"user{number}"


def multipart(payload: bytes) -> bytes:
    """The body as Plex sends it, with a thumbnail of 20 KB."""
    jpeg = random.Random(7).randbytes(20_000)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="payload"\r\nContent-Type: application/json\r\n\r\n'
    thumb = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="thumb"; filename="thumb.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + payload + thumb.encode() + jpeg + f"\r\n--{BOUNDARY}--\r\n".encode()


HEADERS = {
    "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    "User-Agent": "PlexMediaServer/1.41.8.9834-071366d65",
}


def script(folder: Path, body: bytes) -> Path:
    """A wrk script that posts this body."""
    held = folder / "body.bin"
    held.write_bytes(body)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items()]
    path = folder / "post.lua"
    path.write_text(
        "\n".join(['wrk.method = "POST"', *lines, f'wrk.body = io.open("{held}", "rb"):read("*a")']) + "\n"
    )
    return path
