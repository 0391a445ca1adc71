"""API of transfers: imports, exports, backfills, catch-up and jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy import Connection
from starlette.responses import Response

from webhook import clock
from webhook.accounts.accounts import is_media_server
from webhook.domain.outcome import Snooze, Undelivered
from webhook.people import people
from webhook.people.scopes import Scope
from webhook.queries.paging import Page
from webhook.queues import jobs
from webhook.queues.jobs import JobJson
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.trackers import Tracker
from webhook.transfer import backfill as backfilling
from webhook.transfer import catch_up as catching_up
from webhook.transfer import export as exporting
from webhook.transfer import exports, import_feeds, import_job, import_undo, imports, restore, sources
from webhook.transfer.backfill import PreviewJson
from webhook.transfer.catch_up import CatchUpJson
from webhook.transfer.export import Export
from webhook.transfer.import_feeds import FileFeed, answered_digest
from webhook.transfer.import_job import Report
from webhook.transfer.import_queue import Given
from webhook.transfer.limits import Limits
from webhook.transfer.records import Options, Unusable
from webhook.transfer.sources import Offer
from webhook.web import actions
from webhook.web.http.api import as_json, found_or, list_of, stream_file
from webhook.web.http.errors import Problem
from webhook.web.http.operations import Call, Operation
from webhook.web.transfer.answers import check_answers, parse_answers
from webhook.web.transfer.models import (
    BackfillReport,
    CancelledJob,
    DryRunQuery,
    ExportKind,
    ExportQuery,
    FeedFilter,
    FeedName,
    ImportKind,
    ImportReport,
    JobsQuery,
    NewJob,
    StartedCatchUp,
    TakenBack,
    UndoneImport,
    UploadFilter,
    feed_names,
)
from webhook.web.transfer.upload import Received, accept_upload, parse_file_name, receive
from webhook.web.visible import Visitor

T = TypeVar("T")

PREVIEW_TIMEOUT = 45.0
"""Maximum seconds of a preview, below the timeouts of proxies."""

CONNECTIONS = "/connections"

NO_WORKER = (
    "This process only receives (WORKER=false), so nothing would become of it here. "
    "Ask one that works, or use the command: watchmark "
)


# --- jobs


async def list_jobs(call: Call[None, JobsQuery]) -> Page[JobJson]:
    """Imports and backfills, newest first."""
    query = call.query
    name = await call.person_filter(query.person)

    def read(connection: Connection) -> Page[JobJson]:
        owner = None if name is None else people.find_person(connection, name).id
        chosen = None if query.kind is None else jobs.JobKind(query.kind)
        found = jobs.list_jobs(
            connection, kind=chosen, person_id=owner, after=query.after, limit=query.limit + 1
        )
        more = len(found) > query.limit
        return {"items": found[: query.limit], "next": found[query.limit - 1]["id"] if more else None}

    return await call.read(read)


async def get_job(call: Call[None, None]) -> JobJson:
    """One job."""
    return await read_job(call, call.id)


async def read_job(call: Call[Any, Any], wanted: int) -> JobJson:
    found = await call.read(lambda connection: own_job(connection, call.visitor, wanted))
    return found_or(found, f"There is no job {wanted}.")


async def cancel_job(call: Call[None, None]) -> CancelledJob:
    """Cancel a job; a backfill's unsent deliveries are withdrawn."""
    wanted = call.id

    def cancel(connection: Connection) -> int:
        shown = found_or(own_job(connection, call.visitor, wanted), f"There is no job {wanted}.")
        if shown["state"] != jobs.JobState.RUNNING:
            raise Problem(409, f"Job {wanted} is over already: it is {shown['state']}.")
        return backfilling.cancel(connection, wanted, clock.now())

    taken_back = await call.write(cancel)
    return {"taken_back": taken_back, "job": await read_job(call, wanted)}


