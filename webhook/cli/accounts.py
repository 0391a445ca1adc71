"""The commands for accounts at trackers: connect, accounts, accounts tell, accounts rules, disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Row, update

from webhook.accounts import accounts as account_book
from webhook.accounts.accounts import Connected, Verdict
from webhook.cli._common import (
    Desk,
    Failed,
    Json,
    Which,
    Whose,
    Words,
    asked,
    opened,
    ruled,
    say,
    somebody,
    tabled,
)
from webhook.domain.event import Action, Kind
from webhook.queries.deliveries import find_dry_run_ids
from webhook.queries.people import list_accounts, rules_json
from webhook.storage.json_shapes import RulesJson
from webhook.storage.tables import PersonRow, account
from webhook.trackers import DeviceCode, Tracker

LISTED = 20
"""How many numbers of deliveries are named."""

app = typer.Typer()
accounts_app = typer.Typer(invoke_without_command=True)


# --- connect


@app.command()
def connect(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Sign a person in to a tracker."""
    with opened() as at:
        owner = at.database.ask(lambda connection: somebody(connection, whose))
        built = account_book.built(at, tracker)
        signing_in = SIGN_INS.get(built.sign_in)
        if built.sign_in == "none":
            shown = {"tracker": tracker, "person": owner.name, "works": True, "sign_in": "none"}
            say(
                as_json, shown, f"{built.label} is the built-in library here: there is nothing to sign in to."
            )
            return
        if signing_in is None:
            raise Failed(f"{built.label} cannot be signed in to from here yet.")
        tell_connected(at, built, owner, signing_in(at, built, owner, as_json), as_json)


