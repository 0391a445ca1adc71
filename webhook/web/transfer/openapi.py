"""History in and out."""

from __future__ import annotations

from webhook import servers, trackers
from webhook.queues import jobs
from webhook.transfer import exports, imports
from webhook.transfer.limits import Limits
from webhook.web.http.schema import (
    BY_ID,
    DRY_RUN,
    FLAG,
    ID,
    NUMBER,
    PERSON,
    TEXT,
    TEXTUAL,
    TIME,
    WHOLE,
    Schema,
    accepted,
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

NUMBERS: Schema = {"type": "object", "additionalProperties": {"type": "integer"}}
NAMES: Schema = many(TEXTUAL)
ENTRIES: Schema = many({"type": "object"})
COUNTS = thing(
    **dict.fromkeys(("added", "known", "completed", "library", "bad", "without_ids", "left_out"), WHOLE),
)
LEFT_OUT = thing(file=TEXTUAL, count=WHOLE, why=TEXTUAL)
BAD = thing(file=TEXTUAL, line=NUMBER, why=TEXTUAL, do=TEXTUAL)


def schemas() -> dict[str, Schema]:
    return {
        "Job": thing(
            id=ID,
            kind={"enum": [*jobs.JobKind]},
            what=TEXTUAL,
            person=TEXT,
            account=NUMBER,
            name=TEXT,
            state={"enum": [*jobs.JobState]},
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
            bad=many(BAD),
            left_out=many(LEFT_OUT),
            cancelled=FLAG,
            whole=FLAG,
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
        "CatchUp": thing(
            server=TEXTUAL, label=TEXTUAL, read_until=TIME, ran_at=TIME, error=TEXT, repaired=WHOLE
        ),
    }


def paths() -> dict[str, dict[str, Schema]]:
    since, until = moment("since", "From this time on."), moment("until", "Before this time.")
    job = thing(job=ref("Job"))
    return {
        "/jobs": {
            "get": operation(
                "Imports and backfills, newest first",
                listed(ref("Job")),
                [choice("kind", [*jobs.JobKind]), PERSON, *paging()],
            )
        },
        "/jobs/{id}": {"get": operation("One job", ref("Job"), BY_ID)},
        "/jobs/{id}/cancel": {
            "post": operation(
                "Stop a job; what a backfill had put and not sent is taken back",
                thing(taken_back=WHOLE, job=ref("Job")),
                BY_ID,
            )
        },
        "/imports/{kind}": {"post": upload([PERSON, DRY_RUN], job)},
        "/imports/from/{name}": {
            "post": accepted(
                operation(
                    "Bring in what a media server or a tracker's account holds, in the service's own time",
                    job,
                    [
                        in_path(
                            "name", {"type": "string", "enum": [*servers.modules(), *trackers.modules()]}
                        ),
                        PERSON,
                        DRY_RUN,
                    ],
                ),
                ref("ImportReport"),
            )
        },
        "/exports/{kind}": {"get": download([PERSON, since, until])},
        "/accounts/{id}/backfill": {
            "post": accepted(
                operation("Fill an account from the history with what it lacks", job, [*BY_ID, DRY_RUN]),
                ref("BackfillReport"),
            )
        },
        "/catch-up": {
            "get": operation(
                "How far each media server was read; the owner's to see", listed(ref("CatchUp"))
            ),
            "post": accepted(operation("Ask the media servers now what was missed", thing(asked=NAMES))),
        },
    }


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
    about = (
        f"The export file itself, of at most IMPORT_MAX_BYTES ({Limits().size >> 20:,} MiB unless it is set)."
    )
    described["requestBody"] = {"required": True, "description": about, "content": content}
    return described


def download(params: list[Schema]) -> Schema:
    modules = exports.modules()
    kind = in_path("kind", {"type": "string", "enum": [*modules]})
    described = operation("The history as a file", TEXTUAL, [kind, *params])
    types = {module.MEDIA_TYPE.partition(";")[0] for module in modules.values()}
    schemas: dict[str, Schema] = {"application/json": {}}
    text: Schema = {"type": "string", "format": "binary"}
    described["responses"]["200"]["content"] = {
        one: {"schema": schemas.get(one, text)} for one in sorted(types)
    }
    return described