async def undo_import(call: Call[None, None]) -> UndoneImport:
    """Undo an import: its plays go, also from the trackers, and what it changed is as before."""
    wanted, service = call.id, call.service
    found_or(
        await call.read(lambda connection: own_job(connection, call.visitor, wanted)),
        f"There is no job {wanted}.",
    )
    try:
        done = await import_undo.undo(
            service.database, wanted, service.trackers, call.visitor.name, service.settings.watched_mark
        )
    except import_undo.NoUndo as error:
        raise Problem(409, f"Job {wanted} can't be undone: {error}.") from error
    service.interpreter.told.set()
    return {**done.to_json(), "job": await read_job(call, wanted)}


# --- files to import


async def import_file(call: Call[None, UploadFilter]) -> Response:
    """Import a file in the background."""
    kind, query, transfers = call.path("kind"), call.query, call.service.imports
    if kind not in imports.modules():
        raise Problem(404, f"There is no kind {kind[:50]}; there is {', '.join(imports.modules())}.")
    if not query.dry_run:
        require_worker(call, "import KIND FILE")
    name, owner = parse_file_name(query.name), await call.owner_of(query.person)
    answers = parse_answers(query.answers)
    with accept_upload(call.request, transfers.uploads, call.visitor.person_id or owner.id) as upload:
        received = await receive(call.request, transfers.place(), name, upload)
        try:
            feed = feed_of(call.service, received, kind, answers)
            await check_answers(feed)
            if query.dry_run:
                return as_json(await preview_file(call.service, feed, owner))
            return as_json(NewJob(job=await begin_file(call, feed, owner)), 202)
        except Unusable as error:
            said = import_feeds.with_name(error, received.path, received.path.name)
            raise Problem(422, f"{said} Nothing was imported.") from error
        finally:
            await received.remove()


def feed_of(service: Service, received: Received, kind: str, answers: Options) -> FileFeed:
    return FileFeed(kind, received.path, received.path.name, received.digest, service.imports.limits, answers)


async def preview_file(service: Service, feed: FileFeed, owner: PersonRow) -> ImportReport:
    report = await import_job.preview(
        service.database, owner.id, feed, lookups=service.resolver.identity.lookups
    )
    return {"kind": feed.kind, "person": owner.name, "dry_run": True, **report.to_json()}


async def begin_file(call: Call[Any, Any], feed: FileFeed, owner: PersonRow) -> JobJson:
    await asyncio.to_thread(import_feeds.first_entries, feed.kind, feed.path, feed.limits, feed.options)
    given = Given(
        kind=feed.kind, person_id=owner.id, path=feed.path, name=feed.name,
        digest=answered_digest(feed.digest, feed.options), options=feed.options,
    )  # fmt: skip
    return await read_job(call, await call.service.imports.take(given))


# --- imports from a server or an account


async def import_feed(call: Call[None, FeedFilter]) -> Response:
    """Import the history of a media server or a tracker account in the background."""
    name = call.path("name")
    if name not in feed_names():
        raise Problem(404, f"Nothing called {name[:50]} can be asked; there is {', '.join(feed_names())}.")
    owner = await call.owner_of(call.query.person)
    if call.query.dry_run:
        report = await preview_feed(call.service, owner.id, name)
        previewed: ImportReport = {"kind": name, "person": owner.name, "dry_run": True, **report.to_json()}
        return as_json(previewed)
    require_worker(call, "import KIND")
    return as_json(NewJob(job=await read_job(call, await begin_feed(call.service, owner.id, name))), 202)


# --- files to take away


async def export_history(call: Call[None, ExportQuery]) -> Response:
    """The history as a file."""
    kind, query = call.path("kind"), call.query
    if kind not in exports.modules():
        raise Problem(404, f"There is no kind {kind[:50]}; there is {', '.join(exports.modules())}.")
    owner = await call.owner_of(query.person)
    wanted = Export(person_id=owner.id, kind=kind, since=query.since, until=query.until)
    name = exporting.file_name(wanted, owner.name, clock.now())
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return await stream_file(call.request, exporting.stream(call.service.database, wanted), wanted, headers)


