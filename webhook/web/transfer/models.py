"""Models of imports, exports, backfills and jobs in the API: requests and replies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from webhook import servers, trackers
from webhook.queues import jobs
from webhook.storage.json_fields import Count, Id
from webhook.transfer import exports, imports
from webhook.transfer.backfill import PreviewJson
from webhook.transfer.import_job import ReportJson
from webhook.transfer.import_undo import UndoneJson
from webhook.web.http.models import Filter, Flag, Moment, Name, OneOf, Paging, PersonQuery, Query, Text


def feed_names() -> tuple[str, ...]:
    """The media servers and trackers that an import can read."""
    return tuple(dict.fromkeys((*servers.modules(), *trackers.modules())))


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


class UndoneImport(UndoneJson):
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
    answers: Text | None = Field(
        None,
        description="Answers to the questions that a dry run lists, written as a query string: "
        "dates=day-first&profile=alice",
    )


class ImportReport(ReportJson):
    kind: str
    person: str
    dry_run: bool


# --- exports, backfill, catch-up


class ExportQuery(PersonQuery):
    since: Moment | None = Field(None, description="From this time on.")
    until: Moment | None = Field(None, description="Before this time.")


class DryRunQuery(Query):
    dry_run: Flag = False


class BackfillReport(PreviewJson):
    tracker: str
    account: Id
    dry_run: bool


class TakenBack(TypedDict):
    """Marks of a restore that are taken back, or with dry_run would be."""

    account: Id
    tracker: str
    dry_run: bool
    marks: Count


class StartedCatchUp(TypedDict):
    asked: list[str]
