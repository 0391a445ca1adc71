"""History in and out: imports, exports, backfills, catch-up, jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock, servers, trackers
from webhook.domain.outcome import Snooze, Undelivered
from webhook.people import people
from webhook.queues import jobs
from webhook.service import Service
from webhook.storage.tables import PersonRow
from webhook.trackers import Tracker
from webhook.transfer import backfill as backfilling
from webhook.transfer import catch_up as catching_up
from webhook.transfer import export as exporting
from webhook.transfer import exports, import_job, imports, sources
from webhook.transfer.export import Export
from webhook.transfer.import_job import FileFeed, Given, Report
from webhook.transfer.records import Unusable
from webhook.transfer.sources import Offer
from webhook.web import actions as changes
from webhook.web.http.access import scope_of
from webhook.web.http.api import Answers, Table, as_json, found_or, owner_only, streamed, whose
from webhook.web.http.errors import Problem
from webhook.web.http.params import Params, id_of
from webhook.web.transfer.upload import CLOSE, Received, accept_upload, parse_file_name, receive
from webhook.web.visible import Visitor

T = TypeVar("T")

LOOK = 45.0
"""Seconds for a look at what a server or an account holds: less than a proxy waits for an answer."""

CONNECTIONS = "/connections"
UPLOAD = "/api/v1/imports/{kind}"

NO_WORKER = (
    "This process only receives (WORKER=false), so nothing would become of it here. "
    "Ask one that works, or use the command: watchmark "
)


class Transfer(Answers):
    def table(self) -> Table:
        return [
            ("/jobs", {"GET": self.jobs}),
            ("/jobs/{id}", {"GET": self.job}),
            ("/jobs/{id}/cancel", {"POST": self.cancel}),
            ("/imports/from/{name}", {"POST": self.bring_in}),
            ("/exports/{kind}", {"GET": self.export}),
            ("/accounts/{id}/backfill", {"POST": self.backfill}),
            ("/catch-up", {"GET": self.caught_up, "POST": self.catch_up}),
        ]

    def routes(self) -> list[BaseRoute]:
        return [Route(UPLOAD, self.upload, methods=["POST"]), *super().routes()]

    # --- jobs

    async def jobs(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        kind = params.choice("kind", [*jobs.JobKind])
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after()

        def page(connection: Connection) -> dict[str, Any]:
            owner = None if name is None else people.find_person(connection, name).id
            chosen = None if kind is None else jobs.JobKind(kind)
            found = jobs.list_jobs(connection, kind=chosen, person_id=owner, after=after, limit=limit + 1)
            more = len(found) > limit
            return {"items": found[:limit], "next": found[limit - 1]["id"] if more else None}

        return await self.database.read(page)

    async def job(self, request: Request, visitor: Visitor) -> Any:
        return await self.one_job(id_of(request), visitor)

    async def one_job(self, wanted: int, visitor: Visitor) -> dict[str, Any]:
        found = await self.database.read(lambda connection: own_job(connection, visitor, wanted))
        job: dict[str, Any] = found_or(found, f"There is no job {wanted}.")
        return job

    async def cancel(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)

        def cancelled(connection: Connection) -> int:
            shown = found_or(own_job(connection, visitor, wanted), f"There is no job {wanted}.")
            if shown["state"] != jobs.JobState.RUNNING:
                raise Problem(409, f"Job {wanted} is over already: it is {shown['state']}.")
            return backfilling.cancel(connection, wanted, clock.now())

        taken_back = await self.database.run(cancelled)
        return {"taken_back": taken_back, "job": await self.one_job(wanted, visitor)}

    # --- files to import

    async def upload(self, request: Request) -> Response:
        """A file to be imported. Whoever is refused is hung up on, so that nothing is sent in vain."""
        try:
            visitor = await self.gate.admit(request, scope_of(UPLOAD, "POST"))
            kind, params = request.path_params["kind"], Params(request.query_params)
            if kind not in imports.modules():
                raise Problem(404, f"There is no kind {kind[:50]}; there is {', '.join(imports.modules())}.")
            params.only(("person", "dry_run", "name"))
            dry_run = params.choice("dry_run", ("true", "false")) == "true"
            if not dry_run:
                self.working("import KIND FILE")
            name, owner = parse_file_name(params), await whose(self, params, visitor)
        except Problem as problem:
            problem.headers |= CLOSE
            raise
        with accept_upload(request, self.service.imports.uploads, visitor.person_id or owner.id) as upload:
            received = await receive(request, self.service.imports.place(), name, upload)
            try:
                if dry_run:
                    return as_json(await self.previewed(received, kind, owner))
                return as_json({"job": await self.begun(received, kind, owner, visitor)}, 202)
            except Unusable as error:
                said = import_job.named_as(error, received.path, received.path.name)
                raise Problem(422, f"{said} Nothing was imported.") from error
            finally:
                await received.remove()

    async def previewed(self, received: Received, kind: str, owner: PersonRow) -> dict[str, Any]:
        limits = self.service.imports.limits
        feed = FileFeed(kind, received.path, received.path.name, received.digest, limits)
        report = await import_job.preview(self.database, owner.id, feed)
        return {"kind": kind, "person": owner.name, "dry_run": True, **report.shown()}

    async def begun(
        self, received: Received, kind: str, owner: PersonRow, visitor: Visitor
    ) -> dict[str, Any]:
        limits = self.service.imports.limits
        await asyncio.to_thread(import_job.first_entries, kind, received.path, limits)
        given = Given(
            kind=kind, person_id=owner.id, path=received.path, name=received.path.name, digest=received.digest
        )
        return await self.one_job(await self.service.imports.take(given), visitor)

    # --- what a server or an account holds

    async def bring_in(self, request: Request, visitor: Visitor) -> Any:
        name, params = request.path_params["name"], Params(request.query_params)
        known = (*servers.modules(), *trackers.modules())
        if name not in known:
            raise Problem(404, f"Nothing called {name[:50]} can be asked; there is {', '.join(known)}.")
        params.only(("person", "dry_run"))
        dry_run = params.choice("dry_run", ("true", "false")) == "true"
        owner = await whose(self, params, visitor)
        if dry_run:
            report = await looked_at(self.service, owner.id, name)
            return {"kind": name, "person": owner.name, "dry_run": True, **report.shown()}
        self.working("import KIND")
        return as_json({"job": await self.one_job(await begun(self.service, owner.id, name), visitor)}, 202)

    # --- files to take away

    async def export(self, request: Request, visitor: Visitor) -> Response:
        kind, params = request.path_params["kind"], Params(request.query_params)
        if kind not in exports.modules():
            raise Problem(404, f"There is no kind {kind[:50]}; there is {', '.join(exports.modules())}.")
        owner = await whose(self, params, visitor)
        since, until = params.moment("since"), params.moment("until")
        wanted = Export(person_id=owner.id, kind=kind, since=since, until=until)
        name = exporting.file_name(wanted, owner.name, clock.now())
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return await streamed(request, exporting.stream(self.database, wanted), wanted, headers)

    # --- backfill

    async def backfill(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        dry_run = Params(request.query_params).choice("dry_run", ("true", "false")) == "true"
        row = await self.database.read(lambda connection: changes.find_account(connection, visitor, wanted))
        tracker = self.service.trackers.get(row.tracker)
        if tracker is None:
            raise changes.not_set_up(row.tracker)
        if dry_run:
            report = await self.would_send(tracker, wanted)
            return {"tracker": tracker.name, "account": wanted, "dry_run": True, **report}
        self.working("backfill TRACKER")

        def begun(connection: Connection) -> int:
            return backfilling.begin(connection, tracker, wanted, clock.now())

        made = await possible(self.database.run(begun))
        return as_json({"job": await self.one_job(made, visitor)}, 202)

    async def would_send(self, tracker: Tracker, account_id: int) -> dict[str, Any]:
        credentials = self.service.credentials
        try:
            found = await possible(backfilling.preview(self.database, tracker, credentials, account_id))
        except Undelivered as error:
            signed_out = isinstance(error, Snooze) and error.park is not None
            raise Problem(
                409 if signed_out else 502, f"{tracker.label} could not be asked: {error}"
            ) from error
        return found.shown()

    # --- catch-up

    async def caught_up(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        servers = self.service.servers
        return await self.listed(lambda connection: catching_up.described(connection, servers))

    async def catch_up(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        if not self.service.servers:
            raise Problem(
                409, "No media server is set up to be asked: set for example PLEX_URL and PLEX_TOKEN."
            )
        self.working("catch-up")
        self.service.catch_up.asked.set()
        return as_json({"asked": [*self.service.servers]}, 202)

    # ---

    def working(self, command: str) -> None:
        """Raises Problem where this process carries nothing out."""
        if not self.service.settings.worker:
            raise Problem(503, NO_WORKER + command)


def own_job(connection: Connection, visitor: Visitor, wanted: int) -> jobs.JobJson | None:
    return jobs.get_job(connection, wanted, None if visitor.is_admin else visitor.person_id)


async def looked_at(service: Service, person_id: int, name: str) -> Report:
    """What this server or account would bring; nothing is written. Raises Problem."""
    offer = await offered(service, person_id, name)
    try:
        async with asyncio.timeout(LOOK):
            feed = await sources.feeds(service).of(person_id, name)
            return await import_job.preview(service.database, person_id, feed)
    except TimeoutError as error:
        raise TooMuch(offer) from error
    except sources.NoFeed as error:
        raise Problem(409, f"{error}", see=CONNECTIONS) from error
    except Undelivered as error:
        status = 409 if isinstance(error, Snooze) and error.park is not None else 502
        why = f"{offer.label} could not be asked. {closed(error)} Nothing was imported."
        raise Problem(status, why, see=CONNECTIONS) from error


async def begun(service: Service, person_id: int, name: str) -> int:
    """Have the service bring in what this server or account holds; the job. Raises Problem."""
    offer = await offered(service, person_id, name)
    return await service.imports.ask(person_id, name, offer.label)


async def offered(service: Service, person_id: int, name: str) -> Offer:
    """Raises Problem where the person cannot bring in from it."""
    try:
        return await service.database.read(
            lambda connection: sources.feeds(service).offer(connection, person_id, name)
        )
    except sources.NoFeed as error:
        raise Problem(409, str(error), see=CONNECTIONS) from error


class TooMuch(Problem):
    """A look that took too long; it can be brought in all the same."""

    def __init__(self, offer: Offer) -> None:
        why = f"{offer.label} did not tell everything it has within {LOOK:.0f} seconds. Nothing was imported."
        super().__init__(504, f"{why} It can be brought in without a look: that takes its time by itself.")
        self.label = offer.label


def closed(error: Exception) -> str:
    """What went wrong as a sentence with its end."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


async def possible(work: Awaitable[T]) -> T:
    """What the work gives; raises Problem where it cannot be done with this account."""
    try:
        return await work
    except backfilling.NoBackfill as error:
        text = str(error)
        raise Problem(409, f"{text[:1].upper()}{text[1:]}.") from error
