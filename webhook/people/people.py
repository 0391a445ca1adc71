"""People: added, renamed, removed and found by name."""

from __future__ import annotations

import unicodedata
from datetime import datetime

import orjson
from sqlalchemy import Connection, Text, delete, func, insert, select, type_coerce, update

from webhook.domain.states import WebhookState
from webhook.people.ownership import lock_ownership
from webhook.storage import tables
from webhook.storage.db import fresh_ids
from webhook.storage.rows import fetch_first
from webhook.storage.tables import PersonRow, note, person

FIRST_PERSON = "me"
"""The name of the first person, until somebody changes it."""

LAST_REMOVED_NOTE = "last person removed"
CLAIMED_NOTE = "claimed"
SETUP_NOTE = "setup"
MAX_NAME_LENGTH = 64
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The Unicode categories of characters that are not visible, such as the end of a line."""


class PeopleError(Exception):
    """The person, identity or token does not exist or cannot be changed so; the message is for the user."""


def add_person(connection: Connection, name: str, now: datetime, *, owner: bool = False) -> int:
    """Add a person and return the id; raises PeopleError when the name is taken or not allowed."""
    name = validate_name(connection, name)
    (person_id,) = fresh_ids(connection, person, 1)
    person_id = max(person_id, highest_removed_id(connection) + 1)
    values = {"id": person_id, "name": name, "owner": owner, "filters": {}, "created_at": now}
    connection.execute(insert(person), values)
    return person_id


def validate_name(connection: Connection, name: str, person_id: int | None = None) -> str:
    """The name without outer spaces; raises PeopleError when nobody, or not this person, can have it."""
    name = name.strip()
    if not name or len(name) > MAX_NAME_LENGTH or ":" in name:
        raise PeopleError(f"a person's name has 1 to {MAX_NAME_LENGTH} characters and no colon")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise PeopleError(
            "a person's name has no slash and is not only dots, as their page has it in its address"
        )
    if any(unicodedata.category(letter) in INVISIBLE_CATEGORIES for letter in name):
        raise PeopleError("a person's name has no characters that nobody sees, such as a line's end")
    for other_id, other in connection.execute(select(person.c.id, person.c.name)):
        if other == name or (other_id != person_id and fold_name(other) == fold_name(name)):
            raise PeopleError(f"there is a person called {other} already")
    return name


def fold_name(name: str) -> str:
    """The name for comparison, so that names that differ only in case are one."""
    return unicodedata.normalize("NFKC", name).casefold()


def rename(connection: Connection, row: PersonRow, name: str) -> None:
    """Rename a person, in stored webhooks too; raises PeopleError as `add_person` does."""
    lock_ownership(connection)
    name = validate_name(connection, name, row.id)
    connection.execute(update(person).where(person.c.id == row.id).values(name=name))
    rename_in_webhooks(connection, row.name, name)


def rename_in_webhooks(
    connection: Connection, before: str, after: str, first: int = 0, last: int | None = None
) -> None:
    """Rename the person in the events of the webhooks with ids from `first` to `last`."""
    webhook = tables.webhook
    events = type_coerce(webhook.c.events, Text)
    # Inside a text of the JSON the quotes would be escaped, so this finds nothing but the name.
    old, new = (f'"person":{orjson.dumps(name).decode()}' for name in (before, after))
    there = events.contains(old, autoescape=True) & (webhook.c.id >= first)
    if last is not None:
        there &= webhook.c.id <= last
    renamed = update(webhook).where(there)
    connection.execute(renamed.values(events=type_coerce(func.replace(events, old, new), Text)))


def remove_person(connection: Connection, row: PersonRow) -> None:
    """Remove a person with everything of theirs; raises PeopleError for the owner."""
    if row.owner:
        raise PeopleError(f"{row.name} is the owner, whom Watchmark cannot be without")
    theirs = (f"welcome:{row.id}", f"{SETUP_NOTE}:{row.id}")
    connection.execute(delete(note).where(note.c.name.in_(theirs)))
    last = max(row.id, highest_removed_id(connection))
    connection.execute(delete(note).where(note.c.name == LAST_REMOVED_NOTE))
    connection.execute(insert(note), {"name": LAST_REMOVED_NOTE, "value": last})
    requeue_holds(connection, row.id)
    remember_claims(connection)  # what came by a token or a user of theirs must not pass to the first person
    connection.execute(delete(person).where(person.c.id == row.id))


def requeue_holds(connection: Connection, person_id: int) -> None:
    """Queue the marks that are held for somebody who is removed: they wait for a claim then, like all of theirs."""
    webhook, hand_mark = tables.webhook, tables.hand_mark
    theirs = select(hand_mark.c.webhook_id).where(hand_mark.c.person_id == person_id)
    held = (webhook.c.state == WebhookState.HELD, webhook.c.id.in_(theirs))
    connection.execute(update(webhook).where(*held).values(state=WebhookState.RECEIVED, reason=None))


def highest_removed_id(connection: Connection) -> int:
    """The highest id of a removed person; ids up to it are not given again."""
    found = connection.execute(select(note.c.value).where(note.c.name == LAST_REMOVED_NOTE)).scalar()
    return int(found or 0)


def remember_claims(connection: Connection) -> None:
    """Note that a claim was made once: from then on nobody is given a user without asking."""
    if connection.execute(select(note.c.name).where(note.c.name == CLAIMED_NOTE)).first() is None:
        connection.execute(insert(note), {"name": CLAIMED_NOTE, "value": True})


def find_person(connection: Connection, name: str) -> PersonRow:
    """The person of this name; raises PeopleError that lists who there is."""
    row = fetch_first(connection, select(person).where(person.c.name == name), PersonRow)
    if row is None:
        names = ", ".join(connection.execute(select(person.c.name).order_by(person.c.id)).scalars())
        raise PeopleError(f"there is nobody called {name}; there is {names or 'nobody yet'}")
    return row


def count_people(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(person)).scalar_one()
