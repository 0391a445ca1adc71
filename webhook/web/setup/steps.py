"""The steps of the first start: which are done, which one is open, and which wait as a card on Now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypedDict

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from webhook import servers, sources
from webhook.domain.states import WebhookState
from webhook.people.people import SETUP_NOTE
from webhook.queries.people import UnclaimedJson
from webhook.service import Service
from webhook.storage.rows import fetch_all
from webhook.storage.tables import account, identity, note, webhook
from webhook.web import visible
from webhook.web.connections.comparison import TrackerChoice, list_choices, split_servers
from webhook.web.http.arrivals import is_sent
from webhook.web.visible import Visitor


class StepName(StrEnum):
    YOU = "you"
    SERVER = "server"
    PLAY = "play"
    CLAIM = "claim"
    TRACKER = "tracker"


class StepState(StrEnum):
    DONE = "done"
    OPEN = "open"
    LATER = "later"
    AHEAD = "ahead"


class SetupNote(TypedDict):
    """What a person chose during setup: the source, and the steps that were put off or dismissed."""

    server: str | None
    later: list[StepName]
    dismissed: list[StepName]


UNCHOSEN: SetupNote = {"server": None, "later": [], "dismissed": []}


class SignedIn(NamedTuple):
    tracker: str
    name: str | None


@dataclass(frozen=True, slots=True)
class SetupStep:
    """A step as it is shown; `current` is the one that the person is at."""

    name: StepName
    state: StepState
    current: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a person is: what they chose, what has arrived, who is unclaimed and what is connected."""

    begun: bool
    choices: SetupNote
    is_admin: bool
    heard: bool
    connected: Sequence[str]
    """The media servers that are listened to."""

    played: bool
    claimed: bool
    unclaimed: Sequence[UnclaimedJson]
    accounts: Mapping[str, str | None]

    @property
    def server(self) -> str | None:
        return self.choices["server"]

    @property
    def is_connected(self) -> bool:
        """True if the chosen server is listened to; any of them, before one is chosen."""
        return self.server in self.connected if self.server is not None else bool(self.connected)

    def is_done(self, name: StepName) -> bool:
        """True if a step is done; the owner's server reports for members, who choose one only if they like."""
        done = {
            StepName.YOU: True,
            StepName.SERVER: self.heard or self.is_connected or (not self.is_admin and self.server is None),
            StepName.PLAY: self.played,
            StepName.CLAIM: self.claimed,
            StepName.TRACKER: bool(self.accounts),
        }
        return done[name]

    def is_possible(self, name: StepName) -> bool:
        """True if a step can be done now: a play needs a server, a claim needs a play."""
        if name is StepName.PLAY:
            return self.server is not None or self.is_done(StepName.SERVER)
        return name is not StepName.CLAIM or bool(self.unclaimed)

    @property
    def todo(self) -> list[StepName]:
        """The steps that can be done and are not."""
        return [name for name in StepName if not self.is_done(name) and self.is_possible(name)]

    @property
    def is_finished(self) -> bool:
        return all(self.is_done(name) for name in StepName)


def list_steps(progress: Progress, wanted: Collection[StepName] = ()) -> dict[StepName, SetupStep]:
    """The five steps by name; the first that is left is open, and so are `wanted` ones.

    While a chosen server has not sent anything, its address and the wait for the first play are both open.
    """
    put_off = {*progress.choices["later"], *progress.choices["dismissed"]}
    waiting = [name for name in progress.todo if name not in put_off]
    opened = set(waiting[:1])
    if progress.server is not None and opened == {StepName.SERVER} and StepName.PLAY in waiting:
        opened.add(StepName.PLAY)
    opened |= {name for name in wanted if name is not StepName.YOU}
    first = next((name for name in wanted if name in opened), None) or next(iter(waiting), None)

    def state_of(name: StepName) -> StepState:
        if name in opened:
            return StepState.OPEN
        if progress.is_done(name):
            return StepState.DONE
        return StepState.LATER if name in put_off else StepState.AHEAD

    return {name: SetupStep(name, state_of(name), name is first) for name in StepName}


def list_cards(progress: Progress) -> list[StepName]:
    """The steps that wait on Now until they are done or dismissed; a claim is asked there anyway.

    Whoever never went through setup is only shown how to begin, until something arrives.
    """
    hidden = {StepName.CLAIM, *progress.choices["dismissed"]}
    if progress.server is not None and not progress.played:
        hidden.add(StepName.SERVER)
    if not progress.begun:
        hidden.add(StepName.TRACKER)
    return [name for name in progress.todo if name not in hidden]


# --- read and written


def read_progress(connection: Connection, service: Service, visitor: Visitor) -> Progress:
    choices = load_choices(connection, visitor.person_id)
    unclaimed = visible.open_identities(connection, visitor)
    seen = [identity.c.last_seen.is_not(None), identity.c.source.in_(sources.modules())]
    mine = identity.c.person_id == visitor.person_id
    sent = [is_sent()]
    if not visitor.is_admin:
        sent += [webhook.c.id >= visible.search_floor(connection), visible.is_of_person(visitor)]
    played = (
        bool(unclaimed)
        or exists(connection, identity.c.id, *seen, *([] if visitor.is_admin else [mine]))
        or exists(connection, webhook.c.id, webhook.c.state == WebhookState.INTERPRETED, *sent)
    )
    return Progress(
        begun=choices is not None,
        choices=choices or UNCHOSEN,
        is_admin=visitor.is_admin,
        connected=[name for name, server in service.servers.items() if servers.is_listenable(server)],
        heard=played or exists(connection, webhook.c.id, *sent),
        played=played,
        claimed=played and (not unclaimed or exists(connection, identity.c.id, *seen, mine)),
        unclaimed=unclaimed,
        accounts=read_accounts(connection, service, visitor),
    )


def exists(connection: Connection, column: ColumnElement[int], *conditions: ColumnElement[bool]) -> bool:
    return connection.execute(select(column).where(*conditions).limit(1)).first() is not None


def read_accounts(connection: Connection, service: Service, visitor: Visitor) -> dict[str, str | None]:
    """The visitor's name at each tracker that they are signed in to; what is built in needs no sign-in."""
    wanted = select(account.c.tracker, account.c.name).where(
        account.c.person_id == visitor.person_id, account.c.parked.is_(None)
    )
    offered = {choice.name for choice in destinations(service)}
    return {
        row.tracker: row.name for row in fetch_all(connection, wanted, SignedIn) if row.tracker in offered
    }


def destinations(service: Service) -> list[TrackerChoice]:
    """The trackers that one signs in to, those that cost nothing first."""
    choices, _ = split_servers(list_choices(service.trackers))
    return [choice for choice in choices if choice.sign_in != "none"]


def load_choices(connection: Connection, person_id: int | None) -> SetupNote | None:
    found: SetupNote | None = connection.execute(
        select(note.c.value).where(note.c.name == note_of(person_id))
    ).scalar()
    return found


def save_choices(connection: Connection, person_id: int | None, choices: SetupNote) -> None:
    connection.execute(delete(note).where(note.c.name == note_of(person_id)))
    connection.execute(insert(note), {"name": note_of(person_id), "value": choices})


def note_of(person_id: int | None) -> str:
    return f"{SETUP_NOTE}:{person_id}"
