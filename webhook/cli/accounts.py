"""The commands for accounts at trackers: connect, accounts, accounts tell, accounts rules, disconnect."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection, update
from typing_extensions import TypedDict

from webhook.accounts import accounts as account_book
from webhook.accounts.accounts import AccountCheck, ConnectResult, PersonAccount
from webhook.cli._common import (
    Failed,
    Json,
    NeverLibraries,
    NeverPlayers,
    OnlyKinds,
    OnlyLibraries,
    OnlyPlayers,
    Which,
    Whose,
    given_lists,
    print_table,
    read_input,
    rule_line,
    say,
    show_code,
)
from webhook.cli._desk import (
    Desk,
    open_desk,
    person_or_only,
)
from webhook.cli._servers import ServerRequest, connect_server, is_server_request
from webhook.domain.event import Action
from webhook.domain.json_shapes import RulesJson
from webhook.domain.outcome import DISCONNECTED
from webhook.domain.rules import LISTS
from webhook.queries.deliveries import find_dry_run_ids
from webhook.queries.people import AccountJson, list_accounts, rules_json
from webhook.queues.calls_left import describe_calls
from webhook.storage.tables import PersonRow, account
from webhook.trackers import DeviceCode, Tracker

IDS_LISTED = 20
"""Maximum number of delivery ids listed."""

app = typer.Typer()
accounts_app = typer.Typer(invoke_without_command=True)


# --- connect


@app.command()
def connect(
    tracker: Annotated[
        str, typer.Argument(metavar="TRACKER", help="A tracker or a media server, such as trakt or plex.")
    ],
    whose: Whose = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of a media server; it is looked for if left out."),
    ] = None,
    key: Annotated[
        bool, typer.Option("--key", help="Enter a media server's token or API key instead of signing in.")
    ] = False,
    password: Annotated[
        bool, typer.Option("--password", help="Sign in to Jellyfin or Emby as its administrator.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Sign in to Jellyfin by the code of its Quick Connect.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Save a media server even if it fails the test.")
    ] = False,
    receiver: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="JSON with a receiver's address, shape, headers, template, late, receiver_user and signing_secret.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Connect a media server to listen to, or sign in to a tracker."""
    with open_desk() as at:
        wanted = ServerRequest(address=address, key=key, password=password, code=code, anyway=anyway)
        if is_server_request(at, tracker, wanted, whose):
            connect_server(at, tracker, wanted, as_json)
            return
        owner = at.database.ask(lambda connection: person_or_only(connection, whose))
        built = account_book.get_tracker(at, tracker)
        if receiver is not None and built.sign_in != "receiver":
            raise Failed("--receiver is for a tracker with an address of one's own, such as webhook_out.")
        signing_in = SIGN_INS.get(built.sign_in)
        if built.sign_in == "receiver":
            signing_in = partial(by_receiver, read_receiver_file(receiver))
        if built.sign_in == "none":
            shown = {"tracker": tracker, "person": owner.name, "works": True, "sign_in": "none"}
            say(as_json, shown, f"{built.label} is built in and needs no sign-in.")
            return
        if signing_in is None:
            raise Failed(f"{built.label} does not support signing in here yet.")
        report_sign_in(at, built, owner, signing_in(at, built, owner, as_json), as_json)


def by_device(at: Desk, tracker: Tracker, owner: PersonRow, as_json: bool) -> ConnectResult:
    def show(code: DeviceCode) -> None:
        show_code(code, as_json)

    return at.run(account_book.connect_device(at, owner.id, tracker.name, show))


def by_password(at: Desk, tracker: Tracker, owner: PersonRow, as_json: bool) -> ConnectResult:
    username, password = read_input(f"{tracker.label} user name: ", f"{tracker.label} password: ")
    return at.run(account_book.connect_password(at, owner.id, tracker.name, username, password))


def by_token(at: Desk, tracker: Tracker, owner: PersonRow, as_json: bool) -> ConnectResult:
    page: str = getattr(tracker, "token_page", "")
    (token,) = read_input(f"{tracker.label} token{f' (from {page})' if page else ''}: ")
    return at.run(account_book.connect_token(at, owner.id, tracker.name, token))


def by_receiver(
    given: Mapping[str, str] | None, at: Desk, tracker: Tracker, owner: PersonRow, as_json: bool
) -> ConnectResult:
    if given is None:
        from webhook.trackers.webhook_out.receiver import (
            SHAPE_LABELS,
        )  # late: a help text needs no HTTP client

        shape, address = read_input(f"Shape ({', '.join(SHAPE_LABELS)}): ", "Address: ")
        given = {"shape": shape, "address": address}
    return at.run(account_book.connect_receiver(at, owner.id, tracker.name, given))


