"""Models of imports, exports, backfills and jobs in the API: requests and replies."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from webhook import servers, trackers
from webhook.queues import jobs
from webhook.storage.json_fields import Count, Id, Time
from webhook.transfer import exports, imports
from webhook.web.http.models import Filter, Flag, Moment, Name, OneOf, Paging, PersonQuery, Query, Text


def feed_names() -> tuple[str, ...]:
    """The media servers and trackers that an import can read."""
    return (*servers.modules(), *trackers.modules())


ImportKind = Annotated[str, OneOf(imports.modules)]
ExportKind = Annotated[str, OneOf(exports.modules)]
FeedName = Annotated[str, OneOf(feed_names)]


# --- jobs


class JobsQuery(PersonQuery, Paging):
    kind: Annotated[str, OneOf(lambda: [*jobs.JobKind])] | None = None


class NewJob(TypedDict):
    job: jobs.JobJson


class CancelledJob(TypedDict):
    taken_back: Count
    job: jobs.JobJson


# --- files and feeds to import


class FeedFilter(Filter):
    person: Name | None = None
    dry_run: Flag = False


class UploadFilter(FeedFilter):
    name: Text | None = Field(
        None,
        description="The file's own name, by which some kinds tell their files apart.",
    )


class ImportCounts(TypedDict):
    added: Count
    known: Count
    completed: Count
    library: Count
    bad: Count
    without_ids: Count
    left_out: Count


class BadEntry(TypedDict):
    file: str
    line: int | None
    why: str
    do: str


class LeftOut(TypedDict):
    file: str
    count: Count
    why: str


class ImportReport(TypedDict):
    kind: str
    person: str
    dry_run: bool
    job: int | None
    counts: ImportCounts
    first: Time | None
    last: Time | None
    without_ids: list[dict[str, Any]]
    bad: list[BadEntry]
    left_out: list[LeftOut]
    cancelled: bool
    whole: bool


# --- exports, backfill, catch-up


class ExportQuery(PersonQuery):
    since: Moment | None = Field(None, description="From this time on.")
    until: Moment | None = Field(None, description="Before this time.")


class DryRunQuery(Query):
    dry_run: Flag = False


class BackfillCounts(TypedDict):
    sent: Count
    held: Count
    told: Count
    kept_back: Count


class BackfillReport(TypedDict):
    tracker: str
    account: Id
    dry_run: bool
    counts: BackfillCounts
    holds: Count
    first: Time | None
    last: Time | None
    plays: list[dict[str, Any]]


class CatchUp(TypedDict):
    server: str
    label: str
    read_until: Time | None
    ran_at: Time | None
    error: str | None
    repaired: Count


class StartedCatchUp(TypedDict):
    asked: list[str]
