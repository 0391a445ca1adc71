"""Generic: one plain JSON object for scripts, mpv, Home Assistant and anything else that can send a request.

docs/generic.md documents it; `schema()` is the whole contract (JSON Schema 2020-12:
https://json-schema.org/draft/2020-12), made of the same fields that are read here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from webhook.domain import values
from webhook.domain.advance import VIEWING_ACTIONS
from webhook.domain.event import (
    Action,
    Episode,
    Event,
    Ids,
    Ignored,
    Item,
    Kind,
    Movie,
    Season,
    Show,
    Track,
    Unreadable,
)
from webhook.domain.items import keys
from webhook.sources import _kodi
from webhook.sources._generic_fields import ID_FIELDS, PLAIN_FIELDS, PLAYED_KINDS, SUFFICIENT, Field
from webhook.sources._generic_fields import schema as schema
from webhook.sources._shared import CLOCK_TOLERANCE, not_after_receipt


class GivenFields(TypedDict, total=False):
    """The fields that were sent, each read as the schema has it."""

    action: Action
    kind: Kind
    user: str
    title: str
    show: str
    season: int
    number: int
    year: int
    artist: str
    album: str
    position: float  # seconds, as is duration
    position_ms: int
    duration: float
    duration_ms: int
    progress: float
    completed: bool
    rating: float
    at: datetime
    server: str
    player: str
    library: str
    manual: bool
    ids: Ids
    show_ids: Ids


def parse(payload: Mapping[str, Any], received_at: datetime) -> list[Event] | Ignored:
    if "action" not in payload and "event" in payload:
        return _kodi.read_events(payload, received_at)
    plain = read_plain_fields(payload)
    for name in ("action", "kind"):
        if name not in plain:
            raise Unreadable(
                f"This Generic webhook has no {name}. Expected is {PLAIN_FIELDS[name].expected}."
            )
    ids, show_ids = read_ids(payload, "ids"), read_ids(payload, "show_ids")
    given = cast(GivenFields, {**plain, "ids": ids, "show_ids": show_ids})
    check_complete(given)
    return [_event(given, BUILDERS[given["kind"]](given), received_at)]


def read_plain_fields(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The plain fields that are not empty; raises Unreadable for one that is not as expected."""
    return {
        name: taken
        for name, field in PLAIN_FIELDS.items()
        if (taken := read_field(name, field, payload.get(name))) not in (None, "")
    }


def read_field(name: str, field: Field, value: Any) -> Any:
    if value is None or value == "":
        return None
    taken = field.take(value)
    if taken is None:
        raise Unreadable(f"{name} is {describe(value)}. Expected is {field.expected}.")
    return taken


def describe(value: Any) -> str:
    """A value that was sent, in a few characters."""
    if isinstance(value, Mapping | list):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and abs(value) >= values.INT64:
        return "a number of too many digits"
    return json.dumps(value)[:60]


def read_ids(payload: Mapping[str, Any], name: str) -> Ids:
    """The ids under a name; in a form each stands alone, as `ids.tvdb`."""
    nested = payload.get(name)
    if nested not in (None, "") and not isinstance(nested, Mapping):
        raise Unreadable(f'{name} is {describe(nested)}. Expected is an object such as {{"tvdb": 1234567}}.')
    given = {space: payload.get(f"{name}.{space}") for space in ID_FIELDS} | dict(values.mapping(nested))
    known = {
        space: taken
        for space, field in ID_FIELDS.items()
        if (taken := read_field(f"{name}.{space}", field, given.get(space))) is not None
    }
    return Ids.from_json(known)


def check_complete(given: GivenFields) -> None:
    """Raises Unreadable where a field is missing that the action or the kind needs."""
    action, kind = given["action"], given["kind"]
    if action in VIEWING_ACTIONS and kind not in PLAYED_KINDS:
        raise Unreadable(f"action is {action} and kind is {kind}. Expected is a kind that is watched: "
                         f"{', '.join(PLAYED_KINDS)}.")  # fmt: skip
    if not any(all(is_given(given.get(name)) for name in names) for names in SUFFICIENT[kind]):
        ways = "; or ".join(" and ".join(names) for names in SUFFICIENT[kind])
        raise Unreadable(f"It does not say which {kind} it is. Expected is one of: {ways}.")
    if action is Action.RATE and given.get("rating") is None:
        raise Unreadable(f"rating is missing. Expected with rate is {PLAIN_FIELDS['rating'].expected}.")


