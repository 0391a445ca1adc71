"""Marks by hand that media servers reported: a flood of them is held until its person says whose doing it was.

A person sets a few marks a minute. What comes faster is a tool beside us, or a library that changed: it is kept in the
inbox, makes nothing, and is shown. It is let go of once, whatever else happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, and_, bindparam, delete, insert, select, update

from webhook.domain.event import Action
from webhook.domain.states import HandMarkState, WebhookState
from webhook.storage.prepared import Prepared
from webhook.storage.tables import hand_mark, webhook
from webhook.storage.types import Utc

WINDOW = timedelta(minutes=1)
MAX_PER_MINUTE: Mapping[Action, int] = {
    Action.WATCHED: 20,
    Action.UNWATCHED: 5,
    Action.UNFAVOURITE: 5,
}
"""Marks by hand of one person that one server may report within a minute."""

OPPOSITES: Mapping[Action, Action] = {
    Action.WATCHED: Action.UNWATCHED,
    Action.UNWATCHED: Action.WATCHED,
}
REMEMBERED = timedelta(days=1)
"""The time for which a mark that passed is remembered: the window is far shorter."""

HELD_REASONS = ("held_marks", "held_unmarks")
MARKED_BACK, HELD_ALREADY, NOT_MINE = "marked_back", "held_already", "not_mine"
"""The reasons of held webhooks that come to nothing: the opposite was reported, the same is held, or the person said so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandMark:
    """A mark by hand as a webhook reports it; `whole` names the show that it may have been set with."""

    webhook_id: int
    person_id: int
    source: str
    server: str
    server_name: str | None
    action: Action
    subject: str
    whole: str | None
    at: datetime
    together: int = 1
    """How many changes of its kind the server reported together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldGroup:
    """What is held of one kind, for one person, from one server; up to a webhook, which is what the person saw."""

    person_id: int
    source: str
    server: str
    action: Action
    until: int | None = None


SAME_PERSON = and_(
    hand_mark.c.person_id == bindparam("person"),
    hand_mark.c.server == bindparam("at_server"),
    hand_mark.c.action == bindparam("of_action"),
)
DECISION = Prepared(select(hand_mark.c.state).where(hand_mark.c.webhook_id == bindparam("of")))
NEAR = and_(
    SAME_PERSON,
    hand_mark.c.at > bindparam("after", type_=Utc),
    hand_mark.c.at < bindparam("before", type_=Utc),
)
SAME_MARK = Prepared(
    select(hand_mark.c.state)
    .where(NEAR, hand_mark.c.subject.in_(bindparam("subjects", expanding=True)))
    .order_by(hand_mark.c.webhook_id.desc())
    .limit(1)
)
OTHERS = Prepared(
    select(hand_mark.c.subject)
    .distinct()
    .where(NEAR, hand_mark.c.subject != bindparam("subject"))
    .limit(bindparam("most"))
)
TWINS = Prepared(
    select(hand_mark.c.webhook_id).where(
        SAME_PERSON,
        hand_mark.c.state == HandMarkState.HELD.value,
        hand_mark.c.subject == bindparam("subject"),
    )
)


def judge(connection: Connection, mark: HandMark, now: datetime) -> str | None:
    """The reason why the mark is not acted on, which is then recorded as held or ignored; None if it passes."""
    decided = DECISION.scalar(connection, {"of": mark.webhook_id})
    if decided is not None:
        return reason_of(HandMarkState(decided), mark.action)
    state = choose_state(connection, mark)
    record(connection, mark, state, now)
    return reason_of(state, mark.action)


def choose_state(connection: Connection, mark: HandMark) -> HandMarkState:
    if find_twins(connection, mark, mark.action):
        return HandMarkState.REPEATED
    if cancel_opposite(connection, mark) and mark.action is Action.WATCHED:
        return HandMarkState.CANCELLED  # it was away, and the history has it all along
    return HandMarkState.HELD if is_flood(connection, mark) else HandMarkState.PASSED


def reason_of(state: HandMarkState, action: Action) -> str | None:
    match state:
        case HandMarkState.HELD:
            return HELD_REASONS[0 if action is Action.WATCHED else 1]
        case HandMarkState.IGNORED:
            return NOT_MINE
        case HandMarkState.CANCELLED:
            return MARKED_BACK
        case HandMarkState.REPEATED:
            return HELD_ALREADY
    return None


def is_flood(connection: Connection, mark: HandMark) -> bool:
    """True if more marks came within a minute than a person sets. What is reported twice is one mark."""
    most = MAX_PER_MINUTE[mark.action]
    if mark.together > most:
        return True
    subjects = [mark.subject, *([mark.whole] if mark.whole else [])]
    same = SAME_MARK.scalar(connection, {**near(mark), "subjects": subjects})
    if same in (HandMarkState.PASSED, HandMarkState.ACCEPTED):
        return False
    others = OTHERS.rows(connection, {**near(mark), "subject": mark.subject, "most": most})
    return len(others) >= most


def near(mark: HandMark) -> dict[str, object]:
    return {**of_person(mark, mark.action), "after": mark.at - WINDOW, "before": mark.at + WINDOW}


def of_person(mark: HandMark, action: Action) -> dict[str, object]:
    return {"person": mark.person_id, "at_server": mark.server, "of_action": action.value}


def find_twins(connection: Connection, mark: HandMark, action: Action) -> list[int]:
    """The webhooks that are held of the same item."""
    return TWINS.scalars(connection, {**of_person(mark, action), "subject": mark.subject})


def cancel_opposite(connection: Connection, mark: HandMark) -> bool:
    """Let go of what is held and is undone by this mark: a library that was away and is back; True if there was any."""
    opposite = OPPOSITES.get(mark.action)
    if opposite is None:
        return False
    held = find_twins(connection, mark, opposite)
    settled = {
        "state": WebhookState.IGNORED.value,
        "reason": reason_of(HandMarkState.CANCELLED, opposite),
    }
    for webhook_id in held:
        mine = hand_mark.c.webhook_id == webhook_id
        connection.execute(update(hand_mark).where(mine).values(state=HandMarkState.CANCELLED.value))
        connection.execute(update(webhook).where(webhook.c.id == webhook_id).values(settled))
    return bool(held)


def record(connection: Connection, mark: HandMark, state: HandMarkState, now: datetime) -> None:
    same = and_(
        hand_mark.c.person_id == mark.person_id,
        hand_mark.c.server == mark.server,
        hand_mark.c.action == mark.action.value,
    )
    old = and_(same, hand_mark.c.state == HandMarkState.PASSED.value, hand_mark.c.at < now - REMEMBERED)
    connection.execute(delete(hand_mark).where(old))
    row = {
        "webhook_id": mark.webhook_id,
        "person_id": mark.person_id,
        "server": mark.server,
        "server_name": mark.server_name,
        "source": mark.source,
        "action": mark.action.value,
        "subject": mark.subject,
        "at": mark.at,
        "state": state.value,
    }
    connection.execute(insert(hand_mark), row)


# --- what a person decides


def accept(connection: Connection, group: HeldGroup) -> int:
    """Act on what is held, as the person's own; returns how many webhooks are read again."""
    decide(connection, group, HandMarkState.ACCEPTED)
    return connection.execute(
        settle_holds(HandMarkState.ACCEPTED).values(state=WebhookState.RECEIVED.value, reason=None)
    ).rowcount


def ignore(connection: Connection, group: HeldGroup) -> int:
    """Leave the history as it is; returns how many webhooks are settled by that."""
    decide(connection, group, HandMarkState.IGNORED)
    return connection.execute(
        settle_holds(HandMarkState.IGNORED).values(state=WebhookState.IGNORED.value, reason=NOT_MINE)
    ).rowcount


def decide(connection: Connection, group: HeldGroup, state: HandMarkState) -> None:
    mine = (
        hand_mark.c.person_id == group.person_id,
        hand_mark.c.source == group.source,
        hand_mark.c.server == group.server,
        hand_mark.c.action == group.action.value,
        hand_mark.c.state == HandMarkState.HELD.value,
    )
    seen = () if group.until is None else (hand_mark.c.webhook_id <= group.until,)
    connection.execute(update(hand_mark).where(*mine, *seen).values(state=state.value))


def settle_holds(state: HandMarkState) -> Update:
    """The webhooks that are still held although their marks are decided."""
    decided = select(hand_mark.c.webhook_id).where(hand_mark.c.state == state.value)
    return update(webhook).where(webhook.c.state == WebhookState.HELD.value, webhook.c.id.in_(decided))
