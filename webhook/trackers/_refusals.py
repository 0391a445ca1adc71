"""Refusals: answers that are no success, and the rules that make outcomes of them.

A tracker has a table of them: `statuses = {403: snooze_for(HOUR), 404: die_of(WRONG_ADDRESS)}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from webhook.domain.outcome import Dead, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY_PAUSE, UNSURE_PAUSE


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An answer that is no success, in words: `verdict` is "Trakt answered 403", `words` what that means.

    `after` is how long the service asks to wait.
    """

    verdict: str = ""
    words: str = ""
    answer: str | None
    after: timedelta | None = None

    def reason(self, words: str | None = None) -> str:
        return f"{self.verdict}: {words or self.words}"


Rule = Callable[[Refusal], Undelivered]
"""Makes the outcome of a refusal."""


def park_as(park: Park, words: str | None = None) -> Rule:
    return lambda refusal: Snooze(refusal.reason(words), answer=refusal.answer, park=park)


def snooze_for(after: timedelta, reason: str | None = None, *, lane: bool = True) -> Rule:
    return lambda refusal: Snooze(reason or refusal.reason(), answer=refusal.answer, after=after, lane=lane)


def slow_down(words: str | None = None) -> Rule:
    """Wait for as long as the service asks, or five minutes."""
    return lambda refusal: Snooze(
        refusal.reason(words),
        answer=refusal.answer,
        after=BUSY_PAUSE if refusal.after is None else refusal.after,
    )


def retry_later(words: str | None = None, *, suspect: bool = False) -> Rule:
    return lambda refusal: Retry(
        refusal.reason(words), answer=refusal.answer, after=refusal.after, suspect=suspect
    )


def die_of(reason: str | None = None) -> Rule:
    return lambda refusal: Dead(reason or refusal.reason(), answer=refusal.answer)


def fail_match(refusal: Refusal) -> Unmatched:
    return Unmatched(refusal.reason(), answer=refusal.answer)


def refuse_content(refusal: Refusal) -> Dead:
    return Dead(refusal.reason(), answer=refusal.answer, suspect=True)


DEFAULT_RULES: Mapping[int, Rule] = {**dict.fromkeys((400, 413, 422), refuse_content), 429: slow_down()}
"""Statuses that refuse the content, and the pace."""


def unsettled_retry(label: str, decision: Undelivered) -> Retry:
    """A call whose effect is unknown: check the account before sending it again."""
    after = decision.after if isinstance(decision, Retry | Snooze) else None
    suspect = isinstance(decision, Retry) and decision.suspect
    reason = f"It was sent, and what {label} made of it cannot be read: {decision.reason}"
    return Retry(reason, answer=decision.answer, after=after or UNSURE_PAUSE, unsure=True, suspect=suspect)
