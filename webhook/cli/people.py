"""The commands for people: people add, list, claim, release, filter, password, reset-second-factor, remove-passkeys."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy import Connection, func, select, update

from webhook import clock, sources
from webhook.accounts import accounts
from webhook.cli._common import (
    Json,
    Name,
    NeverLibraries,
    NeverPlayers,
    OnlyKinds,
    OnlyLibraries,
    OnlyPlayers,
    Spelled,
    count_of,
    given_lists,
    print_table,
    read_input,
    rule_line,
    say,
)
from webhook.cli._desk import (
    open_desk,
)
from webhook.domain.rules import LISTS, Filters
from webhook.domain.states import WebhookState
from webhook.people import identities, passkeys, passwords, people, second_factor
from webhook.queries.people import list_ignored_identities, list_people, list_unclaimed_identities
from webhook.storage.tables import identity as identity_table
from webhook.storage.tables import person, webhook

if TYPE_CHECKING:
    from webhook.domain.json_shapes import FiltersJson, ListsJson

people_app = typer.Typer(no_args_is_help=True, help="Manage people and the media server users they claim.")


@people_app.command("add")
def people_add(name: Name, as_json: Json = False) -> None:
    """Add a person."""

    def add(connection: Connection) -> int:
        now = clock.now()
        made = people.add_person(connection, name, now)
        accounts.add_builtin_accounts(connection, at.trackers, made, now)
        return made

    with open_desk() as at:
        made = at.database.do(add)
    todo = f"Claim their media server user: watchmark people claim {name} plex:USER"
    say(as_json, {"id": made, "name": name.strip()}, f"{name.strip()} is added. {todo}")


@people_app.command("list")
def people_list(as_json: Json = False) -> None:
    """List people with the users they claim, and users that nobody claims."""
    with open_desk() as at:
        everybody, nobodys = at.database.ask(list_people), at.database.ask(list_unclaimed_identities)
        left_out = at.database.ask(list_ignored_identities)
    if as_json:
        say(True, {"people": everybody, "unclaimed": nobodys, "ignored": left_out})
        return
    rows = [
        (
            one["name"],
            "owner" if one["owner"] else "",
            ", ".join(each["spelled"] for each in one["identities"]),
        )
        for one in everybody
    ]
    print_table(("person", "", "claims"), rows, "No people yet.")
    for one in nobodys:
        waits = count_of(one["webhooks"], "webhook")
        todo = f"watchmark people claim NAME {shlex.quote(':'.join((one['source'], one['user'])))}"
        say(False, None, f"{one['spelled']} is not claimed ({waits}): {todo}")
    for other in left_out:
        say(False, None, f"Ignored: {other['spelled']}")


@people_app.command("claim")
def people_claim(name: Name, identity: Spelled, as_json: Json = False) -> None:
    """Claim a media server user (SOURCE:USER or SOURCE:USER@SERVER) for a person."""
    known_source(identity)
    with open_desk() as at:
        ids, woken, seen = at.database.do(lambda connection: claim(connection, name, identity))
    shown = f"{name} claims {identity}."
    shown += "" if seen else " This user has not played anything yet; their plays will count from now on."
    shown += f" {count_of(woken, 'webhook')} waiting for it will be processed now." if woken else ""
    say(as_json, {"person": name, "identity": identity, "identities": len(ids), "webhooks": woken}, shown)


def known_source(identity: str) -> None:
    source, _ = identities.split_source(identity)
    if source not in sources.modules():
        raise people.PeopleError(f"{source} is not a source. Sources: {', '.join(sources.modules())}")


def claim(connection: Connection, name: str, identity: str) -> tuple[list[int], int, bool]:
    """The claimed identities, the number of webhooks that waited for them, and True if the user was ever seen."""
    before = count_unclaimed_webhooks(connection)
    ids = identities.claim_identities(connection, name, identity, clock.now())
    known = identity_table.c
    wanted = select(known.id).where(known.id.in_(ids), known.last_seen.is_not(None))
    seen = connection.execute(wanted.limit(1)).first() is not None
    return ids, before - count_unclaimed_webhooks(connection), seen


def count_unclaimed_webhooks(connection: Connection) -> int:
    wanted = select(func.count()).select_from(webhook).where(webhook.c.state == WebhookState.UNCLAIMED)
    return connection.execute(wanted).scalar_one()


@people_app.command("release")
def people_release(name: Name, identity: Spelled, as_json: Json = False) -> None:
    """Unclaim a media server user; plays already processed stay as they are."""
    with open_desk() as at:
        gone = at.database.do(lambda connection: identities.release_claims(connection, name, identity))
    shown = {"person": name, "identity": identity, "identities": gone}
    say(as_json, shown, f"{name} no longer claims {identity}.")


@people_app.command("ignore")
def people_ignore(
    identity: Spelled,
    undo: Annotated[bool, typer.Option("--undo", help="Stop ignoring it.")] = False,
    as_json: Json = False,
) -> None:
    """Ignore a media server user (SOURCE:USER or SOURCE:USER@SERVER): their plays are not tracked."""
    known_source(identity)

    def change(connection: Connection) -> list[int]:
        if undo:
            return identities.unignore_user(connection, identity)
        return identities.ignore_user(connection, identity, clock.now())

    with open_desk() as at:
        ids = at.database.do(change)
    again = f"{identity} is no longer ignored; its plays wait until it is claimed."
    shown = again if undo else f"{identity} is ignored. Undo it: watchmark people ignore {identity} --undo"
    say(as_json, {"identity": identity, "identities": len(ids), "ignored": not undo}, shown)


@people_app.command("filter")
def people_filter(
    name: Name,
    library: OnlyLibraries = None,
    not_library: NeverLibraries = None,
    player: OnlyPlayers = None,
    not_player: NeverPlayers = None,
    kind: OnlyKinds = None,
    home_videos: Annotated[
        bool | None, typer.Option("--home-videos/--no-home-videos", help="Whether home videos count.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all filters except those given here.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show or change which plays count for a person. The given filters replace the previous ones."""
    lists = given_lists(library, not_library, player, not_player, kind)
    with open_desk() as at:
        filters = at.database.do(lambda connection: refilter(connection, name, lists, home_videos, clear))
    lines = [rule_line(option, filters[option]) for option in LISTS]
    home = rule_line("home_videos", filters["home_videos"])
    say(as_json, {"person": name, "filters": filters}, *lines, home)


