"""Responses of a TV Time server, and their outcomes.

| answer | outcome |
|---|---|
| 401 | the token renewed once, then parked: signed out |
| 404 of the load balancer of the closed service | parked: service closed |
| a web page | tried again: something before the server blocks the call |
| 403, other 4xx | dead; 404 unmatched |
| 200 with `{"result": "KO"}` | unmatched (unknown episode), snoozed (rate limit), else dead |
| 200 with `{"error": {"code": 429}}` | as that status |
| 429 | snoozed for its Retry-After, else five minutes |
| 5xx, 408, 425 | tried again |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson

from webhook.client import accept, excerpt, read_json
from webhook.domain.event import Episode, Ids, Movie
from webhook.domain.json_shapes import ProposedJson
from webhook.domain.outcome import Dead, Done, Park, Retry, Snooze, Undelivered, Unmatched
from webhook.domain.retry import BUSY_PAUSE, UNSURE_PAUSE, decide
from webhook.trackers import Delivery, WatchedItem
from webhook.trackers._json import as_time

LABEL = "TV Time"
CLOSED = "TV Time has closed: nothing answers at this address any more"
REWATCH_HANDLE = "rewatch"
"""The handle of a viewing that was counted beside earlier ones, which would be taken back with it."""

OWN_DATE = "; TV Time dates it by itself, not by when it was watched"

CUT_OFF = "An earlier call was cut off; it may or may not be among these, so it was not sent again."


def parse_answer(response: httpx.Response) -> Any:
    """The JSON of a successful response, {} for an empty one; raises the outcome of any other."""
    require_success(response)
    answer = read_json(LABEL, response) if response.content.strip() else {}
    if no := find_refusal(as_mapping(answer), excerpt(response)):
        raise no
    return answer


def require_success(response: httpx.Response) -> None:
    """Raise the outcome of a failure status, or of a page in place of JSON."""
    status = response.status_code
    if is_closed(response):
        raise Snooze(CLOSED, park=Park.SERVICE_CLOSED)
    if is_page(response) and (response.is_success or status in (403, 404)):
        reason = f"TV Time answered {status} with a web page: something before it blocks the call"
        raise Retry(
            reason, answer=excerpt(response), after=UNSURE_PAUSE, unsure=response.is_success, suspect=True
        )
    if status == 403:
        raise refuse_403(response)
    accept(LABEL, response)


def is_closed(response: httpx.Response) -> bool:
    """True if only the load balancer of the closed service is left."""
    emptied = response.status_code == 404 and not response.content
    return emptied and "awselb" in response.headers.get("server", "")


def is_page(response: httpx.Response) -> bool:
    return response.content.lstrip().startswith(b"<")


def refuse_403(response: httpx.Response) -> Undelivered:
    if b"MissingAPIKey" in response.content:
        reason = "TV Time answered 403: the address leads around its /sidecar, which adds the API key"
        return Dead(reason, answer=excerpt(response))
    return Dead("TV Time answered 403: it refused the call", answer=excerpt(response))


def find_refusal(answer: Mapping[str, Any], shown_answer: str) -> Undelivered | None:
    """The outcome of a refusal in a response with status 200; None if there is none."""
    message = str(answer.get("message") or "it gives no reason")
    if answer.get("result") == "KO":
        means = next((means for word, means in KO_OUTCOMES.items() if word in message.lower()), Dead)
        return means(f"TV Time answered KO: {message}", answer=shown_answer)
    if answer.get("status") in ("error", "fail"):
        return Dead(f"TV Time answered {answer['status']}: {message}", answer=shown_answer)
    code = parse_int(as_mapping(answer.get("error")).get("code")) or 0
    return decide(LABEL, code, {}, shown_answer) if code >= 400 else None


def snooze_busy(reason: str, *, answer: str | None) -> Undelivered:
    return Snooze(reason, answer=answer, after=BUSY_PAUSE)


KO_OUTCOMES: Mapping[str, Callable[..., Undelivered]] = {
    "unknown episode": Unmatched,
    "rate limit": snooze_busy,
}


def as_mapping(answer: Any) -> Mapping[str, Any]:
    """The answer if it is a JSON object, else an empty one."""
    return answer if isinstance(answer, dict) else {}


def as_rows(listed: Any) -> list[Mapping[str, Any]]:
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def parse_int(value: Any) -> int | None:
    """A number, which some answers write as text; None where it is none, or too long for an id."""
    return int(value) if str(value).isdecimal() and len(str(value)) < 19 else None


def parse_text(value: Any) -> str | None:
    """A text that says something; None where it is none."""
    return value if isinstance(value, str) and value.strip() else None


# ---- responses to a mark


def is_json(response: httpx.Response) -> bool:
    try:
        orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return False
    return True


def expect_field(answer: Any, word: str, value: str) -> Mapping[str, Any]:
    """The answer to a mark if it says so itself; anything else leaves open whether it was recorded."""
    if as_mapping(answer).get(word) != value:
        reason = f"TV Time's answer does not say {word} {value}"
        answer = orjson.dumps(answer).decode()[:500]
        raise Retry(reason, answer=answer, after=UNSURE_PAUSE, unsure=True, suspect=True)
    return as_mapping(answer)


def parse_watch(row: Mapping[str, Any]) -> WatchedItem | None:
    """A row of the watched episodes."""
    ids, show_ids = Ids(tvdb=parse_int(row.get("episode_id"))), Ids(tvdb=parse_int(row.get("series_id")))
    return (
        WatchedItem(item=Episode(ids=ids, show_ids=show_ids), at=as_time(row.get("watched_at")))
        if ids
        else None
    )


def parse_movie_follow(row: Mapping[str, Any]) -> WatchedItem | None:
    """A row of the followed movies; None for one that is only followed."""
    watched = row.get("watched_at") or as_mapping(row.get("extended")).get("is_watched") is True
    about, uuid = as_mapping(row.get("meta")), row.get("uuid")
    if not watched or not uuid:
        return None
    year = parse_int(str(about.get("first_release_date") or "")[:4])
    item = Movie(title=parse_text(about.get("name")), year=year, ids=movie_ids(str(uuid), about))
    return WatchedItem(item=item, at=as_time(row.get("watched_at")), remote_id=str(uuid))


def movie_ids(uuid: str, about: Mapping[str, Any]) -> Ids:
    sources = {source.get("source"): source.get("id") for source in as_rows(about.get("external_sources"))}
    return Ids(tvtime=uuid, tvdb=parse_int(sources.get("tvdb")), imdb=parse_text(about.get("imdb_id")))


def count_viewings(viewings: Any) -> Done | None:
    """Done if a rewatch whose answer was lost may be counted, and so must not be sent again."""
    if (parse_int(viewings) or 0) < 2:
        return None
    return Done(answer=f"TV Time counts {viewings} viewings already", note=CUT_OFF)


def describe_answer(answer: Mapping[str, Any]) -> str:
    name = parse_text(as_mapping(answer.get("show")).get("name")) or f"Episode {answer.get('id')}"
    season, number = answer_place(answer)
    return name if None in (season, number) else f"{name} S{season}E{number}"


def answer_place(answer: Mapping[str, Any]) -> tuple[int | None, int | None]:
    return parse_int(as_mapping(answer.get("season")).get("number")), parse_int(answer.get("number"))


def describe_mark(delivery: Delivery, what: str) -> str:
    counts = "counted as watched again" if delivery.rewatch else "marked watched"
    return f"{what} {counts}{OWN_DATE if delivery.late else ''}"


def is_same_place(episode: Episode, answer: Mapping[str, Any]) -> bool | None:
    ours, theirs = (episode.season, episode.number), answer_place(answer)
    if episode.numbering != "aired" or None in (*ours, *theirs):
        return None
    return ours == theirs


def order_note(episode: Episode, answer: Mapping[str, Any]) -> str | None:
    """A sentence where TV Time counts the episode differently: another order, or another episode."""
    if is_same_place(episode, answer) is not False:
        return None
    ours = f"S{episode.season}E{episode.number}"
    return f"The media server calls it {ours}, TV Time calls it {describe_answer(answer)}."


def parse_movies(answer: Any) -> list[Movie]:
    """The movies among search results."""
    rows = as_rows(as_mapping(answer).get("data"))
    return [parse_movie(row) for row in rows if row.get("type") == "movie" and row.get("uuid")]


def parse_movie(row: Mapping[str, Any]) -> Movie:
    ids = Ids(tvtime=str(row["uuid"]), tvdb=parse_int(row.get("id")), imdb=row.get("imdb_id") or None)
    return Movie(title=parse_text(row.get("name")), ids=ids)


def shares_id(ours: Ids, theirs: Ids) -> bool:
    shared = ours.by_namespace().items() & theirs.by_namespace().items()
    return bool(shared) and not ours.contradicts(theirs)


def as_candidate(item: Movie) -> ProposedJson:
    return {"kind": item.kind.value, "title": item.title, "year": None, "ids": item.ids.by_namespace()}
