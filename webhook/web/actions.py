"""Changes that a visitor may make: replay, retry, claims, people, filters and rules; each in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action, Ids
from webhook.domain.json_shapes import FiltersJson, RulesJson
from webhook.domain.states import NEEDS_PERSON, REVIVABLE
from webhook.identity import matches
from webhook.people import household, identities, people
from webhook.queries.deliveries import find_delivery_ids
from webhook.queries.people import rules_json
from webhook.queries.senders import store_dismissal
from webhook.queries.webhook_filter import WebhookFilter
from webhook.queries.webhooks import NotRedacted, RedactedWebhookJson, redact_webhook
from webhook.queues import inbox, parking
from webhook.storage.rows import fetch_first
from webhook.storage.tables import (
    AccountRow,
    PersonRow,
    account,
    delivery,
    identity,
    person,
    unresolved,
    webhook,
)
from webhook.trackers import Tracker
from webhook.transfer import lookup_queue
from webhook.web import visible
from webhook.web.http.errors import Problem
from webhook.web.http.params import clean
from webhook.web.people.models import HouseholdRequest
from webhook.web.visible import Visitor

CHUNK_SIZE = 500  # IDs per statement
MAX_IDENTITY_LENGTH = 400
"""Maximum characters of an identity in a comparison."""


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK_SIZE] for start in range(0, len(ids), CHUNK_SIZE))


# --- webhooks


def replay(connection: Connection, visitor: Visitor, webhook_id: int) -> int:
    """Queue one webhook for interpretation again; returns 1, or 0 if it is already waiting."""
    if not visible.visible_ids(connection, visitor, [webhook_id]):
        raise Problem(404, f"Webhook {webhook_id} was not found.")
    row = connection.execute(select(webhook.c.raw.is_(None)).where(webhook.c.id == webhook_id)).one()
    if row[0]:
        raise Problem(409, "Its raw body was pruned after RETENTION_DAYS, so it can't be replayed.")
    return inbox.requeue(connection, [webhook_id])


def replay_all(connection: Connection, visitor: Visitor, wanted: WebhookFilter) -> int:
    """Queue webhooks for interpretation again; returns how many still have the body that this needs."""
    ids = visible.matching_webhooks(connection, visitor, wanted)
    return sum(inbox.requeue(connection, chunk) for chunk in chunks(ids))


def copy_for_report(connection: Connection, visitor: Visitor, webhook_id: int) -> RedactedWebhookJson:
    """A webhook for a bug report, with names, tokens and addresses replaced."""
    if not visible.visible_ids(connection, visitor, [webhook_id]):
        raise Problem(404, f"Webhook {webhook_id} was not found.")
    try:
        return redact_webhook(connection, webhook_id)
    except NotRedacted as error:
        raise Problem(409, str(error)) from error


# --- deliveries


def retry(connection: Connection, visitor: Visitor, delivery_id: int) -> int:
    """Retry one delivery; returns 1, or 0 if it is done, already waiting or superseded."""
    if visible.one_delivery(connection, visitor, delivery_id) is None:
        raise Problem(404, f"Delivery {delivery_id} was not found.")
    return parking.revive(connection, [delivery_id], clock.now())


def retry_all(
    connection: Connection, visitor: Visitor, state: str | None, tracker: str | None, name: str | None
) -> int:
    """Retry deliveries, by default all that are stuck; returns how many were."""
    states = NEEDS_PERSON if state is None else {state} & set(REVIVABLE)
    whose = visitor.restricted_to or name
    ids = [found for one in states for found in find_delivery_ids(connection, one, tracker, whose)]
    for chunk in chunks(ids):
        parking.revive(connection, chunk, clock.now())
    return len(ids)


def dismiss(connection: Connection, visitor: Visitor, ids: Sequence[int]) -> int:
    """Dismiss deliveries from the list of what needs a person; returns how many were on it.

    They stay as they are, dead or unmatched, with their trace, and a retry or a match still sends them.
    """
    mine = select(delivery.c.id).join(account, delivery.c.account_id == account.c.id)
    if not visitor.is_admin:
        mine = mine.where(account.c.person_id == visitor.person_id)
    listed = (delivery.c.state.in_(DISMISSED), delivery.c.settled_at.is_(None))
    count = 0
    for chunk in chunks(ids):
        theirs = mine.where(delivery.c.id.in_(chunk), *listed)
        count += connection.execute(
            update(delivery).where(delivery.c.id.in_(theirs)).values(settled_at=clock.now())
        ).rowcount
    return count


DISMISSED = ("dead", "unmatched")


# --- what a person says an item is


def match(
    connection: Connection,
    visitor: Visitor,
    delivery_id: int,
    choice: tuple[Ids, int | None, int],
    title: str | None = None,
) -> matches.Chosen:
    """Match the item of a delivery by ids or by the number of a candidate; raises Problem."""
    if visible.one_delivery(connection, visitor, delivery_id) is None:
        raise Problem(404, f"Delivery {delivery_id} was not found.")
    ids, number, offset = choice
    now = clock.now()
    try:
        if number is not None:
            return matches.choose_candidate(connection, now, delivery_id, number, season_offset=offset)
        return matches.choose(
            connection, now, ids, delivery_id=delivery_id, season_offset=offset, title=title
        )
    except matches.NoMatch as error:
        raise Problem(422, str(error)) from error


def match_import(
    connection: Connection,
    visitor: Visitor,
    key: str,
    choice: tuple[Ids, int | None, int],
    title: str | None = None,
) -> int:
    """Match an item of imported plays; returns the number of plays updated, raises Problem."""
    _require_import(connection, visitor, key)
    ids, number, offset = choice
    try:
        if number is not None:
            ids, title = lookup_queue.candidate(connection, key, number)
        return lookup_queue.choose(connection, key, ids, clock.now(), title=title, season_offset=offset)
    except matches.NoMatch as error:
        raise Problem(422, str(error)) from error


def dismiss_import(connection: Connection, visitor: Visitor, key: str) -> int:
    """Dismiss the question about an imported item, whose plays stay without ids; returns 1, or 0 if there was none."""
    _require_import(connection, visitor, key)
    asked = update(unresolved).where(unresolved.c.key == key, unresolved.c.state == "unmatched")
    return connection.execute(asked.values(state="dismissed")).rowcount


def _require_import(connection: Connection, visitor: Visitor, key: str) -> None:
    """Raise Problem if none of the visitor's plays concern the question."""
    there = clean(key, 300) and any(
        visitor.is_admin or row.person_id == visitor.person_id
        for row in lookup_queue.plays_of(connection, key)
    )
    if not there:
        raise Problem(404, f"Nothing is waiting under {key[:300]}.")


