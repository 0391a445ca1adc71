"""The commands for the tokens that let webhooks and scripts in: token new, list, revoke."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import typer
from sqlalchemy import Connection
from typing_extensions import TypedDict

from webhook import clock, sources
from webhook.accounts import sealed_secrets
from webhook.accounts.seal import Seal
from webhook.cli._common import (
    Json,
    Whose,
    print_table,
    say,
)
from webhook.cli._desk import (
    open_desk,
    person_or_only,
)
from webhook.clock import stamp
from webhook.people import tokens
from webhook.people.scopes import Scope, names, parse_scopes, spell
from webhook.transfer import export

token_app = typer.Typer(no_args_is_help=True, help="Manage tokens for webhooks, scripts and apps.")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewToken:
    """The options of a new token."""

    kind: str
    whose: str | None
    name: str | None
    scopes: list[str] | None
    days: int | None

    @property
    def is_feed(self) -> bool:
        return self.scopes is not None and Scope.CALENDAR in self.scopes


class CreatedToken(TypedDict):
    """What is shown of a new token, this once."""

    id: int
    kind: str
    name: str | None
    person: str | None
    scopes: list[str] | None
    expires_at: str | None
    secret: str


class ListedToken(TypedDict):
    """A token as the list shows it, without its secret."""

    id: int
    kind: str
    name: str | None
    person: str | None
    scopes: list[str] | None
    created_at: str | None
    expires_at: str | None
    expired: bool
    revoked_at: str | None
    problem: str | None


@token_app.command("new")
def token_new(
    kind: Annotated[
        Literal["webhook", "api", "app"],
        typer.Option(help="webhook for media servers, api for scripts, app for TV Time apps."),
    ],
    whose: Whose = None,
    name: Annotated[str | None, typer.Option(help="A name for the token.")] = None,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What an API token may do; repeat for several. Default: everything."),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--expires-in-days", min=1, max=tokens.MAX_TOKEN_DAYS, help="When it expires. Default: never."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token. Webhooks sent with a person's token count for that person."""
    refuse_what_does_not_fit(kind, whose, scope, days)
    asked = NewToken(kind=kind, whose=whose, name=name, scopes=scopes_of(kind, scope), days=days)
    with open_desk() as at:
        secret = tokens.new_secret()
        made = at.database.do(lambda connection: make_token(connection, at.seal, asked, secret))
        address = at.settings.address
    if kind == "webhook":
        found = {one: sources.address(address, one, secret) for one in sources.modules()}
        say(as_json, {**made, "urls": found}, *(f"{one:<10}{url}" for one, url in found.items()))
        return
    feed = export.calendar_address(address, secret)
    line = feed if asked.scopes == [Scope.CALENDAR] else secret
    say(as_json, {**made, "calendar": feed if asked.is_feed else None}, line)


def make_token(connection: Connection, seal: Seal, asked: NewToken, secret: str) -> CreatedToken:
    """Store the token and return what is shown of it once."""
    row = person_or_only(connection, asked.whose) if asked.whose is not None or asked.is_feed else None
    now = clock.now()
    expires_at = None if asked.days is None else now + timedelta(days=asked.days)
    made = tokens.add_token(
        connection,
        asked.kind,
        secret,
        seal.seal(secret) if asked.kind == "webhook" else "",
        now,
        name=asked.name,
        person_id=None if row is None else row.id,
        scopes=asked.scopes,
        expires_at=expires_at,
    )
    return {
        "id": made,
        "kind": asked.kind,
        "name": asked.name,
        "person": None if row is None else row.name,
        "scopes": asked.scopes,
        "expires_at": stamp(expires_at),
        "secret": secret,
    }


def refuse_what_does_not_fit(
    kind: str, whose: str | None, scope: list[Scope] | None, days: int | None
) -> None:
    """Raise BadParameter for options that do not fit the kind of token."""
    if kind == "app" and whose is None:
        raise typer.BadParameter("An app password needs --person NAME.", param_hint="--person")
    if kind != "api" and scope:
        raise typer.BadParameter("Only API tokens have scopes.", param_hint="--scope")
    if kind == "webhook" and days is not None:
        why = tokens.WEBHOOK_TOKENS_NEVER_END
        raise typer.BadParameter(f"{why[:1].upper()}{why[1:]}", param_hint="--expires-in-days")


def scopes_of(kind: str, scope: list[Scope] | None) -> list[str] | None:
    """The scopes of a new token: those that were named, for an API token else everything."""
    return names(frozenset(scope or [Scope.ADMIN])) if kind == "api" else None


@token_app.command("list")
def token_list(as_json: Json = False) -> None:
    """List tokens; their secrets are not shown."""
    with open_desk() as at:
        rows = at.database.ask(lambda connection: all_tokens(connection, at.seal))
    if as_json:
        say(True, {"tokens": rows})
        return
    columns = ("id", "kind", "name", "person", "scopes", "created_at", "expires_at", "revoked_at")
    print_table(columns, [cells(row) for row in rows], "No tokens yet.")
    say(False, None, *(f"Webhook token {row['id']}: {row['problem']}" for row in rows if row["problem"]))


def cells(token: ListedToken) -> list[object]:
    """A line of the table."""
    expires_at = f"expired {token['expires_at']}" if token["expired"] else token["expires_at"]
    scopes = spell(token["scopes"]) if token["kind"] == "api" else None
    return [
        token["id"],
        token["kind"],
        token["name"],
        token["person"],
        scopes,
        token["created_at"],
        expires_at,
        token["revoked_at"],
    ]


def all_tokens(connection: Connection, seal: Seal) -> list[ListedToken]:
    now = clock.now()
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "name": row.name,
            "person": row.person,
            "scopes": names(parse_scopes(row.scopes)),
            "created_at": stamp(row.created_at),
            "expires_at": stamp(row.expires_at),
            "expired": tokens.has_expired(row.expires_at, now),
            "revoked_at": stamp(row.revoked_at),
            "problem": sealed_secrets.token_problem(row, seal),
        }
        for row in tokens.list_tokens(connection, revoked=True)
    ]


@token_app.command("revoke")
def token_revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="ID of the token.")], as_json: Json = False
) -> None:
    """Revoke a token. A running service refuses it within two seconds."""
    with open_desk() as at:
        at.database.do(lambda connection: tokens.revoke_token(connection, number, clock.now()))
    say(as_json, {"id": number, "revoked": True}, f"Token {number} is revoked.")
