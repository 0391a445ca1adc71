"""The first start: five steps on one page that fills itself; each can be left, and waits on Now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import servers, sources
from webhook.network import discovery
from webhook.network.discovery import FoundServer
from webhook.web import visible
from webhook.web.connections import actions as connections
from webhook.web.connections import catalog, states
from webhook.web.connections.form_errors import FormError
from webhook.web.connections.sign_in_view import list_sign_ins
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.once import Once
from webhook.web.http.page import Endpoint
from webhook.web.http.sessions import base
from webhook.web.people import actions as administration
from webhook.web.people.models import PersonChange
from webhook.web.setup import steps
from webhook.web.setup.pages import Setup, read_sources
from webhook.web.setup.steps import Progress, SetupNote, StepName
from webhook.web.visible import Visitor

FORMER_PATHS = ("/wizard", "/wizard/source", "/wizard/source/{source}", "/wizard/tracker", "/wizard/done")
"""The pages that the first start once had, which lead to this one."""


class Start(Setup, Once):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/start", self.page(self.start)),
            Route("/start/step", self.change(self.choose), methods=["POST"]),
            Route("/start/find", self.answers(self.find, owner=True), methods=["POST"]),
            Route("/start/time-zone", self.change(self.zone), methods=["POST"]),
            *(Route(path, self.redirect_former()) for path in FORMER_PATHS),
        ]

    def redirect_former(self) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return RedirectResponse(f"{base(self.service.settings, request)}/start", 308)

        return endpoint

    async def start(self, request: Request, visitor: Visitor) -> Response:
        return await self.render_start(request, visitor, None)

    async def find(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Show which servers of the chosen kind are near, and fill in the address of the first or the chosen one."""
        found = await connections.find_servers(self.service, fields.get("server", ""), fields.get("address"))
        return await self.render_start(request, visitor, found)

    async def render_start(
        self, request: Request, visitor: Visitor, found: Sequence[FoundServer] | None
    ) -> Response:
        """Render the page; with the servers found it is an answer to a form, redrawn from its own address."""
        shown = await read_sources(self.service, request, visitor)
        wanted = {name for name in StepName if name == request.query_params.get("step")}
        tracker = request.query_params.get("tracker")

        def read(connection: Connection) -> dict[str, object]:
            progress = steps.read_progress(connection, self.service, visitor)
            offered = steps.destinations(self.service)
            chosen = next((choice.name for choice in offered if choice.name == tracker), None)
            return {
                "progress": progress,
                "steps": steps.list_steps(progress, self.steps_to_open(progress, visitor, wanted, chosen)),
                "person": administration.one_person(connection, visitor, visitor.name or ""),
                "names": visible.names(connection) if progress.unclaimed else [],
                "server": self.read_server(connection, visitor, progress, found or []),
                "offered": [catalog.services()[choice.name] for choice in offered],
                "free": {choice.name for choice in offered if choice.is_free},
                "one": self.read_service(connection, visitor, chosen) if chosen else None,
            }

        known = {
            **shown,
            **await self.database.read(read),
            "found": found,
            "can_find": discovery.PROBES.keys(),
            "refused": FormError(),
            "can_reopen": self.service.reopen is not None,
            "forced": "&step=tracker" if StepName.TRACKER in wanted else "",
        }
        if found is not None:
            own = f"{base(self.service.settings, request)}/start"
            known |= {"here": own, "drawn_at": own}
        return self.render(request, "start.html", known, visitor)

    def steps_to_open(
        self, progress: Progress, visitor: Visitor, wanted: set[StepName], tracker: str | None
    ) -> set[StepName]:
        """The steps that the visitor opened: by its link, or by choosing a tracker that is not connected."""
        return wanted | ({StepName.TRACKER} if tracker and tracker not in progress.accounts else set())

    def read_server(
        self, connection: Connection, visitor: Visitor, progress: Progress, found: Sequence[FoundServer]
    ) -> Mapping[str, object] | None:
        """The chosen media server, where it can be asked as well and the visitor is the owner."""
        if progress.server is None or progress.server not in servers.modules() or not visitor.is_admin:
            return None
        typed = connections.fill_address(progress.server, found)
        return self.read_service(connection, visitor, progress.server, typed)

    def read_service(
        self, connection: Connection, visitor: Visitor, name: str, typed: Mapping[str, str] | None = None
    ) -> Mapping[str, object]:
        """A service with its settings and sign-ins, as its own page shows them; `typed` are filled in."""
        one = catalog.find_service(visitor, name)
        shown = states.describe_service(connection, self.service, visitor, one)
        mine = [entry for entry in shown["accounts"] if entry["person"] == visitor.name]
        pending = list_sign_ins(connection, self.service, visitor, name, shown["accounts"])
        return {
            **shown,
            "said": states.last_result(connection, name),
            "settings": FormError(form="settings", typed=typed or {}).settings(shown["settings"]),
            "accounts": mine,
            "sign_ins": [entry for entry in pending if entry["person"] == visitor.name],
        }

    async def choose(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Choose the source, or put a step off, dismiss it or take it up again."""

        def apply(connection: Connection) -> None:
            before = steps.load_choices(connection, visitor.person_id) or steps.UNCHOSEN
            steps.save_choices(connection, visitor.person_id, change_choices(before, fields))

        await self.database.run(apply)
        return "/" if fields.get("do") == "dismiss" else "/start"

    async def zone(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        """Store the visitor's time zone, as reported by the browser."""
        given = {"timezone": fields.get("timezone", "")}
        await administration.change(self.service, visitor, visitor.name or "", validate(PersonChange, given))
        return self.back(request, {"back": "/start", **fields}, "saved")


def change_choices(before: SetupNote, fields: Mapping[str, str]) -> SetupNote:
    """The choices after a form, which names a source or a step; raises Problem if it names neither."""
    if "server" in fields:
        server = fields["server"] or None
        if server is not None and server not in sources.modules():
            raise Problem(422, "There is no such media server.")
        reopened = (StepName.SERVER, StepName.PLAY) if server else ()
        return {**before, "server": server, "later": drop(before["later"], *reopened)}
    try:
        step = StepName(fields.get("step", ""))
    except ValueError as error:
        raise Problem(422, "There is no such step.") from error
    later, dismissed = drop(before["later"], step), drop(before["dismissed"], step)
    if fields.get("do") == "later":
        later = [*later, step]
    elif fields.get("do") == "dismiss":
        dismissed = [*dismissed, step]
    return {**before, "later": later, "dismissed": dismissed}


def drop(names: Sequence[StepName], *gone: StepName) -> list[StepName]:
    return [StepName(name) for name in names if name not in gone]
