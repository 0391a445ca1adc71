"""One's own history and library."""

from __future__ import annotations

from webhook.domain.event import Kind
from webhook.domain.play import Dated
from webhook.transfer.manual_plays import KINDS
from webhook.transfer.records import Relation
from webhook.web.history.episodes import KEY
from webhook.web.http.schema import (
    BY_ID,
    DECIMAL,
    FLAG,
    ID,
    IDS,
    ITEM,
    NUMBER,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    WHOLE,
    Schema,
    choice,
    in_path,
    listed,
    many,
    moment,
    operation,
    paging,
    ref,
    thing,
)

PLAY = thing(
    id=ID,
    person=TEXTUAL,
    **ITEM,
    ids=IDS,
    state={"enum": ["playing", "paused", "stopped"]},
    started_at=TIME,
    last_at=TIME,
    watched_at=TIME,
    unwatched_at=TIME,
    position_ms=NUMBER,
    duration_ms=NUMBER,
    progress=DECIMAL,
    estimated=FLAG,
    manual=FLAG,
    source=TEXTUAL,
    server=TEXT,
    player=TEXT,
    library=TEXT,
)
NAMES = many(TEXTUAL)
STREAK = thing(days=WHOLE, first={**TEXT, "format": "date"}, last={**TEXT, "format": "date"})
MOST = thing(title=TEXT, year=NUMBER, ids=IDS, plays=WHOLE, time_ms=WHOLE)
ITEM_GIVEN: Schema = {
    "type": "object",
    "additionalProperties": False,
    "description": "What is not given stays; ids are replaced as a whole. An episode's own ids go where its show "
    "or place is another and they are not given.",
    "properties": {
        "kind": {"enum": [*Kind]},
        **{name: {**TEXT, "maxLength": 500} for name in ("title", "show")},
        **dict.fromkeys(("season", "number", "year"), NUMBER),
        **dict.fromkeys(("ids", "show_ids"), IDS),
    },
}
CHANGE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {"watched_at": {"type": "string", "format": "date-time"}, "item": ITEM_GIVEN},
}
NEW: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["item", "watched_at"],
    "properties": {
        "item": {
            "type": "object",
            "additionalProperties": False,
            "required": ["kind"],
            "description": "A film by its title or an id; an episode by its show, season and number or an id of its "
            "own. `show_ids` are its show's.",
            "properties": {
                "kind": {"enum": [*KINDS]},
                **{name: {**TEXT, "maxLength": 500} for name in ("title", "show")},
                **dict.fromkeys(("season", "number", "year"), NUMBER),
                **dict.fromkeys(("ids", "show_ids"), IDS),
            },
        },
        "watched_at": {**TEXT, "description": "A time, a day (`2026-11-22`), or null where nobody knows."},
        "person": {"type": "string", "maxLength": 64, "description": "Else whose the API token is."},
        "rewatch": {**FLAG, "default": False, "description": "Another viewing than what the history has."},
        "key": {
            "type": "string",
            "maxLength": 100,
            "description": "A name of your own for this play: sent twice, it is added once.",
        },
    },
}