def is_given(value: Any) -> bool:
    return bool(value) if isinstance(value, Ids) else value is not None


def _event(given: GivenFields, item: Item, received_at: datetime) -> Event:
    action, said = given["action"], given.get("at", received_at)
    if said - received_at > CLOCK_TOLERANCE:
        raise Unreadable(f"at is {said.isoformat()}. Expected is a time that is not yet to come.")
    at = not_after_receipt(said, received_at)
    # A play reported long afterwards is matched with what is known of that time.
    is_past = action is Action.WATCHED and received_at - at > CLOCK_TOLERANCE
    manual = given.get("manual", False)
    return Event(
        action=action,
        item=item,
        at=at,
        user=given.get("user"),
        server=given.get("server"),
        server_name=given.get("server"),
        player=given.get("player"),
        player_id=given.get("player"),
        library=given.get("library"),
        position_ms=_milliseconds(given.get("position_ms"), given.get("position")),
        duration_ms=_milliseconds(given.get("duration_ms"), given.get("duration")) or None,
        progress=given.get("progress"),
        completed=given.get("completed") if action is Action.STOP else None,
        rating=given.get("rating") if action is Action.RATE else None,
        manual=manual,
        recorded=is_past,
        record=_record_key(given, item, at) if is_past and not manual else None,
    )


def _record_key(given: GivenFields, item: Item, at: datetime) -> str:
    """The key of a play that is reported long afterwards: each has another time."""
    said = next(iter(keys(item)), item.kind.value)
    return f"generic:{at.isoformat()}:{given.get('server') or ''}:{said}"[:200]


def _milliseconds(whole: int | None, seconds: float | None) -> int | None:
    if whole is not None:
        return whole
    return None if seconds is None else int(seconds * 1000)


def _movie(given: GivenFields) -> Item:
    return Movie(title=given.get("title"), year=given.get("year"), ids=given["ids"])


def _show(given: GivenFields) -> Item:
    return Show(title=given.get("title"), year=given.get("year"), ids=given["ids"])


def _season(given: GivenFields) -> Item:
    return Season(
        title=given.get("title"),
        show=given.get("show"),
        season=given.get("season"),
        year=given.get("year"),
        ids=given["ids"],
        show_ids=given["show_ids"],
    )


def _episode(given: GivenFields) -> Item:
    return Episode(
        title=given.get("title"),
        show=given.get("show"),
        season=given.get("season"),
        number=given.get("number"),
        year=given.get("year"),
        ids=given["ids"],
        show_ids=given["show_ids"],
    )


def _track(given: GivenFields) -> Item:
    return Track(
        title=given.get("title"),
        artist=given.get("artist"),
        album=given.get("album"),
        number=given.get("number"),
        year=given.get("year"),
        ids=given["ids"],
    )


BUILDERS: Mapping[Kind, Callable[[GivenFields], Item]] = {
    Kind.MOVIE: _movie,
    Kind.SHOW: _show,
    Kind.SEASON: _season,
    Kind.EPISODE: _episode,
    Kind.TRACK: _track,
}


LABEL = "Generic"
FIELDS = ("payload", "data")
FORM_IS_PAYLOAD = True
SETUP = (
    "Let your script, add-on or automation send a JSON object with POST to {url}",
    "It needs at least an action, a kind, and a title or an id; the one shown here is an example.",
    "docs/generic.md has lines to copy for curl, Python, mpv, Kodi and Home Assistant.",
    "Look under Activity whether it was read: its trace says in a sentence what is wrong with a field.",
)
SCHEMA_PATH = "/api/v1/schemas/generic.json"


def template() -> str:
    """An example of what to send."""
    example = {
        "action": "watched",
        "kind": "episode",
        "user": "anna",
        "show": "The name of the show",
        "season": 1,
        "number": 2,
        "ids": {"tvdb": 1234567},
        "at": "2026-11-22T20:15:00Z",
    }
    return json.dumps(example, indent=2)
