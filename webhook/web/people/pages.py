"""Pages of people: their identities, sign-ins, filters and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from webhook import sources
from webhook.domain.event import Kind
from webhook.domain.json_shapes import FiltersJson
from webhook.domain.rules import Filters
from webhook.people import household
from webhook.people.passwords import MIN_PASSWORD_LENGTH
from webhook.people.second_factor import find_second_factor
from webhook.people.sessions import SignInMethod
from webhook.texts import texts
from webhook.web import actions as changes
from webhook.web import visible
from webhook.web.http.addresses import address_of
from webhook.web.http.browsers import describe_browser
from webhook.web.http.challenges import describe_party
from webhook.web.http.errors import Problem
from webhook.web.http.models import validate
from webhook.web.http.once import Once
from webhook.web.http.params import clean, id_of, whole
from webhook.web.http.sessions import base, person_by_id, person_by_name
from webhook.web.people import actions as administration
from webhook.web.people.models import (
    HouseholdRequest,
    Invitation,
    PersonChange,
    PersonDetail,
    PersonFilters,
    TokenRequest,
)
from webhook.web.people.preview import LAST, meanings, names_in, preview
from webhook.web.visible import Visitor

TEXT_FIELDS = ("libraries", "not_libraries", "players", "not_players")
SIGN_IN_METHODS = texts(
    {
        SignInMethod.PASSWORD: "by password",
        SignInMethod.LINK: "by one-time link",
        SignInMethod.OIDC: "at the provider",
        SignInMethod.PROXY: "by the proxy",
        SignInMethod.PASSKEY: "with a passkey",
    }
)
KIND_LABELS = texts({Kind.MOVIE: "films", Kind.EPISODE: "episodes", Kind.TRACK: "tracks"})


class People(Once):
    def routes(self) -> list[BaseRoute]:
        def does(path: str, endpoint: Any) -> Route:
            return Route(path, endpoint, methods=["POST"])

        one = "/people/{name:path}"
        return [
            Route("/people", self.page(self.everybody)),
            does("/people", self.change(self.add, owner=True)),
            does("/household", self.change(self.share, owner=True)),
            does("/household/{id}/remove", self.change(self.unshare, owner=True)),
            does("/sessions/{id}/end", self.change(self.end_session)),
            does(f"{one}/sessions/end", self.change(self.end_other_sessions)),
            does("/oidc-users/{id}/link", self.change(self.assign_oidc_user, owner=True)),
            does("/oidc-users/{id}/remove", self.change(self.remove_oidc_user)),
            does("/tokens", self.answers(self.make_token)),
            does("/tokens/{id}/revoke", self.change(self.revoke)),
            does(f"{one}/name", self.change(self.rename, owner=True)),
            does(f"{one}/time-zone", self.change(self.zone)),
            does(f"{one}/password", self.answers(self.password)),
            does(f"{one}/invite", self.answers(self.invite, owner=True)),
            does(f"{one}/claim", self.change(self.claim, owner=True)),
            does(f"{one}/release", self.change(self.release)),
            does(f"{one}/filters", self.change(self.filters)),
            does(f"{one}/filters/preview", self.answers(self.preview)),
            Route(f"{one}/remove", self.page(self.removal)),
            does(f"{one}/remove", self.change(self.remove, owner=True)),
            Route(one, self.page(self.person)),
        ]

    # --- everybody

    async def everybody(self, request: Request, visitor: Visitor) -> Response:
        if not visitor.is_admin:
            return self.redirect_to(request, path_to(visitor.restricted_to or ""))

        def read(connection: Connection) -> dict[str, object]:
            everybody = visible.people(connection, visitor)
            return {
                "people": [administration.one_person(connection, visitor, one["name"]) for one in everybody],
                "unclaimed": visible.open_identities(connection, visitor),
                "shared": household.list_rules(connection),
                "waiting": [
                    user for user in administration.list_oidc_users(connection) if not user["person"]
                ],
            }

        return self.render(request, "people.html", await self.database.read(read), visitor)

    async def add(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name, built = fields.get("name", ""), self.service.trackers
        await self.database.run(lambda connection: changes.add_person(connection, built, name))
        return f"{path_to(name.strip())}?said=created"

    async def share(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        names = await self.database.read(visible.names)
        given = {
            "players": unique_lines(fields.get("players", "")),
            "libraries": unique_lines(fields.get("libraries", "")),
            "people": [name for name in names if f"person-{name}" in fields],
        }
        rule = validate(HouseholdRequest, given)
        await self.database.run(lambda connection: changes.add_household_rule(connection, rule))
        return "/people?said=created#household"

    async def unshare(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        await self.database.run(lambda connection: changes.remove_household_rule(connection, wanted))
        return "/people?said=removed#household"

    # --- one person

    async def person(self, request: Request, visitor: Visitor) -> Response:
        return await self.render_person(request, visitor)

    async def render_person(
        self,
        request: Request,
        visitor: Visitor,
        chosen: FiltersJson | None = None,
        wrong: str | None = None,
        status: int = 200,
        link: Invitation | None = None,
        passkey_wrong: str | None = None,
    ) -> Response:
        """Render the page of the person in the path; `chosen` are filters to preview, `link` an invitation to show."""
        name = request.path_params["name"]

        def read(connection: Connection) -> tuple[PersonDetail, dict[str, object]]:
            row = changes.find_person(connection, visitor, name)
            own, read = Visitor(person_id=row.id, name=row.name), meanings(connection, row)
            filters = Filters.from_json(row.filters if chosen is None else chosen)
            return administration.one_person(connection, visitor, name), {
                "filters": filters,
                "seen": names_in(read),
                "preview": preview(read, filters),
                "accounts": visible.accounts(connection, own),
                "tokens": administration.list_tokens(connection, self.service.seal, own),
                "token_choices": administration.TOKEN_CHOICES,
                "unclaimed": visible.open_identities(connection, visitor),
                "second_factor": find_second_factor(connection, row.id),
                "sessions": administration.list_sessions(connection, visitor, row.id),
                "oidc_users": administration.list_oidc_users(connection, row.id),
                "passkeys": {
                    **describe_party(self.service, request),
                    "listed": administration.list_passkeys(connection, row.id),
                    "suggested": describe_browser(request.headers.get("user-agent", "")),
                    "wrong": passkey_wrong,
                },
            }

        person, known = await self.database.read(read)
        fixed = bool(self.service.settings.admin_password.get_secret_value()) and person["owner"]
        besides = {
            "person": person,
            "own": visitor.person_id == person["id"],
            "path": path_to(name),
            "has_second_factor": known["second_factor"] is not None,
            "methods": SIGN_IN_METHODS,
            "provider": self.service.oidc and self.service.oidc.name,
            "fixed": fixed,
            "zones": zones_with(person["timezone"]),
            "kinds": KIND_LABELS,
            "last": LAST,
            "shortest": MIN_PASSWORD_LENGTH,
            "tried": chosen is not None,
            "wrong": wrong,
            "link": link,
            "drawn_at": base(self.service.settings, request) + path_to(name)
            if request.method == "POST"
            else None,
        }
        return self.render(request, "person.html", {**known, **besides}, visitor, status)

    async def rename(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        given = {"name": fields.get("name", "")}
        person = await administration.change(
            self.service, visitor, request.path_params["name"], validate(PersonChange, given)
        )
        return f"{path_to(person['name'])}?said=saved"

    async def zone(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name, given = request.path_params["name"], {"timezone": fields.get("timezone", "")}
        await administration.change(self.service, visitor, name, validate(PersonChange, given))
        return f"{path_to(name)}?said=saved"

    async def claim(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.identity(request, visitor, fields, "claimed")

    async def release(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        return await self.identity(request, visitor, fields, "released")

    async def identity(self, request: Request, visitor: Visitor, fields: Mapping[str, str], word: str) -> str:
        name = request.path_params["name"]
        wanted = changes.require_source(fields.get("identity", ""), sources.modules())
        change = changes.claim if word == "claimed" else changes.release

        def apply(connection: Connection) -> None:
            changes.find_person(connection, visitor, name)
            change(connection, name, wanted)

        await self.database.run(apply)
        self.service.interpreter.news.set()
        return f"{path_to(name)}?said={word}"

    # --- filters

    async def filters(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name, chosen = request.path_params["name"], filters_of(fields)

        def apply(connection: Connection) -> None:
            row = changes.find_person(connection, visitor, name)
            changes.set_filters(connection, row.id, chosen)

        await self.database.run(apply)
        return f"{path_to(name)}?said=saved#filters"

    async def preview(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        return await self.render_person(request, visitor, chosen=filters_of(fields))

    # --- signing in

    async def password(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        """Change one's own password, with the current one; this browser stays signed in."""
        own, name = self.sessions.own_password, request.path_params["name"]
        row = await own.row(visitor, name)
        try:
            if fields.get("password") != fields.get("again"):
                raise Problem(422, "The new passwords don't match. Your password was not changed.")
            await own.change(row, fields.get("known", ""), fields.get("password", ""))
        except Problem as error:
            return await self.render_person(request, visitor, wrong=error.detail, status=error.status)
        response = self.redirect_to(request, f"{path_to(name)}?said=saved")
        again = await self.database.read(lambda connection: person_by_id(connection, row.id))
        if again is not None:
            await self.sessions.begin(request, response, again, SignInMethod.PASSWORD)
        return response

    async def invite(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        here = address_of(self.service, request)
        link = await administration.invite(self.service, visitor, request.path_params["name"], here)
        return await self.render_person(request, visitor, link=link)

    async def end_session(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        await self.database.run(lambda connection: administration.end_session(connection, visitor, wanted))
        return self.back(request, fields, "ended")

    async def end_other_sessions(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name = request.path_params["name"]
        await self.database.run(
            lambda connection: administration.end_other_sessions(connection, visitor, name)
        )
        return f"{path_to(name)}?said=ended#sessions"

    # --- users of an OpenID provider

    async def assign_oidc_user(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted, name = id_of(request), fields.get("person", "")
        await self.database.run(
            lambda connection: administration.assign_oidc_user(connection, visitor, wanted, name)
        )
        return f"{path_to(name)}?said=saved"

    async def remove_oidc_user(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        await self.database.run(
            lambda connection: administration.remove_oidc_user(connection, visitor, wanted)
        )
        return self.back(request, fields, "removed")

    # --- tokens

    async def make_token(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> Response:
        given = token_fields(fields)
        made = await administration.make_token(
            self.service, visitor, validate(TokenRequest, given), address_of(self.service, request)
        )
        known = {"made": made, "back": back_of(fields), "labels": sources.modules()}
        return self.render(request, "token.html", known, visitor)

    async def revoke(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        wanted = id_of(request)
        await self.database.run(lambda connection: administration.revoke_token(connection, visitor, wanted))
        return self.back(request, fields, "removed")

    # --- removing

    async def removal(self, request: Request, visitor: Visitor) -> Response:
        """The confirmation page for removing a person, or the page of a person whose name ends in "/remove"."""
        name = request.path_params["name"]
        if await self.is_name(f"{name}/remove"):
            request.path_params["name"] = f"{name}/remove"
            return await self.render_person(request, visitor)
        if not visitor.is_admin:
            raise Problem(403, "Only the owner can see this page.")

        def read(connection: Connection) -> dict[str, object]:
            row = changes.find_person(connection, visitor, name)
            if row.owner:
                raise Problem(409, f"{name} is the owner and can't be removed.")
            return {"name": row.name, "gone": administration.goes_with(connection, row.id)}

        known = await self.database.read(read)
        return self.render(request, "removal.html", {**known, "path": path_to(name)}, visitor)

    async def is_name(self, name: str) -> bool:
        """True if a person has this name; names could once contain a slash."""
        return clean(name) and await self.database.read(
            lambda connection: person_by_name(connection, name) is not None
        )

    async def remove(self, request: Request, visitor: Visitor, fields: Mapping[str, str]) -> str:
        name = request.path_params["name"]
        if fields.get("sure") != name:
            raise Problem(422, f"Type {name} to confirm. Nothing was removed.")
        await self.database.run(lambda connection: administration.remove_person(connection, visitor, name))
        return "/people?said=removed"


def token_fields(fields: Mapping[str, str]) -> dict[str, object]:
    """A form's token fields in the API's shape."""
    given: dict[str, object] = {
        name: value for name in ("kind", "name", "person") if (value := fields.get(name, "").strip())
    }
    if given.get("kind") == "api" and fields.get("scopes"):
        given["scopes"] = fields["scopes"].split()
    if days := fields.get("expires_in_days"):
        given["expires_in_days"] = whole(days) or 0
    return given


def path_to(name: str) -> str:
    return f"/people/{quote(name)}"


def back_of(fields: Mapping[str, str]) -> str:
    """The path that a token's page returns to: settings or people."""
    return "/settings" if fields.get("back") == "/settings" else "/people"


def zones_with(zone: str | None) -> list[str]:
    """The zones to choose from, including the current one."""
    known = administration.zones()
    return [*known] if zone is None or zone in known else [zone, *known]


def unique_lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def filters_of(fields: Mapping[str, str]) -> FiltersJson:
    """Parse a form's filters: a name per line, and the ticked kinds; raises Problem."""
    given: dict[str, object] = {name: unique_lines(fields.get(name, "")) for name in TEXT_FIELDS}
    ticked = [kind.value for kind in KIND_LABELS if f"kind-{kind}" in fields]
    # All kinds are no filter, and neither are none: nobody wants nothing.
    given["kinds"] = [] if len(ticked) == len(KIND_LABELS) else ticked
    return validate(PersonFilters, {**given, "home_videos": "home_videos" in fields}).to_json()
