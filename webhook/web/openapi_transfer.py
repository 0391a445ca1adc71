"""The OpenAPI document of history in and out, and of what is changed in it by hand; and the whole document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook import jobs
from webhook.event import Kind
from webhook.play import Dated
from webhook.transfer import exports, imports
from webhook.transfer.entries import Relation
from webhook.web import openapi
from webhook.web.openapi import (
    CANDIDATE,
    DECIMAL,
    ID,
    IDS,
    ITEM,
    MATCH,
    NUMBER,
    PLAY,
    TEXT,
    TIME,
    Schema,
    choice,
    in_path,
    listed,
    operation,
    paging,
    ref,
    thing,
)
from webhook.web.receiving import MOST

TEXTUAL: Schema = {"type": "string"}
NUMBERS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NAMES: Schema = {"type": "array", "items": TEXTUAL}
ENTRIES: Schema = {"type": "array", "items": {"type": "object"}}

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
UNRESOLVED_MATCH: Schema = {
    **MATCH,
    "properties": {"key": {"type": "string", "maxLength": 300}, **MATCH["properties"]},
    "required": ["key"],
}
COUNTS = thing(
    **dict.fromkeys(("added", "known", "completed", "library", "bad", "without_ids"), WHOLE),
)
BAD = thing(file=TEXTUAL, line=NUMBER, why=TEXTUAL, do=TEXTUAL)

SCHEMAS: Mapping[str, Schema] = {
    "Job": thing(
        id=ID,
        kind={"enum": [*jobs.Kind]},
        what=TEXTUAL,
        person=TEXT,
        account=NUMBER,
        name=TEXT,
        state={"enum": [*jobs.State]},
        counts=NUMBERS,
        error=TEXT,
        created_at=TIME,
        changed_at=TIME,
        finished_at=TIME,
    ),
    "ImportReport": thing(
        kind=TEXTUAL,
        person=TEXTUAL,
        dry_run=FLAG,
        job=NUMBER,
        counts=COUNTS,
        first=TIME,
        last=TIME,
        without_ids=ENTRIES,
        bad={"type": "array", "items": BAD},
        cancelled=FLAG,
    ),
    "BackfillReport": thing(
        tracker=TEXTUAL,
        account=ID,
        dry_run=FLAG,
        counts=thing(**dict.fromkeys(("sent", "held", "told", "kept_back"), WHOLE)),
        holds=WHOLE,
        first=TIME,
        last=TIME,
        plays=ENTRIES,
    ),
    "CatchUp": thing(server=TEXTUAL, label=TEXTUAL, read_until=TIME, ran_at=TIME, error=TEXT, repaired=WHOLE),
    "Edit": thing(id=ID, what=TEXTUAL, before={}, after={}, by=TEXT, at=TIME),
    "WholePlay": {
        "allOf": [
            PLAY,
            thing(
                show_ids={**IDS, "type": ["object", "null"]},
                dated={"enum": [*Dated]},
                removed_at=TIME,
                job=NUMBER,
                deliveries={"type": "array", "items": ref("Delivery")},
                edits={"type": "array", "items": ref("Edit")},
            ),
        ]
    },
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
    "Unresolved": thing(
        key=TEXTUAL,
        **ITEM,
        reason=TEXT,
        candidates={"type": "array", "items": CANDIDATE},
        plays=WHOLE,
        since=TIME,
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
    "Numbers": {
        "description": "What was watched, counted in the person's own time zone; times in ms.",
        **thing(person=TEXTUAL, year=NUMBER, years={"type": "array", "items": NUMBER}, timezone=TEXTUAL),
    },
}


def accepted(described: Schema, also: Schema | None = None) -> Schema:
    """The operation answered with 202, as what it begins goes on by itself; with 200 for a dry run."""
    done = described["responses"].pop("200")
    described["responses"]["202"] = {**done, "description": "It is under way"}
    if also is not None:
        content = {"application/json": {"schema": also}}
        described["responses"]["200"] = {"description": "What it would come to", "content": content}
    return described


def paths() -> dict[str, dict[str, Schema]]:
    person: Schema = {"name": "person", "in": "query", "schema": {"type": "string", "maxLength": 64}}
    dry_run = choice("dry_run", ["true", "false"])
    since, until = moment("since", "From this time on."), moment("until", "Before this time.")
    by_id = [in_path("id", ID)]
    limit, _ = paging()
    offset: Schema = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 1}}
    by_key: Schema = {"name": "after", "in": "query", "schema": {"type": "string", "maxLength": 300}}
    job, edited = thing(job=ref("Job")), ref("Edited")
    return {
        "/jobs": {
            "get": operation(
                "Imports and backfills, newest first",
                listed(ref("Job")),
                [choice("kind", [*jobs.Kind]), person, *paging()],
            )
        },
        "/jobs/{id}": {"get": operation("One job", ref("Job"), by_id)},
        "/jobs/{id}/cancel": {
            "post": operation(
                "Stop a job; what a backfill had put and not sent is taken back",
                thing(taken_back=WHOLE, job=ref("Job")),
                by_id,
            )
        },
        "/imports/{kind}": {"post": upload([person, dry_run], job)},
        "/exports/{kind}": {"get": download([person, since, until])},
        "/accounts/{id}/backfill": {
            "post": accepted(
                operation("Fill an account from the history with what it lacks", job, [*by_id, dry_run]),
                ref("BackfillReport"),
            )
        },
        "/catch-up": {
            "get": operation(
                "How far each media server was read; the owner's to see", listed(ref("CatchUp"))
            ),
            "post": accepted(operation("Ask the media servers now what was missed", thing(asked=NAMES))),
        },
        "/plays/{id}": {
            "get": operation("One play with what was told of it and its edits", ref("WholePlay"), by_id),
            "patch": operation(
                "Say when it was watched, or what; trackers are told anew", edited, by_id, CHANGE
            ),
            "delete": operation(
                "Take it out of the history, and back at the trackers; no import brings it again",
                edited,
                by_id,
            ),
        },
        "/plays/{id}/merge": {
            "post": operation("Make it one with another play, which goes", edited, by_id, thing(other=ID))
        },
        "/library": {
            "get": operation(
                "What is followed, rated, loved, owned or kept for later, newest first",
                listed(ref("Kept")),
                [person, choice("relation", [*Relation]), limit, offset],
            )
        },
        "/unresolved": {
            "get": operation(
                "What imports brought without an id and no lookup found",
                thing(items={"type": "array", "items": ref("Unresolved")}, next=TEXT),
                [person, limit, by_key],
            )
        },
        "/unresolved/match": {
            "post": operation(
                "Say what it is, for an episode the whole show; it is written into all its plays",
                thing(key=TEXTUAL, plays=WHOLE),
                body=UNRESOLVED_MATCH,
            )
        },
        "/numbers": {
            "get": operation(
                "What was watched in a year, or in all years",
                ref("Numbers"),
                [person, {"name": "year", "in": "query", "schema": {"type": "integer"}}],
            )
        },
        "/follows/next": {
            "get": operation(
                "The next unwatched episode of each followed show", listed(ref("Next")), [person]
            )
        },
        "/calendar.ics": {
            "get": operation(
                "What the token's person watched, as a calendar to subscribe to; a year of it, if no more is asked",
                TEXTUAL,
                [{"name": "token", "in": "query", "required": True, "schema": TEXTUAL}, since],
                kind="text/calendar",
                public=True,
            )
        },
    }


def moment(name: str, description: str) -> Schema:
    schema: Schema = {"type": "string", "format": "date-time"}
    return {"name": name, "in": "query", "schema": schema, "description": description}


def upload(params: list[Schema], job: Schema) -> Schema:
    kind = in_path("kind", {"type": "string", "enum": [*imports.modules()]})
    name: Schema = {
        "name": "name",
        "in": "query",
        "schema": {"type": "string", "maxLength": 100},
        "description": "The file's own name, by which some kinds tell their files apart.",
    }
    described = accepted(
        operation("Import a file, in the service's own time", job, [kind, *params, name]),
        ref("ImportReport"),
    )
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    about = f"The export file itself, of at most {MOST >> 20} MiB."
    described["requestBody"] = {"required": True, "description": about, "content": content}
    return described


def download(params: list[Schema]) -> Schema:
    modules = exports.modules()
    kind = in_path("kind", {"type": "string", "enum": [*modules]})
    described = operation("The history as a file", TEXTUAL, [kind, *params])
    types = {module.MEDIA_TYPE.partition(";")[0] for module in modules.values()}
    schema: Schema = {"type": "string", "format": "binary"}
    described["responses"]["200"]["content"] = {one: {"schema": schema} for one in sorted(types)}
    return described


def document(address: str) -> dict[str, Any]:
    """The whole document."""
    made = openapi.document(address)
    made["paths"] |= paths()
    made["components"]["schemas"] |= SCHEMAS
    return made