def read_receiver_file(path: Path | None) -> Mapping[str, str] | None:
    """A receiver's fields as its form has them; headers and template may be objects. Raises Failed."""
    if path is None:
        return None
    try:
        fields = json.loads(path.read_bytes())
        headers = fields.get("headers", "")
    except (OSError, ValueError, AttributeError) as error:
        raise Failed(f"{path} is not a JSON object: {error}") from error
    if isinstance(headers, dict):
        fields["headers"] = "\n".join(f"{name}: {value}" for name, value in headers.items())
    if not isinstance(fields.get("template", ""), str):
        fields["template"] = json.dumps(fields["template"], indent=2)
    return {name: str(value) for name, value in fields.items()}


SigningIn = Callable[[Desk, Tracker, PersonRow, bool], ConnectResult]
SIGN_INS: Mapping[str, SigningIn] = {
    "device": by_device,
    "web": by_device,
    "password": by_password,
    "token": by_token,
}


def report_sign_in(
    at: Desk, tracker: Tracker, owner: PersonRow, connected: ConnectResult, as_json: bool
) -> None:
    verdict = connected.verdict
    shown = {"tracker": tracker.name, "person": owner.name, "account": connected.account_id}
    works = f"{owner.name} is signed in to {tracker.label} as {verdict.name}."
    fails = f"{owner.name} is signed in to {tracker.label}, but the account is not working: {verdict.reason}"
    say(as_json, {**shown, **verdict_json(verdict)}, works if verdict.works else fails)
    if not verdict.works:
        raise typer.Exit(1)


class VerdictJson(TypedDict):
    """Whether an account works, as whom, and if not why."""

    works: bool
    name: str | None
    reason: str | None


def verdict_json(verdict: AccountCheck) -> VerdictJson:
    return {"works": verdict.works, "name": verdict.name, "reason": verdict.reason}


# --- accounts


@accounts_app.callback()
def accounts(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Check now whether each account works.")] = False,
    as_json: Json = False,
) -> None:
    """Show connected accounts and whether they work. With --check, exits with 1 if one does not."""
    if ctx.invoked_subcommand is not None:
        return
    with open_desk() as at:
        checked = at.run(check_all(at)) if check else {}
        rows = at.database.ask(list_accounts)
    given_up = {row["id"] for row in rows if row["why"] == DISCONNECTED}
    if as_json:
        checks = {one: {"check": verdict_json(verdict)} for one, verdict in checked.items()}
        say(True, {"accounts": [row | checks.get(row["id"], {}) for row in rows]})
    else:
        show_accounts(rows, checked)
    if any(not verdict.works for one, verdict in checked.items() if one not in given_up):
        raise typer.Exit(1)


async def check_all(at: Desk) -> dict[int, AccountCheck]:
    rows = await at.database.read(list_accounts)
    verdicts = await asyncio.gather(*(account_book.check_account(at, row["id"]) for row in rows))
    return {row["id"]: verdict for row, verdict in zip(rows, verdicts, strict=True)}


def show_accounts(rows: Sequence[AccountJson], checked: Mapping[int, AccountCheck]) -> None:
    print_table(
        ("tracker", "person", "as", "state", "waits", "is sent", "rules"),
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
        "No accounts yet. Connect one: watchmark connect trakt",
    )
    for row in rows:
        verdict = checked.get(row["id"])
        failed = None if verdict is None or verdict.works else verdict.reason
        if why := row["explanation"] or failed:
            say(False, None, f"{row['tracker']} of {row['person']}: {why}")
        for limit in row["limits"]:
            say(False, None, f"{row['tracker']} of {row['person']}: {limit['explanation']}")
        if row["calls"]:
            say(False, None, f"{row['tracker']} of {row['person']}: {describe_calls(row['calls'])}")
        if row["rules"]["dry_run"]:
            say(
                False,
                None,
                f"{row['tracker']} of {row['person']} is in a DRY RUN: {DRY_RUN_NOTE}. {dry_run_hint(row)}",
            )


DRY_RUN_NOTE = "nothing is sent; watchmark trace ID shows what would be"


def dry_run_hint(row: AccountJson) -> str:
    return f"To turn it off: watchmark accounts rules {row['tracker']} --person {row['person']} --no-dry-run"


def in_short(rules: RulesJson) -> str:
    """An account's rules in short, if there are any."""
    mark = rules["watched_mark"]
    said = ["DRY RUN"] if rules["dry_run"] else []
    said += [f"watched at {mark:g} %"] if mark is not None else []
    return "; ".join(said + [rule_line(name, value) for name, value in lists_of(rules) if value])


