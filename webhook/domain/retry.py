"""Retry policy: a table from a service's answer to the decision, and the backoff between attempts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from webhook.domain.outcome import Dead, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.texts import texts

LIVE = timedelta(minutes=10)
"""The age up to which start, pause and stop are sent; an older watched mark goes out dated."""

MAX_DELIVERY_AGE = timedelta(days=30)
"""The age up to which a watched mark is tried; a tracker may be away for a fortnight."""

FIRST_PAUSE = timedelta(seconds=5)
MAX_PAUSE = timedelta(hours=1)
TRIES_IN_FRONT = 3
"""The tries of a delivery that may itself be the trouble before those behind it go first."""

BUSY_PAUSE = timedelta(minutes=5)
"""The wait after a 429 without Retry-After; Trakt answers 429 for about this long once tripped."""

MIN_PAUSE = timedelta(minutes=1)

UNSURE_PAUSE = timedelta(seconds=60)
"""The minimum wait after a call that may or may not have been recorded."""

MAX_RETRY_AFTER = timedelta(days=1)
"""No Retry-After is believed beyond this."""

REASONS_BY_STATUS: Mapping[int, str] = texts(
    {
        400: "it could not read the call",
        401: "the sign-in is not accepted",
        403: "the app behind the client id is unknown, not approved or deleted",
        404: "it does not know this item",
        405: "it does not offer this call",
        408: "it gave up waiting for the call",
        409: "it says this is already there",
        412: "it did not accept the call's form",
        420: "the account has reached a limit",
        422: "it refused the call's values",
        423: "the account is locked or deactivated",
        425: "it asks to try later",
        426: "this needs a paid membership (VIP)",
        429: "it asks for a slower pace",
    }
)

PARKS_BY_STATUS: Mapping[int, Park] = {
    401: Park.SIGNED_OUT,
    403: Park.APP_DELETED,
    420: Park.ACCOUNT_LIMIT,
    423: Park.ACCOUNT_LOCKED,
    426: Park.VIP_REQUIRED,
}
RETRY_STATUSES = frozenset({408, 425})
UNSURE_STATUSES = frozenset({500, 502, 504, 520, 521, 522, 524})
"""Statuses of an intermediary, after which the call may or may not have been recorded."""


def decide(
    label: str, status: int, headers: Mapping[str, str], answer: str, now: datetime | None = None
) -> Undelivered:
    """The decision about a status that is no success; `label` is the service's name for people."""
    reason = f"{label} answered {status}: {word(status)}"
    after = retry_after(headers, now)
    if status == 429:
        return Snooze(reason, answer=answer, after=BUSY_PAUSE if after is None else after)
    if park := PARKS_BY_STATUS.get(status):
        return Snooze(reason, answer=answer, park=park)
    if status == 404:
        return Unmatched(reason, answer=answer)
    if status in RETRY_STATUSES:
        return Retry(reason, answer=answer, after=after)
    if status >= 500:
        unsure = status in UNSURE_STATUSES
        pause = after if after is not None else (UNSURE_PAUSE if unsure else None)
        return Retry(reason, answer=answer, after=pause, unsure=unsure, suspect=status == 500)
    return Dead(reason, answer=answer)


def word(status: int) -> str:
    """The meaning of a status, in words that follow "the service answered 404:"."""
    return REASONS_BY_STATUS.get(status) or (
        "it is in trouble" if status >= 500 else "an answer that was not expected"
    )


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """The Retry-After header in both its forms (seconds, HTTP date), or None; never below 0 or over a day."""
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.strip().isdigit():
        return min(timedelta(seconds=min(int(value), 10**6)), MAX_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(when - (now or datetime.now(UTC)), timedelta(0)), MAX_RETRY_AFTER)


def lengthen(first: timedelta, failures: int, jitter: random.Random | None = None) -> timedelta:
    """The pause after consecutive busy answers: doubled with each, up to a minute, plus jitter."""
    rest: timedelta = min(first * 2 ** min(failures, 16), MIN_PAUSE)
    # Jitter needs no cryptography.
    return rest * (jitter or random).uniform(1.0, 1.25)


def backoff(attempts: int, jitter: random.Random | None = None) -> timedelta:
    """The pause after this many attempts: full jitter below a doubling ceiling, capped at an hour."""
    ceiling: timedelta = min(FIRST_PAUSE * 2 ** min(attempts, 20), MAX_PAUSE)
    # Jitter needs no cryptography; a second at least, so that a pause is never nothing.
    return timedelta(seconds=(jitter or random).uniform(1.0, ceiling.total_seconds()))
