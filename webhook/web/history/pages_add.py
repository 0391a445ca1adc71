"""The page that adds plays by hand: a film, or one or several episodes of a show."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, TypedDict
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.domain import guids
from webhook.domain.event import Ids, Kind, Movie, Show
from webhook.domain.pictures import picture_key
from webhook.history.edits import Recipients
from webhook.history.stats_span import zone_of
from webhook.storage.tables import PersonRow
from webhook.transfer import manual_plays
from webhook.transfer.manual_plays import Added, Invalid, NewPlay
from webhook.web.history.additions import (
    ID_FIELDS,
    ID_NAMES,
    NUMBER_FIELDS,
    TITLE_FIELDS,
    EpisodePlace,
    by_season,
    chosen_episodes,
    find_titles,
    list_episodes,
)
from webhook.web.history.episodes import EpisodeJson
from webhook.web.http.once import Once
from webhook.web.http.params import Params
from webhook.web.visible import Visitor

FIELDS_WITH_ERRORS = (
    *("title", "show", "season", "number", "until", "year", "ids", "show_ids", "watched_at", "rewatch"),
)
"""The fields that can show an error of their own."""

PICKED_FIELDS = (
    *("title", "show", "year"),
    *(f"{whole}.{name}" for whole in ("ids", "show_ids") for name in ID_NAMES),
)
"""The fields that a search fills in."""

MAX_SHOWN = 300
"""Episodes to tick on one page."""

MAX_ADDED = 200
"""Episodes that one form adds."""


TODAY = "today"
"""The date of a form with one button, which may have been drawn on an earlier day."""


class AddPlay(Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/add", self.page(self.form)),
            Route("/history/add", self.answers(self.add), methods=["POST"]),
        ]

    async def form(self, request: Request, visitor: Visitor) -> Response:
        params = Params(request.query_params)
        owner, names = await self.chosen_person(params, visitor)
        kind = params.choice("kind", manual_plays.ITEM_TYPES) or Kind.MOVIE.value
        filled = {name: params.text(name, manual_plays.TITLE) or "" for name in PICKED_FIELDS}
        picked = params.choice("picked", ("1",)) or ""
        today = clock.now().astimezone(zone_of(owner.timezone)).date()
        typed = {
            "kind": kind,
            **filled,
            "picked": picked,
            "date": today.isoformat(),
            "q": params.text("q") or "",
        }
        return await self.draw(request, visitor, owner, names, typed)

    async def add(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        owner, names = await self.chosen_person(Params(fields), visitor)
        episodes = await self.episodes(owner, fields)

        def store(connection: Connection) -> list[Added | None]:
            now = clock.now()
            several = new_plays(fields, episodes, owner, now)
            return [
                add_one(
                    connection,
                    owner.id,
                    new,
                    self.service.trackers,
                    visitor.name,
                    now,
                    alone=len(several) == 1,
                )
                for new in several
            ]

        try:
            done = await self.database.run(store)
        except Invalid as error:
            return await self.draw(request, visitor, owner, names, fields, error)
        self.service.interpreter.told.set()
        if len(done) == 1 and done[0] is not None:
            said = "added" if done[0].is_new else "known"
            path = f"/history/plays/{done[0].play_id}?said={said}"
            return self.redirect_to(request, self.back(request, fields, said) if "back" in fields else path)
        count = sum(one is not None and one.is_new for one in done)
        back = "/history" + ("" if owner.name == visitor.name else f"?{urlencode({'person': owner.name})}")
        return self.redirect_to(
            request, self.back(request, {"back": back}, f"added-{count}-{len(done) - count}")
        )

    async def episodes(self, owner: PersonRow, typed: Mapping[str, str]) -> list[EpisodeJson]:
        """The episodes to choose from, where a show was picked."""
        if typed.get("kind") != Kind.EPISODE or not typed.get("picked"):
            return []
        return await list_episodes(
            self.service, owner.id, typed.get("show") or None, named_ids(typed, "show_ids")
        )

    async def draw(
        self,
        request: Request,
        visitor: Visitor,
        owner: PersonRow,
        names: list[str],
        typed: Mapping[str, str],
        error: Invalid | None = None,
    ) -> Response:
        kind, query = typed.get("kind", ""), typed.get("q", "")
        person = owner.name if owner.name != visitor.name else None
        found, trouble = (
            await find_titles(self.service, owner.name, kind, query, person) if query else (None, None)
        )
        episodes = await self.episodes(owner, typed)
        known = {
            "owner": owner.name,
            "names": names,
            "person": person,
            "kind": kind,
            "typed": typed,
            "picked": picked_entry(typed) if typed.get("picked") else None,
            "found": found,
            "trouble": trouble,
            "searches": bool(self.service.resolver.identity.lookups),
            "seasons": by_season(unwatched_part(episodes)),
            "typed_ids": any(value for name, value in typed.items() if "ids." in name),
            "zone": zone_of(owner.timezone),
            "key": typed.get("key") or secrets.token_hex(8),
            "refused": str(error) if error else None,
            "about": error.field if error else "",
            "fields": FIELDS_WITH_ERRORS,
        }
        return self.render(request, "add_play.html", known, visitor, 422 if error else 200)


class PickedEntry(TypedDict):
    """A film or show of a form, as pictures name it."""

    kind: str
    title: str | None
    show: str | None
    year: int | str | None
    picture: str | None


def picked_entry(typed: Mapping[str, str]) -> PickedEntry:
    """The film or show that was picked."""
    title, show = text_field(typed, "title"), text_field(typed, "show")
    picked = (
        Show(title=show, ids=named_ids(typed, "show_ids"))
        if typed.get("kind") == Kind.EPISODE
        else Movie(title=title, ids=named_ids(typed, "ids"))
    )
    return {
        "kind": typed.get("kind", ""),
        "title": title,
        "show": show,
        "year": number_field(typed, "year"),
        "picture": picture_key(picked),
    }


def text_field(fields: Mapping[str, str], name: str) -> str | None:
    return fields[name] if fields.get(name, "").strip() else None


def unwatched_part(episodes: Sequence[EpisodeJson]) -> Sequence[EpisodeJson]:
    """The episodes to tick: of a long show those from the first season that is not watched whole."""
    if len(episodes) <= MAX_SHOWN:
        return episodes
    first = next((one["season"] for one in episodes if not one["plays"]), None)
    begins = next((place for place, one in enumerate(episodes) if one["season"] == first), 0)
    return episodes[begins : begins + MAX_SHOWN]


def add_one(
    connection: Connection,
    person_id: int,
    new: NewPlay,
    can: Recipients,
    by: str | None,
    now: datetime,
    *,
    alone: bool,
) -> Added | None:
    """Add a play; None for one of several that the history has already."""
    try:
        return manual_plays.add(connection, person_id, new, can, by, now)
    except Invalid as error:
        if alone or error.field != "rewatch":
            raise
        return None


def new_plays(
    fields: Mapping[str, str], episodes: Sequence[EpisodeJson], owner: PersonRow, now: datetime
) -> list[NewPlay]:
    """The plays described by the form; raises Invalid."""
    places = chosen_episodes(fields, episodes) or number_range(fields)
    if len(places) > MAX_ADDED:
        raise Invalid("number", f"Add at most {MAX_ADDED} episodes at once.")
    if not places:
        return [new_play(fields, None, owner, now)]
    several = [new_play(fields, place, owner, now) for place in places]
    keys = [f"{fields.get('key', '')[:80]}:{place['season']}x{place['number']}" for place in places]
    return [
        replace(new, key=key if fields.get("key") else None) for new, key in zip(several, keys, strict=True)
    ]


def new_play(
    fields: Mapping[str, str], place: EpisodePlace | None, owner: PersonRow, now: datetime
) -> NewPlay:
    zone = zone_of(owner.timezone)
    today = now.astimezone(zone).date()
    item = manual_plays.read_item(fields.get("kind", ""), {**item_fields(fields), **(place or {})}, today)
    given = today.isoformat() if fields.get("date") == TODAY else date_field(fields)
    at, dated = manual_plays.read_date(given, zone, now)
    key = fields.get("key", "")[:100] or None
    return NewPlay(item=item, watched_at=at, dated=dated, rewatch="rewatch" in fields, key=key)


def number_range(fields: Mapping[str, str]) -> list[EpisodePlace]:
    """The episodes from a number to another one of a season, where the form has both; raises Invalid."""
    typed = item_fields(fields)
    first, last = typed.get("number"), number_field(fields, "until")
    if last is None or fields.get("kind") != Kind.EPISODE:
        return []
    if not isinstance(last, int) or not isinstance(first, int) or last < first:
        raise Invalid("until", "The last episode must be a whole number, not before the first.")
    if last - first >= MAX_ADDED:
        raise Invalid("until", f"Add at most {MAX_ADDED} episodes at once.")
    return [
        {"season": typed.get("season"), "number": number, "title": None} for number in range(first, last + 1)
    ]


def number_field(fields: Mapping[str, str], name: str) -> int | str | None:
    """A field's whole number; a value that is none stays as typed and is refused later."""
    value = fields.get(name, "").strip()
    return (
        (int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value) if value else None
    )