# --- servers that fell silent


def dismiss_silence(connection: Connection, source: str, server: str | None) -> None:
    """Dismiss a silent server until it sends again; raises Problem."""
    known = clean(source) and clean(server or "")
    if not known or not store_dismissal(connection, source, server or ""):
        raise Problem(404, "This server has never sent a webhook.")


# --- people


def find_person(connection: Connection, visitor: Visitor, name: str) -> PersonRow:
    """The person of that name; raises Problem for anybody but the visitor, unless the visitor is an admin."""
    if visitor.restricted_to not in (None, name) or not clean(name):
        raise Problem(404, "There is no person with that name, or you may not see them.")
    try:
        return people.find_person(connection, name)
    except people.PeopleError as error:
        raise Problem(404, sentence_of(error)) from error


def sentence_of(error: people.PeopleError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."


def add_person(connection: Connection, built: Mapping[str, Tracker], name: str) -> None:
    """Add a person, with an account at every tracker that needs no sign-in."""
    now = clock.now()
    try:
        with connection.begin_nested():
            person_id = people.add_person(connection, name, now)
    except people.PeopleError as error:
        raise Problem(409 if "already" in str(error) else 422, f"name: {error}.") from error
    except IntegrityError as error:
        raise Problem(409, f"name: there is a person called {name} already.") from error
    accounts.add_builtin_accounts(connection, built, person_id, clock.now())


def claim(connection: Connection, name: str, wanted: str) -> int:
    """Claim an identity for a person; returns the number of identities claimed."""
    try:
        return len(identities.claim_identities(connection, name, wanted, clock.now()))
    except people.PeopleError as error:
        raise Problem(422, f"identity: {error}.") from error


def require_assignable(connection: Connection, visitor: Visitor, identity_id: int) -> None:
    """Raise Problem unless this visitor may assign the identity."""
    asked = visitor.is_admin or any(
        one["id"] == identity_id for one in visible.open_identities(connection, visitor)
    )
    if not asked:
        raise Problem(403, "Only the owner can assign this user.")


def claim_identity(connection: Connection, name: str, identity_id: int) -> int:
    """Claim a seen identity for a person; returns the number of webhooks that waited for it."""
    person_id = people.find_person(connection, name).id
    return identities.assign_identities(connection, [_require_identity(connection, identity_id)], person_id)


def ignore_identity(connection: Connection, identity_id: int, ignored: bool) -> int:
    """Ignore a seen identity, or stop ignoring it; returns the number of webhooks interpreted again."""
    ids = [_require_identity(connection, identity_id)]
    try:
        return (
            identities.ignore_identities(connection, ids)
            if ignored
            else identities.unignore_identities(connection, ids)
        )
    except people.PeopleError as error:
        raise Problem(409, sentence_of(error)) from error


def _require_identity(connection: Connection, identity_id: int) -> int:
    if connection.execute(select(identity.c.id).where(identity.c.id == identity_id)).first() is None:
        raise Problem(404, f"Identity {identity_id} was not found.")
    return identity_id


def ignore(connection: Connection, wanted: str, ignored: bool) -> int:
    """Ignore `source:user` or `source:user@server`, or stop ignoring it; returns the number of identities."""
    try:
        if ignored:
            return len(identities.ignore_user(connection, wanted, clock.now()))
        return len(identities.unignore_user(connection, wanted))
    except people.PeopleError as error:
        raise Problem(422, f"identity: {error}.") from error


def release(connection: Connection, name: str, wanted: str) -> int:
    try:
        return identities.release_claims(connection, name, wanted)
    except people.PeopleError as error:
        raise Problem(422, f"identity: {error}.") from error


def require_source(wanted: str, sources: Collection[str]) -> str:
    """Parse the identity to claim or release; raises Problem for an unknown source."""
    if not clean(wanted.casefold(), MAX_IDENTITY_LENGTH):
        raise Problem(422, "identity must be text such as plex:Anna or plex:Anna@SERVER.")
    try:
        source, _ = identities.split_source(wanted)
    except people.PeopleError as error:
        raise Problem(422, f"identity: {error}.") from error
    if source not in sources:
        raise Problem(422, f"identity: {source[:30]} is not a source. Sources are {', '.join(sources)}.")
    return wanted


def set_filters(connection: Connection, person_id: int, filters: FiltersJson) -> None:
    connection.execute(update(person).where(person.c.id == person_id).values(filters=filters))


# --- accounts


def find_account(connection: Connection, visitor: Visitor, account_id: int) -> AccountRow:
    """The account with this id; raises Problem if the visitor may not see it."""
    wanted = select(account).where(account.c.id == account_id)
    if not visitor.is_admin:
        wanted = wanted.where(account.c.person_id == visitor.person_id)
    row = fetch_first(connection, wanted, AccountRow)
    if row is None:
        raise Problem(404, f"Account {account_id} was not found.")
    return row


def set_rules(connection: Connection, visitor: Visitor, account_id: int, rules: RulesJson) -> None:
    row = find_account(connection, visitor, account_id)
    values = {"rules": rules_json(rules)}
    connection.execute(update(account).where(account.c.id == row.id).values(values))


def not_set_up(tracker: str) -> Problem:
    return Problem(409, accounts.setup_hint(tracker), see=f"/connections/{tracker}")


def set_tells(
    connection: Connection,
    built: Mapping[str, Tracker],
    visitor: Visitor,
    account_id: int,
    wanted: Collection[str],
) -> None:
    """Enable these optional actions for an account, and disable the others."""
    row = find_account(connection, visitor, account_id)
    if row.tracker not in built:
        raise not_set_up(row.tracker)
    can = accounts.list_switches(built[row.tracker])
    if unknown := set(wanted) - set(can):
        known = ", ".join(can) or "nothing to switch"
        raise Problem(422, f"tells: {min(unknown)[:50]} can't be switched here. Available: {known}.")
    for action in can:
        accounts.set_action(connection, row.id, Action(action), action in wanted)


# --- the household


def add_household_rule(connection: Connection, rule: HouseholdRequest) -> int:
    """Add a household rule and return its id; raises Problem if it names nobody or would match everything."""
    try:
        return household.add_rule(connection, rule.players, rule.libraries, rule.people, clock.now())
    except people.PeopleError as error:
        raise Problem(422, sentence_of(error)) from error


def remove_household_rule(connection: Connection, rule_id: int) -> None:
    try:
        household.remove_rule(connection, rule_id)
    except people.PeopleError as error:
        raise Problem(404, sentence_of(error)) from error
