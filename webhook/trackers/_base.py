"""The base class of trackers: actions by a table, calls with a renewed sign-in, answers to outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

from webhook.client import FORM, MAX_ANSWER, USER_AGENT, call, excerpt
from webhook.domain.anime_index import AnimeNamespace
from webhook.domain.event import Action, Kind
from webhook.domain.outcome import Dead, Done, Retry, Skip, Undelivered
from webhook.domain.play import Dated
from webhook.domain.retry import UNSURE_PAUSE, decide, retry_after, word
from webhook.trackers import Access, Delivery, SignIn, Tokens
from webhook.trackers._facts import UNDECLARED, Facts
from webhook.trackers._json import JsonObject, expect_object
from webhook.trackers._pacing import RateLimit
from webhook.trackers._refusals import DEFAULT_RULES, Refusal, Rule, refuse_content

Outcome = Done | Undelivered

WritesPerSecond = Annotated[
    float, Field(ge=0, description="Writes a second per account, at most; 0: no limit")
]


class TrackerSettings(BaseModel):
    """Base class of a tracker's settings."""

    model_config = ConfigDict(frozen=True)


class BaseTracker:
    """Base class of trackers.

    A subclass names itself, says what it takes (`kinds`, `actions`: the method that sends each), how an answer that
    is no success is decided where `domain.retry.decide` does not fit (`statuses`; `errors`, by the code that
    `error_code` finds in the answer), and how a call is signed (`authorize`). One with a method `refresh` has its
    sign-in renewed on a 401; one with a `rate_limit` is not called where no call is taken.
    """

    name: str
    label: str
    facts: Facts = UNDECLARED
    sign_in: SignIn = "device"
    kinds: frozenset[Kind]
    actions: ClassVar[Mapping[Action, str]]
    tells: frozenset[Action]
    needs: Mapping[Kind, tuple[str, ...]] = {}  # the service resolves ids and titles itself
    many_hosts = False
    wants: Mapping[Kind, tuple[str, ...]] = {}
    one_mark = False
    undated = False
    anime_ids: AnimeNamespace | None = None
    local = False
    statuses: ClassVar[Mapping[int, Rule]] = {}
    errors: ClassVar[Mapping[int, Rule]] = {}
    rate_limit: RateLimit | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.tells = frozenset(getattr(cls, "actions", ()))

    def __init__(self, http: httpx.AsyncClient, url: str, writes_per_second: float = 0.0) -> None:
        self.http = http
        self.url = url
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

    def sign_address(self, tokens: Tokens) -> Mapping[str, str]:
        """The query parameters that every address has; without tokens those of the app alone."""
        return {}

    async def call(
        self,
        method: str,
        path: str | None,
        *,
        tokens: Tokens | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        patient: bool = False,
        most: int = MAX_ANSWER,
    ) -> httpx.Response:
        """One call to a path, or to the one address (None); raises Retry where no whole answer comes.

        Where no call is taken at the moment it raises Snooze, `patient` after a wait.
        """
        headers = {**self.headers(tokens or {}), **(extra_headers or {})}
        signed = self.sign_address(tokens or {})
        account = f"{headers} {signed}"
        if form is not None:
            headers["Content-Type"] = FORM
        if self.rate_limit:
            await self.rate_limit.enter(account, patient=patient)
        url, query = self.url if path is None else self.api + path, {**signed, **(params or {})}
        content = {"params": query or None, "json": json, "form": form}
        response = await call(self.http, self.label, method, url, headers=headers, most=most, **content)
        if self.rate_limit:
            self.rate_limit.note(account, response)
        return response

    async def ask(self, access: Access, method: str, path: str, **more: Any) -> httpx.Response:
        """One call as the account; where its sign-in is not accepted and ages, once more with a renewed one."""
        tokens = access.tokens
        response = await self.call(method, path, tokens=tokens, **more)
        if response.status_code != 401 or not hasattr(self, "refresh"):
            return response
        return await self.call(method, path, tokens=await access.renew(tokens), **more)

    async def ask_object(self, access: Access, method: str, path: str, **more: Any) -> JsonObject:
        """The object in the answer to a call as the account."""
        return self.accept_object(await self.ask(access, method, path, **more))

    def accept(self, response: httpx.Response) -> httpx.Response:
        """The response if it is a success; otherwise raises the outcome of its status or error."""
        if response.is_success and self.error_code(response) is None:
            return response
        raise self.refuse(response)

    def accept_object(self, response: httpx.Response, *names: str) -> JsonObject:
        """The object in an answer that is a success, with these objects in it."""
        return expect_object(self.label, self.accept(response), *names)

    def error_code(self, response: httpx.Response) -> int | None:
        """The code of the error that the answer holds, whatever its status, for `errors`."""
        return None

    def error_words(self, response: httpx.Response) -> str:
        """The meaning of an answer that is no success, in words that follow "Trakt answered 404:"."""
        return word(response.status_code)

    def refuse(self, response: httpx.Response) -> Undelivered:
        """The outcome of an answer that is no success."""
        status, code = response.status_code, self.error_code(response)
        if code is not None and (code in self.errors or status < 500):
            verdict, words = f"error {code}", "it refused the call"
            rule = self.errors.get(code, refuse_content)
        elif known := self.statuses.get(status) or DEFAULT_RULES.get(status):
            verdict, words, rule = str(status), self.error_words(response), known
        else:
            return decide(self.label, status, response.headers, excerpt(response))
        pause = self.rate_limit.pause(response) if self.rate_limit else None
        return rule(
            Refusal(
                verdict=f"{self.label} answered {verdict}",
                words=words,
                answer=excerpt(response),
                after=retry_after(response.headers) if pause is None else pause,
            )
        )