# --- backfill


async def backfill(call: Call[None, DryRunQuery]) -> Response:
    """Send an account the plays from the history that it is missing."""
    wanted, service = call.id, call.service
    row = await call.read(lambda connection: actions.find_account(connection, call.visitor, wanted))
    tracker = service.trackers.get(row.tracker)
    if tracker is None:
        raise actions.not_set_up(row.tracker)
    if call.query.dry_run:
        found = await preview_backfill(service, tracker, wanted)
        report: BackfillReport = {"tracker": tracker.name, "account": wanted, "dry_run": True, **found}
        return as_json(report)
    require_worker(call, "backfill TRACKER")

    def begin(connection: Connection) -> int:
        return backfilling.begin(connection, tracker, wanted, clock.now())

    made = await refuse_impossible(service.database.run(begin))
    return as_json(NewJob(job=await read_job(call, made)), 202)


async def preview_backfill(service: Service, tracker: Tracker, account_id: int) -> PreviewJson:
    try:
        found = await refuse_impossible(
            backfilling.preview(service.database, tracker, service.credentials, account_id)
        )
    except Undelivered as error:
        signed_out = isinstance(error, Snooze) and error.park is not None
        raise Problem(409 if signed_out else 502, f"{tracker.label} could not be asked: {error}") from error
    return found.to_json()


async def take_back(call: Call[None, DryRunQuery]) -> TakenBack:
    """Take back what a restore marked on a media server, and nothing else."""
    wanted, dry_run = call.id, call.query.dry_run
    row = await call.read(lambda connection: actions.find_account(connection, call.visitor, wanted))
    require_server(call.service, row.tracker)
    if dry_run:
        count = await call.read(lambda connection: restore.count_marks(connection, wanted))
    else:
        count = await call.write(lambda connection: restore.take_back(connection, wanted, clock.now()))
        call.service.interpreter.told.set()
    return {"account": wanted, "tracker": row.tracker, "dry_run": dry_run, "marks": count}


def require_server(service: Service, name: str) -> None:
    """Raise Problem for an account that is at no media server."""
    tracker = service.trackers.get(name)
    if tracker is None:
        raise actions.not_set_up(name)
    if not is_media_server(tracker):
        raise Problem(409, f"{tracker.label} is no media server, so no restore marked anything there.")


# --- catch-up


async def list_catch_up(call: Call[None, None]) -> Page[CatchUpJson]:
    """The catch-up progress of each media server; visible to the owner only."""
    servers = call.service.servers
    return list_of(await call.read(lambda connection: catching_up.server_progress(connection, servers)))


async def start_catch_up(call: Call[None, None]) -> StartedCatchUp:
    """Fetch plays that no webhook reported from the media servers now."""
    if not call.service.servers:
        raise Problem(409, "No media server is set up to be asked: set for example PLEX_URL and PLEX_TOKEN.")
    require_worker(call, "catch-up")
    call.service.catch_up.asked.set()
    return {"asked": [*call.service.servers]}


def require_worker(call: Call[Any, Any], command: str) -> None:
    """Raise Problem if this process runs no worker."""
    if not call.service.settings.worker:
        raise Problem(503, NO_WORKER + command)


def own_job(connection: Connection, visitor: Visitor, wanted: int) -> JobJson | None:
    return jobs.get_job(connection, wanted, None if visitor.is_admin else visitor.person_id)