def refilter(
    connection: Connection, name: str, lists: ListsJson, home_videos: bool | None, clear: bool
) -> FiltersJson:
    row = people.find_person(connection, name)
    before: FiltersJson = {} if clear else row.filters or {}
    home = bool(before.get("home_videos")) if home_videos is None else home_videos
    given: FiltersJson = {**before, **lists, "home_videos": home}
    filters: FiltersJson = {**Filters.from_json(given).lists(), "home_videos": home}
    connection.execute(update(person).where(person.c.id == row.id).values(filters=filters))
    return filters


@people_app.command("password")
def people_password(name: Name, as_json: Json = False) -> None:
    """Set a person's password, read from standard input."""
    with open_desk() as at:
        row = at.database.ask(lambda connection: people.find_person(connection, name))
        (password,) = read_input(f"Password for {name}: ")
        passwords.validate_password(password)
        kept = passwords.hash_password(password)
        at.database.do(lambda connection: passwords.set_password(connection, row.id, kept))
    say(as_json, {"person": name, "password": True}, f"{name} has a new password.")


@people_app.command("reset-second-factor")
def people_reset_second_factor(name: Name, as_json: Json = False) -> None:
    """Turn off the second factor of somebody who has lost their app and recovery codes."""

    def reset(connection: Connection) -> bool:
        return second_factor.disable(connection, people.find_person(connection, name).id)

    with open_desk() as at:
        was_on = at.database.do(reset)
    shown = f"{name} signs in with the password alone now." if was_on else f"{name} has no second factor."
    say(as_json, {"person": name, "reset": was_on}, shown)


@people_app.command("remove-passkeys")
def people_remove_passkeys(name: Name, as_json: Json = False) -> None:
    """Remove all passkeys of somebody who has lost a device, and end the sessions that began with one."""

    def remove(connection: Connection) -> int:
        return passkeys.remove_passkeys(connection, people.find_person(connection, name).id)

    with open_desk() as at:
        count = at.database.do(remove)
    shown = f"{count_of(count, 'passkey')} of {name} removed." if count else f"{name} has no passkey."
    say(as_json, {"person": name, "removed": count}, shown)
