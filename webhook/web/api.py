"""The JSON API under /api/v1: everything the pages show and do, for scripts."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from webhook import clock, guids, household, matches, people, sources, trace, trackers
from webhook.db import Database
from webhook.event import Ids
from webhook.web import changes, views
from webhook.web.addresses import address_of, addresses, template
from webhook.web.asked import Params, id_of, json_object
from webhook.web.changes import write
from webhook.web.openapi_needs import document
from webhook.web.shell import Problem
from webhook.web.sign_in import Sessions, by_id, same_site
from webhook.web.views import DELIVERY_STATES, STATES, Visitor, Wanted

if TYPE_CHECKING:
    from webhook.app import Service

Answer = Callable[[Request, Visitor], Awaitable[Any]]

FRESH = 2.0
"""Seconds for which the known tokens are believed, as at the door for webhooks."""

READS = frozenset({"GET", "HEAD"})
WEBHOOK_FILTERS = ("state", "source", "person", "tracker", "text")
WAYS_IN = {"WWW-Authenticate": 'Bearer realm="watchmark"'}
HOW = "Send an API token as Authorization: Bearer …; make one with: watchmark token new --kind api"


class Gate:
    """Lets in who has an API token, or has signed in with this browser."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self.database = database
        self.sessions = sessions
        self.known: dict[str, Visitor] = {}
        self.read_at = -FRESH

    async def admit(self, request: Request) -> Visitor:
        """Who asks; raises Problem 401, or 403 where another site asks in the name of who signed in."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            visitor = await self.bearer(secret.strip())
        else:
            visitor = await self.sessions.visitor(request)
            self.own_page(request, visitor)
        if visitor is None:
            raise Problem(401, HOW, WAYS_IN)
        return visitor

    def own_page(self, request: Request, visitor: Visitor | None) -> None:
        settings = self.sessions.service.settings
        if visitor and request.method not in READS and not same_site(request, settings):
            raise Problem(403, "With a sign-in only our own pages may change things; use an API token.")

    async def bearer(self, secret: str) -> Visitor | None:
        """Whose token it is. Takes the same time whichever token is wrong."""
        digest = people.digest(secret)
        if digest not in self.known or time.monotonic() - self.read_at > FRESH:
            self.known = await self.database.read(keys)
            self.read_at = time.monotonic()
        found = None
        for known, visitor in self.known.items():
            if hmac.compare_digest(known, digest):
                found = visitor
        return found


def keys(connection: Connection) -> dict[str, Visitor]:
    """The valid API tokens, by digest, each with what it lets see."""
    return {row.digest: holder(connection, row.person_id) for row in people.valid_tokens(connection, "api")}


def holder(connection: Connection, person_id: int | None) -> Visitor:
    row = None if person_id is None else by_id(connection, person_id)
    if row is None:
        return Visitor(everything=True)
    return Visitor(person_id=row.id, name=row.name, everything=row.owner)


class Answers:
    """Routes that are answered with JSON, for whoever the gate admits. A group of them has a `table`."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self.service = service
        self.gate = gate
        self.database = service.database

    def table(self) -> list[tuple[str, Mapping[str, Answer]]]:
        raise NotImplementedError

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"/api/v1{path}", self.guarded(table), methods=[*table]) for path, table in self.table()
        ]

    def guarded(self, table: Mapping[str, Answer]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            visitor = await self.gate.admit(request)
            answer = await table[method](request, visitor)
            return answer if isinstance(answer, Response) else as_json(answer)

        return endpoint

    async def listed(self, question: Callable[[Connection], list[dict[str, Any]]]) -> dict[str, Any]:
        """A list that is never long, in the shape of those that are."""
        return {"items": await self.database.read(question), "next": None}

    async def person(self, params: Params, visitor: Visitor) -> str | None:
        """The person that a filter names: anybody for the owner, only oneself for others."""
        name = params.text("person")
        if visitor.only is not None:
            if name not in (None, visitor.only):
                raise Problem(403, f"person: only {visitor.only} may be asked about here.")
            return visitor.only
        if name is not None and name not in await self.database.read(views.names):
            raise Problem(400, "person must be the name of somebody here; see /api/v1/people.")
        return name


class Api(Answers):
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/v1/openapi.json", self.openapi),
            Route("/api/v1/templates/{source}", self.template),
            *super().routes(),
        ]

    def table(self) -> list[tuple[str, Mapping[str, Answer]]]:
        return [
            ("/webhooks", {"GET": self.webhooks}),
            ("/webhooks/replay", {"POST": self.replay_all}),
            ("/webhooks/{id}", {"GET": self.webhook}),
            ("/webhooks/{id}/replay", {"POST": self.replay}),
            ("/deliveries", {"GET": self.deliveries}),
            ("/deliveries/retry", {"POST": self.retry_all}),
            ("/deliveries/{id}", {"GET": self.delivery}),
            ("/deliveries/{id}/retry", {"POST": self.retry}),
            ("/unmatched", {"GET": self.unmatched}),
            ("/unmatched/{id}/match", {"POST": self.match}),
            ("/plays", {"GET": self.plays}),
            ("/people", {"GET": self.people, "POST": self.add_person}),
            ("/people/{name:path}/claim", {"POST": self.claim}),
            ("/people/{name:path}/release", {"POST": self.release}),
            ("/people/{name:path}/filters", {"PUT": self.filters}),
            ("/identities", {"GET": self.identities}),
            ("/accounts", {"GET": self.accounts}),
            ("/accounts/{id}/rules", {"PUT": self.rules}),
            ("/accounts/{id}/tells", {"PUT": self.tells}),
            ("/household", {"GET": self.household, "POST": self.share}),
            ("/household/{id}", {"DELETE": self.unshare}),
            ("/silent", {"GET": self.silent}),
            ("/urls", {"GET": self.urls}),
        ]

    # --- webhooks

    async def webhooks(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        limit, after = params.limit(), params.after()
        wanted = webhook_filters(params)
        return await self.database.read(
            lambda connection: views.webhooks(connection, visitor, limit=limit, after=after, wanted=wanted)
        )

    async def webhook(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        found = await self.database.read(lambda connection: views.one_webhook(connection, visitor, wanted))
        return found_or(found, f"There is no webhook {wanted}.")

    async def replay(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        if Params(request.query_params).choice("dry_run", ("true", "false")) == "true":
            return await self.rehearsed(visitor, wanted)
        replayed = await write(self.database, lambda connection: changes.replay(connection, visitor, wanted))
        self.service.interpreter.news.set()
        return {"replayed": replayed, "webhook": await self.webhook(request, visitor)}

    async def rehearsed(self, visitor: Visitor, wanted: int) -> Any:
        """What a replay would come to; nothing is changed."""
        entry = await self.database.read(lambda connection: views.one_webhook(connection, visitor, wanted))
        if found_or(entry, f"There is no webhook {wanted}.")["raw"] is None:
            raise Problem(
                409, "Its raw body was pruned after RETENTION_DAYS, so it cannot be interpreted again."
            )
        interpret = self.service.interpreter.one
        would = await asyncio.to_thread(trace.rehearsed, self.database, interpret, [wanted])
        told = would[0] if would else None
        if told is not None and visitor.only is not None:
            told["deliveries"] = [one for one in told["deliveries"] if one["person"] == visitor.only]
        return {"replayed": 0, "dry_run": True, "would": told, "webhook": entry}

    async def silent(self, request: Request, visitor: Visitor) -> Any:
        now, days = clock.now(), self.service.settings.silence_days
        return await self.listed(lambda connection: views.silent(connection, visitor, now, days))

    async def replay_all(self, request: Request, visitor: Visitor) -> Any:
        wanted = webhook_filters(await filters(request, WEBHOOK_FILTERS))
        if wanted == Wanted():
            raise Problem(400, f"{' or '.join(WEBHOOK_FILTERS)} must say which webhooks are meant.")
        replayed = await write(
            self.database, lambda connection: changes.replay_all(connection, visitor, wanted)
        )
        self.service.interpreter.news.set()
        return {"replayed": replayed}

    # --- deliveries

    async def deliveries(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        state, tracker = delivery_filters(params)
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after()
        return await self.database.read(
            lambda connection: trace.deliveries(
                connection, limit=limit, after=after, state=state, tracker=tracker, person_name=name
            )
        )

    async def delivery(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        found = await self.database.read(lambda connection: views.one_delivery(connection, visitor, wanted))
        return found_or(found, f"There is no delivery {wanted}.")

    async def retry(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        retried = await write(self.database, lambda connection: changes.retry(connection, visitor, wanted))
        self.service.interpreter.told.set()
        return {"retried": retried, "delivery": await self.delivery(request, visitor)}

    async def retry_all(self, request: Request, visitor: Visitor) -> Any:
        params = await filters(request, ("state", "tracker", "person"))
        state, tracker = delivery_filters(params)
        name = await self.person(params, visitor)
        retried = await write(
            self.database, lambda connection: changes.retry_all(connection, visitor, state, tracker, name)
        )
        self.service.interpreter.told.set()
        return {"retried": retried}

    # --- the unmatched inbox

    async def unmatched(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        name = await self.person(params, visitor)
        limit, after = params.limit(), params.after()
        return await self.database.read(
            lambda connection: matches.waiting(connection, person_name=name, limit=limit, after=after)
        )

    async def match(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        choice = choice_given(await json_object(request))
        chosen = await write(
            self.database, lambda connection: changes.match(connection, visitor, wanted, choice)
        )
        self.service.interpreter.told.set()
        keys, released = list(chosen.keys), list(chosen.deliveries)
        return {"keys": keys, "deliveries": released, "delivery": await self.delivery(request, visitor)}

    # --- plays, people, accounts

    async def plays(self, request: Request, visitor: Visitor) -> Any:
        params = Params(request.query_params)
        name = await self.person(params, visitor)
        limit, after, since = params.limit(), params.place(), params.moment("since")
        text = params.text("text")
        return await self.database.read(
            lambda connection: trace.plays(
                connection, limit=limit, after=after, person_name=name, since=since, text=text
            )
        )

    async def people(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: views.people(connection, visitor))

    async def add_person(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        name = Params(await json_object(request)).text("name") or ""
        await write(
            self.database, lambda connection: changes.add_person(connection, self.service.trackers, name)
        )
        return await self.shown(visitor, name.strip())

    async def claim(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return await self.identity_changed(request, visitor, changes.claim)

    async def release(self, request: Request, visitor: Visitor) -> Any:
        return await self.identity_changed(request, visitor, changes.release)

    async def identity_changed(
        self, request: Request, visitor: Visitor, change: Callable[[Connection, str, str], int]
    ) -> Any:
        name = request.path_params["name"]
        wanted = changes.identity_given(await json_object(request), sources.modules())

        def changed(connection: Connection) -> int:
            changes.somebody(connection, visitor, name)
            return change(connection, name, wanted)

        await write(self.database, changed)
        self.service.interpreter.news.set()
        return await self.shown(visitor, name)

    async def filters(self, request: Request, visitor: Visitor) -> Any:
        name = request.path_params["name"]
        chosen = changes.filters_given(await json_object(request))

        def changed(connection: Connection) -> None:
            person = changes.somebody(connection, visitor, name)
            changes.set_filters(connection, person.id, chosen)

        await write(self.database, changed)
        return await self.shown(visitor, name)

    async def identities(self, request: Request, visitor: Visitor) -> Any:
        ignored = Params(request.query_params).choice("ignored", ("true", "false")) == "true"
        listed = views.ignored if ignored else views.unclaimed
        return await self.listed(lambda connection: listed(connection, visitor))

    async def accounts(self, request: Request, visitor: Visitor) -> Any:
        return await self.listed(lambda connection: views.accounts(connection, visitor))

    async def rules(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        chosen = changes.rules_given(await json_object(request))
        await write(self.database, lambda connection: changes.set_rules(connection, visitor, wanted, chosen))
        return await self.account(visitor, wanted)

    async def tells(self, request: Request, visitor: Visitor) -> Any:
        wanted = id_of(request)
        chosen = changes.tells_given(await json_object(request))
        built = self.service.trackers
        await write(
            self.database, lambda connection: changes.set_tells(connection, built, visitor, wanted, chosen)
        )
        return await self.account(visitor, wanted)

    async def account(self, visitor: Visitor, wanted: int) -> Any:
        mine = await self.database.read(lambda connection: views.accounts(connection, visitor))
        found = next((account for account in mine if account["id"] == wanted), None)
        return found_or(found, f"There is no account {wanted}.")

    # --- the household

    async def household(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        return await self.listed(household.listed)

    async def share(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        given = changes.household_given(await json_object(request))
        made = await write(self.database, lambda connection: changes.add_household_rule(connection, given))
        rules = await self.database.read(household.listed)
        return found_or(next((rule for rule in rules if rule["id"] == made), None), "It is gone again.")

    async def unshare(self, request: Request, visitor: Visitor) -> Any:
        owner_only(visitor)
        wanted = id_of(request)
        await write(self.database, lambda connection: changes.remove_household_rule(connection, wanted))
        return {"id": wanted, "removed": True}

    # --- the addresses to paste

    async def urls(self, request: Request, visitor: Visitor) -> Any:
        here = address_of(self.service, request)
        return await self.listed(lambda connection: addresses(connection, self.service, visitor, here))

    # --- open to everybody

    async def template(self, request: Request) -> Response:
        text = template(request.path_params["source"])
        if text is None:
            raise Problem(404, "There is no such source, or it needs no template.")
        return PlainTextResponse(text)

    async def openapi(self, request: Request) -> Response:
        return as_json(document(address_of(self.service, request)))

    # ---

    async def shown(self, visitor: Visitor, name: str) -> Any:
        everybody = await self.database.read(lambda connection: views.people(connection, visitor))
        found = next((person for person in everybody if person["name"] == name), None)
        return found_or(found, "There is nobody of that name.")


async def filters(request: Request, names: tuple[str, ...]) -> Params:
    """The filter of a change to many, in the address or in the body; a name with a slip is refused."""
    params = Params({**request.query_params, **await json_object(request, required=False)})
    params.only(names)
    return params


def webhook_filters(params: Params) -> Wanted:
    return Wanted(
        state=params.choice("state", STATES),
        source=params.choice("source", sources.modules()),
        person=params.text("person"),
        tracker=params.choice("tracker", trackers.modules()),
        text=params.text("text"),
    )


def delivery_filters(params: Params) -> tuple[str | None, str | None]:
    return params.choice("state", DELIVERY_STATES), params.choice("tracker", trackers.modules())


def owner_only(visitor: Visitor) -> None:
    if not visitor.everything:
        raise Problem(403, "Only the owner may do this.")


def found_or(found: Any, otherwise: str) -> Any:
    if found is None:
        raise Problem(404, otherwise)
    return found


def as_json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def choice_given(given: Mapping[str, Any]) -> tuple[Ids, int | None, int]:
    """The choice in a body: ids or the number of a candidate, and a season offset; raises Problem."""
    if others := [name for name in given if name not in ("ids", "candidate", "season_offset")]:
        raise Problem(
            422, f"{others[0][:50]} is nothing to match by; there are ids, candidate, season_offset."
        )
    offset, candidate, named = given.get("season_offset", 0), given.get("candidate"), given.get("ids")
    if type(offset) is not int or abs(offset) > 1000:
        raise Problem(422, "season_offset must be a whole number such as -1.")
    if (named is None) == (candidate is None):
        raise Problem(422, "Say what it is: by ids, or by candidate.")
    if candidate is not None and type(candidate) is not int:
        raise Problem(422, "candidate must be a number, counted from 1.")
    if named is not None and (
        not isinstance(named, dict) or not {*named} <= {"tvdb", "tmdb", "imdb", "trakt"}
    ):
        raise Problem(422, "ids must hold tvdb, tmdb, imdb or trakt.")
    ids = guids.ids(**(named or {}))
    if ids.known().keys() != (named or {}).keys():
        raise Problem(422, "ids: tvdb, tmdb and trakt are numbers, and imdb looks like tt0903747.")
    return ids, candidate, offset