def by_device(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    def shown(code: DeviceCode) -> None:
        seconds = int(code.expires_in.total_seconds())
        user_code = code.user_code or None  # by web auth there is none: the address says it all
        value = {"user_code": user_code, "verification_url": code.url, "expires_in": seconds}
        text = f"Open {code.url} and " + (f"type in {user_code}" if user_code else "agree there")
        lasts = f"Waiting for you to agree; the {'code' if user_code else 'page'} holds for {seconds // 60} minutes …"
        say(as_json, {**value, "interval": int(code.interval.total_seconds())}, text, lasts)

    return at.run(account_book.connect_device(at, owner.id, tracker.name, shown))


def by_password(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    username, password = asked(f"{tracker.label} user name: ", f"{tracker.label} password: ")
    return at.run(account_book.connect_password(at, owner.id, tracker.name, username, password))


def by_token(at: Desk, tracker: Tracker, owner: Row[Any], as_json: bool) -> Connected:
    (token,) = asked(f"{tracker.label} token: ")
    return at.run(account_book.connect_token(at, owner.id, tracker.name, token))


SigningIn = Callable[[Desk, Tracker, Any, bool], Connected]
SIGN_INS: Mapping[str, SigningIn] = {
    "device": by_device,
    "web": by_device,
    "password": by_password,
    "token": by_token,
}


def tell_connected(at: Desk, tracker: Tracker, owner: PersonRow, connected: Connected, as_json: bool) -> None:
    verdict = connected.verdict
    shown = {"tracker": tracker.name, "person": owner.name, "account": connected.account_id}
    works = f"{owner.name} is signed in to {tracker.label} as {verdict.name}."
    fails = f"{owner.name} is signed in to {tracker.label}, but it does not work: {verdict.reason}"
    say(as_json, {**shown, **told(verdict)}, works if verdict.works else fails)
    if not verdict.works:
        raise typer.Exit(1)


def told(verdict: Verdict) -> dict[str, Any]:
    return {"works": verdict.works, "name": verdict.name, "reason": verdict.reason}


# --- accounts


@accounts_app.callback()
def accounts(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Ask each service whether it works right now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What is connected, and whether it works. With --check the end is 1 when one does not."""
    if ctx.invoked_subcommand is not None:
        return
    with opened() as at:
        checked = at.run(check_all(at)) if check else {}
        rows = at.database.ask(list_accounts)
    given_up = {row["id"] for row in rows if row["why"] == account_book.DISCONNECTED}
    shown = [row | ({"check": told(checked[row["id"]])} if row["id"] in checked else {}) for row in rows]
    if as_json:
        say(True, {"accounts": shown})
    else:
        show_accounts(shown)
    if any(not verdict.works for one, verdict in checked.items() if one not in given_up):
        raise typer.Exit(1)


async def check_all(at: Desk) -> dict[int, Verdict]:
    rows = await at.database.read(list_accounts)
    verdicts = await asyncio.gather(*(account_book.check(at, row["id"]) for row in rows))
    return {row["id"]: verdict for row, verdict in zip(rows, verdicts, strict=True)}


def show_accounts(rows: Sequence[Mapping[str, Any]]) -> None:
    tabled(
        ("tracker", "person", "as", "state", "waits", "is told", "rules"),
        [
            (
                row["tracker"],
                row["person"],
                row["name"],
                row["state"],
                ", ".join(f"{number} {state}" for state, number in row["waits"].items()),
                ", ".join(row["tells"]),
                in_short(row["rules"]),
            )
            for row in rows
        ],
        "Nothing is connected yet: watchmark connect trakt",
    )
    for row in rows:
        failed = row.get("check", {}).get("works") is False and row["check"]["reason"]
        if why := row["explanation"] or failed:
            say(False, None, f"{row['tracker']} of {row['person']}: {why}")
        for limit in row["limits"]:
            say(False, None, f"{row['tracker']} of {row['person']}: {limit['explanation']}")
        if row["rules"]["dry_run"]:
            say(False, None, f"{row['tracker']} of {row['person']} is in a DRY RUN: {SHOWN}. {ending(row)}")


SHOWN = "what it would be told is shown (watchmark trace ID), and nothing is sent"


def ending(row: Mapping[str, Any]) -> str:
    return f"To end it: watchmark accounts rules {row['tracker']} --person {row['person']} --no-dry-run"


def in_short(rules: Mapping[str, Any]) -> str:
    """An account's rules as far as there are any."""
    said = ["DRY RUN"] if rules["dry_run"] else []
    said += [f"watched at {rules['watched_mark']:g} %"] if rules["watched_mark"] is not None else []
    return "; ".join(said + [ruled(name, value) for name, value in lists_of(rules) if value])


def lists_of(rules: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in rules.items() if name not in ("watched_mark", "dry_run")]


@accounts_app.command("tell")
def accounts_tell(
    tracker: Which,
    whose: Whose = None,
    on: Annotated[list[Action] | None, typer.Option("--on", help="Tell of this as well.")] = None,
    off: Annotated[list[Action] | None, typer.Option("--off", help="Do not tell of this.")] = None,
    as_json: Json = False,
) -> None:
    """Say what an account is told of, e.g. --on unwatched --off rate; neither shows it."""
    wanted = [(action, True) for action in on or ()] + [(action, False) for action in off or ()]

    async def switch(at: Desk, row: Row[Any]) -> list[str]:
        tells: list[str] = row.tells
        for action, state in wanted:
            tells = await account_book.switch(at, row.id, action, state)
        return tells

    with opened() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        tells = at.run(switch(at, row))
    shown = {"tracker": tracker, "person": row.person, "tells": tells}
    say(as_json, shown, f"{tracker} of {row.person} is told of: {', '.join(tells) or 'nothing'}")


@accounts_app.command("rules")
def accounts_rules(
    tracker: Which,
    whose: Whose = None,
    watched_mark: Annotated[
        float | None, typer.Option(min=1, max=100, metavar="PERCENT", help="When it counts as watched here.")
    ] = None,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run/--no-dry-run", help="Show what would be sent, and send nothing.")
    ] = None,
    library: Words = None,
    not_library: Words = None,
    player: Words = None,
    not_player: Words = None,
    kind: Annotated[list[Kind] | None, typer.Option()] = None,
    clear: Annotated[bool, typer.Option("--clear", help="No rules, but for what else is said.")] = False,
    as_json: Json = False,
) -> None:
    """An account's own rules. What is given replaces what was; nothing given shows them. They hold at once."""
    given = {
        "watched_mark": watched_mark,
        "dry_run": dry_run,
        "libraries": library,
        "not_libraries": not_library,
        "players": player,
        "not_players": not_player,
        "kinds": None if kind is None else [one.value for one in kind],
    }
    wanted = {name: value for name, value in given.items() if value is not None}

    def change(connection: Connection) -> tuple[Row[Any], RulesJson, list[int]]:
        row = whose_account(connection, whose, tracker)
        rules = rules_json({**({} if clear else row.rules or {}), **wanted})
        connection.execute(update(account).where(account.c.id == row.id).values(rules=rules))
        return row, rules, find_dry_run_ids(connection, row.id)

    with opened() as at:
        row, rules, kept = at.database.do(change)
    shown = {"tracker": tracker, "person": row.person, "rules": rules, "kept_back": kept}
    say(as_json, shown, *rules_story(row, rules, kept, at.settings.watched_mark))


def rules_story(row: Row[Any], rules: Mapping[str, Any], kept: Sequence[int], usual: float) -> Iterator[str]:
    mark = rules["watched_mark"]
    yield f"watched mark: {usual:g} %, as everywhere" if mark is None else f"watched mark: {mark:g} %"
    yield ruled("dry_run", rules["dry_run"])
    yield from (ruled(name, value) for name, value in lists_of(rules))
    if rules["dry_run"]:
        yield f"{row.tracker} of {row.person} is in a DRY RUN: {SHOWN}."
    elif kept:
        numbers = " ".join(map(str, kept[:LISTED])) + (" …" if len(kept) > LISTED else "")
        yield f"What a dry run kept back is not sent by itself. To send it: watchmark retry {numbers}"


def whose_account(connection: Connection, whose: str | None, tracker: str) -> Row[Any]:
    return account_book.of(connection, somebody(connection, whose).id, tracker)


# --- disconnect


@app.command()
def disconnect(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Give up a sign-in. What was told stays in the history; what waits, waits for the next sign-in."""
    with opened() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        if tracker in at.trackers and at.trackers[tracker].sign_in == "none":
            off = f"watchmark accounts tell {tracker} --person {row.person} --off watched"
            raise Failed(f"There is no sign-in to give up. To tell it nothing any more: {off}")
        gone = at.run(account_book.disconnect(at, row.id))
    kept = "" if gone else " Its deliveries are kept; they go on after: watchmark connect " + tracker
    shown = {"tracker": tracker, "person": row.person, "removed": gone}
    say(as_json, shown, f"{tracker} of {row.person} is disconnected.{kept}")
