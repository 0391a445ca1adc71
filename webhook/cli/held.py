"""The command for marks by hand that came in a flood: held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from sqlalchemy import Connection

from webhook.cli._common import Json, Whose, count_of, say
from webhook.cli._desk import open_desk
from webhook.domain.event import Action
from webhook.people import people
from webhook.queries.held import HeldJson, list_holds
from webhook.queues import hand_marks
from webhook.queues.hand_marks import HeldGroup

app = typer.Typer()


@app.command("held")
def held_command(
    whose: Whose = None,
    mine: Annotated[bool, typer.Option("--mine", help="They are the person's own: act on them.")] = False,
    ignore: Annotated[
        bool, typer.Option("--ignore", help="They are not: leave the history as it is.")
    ] = False,
    source: Annotated[str | None, typer.Option(help="Only those from this source, such as jellyfin.")] = None,
    as_json: Json = False,
) -> None:
    """List marks by hand that came in a flood, and decide whose they are."""
    if mine and ignore:
        raise typer.BadParameter("Choose --mine or --ignore.")

    def find_holds(connection: Connection) -> list[HeldJson]:
        person_id = None if whose is None else people.find_person(connection, whose).id
        return [one for one in list_holds(connection, person_id) if source in (None, one["source"])]

    def decide(connection: Connection) -> list[HeldJson]:
        found = find_holds(connection)
        for one in found:
            (hand_marks.accept if mine else hand_marks.ignore)(connection, group_of(connection, one))
        return found

    with open_desk() as at:
        found = at.database.do(decide) if mine or ignore else at.database.ask(find_holds)
    if not mine and not ignore:
        lines = [line for one in found for line in held_lines(one)]
        say(as_json, {"held": found}, *(lines or ["Nothing is held."]))
        return
    count = sum(one["count"] for one in found)
    what = "will be acted on now" if mine else "ignored; the history stays as it is"
    shown = {"decided": "mine" if mine else "ignored", "marks": count}
    say(as_json, shown, f"{count_of(count, 'mark')} {what}.")


def group_of(connection: Connection, one: HeldJson) -> HeldGroup:
    return HeldGroup(
        person_id=people.find_person(connection, one["person"]).id,
        source=one["source"],
        server=one["server"],
        action=Action(one["action"]),
        until=one["until"],
    )


def held_lines(one: HeldJson) -> Iterator[str]:
    where = one["server_name"] or one["server"]
    what = "marked" if one["action"] == Action.WATCHED else "taken back"
    yield f"{count_of(one['count'], 'item')} {what} on {where} ({one['source']}), for {one['person']}"
    for item in one["samples"]:
        place = f" {item['season']}x{item['number']}" if item["kind"] == "episode" else ""
        yield f"    {item['show'] or item['title'] or 'untitled'}{place}  (webhook {item['webhook']})"
    options = f"--person {one['person']} --source {one['source']}"
    yield f"    Decide: watchmark held {options} --mine, or --ignore"
