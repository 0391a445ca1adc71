"""Pages of transfers: imports with a preview, exports and backfills."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import clock
from webhook.accounts.accounts import is_media_server
from webhook.domain.outcome import Undelivered
from webhook.people.scopes import Scope
from webhook.queries.people import AccountJson
from webhook.queues import jobs
from webhook.storage.tables import AccountRow, PersonRow
from webhook.texts import texts
from webhook.trackers import Tracker
from webhook.transfer import backfill as backfilling
from webhook.transfer import exports, import_feeds, import_undo, imports, restore
from webhook.transfer import import_job as importing
from webhook.transfer.import_feeds import FileFeed, answered_digest
from webhook.transfer.import_job import ReportJson
from webhook.transfer.import_queue import Given, remove_path
from webhook.transfer.limits import TooMany
from webhook.transfer.records import Unusable
from webhook.transfer.sources import feeds
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.addresses import address_of
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.once import Once
from webhook.web.http.params import Params, id_of, whole
from webhook.web.http.sessions import base, person_by_id
from webhook.web.http.templating import label
from webhook.web.people import actions as administration
from webhook.web.people.models import TokenRequest
from webhook.web.transfer.answers import ANSWER_FIELD, answers_of_form, check_answers, require_answers
from webhook.web.transfer.api import PreviewTimeout, begin_feed, own_job, preview_feed, require_server
from webhook.web.transfer.upload import Received, accept_upload
from webhook.web.transfer.upload_form import receive_form
from webhook.web.visible import Visitor

LOOKED_AT = 3600.0
"""Seconds for which a previewed file waits for confirmation."""

FOLDER = re.compile(r"receiving-[0-9a-f]{16}")
JOBS_SHOWN = 20
UNUSABLE = 422
"""The status where a file, or what was chosen for it, cannot be used: the page of imports says why."""

BECAME = texts(
    {
        "added": "new plays",
        "known": "already known",
        "completed": "unfinished plays now watched",
        "library": "library entries",
        "without_ids": "without an ID, to be looked up",
        "bad": "unreadable rows",
        "left_out": "skipped entries",
    }
)
BACKFILLED = texts(
    {
        "sent": "to send",
        "held": "already there",
        "told": "already sent",
        "kept_back": "skipped by a rule",
    }
)
ON_THE_WAY = texts(
    {
        "done": "sent",
        "waiting": "waiting",
        "parked": "waiting for the account",
        "unmatched": "no match found",
        "dead": "failed",
        "superseded": "cancelled",
    }
)


class Transfer(Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history/import", self.page(self.import_page)),
            Route("/history/import/look", self.look, methods=["POST"]),
            Route("/history/import/look-again", self.answers(self.repeat_look), methods=["POST"]),
            Route("/history/import/begin", self.change(self.begin), methods=["POST"]),
            Route("/history/import/from/look", self.answers(self.preview_feed), methods=["POST"]),
            Route("/history/import/from/begin", self.change(self.begin_feed), methods=["POST"]),
            Route("/history/export", self.page(self.export_page)),
            Route("/history/export/calendar", self.answers(self.subscribe), methods=["POST"]),
            Route("/history/backfill", self.page(self.backfill_page)),
            Route("/history/backfill/look", self.answers(self.preview_backfill), methods=["POST"]),
            Route("/history/backfill/begin", self.change(self.backfill), methods=["POST"]),
            Route("/history/backfill/take-back", self.change(self.take_back), methods=["POST"]),
            Route("/history/jobs/{id}/undo", self.change(self.undo), methods=["POST"]),
            Route("/history/jobs/{id}/cancel", self.change(self.cancel), methods=["POST"]),
        ]

    # --- import

    async def import_page(self, request: Request, visitor: Visitor) -> Response:
        return await self.show_import(request, visitor, request.query_params)

    async def show_import(
        self, request: Request, visitor: Visitor, given: Mapping[str, str], problem: Problem | None = None
    ) -> Response:
        """The page of imports, with what was chosen and why its file was refused."""
        owner, names = await self.chosen_person(Params(given), visitor)
        done, offers = await self.database.read(
            lambda connection: (
                jobs.list_jobs(connection, kind=jobs.JobKind.IMPORT, person_id=owner.id, limit=JOBS_SHOWN),
                feeds(self.service).offers(connection, owner.id),
            )
        )
        most = self.service.imports.limits.size >> 20
        known: dict[str, object] = {
            "kinds": labels(imports.modules()),
            "jobs": done,
            "words": BECAME,
            "offers": offers,
        }
        known |= {"most": most, "owner": owner.name, "names": names, "chosen": given.get("kind", "")}
        known["wrong"] = problem.detail if problem else None
        if problem:
            known["here"] = known["drawn_at"] = f"{base(self.service.settings, request)}/history/import"
        return self.render(request, "import.html", known, visitor, problem.status if problem else 200)

    async def look(self, request: Request) -> Response:
        """Preview the import of an uploaded file, which is deleted unless it is confirmed."""
        visitor = await self.visitor_of_form(request)
        if visitor is None:
            return self.redirect_to(request, "/sign-in")
        self.require_worker()
        given: dict[str, str] = {}
        try:
            owner, feed, report = await self.receive_look(request, visitor, given)
        except Problem as problem:
            if problem.status != UNUSABLE:
                raise
            await self.prepare(request, visitor)
            return await self.show_import(request, visitor, given, problem)
        await self.prepare(request, visitor)
        return self.show_look(request, visitor, owner, feed, report)

    async def receive_look(
        self, request: Request, visitor: Visitor, given: dict[str, str]
    ) -> tuple[PersonRow, FileFeed, ReportJson]:
        """Receive a file and what it holds; `given` gets the form's fields, also where this raises Problem."""
        service = self.service.imports
        with accept_upload(request, service.uploads, visitor.person_id or 0) as upload:
            fields, received = await receive_form(request, service.place(), upload)
            try:
                self.refuse_other_forms(visitor, fields)
                given |= fields
                kind = fields.get("kind", "")
                if kind not in imports.modules():
                    raise Problem(UNUSABLE, "Choose the format of the file.")
                owner = await self.owner_of_form(visitor, fields)
                feed = self.feed_of(received, kind, fields)
                report = await self.report(feed, owner)
            except BaseException:
                await received.remove()
                raise
        await service.remember_look(visitor.person_id or 0, received.folder)
        asyncio.get_running_loop().call_later(LOOKED_AT, remove_path, received.folder)
        return owner, feed, report

    async def repeat_look(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Preview a file that was uploaded already, with other answers to its questions."""
        owner, received, kind = await self.find_look(visitor, fields)
        feed = self.feed_of(received, kind, fields)
        return self.show_look(request, visitor, owner, feed, await self.report(feed, owner))

    def show_look(
        self, request: Request, visitor: Visitor, owner: PersonRow, feed: FileFeed, report: ReportJson
    ) -> Response:
        known = {"report": report, "words": BECAME, "label": imports.modules()[feed.kind].LABEL}
        place = f"{feed.path.parent.name}/{feed.path.name}"
        seal = self.sessions.mac(f"import {visitor.person_id} {owner.id} {feed.kind} {place} {feed.digest}")
        fields = {"kind": feed.kind, "place": place, "digest": feed.digest, "seal": seal}
        answers = {f"{ANSWER_FIELD}{name}": value for name, value in feed.options.items()}
        of = {"owner": owner.name, "name": feed.name, "to": "/history/import/begin", "late": None}
        return self.render(
            request, "import_look.html", {**of, "fields": fields, "answers": answers, **known}, visitor
        )

    def feed_of(self, received: Received, kind: str, fields: Mapping[str, str]) -> FileFeed:
        limits, answers = self.service.imports.limits, answers_of_form(fields)
        return FileFeed(kind, received.path, received.path.name, received.digest, limits, answers)

    async def report(self, feed: FileFeed, owner: PersonRow) -> ReportJson:
        try:
            await check_answers(feed)
            found = await importing.preview(
                self.database, owner.id, feed, lookups=self.service.resolver.identity.lookups
            )
        except Unusable as error:
            said = import_feeds.with_name(error, feed.path, feed.name)
            raise Problem(UNUSABLE, f"{said} Nothing was imported.") from error
        return found.to_json()

    async def find_look(self, visitor: Visitor, fields: Mapping[str, str]) -> tuple[PersonRow, Received, str]:
        """The previewed file that a form names, with its owner and its kind; raises Problem."""
        owner = await self.owner_of_form(visitor, fields)
        place, digest, kind = (fields.get(name, "") for name in ("place", "digest", "kind"))
        looked_at = f"import {visitor.person_id} {owner.id} {kind} {place} {digest}"
        folder, _, name = place.partition("/")
        if not self.sessions.verify(looked_at, fields.get("seal", "")) or not FOLDER.fullmatch(folder):
            raise Problem(403, "This is not the file that was previewed. Upload it again.")
        home = Path(self.service.imports.place()) / folder
        if not await asyncio.to_thread((home / name).exists):
            raise Problem(410, "The upload has expired. Upload the file again.")
        return owner, Received(folder=home, path=home / name, digest=digest), kind

    async def begin(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner, received, kind = await self.find_look(visitor, fields)
        feed = self.feed_of(received, kind, fields)
        try:
            await require_answers(feed)
        except Unusable as error:
            raise Problem(422, f"{import_feeds.with_name(error, feed.path, feed.name)}") from error
        given = Given(
            kind=kind, person_id=owner.id, path=feed.path, name=feed.name,
            digest=answered_digest(received.digest, feed.options), options=feed.options,
        )  # fmt: skip
        try:
            await self.service.imports.take(given)
        except TooMany as error:
            raise Problem(429, str(error)) from error
        return self.of_owner("/history/import", visitor, owner, "begun")

    # --- what a server or an account holds

    async def preview_feed(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        name, owner = fields.get("name", ""), await self.owner_of_form(visitor, fields)
        self.require_worker()
        known: dict[str, object] = {"owner": owner.name, "to": "/history/import/from/begin", "label": None}
        known |= {"fields": {"name": name}, "answers": {}, "words": BECAME}
        try:
            report = await preview_feed(self.service, owner.id, name)
        except PreviewTimeout as problem:
            late = {"name": problem.label, "late": problem.detail}
            return self.render(request, "import_look.html", {**known, **late}, visitor, problem.status)
        known |= {"name": label(name), "report": report.to_json(), "late": None}
        return self.render(request, "import_look.html", known, visitor)

    async def begin_feed(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        owner = await self.owner_of_form(visitor, fields)
        self.require_worker()
        await begin_feed(self.service, owner.id, fields.get("name", ""))
        return self.of_owner("/history/import", visitor, owner, "begun")

    def require_worker(self) -> None:
        """Raise Problem if this process runs no imports."""
        if not self.service.settings.worker:
            raise Problem(503, "This process only receives (WORKER=false). Import on the one that processes.")

    # --- export

    async def export_page(self, request: Request, visitor: Visitor) -> Response:
        owner, names = await self.chosen_person(Params(request.query_params), visitor)
        kinds = [
            {"kind": name, "label": module.LABEL, "about": module.DESCRIPTION}
            for name, module in exports.modules().items()
        ]
        kinds.sort(key=lambda entry: entry["kind"] != "watchmark")
        return self.render(
            request, "export.html", {"owner": owner.name, "names": names, "kinds": kinds}, visitor
        )

    async def subscribe(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Create a calendar address, which is shown only once."""
        owner, here = await self.owner_of_form(visitor, fields), address_of(self.service, request)
        given = {"kind": "api", "name": "calendar", "person": owner.name, "scopes": [Scope.CALENDAR]}
        made = await administration.make_token(self.service, visitor, validate(TokenRequest, given), here)
        return self.render(request, "token.html", {"made": made, "back": "/history/export"}, visitor)

    # --- backfill

    async def backfill_page(self, request: Request, visitor: Visitor) -> Response:
        owner, names = await self.chosen_person(Params(request.query_params), visitor)
        servers = [name for name, tracker in self.service.trackers.items() if is_media_server(tracker)]

        def read(connection: Connection) -> tuple[list[AccountJson], list[jobs.JobJson], dict[int, int]]:
            found = [
                entry for entry in visible.accounts(connection, visitor) if entry["person"] == owner.name
            ]
            done = jobs.list_jobs(
                connection, kind=jobs.JobKind.BACKFILL, person_id=owner.id, limit=JOBS_SHOWN
            )
            at_servers = [entry["id"] for entry in found if entry["tracker"] in servers]
            return found, done, {one: restore.count_marks(connection, one) for one in at_servers}

        accounts, done, marks = await self.database.read(read)
        fillable = [
            {**entry, "label": tracker.label, "marks": marks.get(entry["id"], 0)}
            for entry in accounts
            if (tracker := self.service.trackers.get(entry["tracker"])) and hasattr(tracker, "history")
        ]
        known = {"accounts": fillable, "jobs": done, "words": {**BACKFILLED, **ON_THE_WAY}}
        return self.render(request, "backfill.html", {"owner": owner.name, "names": names, **known}, visitor)

    async def preview_backfill(
        self, request: Request, visitor: Visitor, fields: Mapping[str, str]
    ) -> Response:
        row, tracker = await self.account(visitor, fields)
        try:
            report = await backfilling.preview(self.database, tracker, self.service.credentials, row.id)
        except backfilling.NoBackfill as error:
            raise Problem(409, error_sentence(error)) from error
        except Undelivered as error:
            why = f"{tracker.label} could not be reached: {error}. Nothing was sent."
            raise Problem(502, why) from error
        owner = await self.database.read(lambda connection: person_by_id(connection, row.person_id))
        known = {"report": report.to_json(), "words": BACKFILLED, "account": row.id, "label": tracker.label}
        name = owner.name if owner else visitor.name
        return self.render(request, "backfill_look.html", {"owner": name, **known}, visitor)

    async def backfill(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        row, tracker = await self.account(visitor, fields)

        def apply(connection: Connection) -> PersonRow | None:
            try:
                backfilling.begin(connection, tracker, row.id, clock.now())
            except backfilling.NoBackfill as error:
                raise Problem(409, error_sentence(error)) from error
            return person_by_id(connection, row.person_id)

        owner = await self.database.run(apply)
        return self.of_owner("/history/backfill", visitor, owner, "begun")

    async def take_back(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Take back what a restore marked on a media server."""
        row, tracker = await self.account(visitor, fields)
        require_server(self.service, tracker.name)

        def apply(connection: Connection) -> tuple[int, PersonRow | None]:
            count = restore.take_back(connection, row.id, clock.now())
            return count, person_by_id(connection, row.person_id)

        count, owner = await self.database.run(apply)
        self.service.interpreter.told.set()
        return self.of_owner("/history/backfill", visitor, owner, f"untold-{count}")

    async def account(self, visitor: Visitor, fields: Mapping[str, str]) -> tuple[AccountRow, Tracker]:
        """The account selected in a form, and its tracker; raises Problem."""
        wanted = whole(fields.get("account", ""))
        if wanted is None:
            raise Problem(422, "Choose an account.")
        row = await self.database.read(lambda connection: changes.find_account(connection, visitor, wanted))
        tracker = self.service.trackers.get(row.tracker)
        if tracker is None:
            raise changes.not_set_up(row.tracker)
        return row, tracker

    # --- both

    async def undo(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Undo an import as a whole."""
        wanted = id_of(request)
        shown = await self.database.read(lambda connection: own_job(connection, visitor, wanted))
        if shown is None:
            raise Problem(404, "There is no such import.")
        try:
            await import_undo.undo(
                self.database, wanted, self.service.trackers, visitor.name, self.service.settings.watched_mark
            )
        except import_undo.NoUndo as error:
            raise Problem(409, f"This import cannot be undone: {error}.") from error
        self.service.interpreter.told.set()
        owner = await self.owner_of_form(visitor, {"person": shown["person"] or ""})
        return self.of_owner("/history/import", visitor, owner, "import-undone")

    async def cancel(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)

        def apply(connection: Connection) -> None:
            if own_job(connection, visitor, wanted) is None:
                raise Problem(404, f"Job {wanted} was not found.")
            backfilling.cancel(connection, wanted, clock.now())

        await self.database.run(apply)
        return self.back(request, fields, "cancelled")

    async def owner_of_form(self, visitor: Visitor, fields: Mapping[str, str]) -> PersonRow:
        """The person that a form is about."""
        owner, _ = await self.chosen_person(Params({"person": fields.get("person") or visitor.name}), visitor)
        return owner

    def of_owner(self, path: str, visitor: Visitor, owner: PersonRow | None, word: str) -> str:
        asked = {"person": owner.name} if visitor.is_admin and owner else {}
        return f"{path}?{urlencode({**asked, 'said': word})}"


def labels(modules: Mapping[str, ModuleType]) -> dict[str, str]:
    return {name: module.LABEL for name, module in modules.items()}


def error_sentence(error: Exception) -> str:
    text = str(error)
    said = f"{text[:1].upper()}{text[1:]}"
    return f"{said}. Nothing was sent."
