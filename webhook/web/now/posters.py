"""Posters: fetched from TMDB and stored by this service, so that pages load nothing from elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Protocol, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook.domain.event import Episode, Item, Movie, item_from_json
from webhook.domain.outcome import Undelivered
from webhook.identity import matches
from webhook.service import Service
from webhook.web.history.api import own_play
from webhook.web.http.page import Page
from webhook.web.http.params import id_of
from webhook.web.http.sessions import Sessions
from webhook.web.visible import Visitor

MAX_POSTERS = 500
"""Maximum number of stored posters; the oldest are deleted first."""

RETRY_MISSING_AFTER = 3600.0
"""Seconds until a missing or failed poster is requested again."""

CACHE_HEADERS = {"Cache-Control": "private, max-age=604800"}
BLANK = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 3"><rect width="2" height="3" fill="#8a9a97" '
    b'fill-opacity=".25"/></svg>'
)
PICTURE_TYPES = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp"}


class Draws(Protocol):
    async def poster(self, item: Item) -> bytes | None: ...


class Posters(Page):
    def __init__(self, service: Service, sessions: Sessions) -> None:
        super().__init__(service, sessions)
        self.folder = service.settings.data_dir / "posters"
        self.missing: dict[str, float] = {}
        self.one_at_a_time = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        return [Route("/posters/{id}", self.page(self.poster))]

    async def poster(self, request: Request, visitor: Visitor) -> Response:
        """The poster of a play that the visitor may see; a grey one if there is none."""
        wanted = id_of(request)
        row = await self.database.read(lambda connection: own_play(connection, visitor, wanted))
        item = None if row is None else item_from_json(row.item)
        picture = await self.find_poster(item) if isinstance(item, Movie | Episode) else None
        if picture is None:
            return Response(BLANK, media_type="image/svg+xml")
        return Response(
            picture, media_type=PICTURE_TYPES.get(picture[:2], "image/jpeg"), headers=CACHE_HEADERS
        )

    async def find_poster(self, item: Item) -> bytes | None:
        lookup = poster_lookup(self.service)
        known_by = next(iter(matches.match_keys(item)), None)
        if lookup is None or known_by is None:
            return None
        name = hashlib.sha256(known_by.encode()).hexdigest()[:32]
        async with self.one_at_a_time:
            there = await asyncio.to_thread(_read_picture, self.folder / name)
            if there is not None or self.missing.get(name, 0.0) > time.monotonic():
                return there
            try:
                picture = await lookup.poster(item)
            except Undelivered:
                picture = None
            if picture is None:
                self.missing[name] = time.monotonic() + RETRY_MISSING_AFTER
            else:
                await asyncio.to_thread(_store_picture, self.folder, name, picture)
            return picture


def poster_lookup(service: Service) -> Draws | None:
    """The lookup that has posters, if configured."""
    found = (lookup for lookup in service.identity.lookups if hasattr(lookup, "poster"))
    return cast("Draws | None", next(found, None))


def _read_picture(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _store_picture(folder: Path, name: str, picture: bytes) -> None:
    """A full disk costs a poster and nothing else."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{name}.part").write_bytes(picture)
        (folder / f"{name}.part").replace(folder / name)
        kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MAX_POSTERS]:
            path.unlink()
    except OSError:
        return
