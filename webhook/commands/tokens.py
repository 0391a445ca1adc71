"""The commands for the tokens that let webhooks and scripts in: token new, list, revoke."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from sqlalchemy import Connection, select

from webhook import clock, keys, people, sources
from webhook.clock import stamp
from webhook.commands._common import Json, Whose, opened, say, tabled
from webhook.credentials import Seal
from webhook.tables import person
from webhook.tables import token as token_table

token_app = typer.Typer(no_args_is_help=True, help="The tokens that let webhooks and scripts in.")


@token_app.command("new")
def token_new(
    kind: Annotated[
        Literal["webhook", "api", "app"],
        typer.Option(help="For media servers, for scripts, or an app password beside a person's own."),
    ],
    whose: Whose = None,
    name: Annotated[str | None, typer.Option(help="To tell it from the others.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token. Only one for media servers is shown again; what comes with a person's token is that person's."""
    if kind == "app" and whose is None:
        raise typer.BadParameter("Say whose the app password is.", param_hint="--person")
    with opened() as at:
        secret = people.new_secret()
        sealed = at.seal.seal(secret) if kind == "webhook" else ""
        made = at.database.do(lambda connection: keep_token(connection, kind, secret, sealed, whose, name))
        shown = {"id": made, "kind": kind, "name": name, "person": whose, "secret": secret}
        if kind != "webhook":
            say(as_json, shown, secret)
            return
        found = {one: sources.address(at.settings.address, one, secret) for one in sources.modules()}
        say(as_json, {**shown, "urls": found}, *(f"{one:<10}{url}" for one, url in found.items()))


def keep_token(
    connection: Connection, kind: str, secret: str, sealed: str, whose: str | None, name: str | None
) -> int:
    owner = None if whose is None else people.by_name(connection, whose).id
    return people.keep_token(connection, kind, secret, sealed, clock.now(), name=name, person_id=owner)


@token_app.command("list")
def token_list(as_json: Json = False) -> None:
    """The tokens there are; their secrets are not shown."""
    with opened() as at:
        rows = at.database.ask(lambda connection: all_tokens(connection, at.seal))
    if as_json:
        say(True, {"tokens": rows})
        return
    columns = ("id", "kind", "name", "person", "created_at", "revoked_at")
    tabled(columns, [[row[name] for name in columns] for row in rows], "There is no token yet.")
    say(False, None, *(f"Webhook token {row['id']}: {row['problem']}" for row in rows if row["problem"]))


def all_tokens(connection: Connection, seal: Seal) -> list[dict[str, Any]]:
    wanted = select(token_table, person.c.name.label("person")).join(
        person, token_table.c.person_id == person.c.id, isouter=True
    )
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "name": row.name,
            "person": row.person,
            "created_at": stamp(row.created_at),
            "revoked_at": stamp(row.revoked_at),
            "problem": keys.token_problem(row, seal),
        }
        for row in connection.execute(wanted.order_by(token_table.c.id))
    ]


@token_app.command("revoke")
def token_revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="By number.")], as_json: Json = False
) -> None:
    """Let a token in no more; a running service refuses it within two seconds."""
    with opened() as at:
        at.database.do(lambda connection: people.revoke(connection, number, clock.now()))
    say(as_json, {"id": number, "revoked": True}, f"Token {number} is revoked.")
