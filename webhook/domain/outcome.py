"""The outcome of a delivery: a decision, not an error code.

`Done` is returned; the other decisions are raised: `Retry` uses an attempt, `Snooze` does not,
`Unmatched` waits for a match, `Skip` needs nobody, `Dead` needs a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from webhook.domain.json_shapes import ProposedJson
from webhook.texts import texts


class Park(StrEnum):
    """The reasons why an account is parked."""

    SIGNED_OUT = "signed_out"
    VIP_REQUIRED = "vip_required"
    ACCOUNT_LIMIT = "account_limit"
    ACCOUNT_LOCKED = "account_locked"
    APP_DELETED = "app_deleted"
    SERVICE_CLOSED = "service_closed"


LIMITS = frozenset({Park.ACCOUNT_LIMIT, Park.VIP_REQUIRED})
"""Limits: refusals of one kind of call, which park deliveries of that kind only."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The sentence on why an account is parked, and the remedy."""

    sentence: str
    mend: str


PARKED: Mapping[Park, Parked] = {
    Park.SIGNED_OUT: Parked(
        "The service no longer accepts this sign-in.",
        "Sign in again: watchmark connect {tracker} --person {person}",
    ),
    Park.VIP_REQUIRED: Parked(
        "The service wants a paid membership (VIP) for this.",
        "Renew the membership, then: watchmark connect {tracker} --person {person}",
    ),
    Park.ACCOUNT_LIMIT: Parked(
        "The account has reached a limit that the service sets.",
        "Make room in the account (or upgrade it), then: watchmark retry --tracker {tracker} --person {person}",
    ),
    Park.ACCOUNT_LOCKED: Parked(
        "The service has locked or deactivated this account.",
        "Write to the service's support; then: watchmark connect {tracker} --person {person}",
    ),
    Park.APP_DELETED: Parked(
        "The API app behind the client id no longer exists or is not approved.",
        "Make a new API app at the service (at Trakt only VIP members can, since July 2026), set its client id "
        "and secret, restart, then: watchmark connect {tracker} --person {person}",
    ),
    Park.SERVICE_CLOSED: Parked(
        "The service has closed: nothing answers there any more.",
        "Point the tracker's address at a server that speaks its protocol, or disconnect it: "
        "watchmark disconnect {tracker} --person {person}",
    ),
}


SLOWED = "many marks at once: a few a minute are sent, and this one waits its turn"
"""The reason why a change waits that a media server is told without anybody asking."""

UNREADABLE = "The stored sign-in cannot be opened with the key that is here"

DISCONNECTED = "disconnected"
"""Why an account is parked that its person has signed out of here."""


def parked_sentence(park: Park, why: str | None) -> str:
    """The sentence on why an account is parked: one of its own where it cannot be opened, or was signed out of here."""
    if why == DISCONNECTED:
        return "It was disconnected here."
    return f"{UNREADABLE}." if why == UNREADABLE else PARKED[park].sentence


REFUSED: Mapping[Park, str] = texts(
    {
        Park.ACCOUNT_LIMIT: "{label} takes no more for the {what} of this account: a limit is reached. "
        "Make room there, or upgrade the account",
        Park.VIP_REQUIRED: "{label} wants a paid membership (VIP) for the {what}. Renew the membership",
    }
)
"""The refusal of one kind of call and the step that lifts it; `what` is one of KEPT_IN."""

KEPT_IN: Mapping[str, str] = texts(
    {
        "watched": "watched history",
        "add": "collection",
        "rate": "ratings",
        "favourite": "favourites",
        "watchlist": "watchlist",
        "start": "display of what is playing",
        "pause": "resume points",
        "stop": "resume points",
    }
)
"""The place in a service that a kind of delivery is sent to, in words that follow "its"."""


def explain_limit(park: str, kind: str, label: str) -> str | None:
    """The refusal of this kind of delivery and the next step, without a closing stop."""
    if park not in REFUSED:
        return None
    return REFUSED[Park(park)].format(label=label, what=KEPT_IN.get(kind, f"{kind} calls"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The delivery was sent. `answer` is the service's message; `remote_id` is the handle for undo."""

    answer: str
    remote_id: str | None = None
    note: str | None = None  # a warning for the person, e.g. matched to a different item


class Undelivered(Exception):
    """Base of every decision but `Done`. `answer` is what the service said, cut to size."""

    def __init__(self, reason: str, *, answer: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class Retry(Undelivered):
    """Retry later; uses an attempt.

    `unsure`: the call may have been recorded, so look before it is sent again.
    `lane`: the service or the account is in trouble, so everything behind waits too.
    `suspect`: the delivery itself may be the cause; after a few tries what is behind it goes first.
    """

    def __init__(
        self,
        reason: str,
        *,
        answer: str | None = None,
        after: timedelta | None = None,
        unsure: bool = False,
        lane: bool = True,
        suspect: bool = False,
    ) -> None:
        super().__init__(reason, answer=answer)
        self.after = after
        self.unsure = unsure
        self.lane = lane
        self.suspect = suspect


class Snooze(Undelivered):
    """Retry later without using an attempt: busy (`after`), or the account needs something (`park`).

    `lengthens`: nobody says how long it is busy, so the rest doubles with each such answer in a row.
    `lane`: everything behind waits too; otherwise only this delivery does.
    """

    def __init__(
        self,
        reason: str,
        *,
        answer: str | None = None,
        after: timedelta | None = None,
        park: Park | None = None,
        lengthens: bool = False,
        lane: bool = True,
    ) -> None:
        super().__init__(reason, answer=answer)
        self.after = after
        self.park = park
        self.lengthens = lengthens
        self.lane = lane


class Unmatched(Undelivered):
    """The service does not know the item; waits for a person's choice."""

    def __init__(
        self, reason: str, *, answer: str | None = None, candidates: Sequence[ProposedJson] = ()
    ) -> None:
        super().__init__(reason, answer=answer)
        self.candidates = list(candidates)


class Skip(Undelivered):
    """The service has no use for it; nothing needs to be done."""


class Dead(Undelivered):
    """The delivery cannot succeed by retrying; a person must look.

    `suspect`: its content was refused, so of many in one call a single one may be the cause.
    `resend`: it may have arrived, and nobody can look; a person who retries it has it sent anew.
    """

    def __init__(
        self, reason: str, *, answer: str | None = None, suspect: bool = False, resend: bool = False
    ) -> None:
        super().__init__(reason, answer=answer)
        self.suspect = suspect
        self.resend = resend