async def preview_feed(service: Service, person_id: int, name: str) -> Report:
    """The report of an import from this server or account; nothing is written. Raises Problem."""
    offer = await read_offer(service, person_id, name)
    try:
        async with asyncio.timeout(PREVIEW_TIMEOUT):
            feed = await sources.feeds(service).open_feed(person_id, name)
            return await import_job.preview(service.database, person_id, feed)
    except TimeoutError as error:
        raise PreviewTimeout(offer) from error
    except sources.NoFeed as error:
        raise Problem(409, f"{error}", see=CONNECTIONS) from error
    except Undelivered as error:
        status = 409 if isinstance(error, Snooze) and error.park is not None else 502
        why = f"{offer.label} could not be asked. {as_sentence(error)} Nothing was imported."
        raise Problem(status, why, see=CONNECTIONS) from error


async def begin_feed(service: Service, person_id: int, name: str) -> int:
    """Begin an import from this server or account and return the job's id; raises Problem."""
    offer = await read_offer(service, person_id, name)
    return await service.imports.ask(person_id, name, offer.label)


async def read_offer(service: Service, person_id: int, name: str) -> Offer:
    """Raise Problem if the person cannot import from it."""
    try:
        return await service.database.read(
            lambda connection: sources.feeds(service).offer(connection, person_id, name)
        )
    except sources.NoFeed as error:
        raise Problem(409, str(error), see=CONNECTIONS) from error


class PreviewTimeout(Problem):
    """A preview that took too long; the import can still be started."""

    def __init__(self, offer: Offer) -> None:
        why = f"{offer.label} did not tell everything it has within {PREVIEW_TIMEOUT:.0f} seconds."
        remedy = "It can be brought in without a look: that takes its time by itself."
        super().__init__(504, f"{why} Nothing was imported. {remedy}")
        self.label = offer.label


def as_sentence(error: Exception) -> str:
    """The text of an error as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


async def refuse_impossible(work: Awaitable[T]) -> T:
    """Return the result of the work; raises Problem if it is not possible with this account."""
    try:
        return await work
    except backfilling.NoBackfill as error:
        text = str(error)
        raise Problem(409, f"{text[:1].upper()}{text[1:]}.") from error


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        "POST",
        "/imports/{kind}",
        import_file,
        Scope.HISTORY_WRITE,
        path_types={"kind": ImportKind},
        query=UploadFilter,
        raw_body=f"The export file itself, of at most IMPORT_MAX_BYTES ({Limits().size >> 20:,} MiB unless it is set).",
        status=202,
        reply=NewJob,
        dry_run_reply=ImportReport,
    ),
    Operation("GET", "/jobs", list_jobs, Scope.READ, query=JobsQuery),
    Operation("GET", "/jobs/{id}", get_job, Scope.READ),
    Operation("POST", "/jobs/{id}/cancel", cancel_job, Scope.HISTORY_WRITE),
    Operation("POST", "/jobs/{id}/undo", undo_import, Scope.HISTORY_WRITE),
    Operation(
        "POST",
        "/imports/from/{name}",
        import_feed,
        Scope.HISTORY_WRITE,
        path_types={"name": FeedName},
        query=FeedFilter,
        status=202,
        reply=NewJob,
        dry_run_reply=ImportReport,
    ),
    Operation(
        "GET",
        "/exports/{kind}",
        export_history,
        Scope.READ,
        path_types={"kind": ExportKind},
        query=ExportQuery,
        reply_media=tuple(
            sorted({module.MEDIA_TYPE.partition(";")[0] for module in exports.modules().values()})
        ),
    ),
    Operation(
        "POST",
        "/accounts/{id}/backfill",
        backfill,
        Scope.HISTORY_WRITE,
        query=DryRunQuery,
        status=202,
        reply=NewJob,
        dry_run_reply=BackfillReport,
    ),
    Operation("POST", "/accounts/{id}/take-back", take_back, Scope.HISTORY_WRITE, query=DryRunQuery),
    Operation("GET", "/catch-up", list_catch_up, Scope.READ, owner_only=True),
    Operation("POST", "/catch-up", start_catch_up, Scope.HISTORY_WRITE, owner_only=True, status=202),
)
