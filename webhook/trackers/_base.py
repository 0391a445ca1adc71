"""The base class of trackers: actions by a table, calls with a renewed sign-in, statuses to outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

from webhook.client import USER_AGENT, call, excerpt
from webhook.domain.event import Action, Kind
from webhook.domain.outcome import Dead, Done, Park, Retry, Skip, Snooze, Undelivered
from webhook.domain.play import Dated
from webhook.domain.retry import UNSURE_PAUSE, decide, word
from webhook.trackers import Access, Delivery, SignIn, Tokens

Outcome = Done | Undelivered
Rule = Callable[[str, str], Undelivered]
"""Makes the outcome of a status: of a reason and the answer, both for people."""


WritesPerSecond = Annotated[
    float, Field(ge=0, description="Most writes a second per account; 0 is no pacing")
]


class TrackerSettings(BaseModel):
    """Base class of a tracker's settings."""

    model_config = ConfigDict(frozen=True)


class BaseTracker:
    """Base class of trackers.

    A subclass names itself, says what it takes (`kinds`, `actions`: the method that sends each), how an answer that
    is no success is decided where `domain.retry.decide` does not fit (`statuses`), and how a call is signed
    (`authorize`). One with a method `refresh` has its sign-in renewed on a 401.
    """

    name: str
    label: str
    sign_in: SignIn = "device"
    kinds: frozenset[Kind]
    actions: ClassVar[Mapping[Action, str]]
    tells: frozenset[Action]
    needs: Mapping[Kind, tuple[str, ...]] = {}  # the service resolves ids and titles itself
    one_mark = False
    undated = False
    local = False
    statuses: ClassVar[Mapping[int, Rule]] = {}

    def __init_subclass__(cls) -> None:
        cls.tells = frozenset(getattr(cls, "actions", ()))

    def __init__(self, http: httpx.AsyncClient, url: str, writes_per_second: float = 0.0) -> None:
        self.http = http
        self.api = url.rstrip("/")
        self.host = httpx.URL(self.api).netloc.decode()
        self.writes_per_second = writes_per_second

    async def send(self, delivery: Delivery, access: Access) -> Done:
        """Send it by the method of its action; a failure of one that was unsure leaves it as open as it was."""
        method = self.actions.get(delivery.action)
        if method is None:
            raise Dead(f"{self.label} has no call for {delivery.action}")
        try:
            done: Done = await getattr(self, method)(delivery, access)
        except Retry as error:
            error.unsure |= delivery.unsure
            raise
        return done

    # Calls

    def authorize(self, tokens: Tokens) -> Mapping[str, str]:
        """The headers that sign a call; without tokens those of the app alone."""
        return {}

    def headers(self, tokens: Tokens) -> dict[str, str]:
        return {"Content-Type": "application/json", "User-Agent": USER_AGENT, **self.authorize(tokens)}

    def identify_app(self) -> Mapping[str, str]:
        """The query parameters that every address has."""
        return {}

    async def call(
        self,
        method: str,
        path: str,
        *,
        tokens: Tokens | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """One call; raises Retry where no whole answer comes."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **self.authorize(tokens or {}),
        }
        query = {**self.identify_app(), **(params or {})} or None
        return await call(
            self.http, self.label, method, self.api + path, headers=headers, params=query, json=json
        )

    async def ask(self, access: Access, method: str, path: str, **more: Any) -> httpx.Response:
        """One call as the account; where its sign-in is not accepted and ages, once more with a renewed one."""
        tokens = access.tokens
        response = await self.call(method, path, tokens=tokens, **more)
        if response.status_code != 401 or not hasattr(self, "refresh"):
            return response
        return await self.call(method, path, tokens=await access.renew(tokens), **more)

    def accept(self, response: httpx.Response) -> httpx.Response:
        """The response if it is a success; otherwise raises the outcome for its status."""
        if response.is_success:
            return response
        raise self.refuse(response)

    def refuse(self, response: httpx.Response) -> Undelivered:
        """The outcome of an answer that is no success."""
        status, answer = response.status_code, excerpt(response)
        if rule := self.statuses.get(status):
            return rule(f"{self.label} answered {status}: {word(status)}", answer)
        return decide(self.label, status, response.headers, answer)


class BatchTracker(BaseTracker):
    """Base class of trackers that take many late marks in one call (`webhook.trackers.Batches`)."""

    batch: int

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        raise NotImplementedError

    async def send_alone(self, delivery: Delivery, access: Access) -> Done:
        """Send one delivery by the call that takes many."""
        (outcome,) = await self.send_many([delivery], access)
        if isinstance(outcome, Undelivered):
            raise outcome
        return outcome


# Rules for `statuses`


def snooze_for(after: timedelta, reason: str | None = None) -> Rule:
    return lambda said, answer: Snooze(reason or said, answer=answer, after=after)


def park_as(park: Park) -> Rule:
    return lambda said, answer: Snooze(said, answer=answer, park=park)


def die_of(reason: str) -> Rule:
    return lambda _, answer: Dead(reason, answer=answer)


# Outcomes that several trackers have


def unsettled_retry(label: str, decision: Undelivered) -> Retry:
    """A call whose effect is unknown: check the account before sending it again."""
    after = decision.after if isinstance(decision, Retry | Snooze) else None
    suspect = isinstance(decision, Retry) and decision.suspect
    reason = f"It was sent, and what {label} made of it cannot be read: {decision.reason}"
    return Retry(reason, answer=decision.answer, after=after or UNSURE_PAUSE, unsure=True, suspect=suspect)


def require_date(delivery: Delivery, label: str) -> None:
    """Raise Skip if the date is unknown: a scrobble needs a time, and none is invented."""
    if delivery.dated is Dated.TICKED:
        raise Skip(f"nobody knows when it was watched, and {label} keeps nothing without a date")
