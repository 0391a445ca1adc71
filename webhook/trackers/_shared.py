"""What several trackers share: how answers are read, when a viewing began, and what was asked lately."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from webhook.client import MAX_ANSWER, clean, plain
from webhook.domain.items import folded
from webhook.domain.outcome import Retry, Skip, Snooze, Undelivered
from webhook.domain.play import Dated
from webhook.domain.retry import GATEWAY
from webhook.trackers import Delivery

Json = dict[str, Any]

UNDATED = datetime(1970, 1, 2, tzinfo=UTC)
"""What is dated before it has no date: services write the first second of 1970 for "unknown"."""

LARGEST_ROW = 8 * 1024 * 1024
UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def inner(body: Json, name: str) -> Json:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def inner_json(response: httpx.Response) -> Json:
    """The object in an answer that may as well be empty."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def rows(value: Any) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def counted(body: Json, name: str) -> int:
    return sum(number for number in inner(body, name).values() if isinstance(number, int))


def moment(value: Any) -> datetime | None:
    """A time in ISO 8601, in UTC where it does not say; None where there is none."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC) if at >= UNDATED else None


def recent(at: datetime | None, since: datetime | None) -> bool:
    """Whether a viewing is wanted that was asked for since a time; one without a date always is."""
    return since is None or at is None or at >= since


def began(delivery: Delivery) -> datetime:
    """When the play began: as it was seen, else reckoned back from its mark by what was played until then."""
    if delivery.started_at is not None and delivery.started_at < delivery.at:
        return delivery.started_at
    part = 1.0 if delivery.progress is None else delivery.progress / 100
    return delivery.at - timedelta(milliseconds=delivery.duration_ms or 0) * part


BEFORE = AFTER = timedelta(minutes=15)
"""How far from the time of a play one that is there already counts as the same."""


def begins(delivery: Delivery) -> datetime:
    """How far back the same viewing can have been marked: later than it began, or it was another one."""
    if delivery.duration_ms:
        return delivery.at - min(BEFORE, timedelta(milliseconds=delivery.duration_ms) * 0.8)
    if delivery.started_at is not None and delivery.started_at < delivery.at:
        return max(delivery.at - BEFORE, delivery.started_at)
    return delivery.at - BEFORE


def noon(at: datetime) -> datetime:
    """The noon (UTC) of a day of which no more is known."""
    return at.astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def dated_or_skip(delivery: Delivery, label: str) -> None:
    """Raises Skip where nobody knows when it was: a scrobble has a time, and none is made up."""
    if delivery.dated is Dated.TICKED:
        raise Skip(f"nobody knows when it was watched, and {label} keeps nothing without a date")


def unsettled(label: str, decision: Undelivered) -> Retry:
    """A call that was made, of which it could not be found out what it did: look before it is sent again."""
    after = decision.after if isinstance(decision, Retry | Snooze) else None
    suspect = isinstance(decision, Retry) and decision.suspect
    reason = f"It was sent, and what {label} made of it cannot be read: {decision.reason}"
    return Retry(reason, answer=decision.answer, after=after or GATEWAY, unsure=True, suspect=suspect)


def titled_alike(mine: str | None, theirs: str | None) -> bool | None:
    """Whether two titles are the same; None where one is not known."""
    return folded(mine) == folded(theirs) if mine and theirs else None


def near(mine: int | None, theirs: int | None) -> bool | None:
    """Whether two years are the same, but for one that a festival or a later release makes."""
    return abs(mine - theirs) <= 1 if mine and theirs else None


class Memory:
    """What a service's search said lately: an evening's starts, pauses and stops are about one item.

    It holds so many answers; one that is empty for a time only, since what is not known yet may be tomorrow.
    """

    def __init__(self, most: int = 500, empty_for: float = 600.0) -> None:
        self.most, self.empty_for = most, empty_for
        self.answers: dict[str, tuple[list[Json], float]] = {}

    def recall(self, question: str) -> list[Json] | None:
        """The answer; None where it has to be asked."""
        answer, until = self.answers.get(question, ([], 0.0))
        return answer if answer or time.monotonic() < until else None

    def keep(self, question: str, answer: list[Json]) -> list[Json]:
        self.answers[question] = (answer, time.monotonic() + self.empty_for)
        if len(self.answers) > self.most:
            del self.answers[next(iter(self.answers))]
        return answer


# A list of any length


async def streamed(
    http: httpx.AsyncClient,
    label: str,
    url: str,
    name: str,
    *,
    headers: Mapping[str, str],
    params: Mapping[str, str],
    judge: Callable[[httpx.Response], object],
) -> AsyncIterator[Json]:
    """The rows of a list that a service sends without pages, {"name": [{...}, ...]}, each as it comes in.

    No more than a row is kept. `judge` raises what an answer that is no success asks for; Retry is raised
    where the list breaks off or is none.
    """
    cutter = Cutter(label, name)
    try:
        async with http.stream("GET", url, headers=headers, params=params) as response:
            if not response.is_success:
                judge(await beginning(response))
            async for piece in response.aiter_text():
                for row in cutter.rows(piece):
                    yield row
    except UNREACHED as error:
        raise Retry(f"{label} cannot be reached ({plain(error)})") from error
    except httpx.HTTPError as error:
        raise Retry(f"{label} broke off ({plain(error)})", after=GATEWAY) from error
    cutter.finish()


async def beginning(response: httpx.Response) -> httpx.Response:
    """The answer, read no further than is worth showing."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            break
    return httpx.Response(response.status_code, headers=clean(response.headers), content=bytes(body))


class Cutter:
    """Cuts the rows out of {"name": [{...}, ...]} as its text comes in."""

    def __init__(self, label: str, name: str) -> None:
        self.label, self.name = label, name
        self.opening = re.compile(rf'\s*\{{\s*"{name}"\s*:\s*\[')
        self.text = ""
        self.inside = self.ended = False
        self.read = json.JSONDecoder().raw_decode

    def rows(self, piece: str) -> Iterator[Json]:
        """The rows that are whole with this piece."""
        self.text += piece
        if not self.inside and (opened := self.opening.match(self.text)):
            self.text, self.inside = self.text[opened.end() :], True
        while self.inside and not self.ended:
            self.text = self.text.lstrip(", \r\n\t")
            if self.text.startswith("]"):
                self.text, self.ended = self.text[1:], True
                return
            try:
                row, end = self.read(self.text)
            except ValueError:
                break  # it is not whole yet
            self.text = self.text[end:]
            if isinstance(row, dict):
                yield row
        if len(self.text) > LARGEST_ROW:
            raise self.unknown()

    def finish(self) -> None:
        """Raises Retry unless the list came to its end, or a null or {} said that there is none."""
        whole = self.text.strip() == "}" if self.ended else self.text.strip() in ("null", "{}", "[]")
        if not whole or self.inside != self.ended:
            raise self.unknown()

    def unknown(self) -> Retry:
        reason = f"{self.label} sent a list that is cut off or of an unknown shape"
        return Retry(reason, answer=self.text[:500], after=GATEWAY)
