"""The page of a film: its viewings, marked and removed by hand, and the watchlist."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain.play import Dated
from webhook.history import edits
from webhook.queries.plays import rewatched_ids
from webhook.storage.tables import PersonRow
from webhook.transfer import manual_plays
from webhook.transfer.manual_plays import Invalid, NewPlay
from webhook.web.history.additions import ID_NAMES
from webhook.web.history.films import (
    FilmJson,
    film_item,
    parse_film_key,
    set_on_watchlist,
    whole_film,
)
from webhook.web.http.errors import Problem
from webhook.web.http.page import Page
from webhook.web.http.params import Params, whole
from webhook.web.visible import Visitor

UNKNOWN = "This film is not in the history."


class FilmPage(Page):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/library/films/{key:path}/mark", self.change(self.mark), methods=["POST"]),
            Route("/library/films/{key:path}/unmark", self.change(self.unmark), methods=["POST"]),
            Route("/library/films/{key:path}/watchlist", self.change(self.watchlist), methods=["POST"]),
            Route("/library/films/{key:path}", self.page(self.film)),
        ]

    async def film(self, request: Request, visitor: Visitor) -> Response:
        key = parse_film_key(request.path_params["key"])
        owner, names = await self.chosen_person(Params(request.query_params), visitor)

        def read(connection: Connection) -> tuple[FilmJson, set[int]] | None:
            film = whole_film(connection, owner.id, key)
            return film and (film, rewatched_ids(connection, [one["id"] for one in film["plays"]]))

        found = await self.database.read(read)
        if found is None:
            raise Problem(404, UNKNOWN)
        film, rewatches = found
        known = {
            "owner": owner.name,
            "names": names,
            "film": film,
            "entry": {"kind": "movie", **film},
            "rewatches": rewatches,
            "addition": addition_query(film, None if owner.name == visitor.name else owner.name),
        }
        return self.render(request, "film.html", known, visitor)

    async def mark(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Mark a film as watched just now."""
        owner, film = await self.find_film(request, visitor, fields)

        def add(connection: Connection) -> manual_plays.Added:
            now = clock.now()
            new = NewPlay(item=film_item(film), watched_at=now, dated=Dated.EXACT, rewatch="again" in fields)
            return manual_plays.add(connection, owner.id, new, self.service.trackers, visitor.name, now)

        try:
            added = await self.database.run(add)
        except Invalid as error:
            raise Problem(422, str(error)) from error
        self.service.interpreter.told.set()
        return self.back(request, fields, "added" if added.is_new else "known")

    async def unmark(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Remove one viewing of the film, here and at the trackers; it can be brought back."""
        owner, film = await self.find_film(request, visitor, fields)
        wanted = whole(fields.get("play", ""))
        if wanted not in [one["id"] for one in film["plays"]]:
            raise Problem(404, "This film has no such viewing.")

        def remove(connection: Connection) -> tuple[edits.EditResult, bool]:
            done = edits.remove_play(
                connection, wanted or 0, self.service.trackers, visitor.name, clock.now()
            )
            return done, whole_film(connection, owner.id, film["key"]) is not None

        done, is_kept = await self.database.run(remove)
        self.service.interpreter.told.set()
        if not is_kept:
            fields = {"back": f"/library/films?{urlencode({'person': owner.name})}"}
        return self.back(request, fields, "gone-1-0", done["edit"])

    async def watchlist(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner, film = await self.find_film(request, visitor, fields)
        wanted, can = fields.get("does") != "remove", self.service.trackers
        await self.database.run(
            lambda connection: set_on_watchlist(connection, owner.id, film, can, clock.now(), wanted=wanted)
        )
        self.service.interpreter.told.set()
        return self.back(request, fields, "saved")

    async def find_film(
        self, request: Request, visitor: Visitor, fields: Mapping[str, str]
    ) -> tuple[PersonRow, FilmJson]:
        """The film of a form's address, of the person that the form names."""
        key = parse_film_key(request.path_params["key"])
        owner, _ = await self.chosen_person(Params(fields), visitor)
        film = await self.database.read(lambda connection: whole_film(connection, owner.id, key))
        if film is None:
            raise Problem(404, UNKNOWN)
        return owner, film


def addition_query(film: FilmJson, person: str | None) -> str:
    """The query of the page that adds a play of this film with its date."""
    ids = {f"ids.{name}": film["ids"][name] for name in ID_NAMES if name in film["ids"]}
    known = {"kind": "movie", "title": film["title"], "year": film["year"], **ids, "person": person}
    return urlencode({**{name: value for name, value in known.items() if value}, "picked": 1})