def schemas() -> dict[str, Schema]:
    return {
        "Play": PLAY,
        "WholePlay": {
            "allOf": [
                PLAY,
                thing(
                    show_ids={**IDS, "type": ["object", "null"]},
                    dated={"enum": [*Dated]},
                    removed_at=TIME,
                    job=NUMBER,
                    deliveries=many(ref("Delivery")),
                    edits=many(ref("Edit")),
                ),
            ]
        },
        "Edit": thing(id=ID, what=TEXTUAL, before={}, after={}, by=TEXT, at=TIME),
        "Edited": thing(undone=NAMES, told=NAMES, play=ref("WholePlay")),
        "Kept": thing(
            person=TEXTUAL,
            relation={"enum": [*Relation]},
            key=TEXTUAL,
            **ITEM,
            artist=TEXT,
            album=TEXT,
            ids={**IDS, "type": ["object", "null"]},
            show_ids={**IDS, "type": ["object", "null"]},
            at=TIME,
            value={**DECIMAL, "description": "A rating, 0 to 10."},
            state={**TEXT, "description": "Of a followed show."},
        ),
        "Next": thing(
            show_key=TEXTUAL,
            show=TEXT,
            ids=IDS,
            known={**FLAG, "description": "Whether a lookup has listed the show's episodes."},
            aired=WHOLE,
            left=WHOLE,
            episode={"type": ["object", "null"]},
        ),
        "Show": thing(
            person=TEXTUAL,
            key=TEXTUAL,
            title=TEXT,
            state={**TEXT, "description": "Null where it is not followed."},
            via={**TEXT, "description": "The lookup that listed its episodes."},
            episodes=many(
                thing(
                    season=WHOLE,
                    number=WHOLE,
                    title=TEXT,
                    aired=TEXT,
                    listed={**FLAG, "description": "By a lookup; else it is known from the plays alone."},
                    plays=many(thing(id=ID, watched_at=TIME)),
                )
            ),
        ),
        "Numbers": {
            "description": "What was watched, counted in the person's own time zone; times in ms.",
            **thing(
                person=TEXTUAL,
                year={"type": ["integer", "null"], "description": "Null for all years."},
                years=many(NUMBER),
                timezone=TEXTUAL,
                **dict.fromkeys(
                    ("plays", "time_ms", "without_duration", "films", "episodes", "tracks"), WHOLE
                ),
                **dict.fromkeys(("ticked", "day_only", "shows", "rewatches", "shows_unknown"), WHOLE),
                shows_finished={"type": ["integer", "null"]},
                streaks=thing(longest=STREAK, current=STREAK),
                hours={**many(WHOLE), "description": "Plays by hour, 0 to 23."},
                weekdays={**many(WHOLE), "description": "Plays by weekday, from Monday on."},
                weekday_hours={**many(many(WHOLE)), "description": "Plays by weekday, then by hour."},
                months={**many(WHOLE), "description": "Plays by month, from January on."},
                months_time_ms={**many(WHOLE), "description": "Time watched by month."},
                days={"type": "object", "additionalProperties": WHOLE, "description": "Plays by day."},
                top=thing(shows=many(MOST), films=many(MOST), artists=many(MOST)),
            ),
        },
    }


def paths() -> dict[str, dict[str, Schema]]:
    since = moment("since", "From this time on.")
    limit, _ = paging()
    text = {"name": "text", "in": "query", "schema": TEXTUAL, "description": "To be found in a title."}
    offset: Schema = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 1}}
    edited = ref("Edited")
    by_key = [in_path("key", {**TEXTUAL, "pattern": KEY.pattern, "examples": ["tvdb:121361"]})]
    return {
        "/plays": {
            "get": operation(
                "The history, newest first",
                listed(ref("Play"), TEXT),
                [PERSON, text, since, *paging({**TEXTUAL, "pattern": r"^-?[0-9]{1,15}-[0-9]{1,16}$"})],
            ),
            "post": operation(
                "Add a play by hand: it is kept once, and told to the person's trackers with its date",
                thing(added=FLAG, told=NAMES, play=ref("WholePlay")),
                body=NEW,
            ),
        },
        "/plays/{id}": {
            "get": operation("One play with what was told of it and its edits", ref("WholePlay"), BY_ID),
            "patch": operation(
                "Say when it was watched, or what; trackers are told anew", edited, BY_ID, CHANGE
            ),
            "delete": operation(
                "Take it out of the history, and back at the trackers; no import brings it again",
                edited,
                BY_ID,
            ),
        },
        "/plays/{id}/merge": {
            "post": operation("Make it one with another play, which goes", edited, BY_ID, thing(other=ID))
        },
        "/library": {
            "get": operation(
                "What is followed, rated, loved, owned or kept for later, newest first",
                listed(ref("Kept")),
                [PERSON, choice("relation", [*Relation]), limit, offset],
            )
        },
        "/numbers": {
            "get": operation(
                "What was watched in a year, or in all years",
                ref("Numbers"),
                [PERSON, {"name": "year", "in": "query", "schema": {"type": "integer"}}],
            )
        },
        "/follows/next": {
            "get": operation(
                "The next unwatched episode of each followed show", listed(ref("Next")), [PERSON]
            )
        },
        "/follows/{key}": {
            "put": operation(
                "Follow a show of the history, or one that a lookup has listed",
                ref("Kept"),
                [*by_key, PERSON],
            ),
            "delete": operation(
                "Follow a show no longer", thing(key=TEXTUAL, removed=FLAG), [*by_key, PERSON]
            ),
        },
        "/shows/{key}": {
            "get": operation(
                "A show with its episodes, and the plays of each; specials last",
                ref("Show"),
                [*by_key, PERSON],
            )
        },
        "/calendar.ics": {
            "get": operation(
                "What the token's person watched, as a calendar to subscribe to; a year of it, if no more is asked",
                TEXTUAL,
                [{"name": "token", "in": "query", "required": True, "schema": TEXTUAL}, since],
                kind="text/calendar",
            )
        },
    }