class BatchTracker(BaseTracker):
    """Base class of trackers that take many late marks in one call (`webhook.trackers.Batches`).

    A subclass has `payload` and `submit`, or a `send_many` of its own.
    """

    batch: int

    def payload(self, delivery: Delivery) -> JsonObject | Done:
        """The part of the call that is this mark, or Done where it is not to be sent; raises as `send` does."""
        raise NotImplementedError

    async def submit(self, payloads: Sequence[JsonObject], access: Access) -> list[Outcome]:
        """Send these in one call: the outcome of each; raises what concerns all, a Dead that is `suspect` where one is bad."""
        raise NotImplementedError

    async def send_many(self, deliveries: Sequence[Delivery], access: Access) -> list[Outcome]:
        """Send these in one call; one that cannot be sent is settled without it."""
        drafts = [self.draft(delivery) for delivery in deliveries]
        payloads = [draft for draft in drafts if isinstance(draft, dict)]
        outcomes = iter(await self.divide(payloads, access) if payloads else ())
        return [next(outcomes) if isinstance(draft, dict) else draft for draft in drafts]

    def draft(self, delivery: Delivery) -> JsonObject | Outcome:
        try:
            return self.payload(delivery)
        except Undelivered as decision:
            return decision

    async def divide(self, payloads: Sequence[JsonObject], access: Access) -> list[Outcome]:
        """One bad payload has all refused with it: the halves are tried until it stands alone.

        What breaks off the search is raised only where nothing was found out yet.
        """
        try:
            outcomes = await self.submit(payloads, access)
        except Dead as error:
            if len(payloads) == 1 or not error.suspect:
                return [error for _ in payloads]
        else:
            if len(outcomes) == len(payloads):
                return outcomes
            reason = f"{self.label} did not say what became of each"
            raise Retry(reason, after=UNSURE_PAUSE, unsure=True, suspect=True)
        middle = len(payloads) // 2
        outcomes = []
        for half in (payloads[:middle], payloads[middle:]):
            try:
                outcomes += await self.divide(half, access)
            except Undelivered as error:
                outcomes += [error for _ in half]
        return outcomes

    async def send_alone(self, delivery: Delivery, access: Access) -> Done:
        """Send one delivery by the call that takes many."""
        (outcome,) = await self.send_many([delivery], access)
        return unwrap(outcome)


def unwrap(outcome: Outcome) -> Done:
    """The outcome if it is Done; otherwise raises it."""
    if isinstance(outcome, Undelivered):
        raise outcome
    return outcome


def require_date(delivery: Delivery, label: str) -> None:
    """Raise Skip if the date is unknown: a scrobble needs a time, and none is invented."""
    if delivery.dated is Dated.TICKED:
        raise Skip(f"nobody knows when it was watched, and {label} keeps nothing without a date")