def lists_of(rules: RulesJson) -> list[tuple[str, list[str]]]:
    return [(name, rules[name]) for name in LISTS]


@accounts_app.command("tell")
def accounts_tell(
    tracker: Which,
    whose: Whose = None,
    on: Annotated[list[Action] | None, typer.Option("--on", help="Send this as well.")] = None,
    off: Annotated[list[Action] | None, typer.Option("--off", help="Do not send this.")] = None,
    as_json: Json = False,
) -> None:
    """Show or change what is sent to an account, such as --on unwatched --off rate."""
    wanted = [(action, True) for action in on or ()] + [(action, False) for action in off or ()]

    async def switch(at: Desk, row: PersonAccount) -> list[str]:
        tells: list[str] = row.tells
        for action, state in wanted:
            tells = await account_book.switch_action(at, row.id, action, state)
        return tells

    with open_desk() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        tells = at.run(switch(at, row))
    shown = {"tracker": tracker, "person": row.person, "tells": tells}
    say(as_json, shown, f"{tracker} of {row.person} is sent: {', '.join(tells) or 'nothing'}")


@accounts_app.command("rules")
def accounts_rules(
    tracker: Which,
    whose: Whose = None,
    watched_mark: Annotated[
        float | None,
        typer.Option(
            min=1, max=100, metavar="PERCENT", help="From which percentage a play counts as watched."
        ),
    ] = None,
    dry_run: Annotated[
        bool | None, typer.Option("--dry-run/--no-dry-run", help="Show what would be sent, but send nothing.")
    ] = None,
    library: OnlyLibraries = None,
    not_library: NeverLibraries = None,
    player: OnlyPlayers = None,
    not_player: NeverPlayers = None,
    kind: OnlyKinds = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all rules except those given here.")] = False,
    as_json: Json = False,
) -> None:
    """Show or change an account's own rules. The given rules replace the previous ones and take effect at once."""
    lists = given_lists(library, not_library, player, not_player, kind)

    def change(connection: Connection) -> tuple[PersonAccount, RulesJson, list[int]]:
        row = whose_account(connection, whose, tracker)
        before: RulesJson = {} if clear else row.rules or {}
        mark = before.get("watched_mark") if watched_mark is None else watched_mark
        dry = before.get("dry_run", False) if dry_run is None else dry_run
        rules = rules_json({**before, **lists, "watched_mark": mark, "dry_run": dry})
        connection.execute(update(account).where(account.c.id == row.id).values(rules=rules))
        return row, rules, find_dry_run_ids(connection, row.id)

    with open_desk() as at:
        row, rules, kept = at.database.do(change)
    shown = {"tracker": tracker, "person": row.person, "rules": rules, "kept_back": kept}
    say(as_json, shown, *rules_story(row, rules, kept, at.settings.watched_mark))


def rules_story(row: PersonAccount, rules: RulesJson, kept: Sequence[int], usual: float) -> Iterator[str]:
    mark = rules["watched_mark"]
    yield f"watched mark: {usual:g} % (general setting)" if mark is None else f"watched mark: {mark:g} %"
    yield rule_line("dry_run", rules["dry_run"])
    yield from (rule_line(name, value) for name, value in lists_of(rules))
    if rules["dry_run"]:
        yield f"{row.tracker} of {row.person} is in a DRY RUN: {DRY_RUN_NOTE}."
    elif kept:
        numbers = " ".join(map(str, kept[:IDS_LISTED])) + (" …" if len(kept) > IDS_LISTED else "")
        yield f"Deliveries from the dry run are not sent automatically. To send them: watchmark retry {numbers}"


def whose_account(connection: Connection, whose: str | None, tracker: str) -> PersonAccount:
    return account_book.find_account(connection, person_or_only(connection, whose).id, tracker)


# --- disconnect


@app.command()
def disconnect(tracker: Which, whose: Whose = None, as_json: Json = False) -> None:
    """Sign out of a tracker. The history is kept; waiting deliveries continue after the next sign-in."""
    with open_desk() as at:
        row = at.database.ask(lambda connection: whose_account(connection, whose, tracker))
        if tracker in at.trackers and at.trackers[tracker].sign_in == "none":
            off = f"watchmark accounts tell {tracker} --person {row.person} --off watched"
            raise Failed(f"This tracker is built in and needs no sign-in. To stop sending to it: {off}")
        gone = at.run(account_book.disconnect(at, row.id))
    asked = f"{tracker} --person {shlex.quote(row.person)}"
    kept = "" if gone else " Its deliveries are kept and continue after: watchmark connect " + asked
    shown = {"tracker": tracker, "person": row.person, "removed": gone}
    say(as_json, shown, f"{tracker} of {row.person} is disconnected.{kept}")