class TypedItem(TypedDict, total=False):
    """An item's fields as typed; a number that is none is its text."""

    title: str
    show: str
    season: int | str
    number: int | str
    year: int | str
    ids: dict[str, str]
    show_ids: dict[str, str]


def item_fields(fields: Mapping[str, str]) -> TypedItem:
    typed: TypedItem = {}
    for title in TITLE_FIELDS:
        if fields.get(title, "").strip():
            typed[title] = fields[title]
    for name in NUMBER_FIELDS:
        if (number := number_field(fields, name)) is not None:
            typed[name] = number
    for whole in ID_FIELDS:
        ids = {name: value for name in ID_NAMES if (value := fields.get(f"{whole}.{name}", "").strip())}
        if ids:
            typed[whole] = ids
    return typed


def named_ids(fields: Mapping[str, str], whole: Literal["ids", "show_ids"]) -> Ids:
    """The ids in the form, as far as they are some."""
    return guids.clean_ids(**item_fields(fields).get(whole, {}))


def date_field(fields: Mapping[str, str]) -> str | None:
    """The date, with its time if given; None if unknown. Raises Invalid."""
    if "unknown" in fields:
        return None
    day, time = fields.get("date", "").strip(), fields.get("time", "").strip()
    if not day:
        raise Invalid("watched_at", "Choose the day, or check “Date unknown”.")
    return f"{day}T{time}" if time else day
