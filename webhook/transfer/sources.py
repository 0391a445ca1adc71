"""Sources of an import: the configured media servers, and a person's accounts at trackers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, select

from webhook import servers
from webhook.accounts import accounts
from webhook.accounts.credentials import Credentials
from webhook.domain.event import Event
from webhook.domain.outcome import Park
from webhook.people import identities
from webhook.servers import Server
from webhook.settings import SettingsError, variable
from webhook.storage.db import Database
from webhook.storage.tables import account, identity, person
from webhook.trackers import Tracker
from webhook.transfer.records import Unusable

if TYPE_CHECKING:
    from webhook.transfer.import_feeds import Feed


class NoFeed(Unusable):
    """The source cannot give its history; the message is for the person."""


class Parts(Protocol):
    """The dependencies that a running service and a command both provide."""

    @property
    def database(self) -> Database: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def trackers(self) -> Mapping[str, Tracker]: ...

    @property
    def servers(self) -> Mapping[str, Server]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A server or an account that a person may import from. `known_as` is their name there.

    `why_not` is a sentence with the step that is missing.
    """

    name: str
    label: str
    server: bool
    known_as: str | None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Feeds:
    """The feeds of all sources that can be read."""

    database: Database
    credentials: Credentials
    trackers: Mapping[str, Tracker]
    servers: Mapping[str, Server]

    async def open_feed(self, person_id: int, name: str) -> Feed:
        """The person's feed from the server or tracker of that name; raises NoFeed and Undelivered."""
        from webhook.transfer.import_feeds import AccountFeed, ServerFeed

        if name in servers.modules():
            return ServerFeed(server_of(self.servers, name), claim_check(self.database, name, person_id))
        if name not in self.trackers:
            raise NoFeed(accounts.setup_hint(name))
        tracker = self.trackers[name]
        try:
            row = await self.database.read(
                lambda connection: accounts.find_account(connection, person_id, name)
            )
            access = await self.credentials.access(row.id, person_id, tracker)
        except (accounts.AccountError, SettingsError) as error:
            raise NoFeed(str(error)) from error
        if tracker.sign_in != "none" and not access.tokens:
            raise NoFeed(describe_lost_sign_in(tracker, row.person))
        if not hasattr(tracker, "history"):
            raise NoFeed(no_history_message(tracker))
        return AccountFeed(tracker, access)

    def offers(self, connection: Connection, person_id: int) -> list[Offer]:
        """All sources of the person, the servers first."""
        of_servers = self.of_servers(connection, person_id)
        return [*of_servers, *self.of_accounts(connection, person_id)]

    def of_servers(self, connection: Connection, person_id: int) -> Iterator[Offer]:
        for name, server in self.servers.items():
            users = users_at(connection, name, person_id)
            nobody = f"None of {server.label}'s users is claimed yet, so nobody knows whose plays are there."
            yield Offer(
                name=name, label=server.label, server=True, known_as=", ".join(users) or None,
                why_not=None if users else nobody,
            )  # fmt: skip

    def of_accounts(self, connection: Connection, person_id: int) -> Iterator[Offer]:
        rows = connection.execute(
            select(account, person.c.name.label("person"))
            .join(person, account.c.person_id == person.c.id)
            .where(account.c.person_id == person_id)
            .order_by(account.c.id)
        )
        for row in rows:
            tracker = self.trackers.get(row.tracker)
            if tracker is None or tracker.sign_in == "none" or not hasattr(tracker, "history"):
                continue
            gone = row.tokens is None or row.parked == Park.SIGNED_OUT
            why_not = describe_lost_sign_in(tracker, row.person) if gone else None
            yield Offer(
                name=row.tracker, label=tracker.label, server=False, known_as=row.name, why_not=why_not
            )

    def offer(self, connection: Connection, person_id: int, name: str) -> Offer:
        """The source of that name, if the person can import from it now; raises NoFeed."""
        found = next((one for one in self.offers(connection, person_id) if one.name == name), None)
        if found is not None and found.why_not is None:
            return found
        raise NoFeed(
            found.why_not if found and found.why_not else self.explain_absence(connection, person_id, name)
        )

    def explain_absence(self, connection: Connection, person_id: int, name: str) -> str:
        """The reason why there is no source of that name, as a sentence."""
        if name in servers.modules():
            return not_set_up(name)
        if name not in self.trackers:
            return accounts.setup_hint(name[:50])
        try:
            accounts.find_account(connection, person_id, name)
        except accounts.AccountError as error:
            return str(error)
        tracker = self.trackers[name]
        return (
            f"{tracker.label} is kept here already."
            if tracker.sign_in == "none"
            else no_history_message(tracker)
        )


def feeds(parts: Parts) -> Feeds:
    return Feeds(parts.database, parts.credentials, parts.trackers, parts.servers)


def describe_lost_sign_in(tracker: Tracker, name: str) -> str:
    again = f"watchmark connect {tracker.name} --person {name}; or under Connections in the browser."
    return f"{name} is not signed in to {tracker.label} any more. Sign in again: {again}"


def no_history_message(tracker: Tracker) -> str:
    return f"{tracker.label} cannot be asked what it holds. Import its export file, if it has one."


# --- servers


def server_of(built: Mapping[str, Server], name: str) -> Server:
    """The server of that name; raises NoFeed if it is not configured."""
    if name in built:
        return built[name]
    raise NoFeed(not_set_up(name))


def not_set_up(name: str) -> str:
    known = servers.modules()
    if name not in known:
        return f"There is no server called {name}; there is {', '.join(known)}."
    label = known[name].LABEL
    return f"{label} is not set up to be asked what was played. Set {' and '.join(required_variables(name))}."


def required_variables(name: str) -> list[str]:
    """The required environment variables of a server."""
    fields = servers.modules()[name].Settings.model_fields.items()
    return [variable(f"{name}_", field) for field, about in fields if about.is_required()]


def users_at(connection: Connection, server: str, person_id: int) -> list[str]:
    """The server's users that the person claims; Tautulli's are those of its Plex."""
    sources = (server, "plex") if server == "tautulli" else (server,)
    mine = (identity.c.person_id == person_id, identity.c.source.in_(sources))
    wanted = select(identity.c.label).where(*mine).order_by(identity.c.label).distinct()
    return list(connection.execute(wanted).scalars())


def claim_check(database: Database, source: str, person_id: int) -> Callable[[Event], Awaitable[bool]]:
    """A check whether an event of this server belongs to a user that the person claims."""
    known: dict[tuple[str | None, ...], bool] = {}

    async def is_of_person(event: Event) -> bool:
        user = (event.user, event.user_id, event.server)
        if user not in known:
            claim = await database.read(lambda connection: identities.find_claim(connection, source, event))
            known[user] = claim is not None and claim.person_id == person_id
        return known[user]

    return is_of_person
