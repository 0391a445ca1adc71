"""What every source promises, tested over all of them."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webhook.domain.event import REASONS, Event, Ignored, Item, Unreadable, item_from_json, item_to_json
from webhook.sources import modules, read_webhook

PAYLOADS = Path(__file__).parents[1] / "payloads"
NOW = datetime(2023, 11, 14, 22, 13, 29, tzinfo=UTC)
NAMES = sorted(modules())
EVENT_KEYS = {"plex": "event", "jellyfin": "NotificationType", "emby": "Event", "tautulli": "action"}
FILES = [
    pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in sorted(PAYLOADS.glob("*/*.json"))
]
BY_SOURCE = {
    name: [json.loads(path.read_text("utf-8")) for path in sorted((PAYLOADS / name).glob("*.json"))]
    for name in NAMES
}

DEEP: Any = "deep"
for _ in range(900):
    DEEP = {"a": [DEEP]}
ODD: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, 10**5000, 1.5, 1e308, float("inf"), float("nan"), ""),
    *(
        "\x00",
        "\ud800",
        "9" * 6000,
        "{x}",
        "True",
        "tt1",
        "imdb://",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ),
    *([], [None], [[]], {}, {"id": None}, [{"id": {}}], DEEP),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside the JSON value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [found for key, entry in entries for found in ((*path, key), *places(entry, (*path, key)))]


def changed(payload: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the payload with another value there."""
    other = copy.deepcopy(payload)
    inside: Any = other
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return other


def outcome_of(source: str, payload: dict[str, Any]) -> list[Event] | Ignored:
    """What it means; what is unreadable in words counts as ignored here."""
    try:
        return read_webhook(source, payload, NOW)
    except Unreadable as error:
        return Ignored("unsupported_kind" if str(error) else "no words")


def check(source: str, payload: dict[str, Any]) -> None:
    """Reads it, and looks whether what comes out could be stored and told."""
    outcome = outcome_of(source, payload)
    if isinstance(outcome, Ignored):
        assert outcome.reason in REASONS
        return
    assert outcome
    for event in outcome:
        sound(event)


def sound(event: Event) -> None:
    assert event.at.tzinfo is UTC
    assert event.percent is None or 0 <= event.percent <= 100
    assert event.rating is None or 0 <= event.rating <= 10
    assert event.position_ms is None or 0 <= event.position_ms < 2**63
    assert event.duration_ms is None or 0 < event.duration_ms < 2**63
    for name in ("user", "user_id", "server", "player", "session", "library", "item_key"):
        clean(getattr(event, name))
    item: Item = event.item
    for name in ("season", "number", "year"):
        assert 0 <= (getattr(item, name, None) or 0) < 2**31
    clean(item.title)
    assert item_from_json(json.loads(json.dumps(item_to_json(item)))) == item


def clean(text: str | None) -> None:
    assert text is None or 0 < len(text) <= 500
    assert text is None or "\x00" not in text
    (text or "").encode("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_source_offers_what_the_pages_show(name: str) -> None:
    source = modules()[name]

    assert source.LABEL
    assert source.FIELDS
    assert isinstance(source.FORM_IS_PAYLOAD, bool)
    assert sum("{url}" in step for step in source.SETUP) == 1
    assert all(step.format(url="https://example.org/webhooks/x") for step in source.SETUP)


def test_plex_says_that_it_needs_a_plex_pass() -> None:
    assert any("Plex Pass" in step for step in modules()["plex"].SETUP)


def test_helpers_are_no_sources() -> None:
    assert not [name for name in NAMES if name.startswith("_")]


@pytest.mark.parametrize("path", FILES)
def test_every_payload_here_is_read(path: Path) -> None:
    check(path.parent.name, json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES)
def test_keys_nobody_knows_change_nothing(path: Path) -> None:
    payload = json.loads(path.read_text(encoding="utf-8"))
    if path.stem == "foreign-template-without-an-action":
        pytest.skip("is unreadable either way")
    more = payload | {"somethingNew": [1, {"a": None}], "Extras": DEEP}

    assert read_webhook(path.parent.name, more, NOW) == read_webhook(path.parent.name, payload, NOW)


@pytest.mark.parametrize("name", NAMES)
def test_an_event_nobody_knows_is_ignored(name: str) -> None:
    payload = {EVENT_KEYS.get(name, "event"): "something.new"}

    assert read_webhook(name, payload, NOW) == Ignored("unsupported_event")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_object_is_unreadable_in_words(name: str) -> None:
    with pytest.raises(Unreadable, match=modules()[name].LABEL):
        read_webhook(name, {}, NOW)


@pytest.mark.parametrize("name", NAMES)
def test_any_value_may_be_missing_or_odd(name: str) -> None:
    richest = sorted(BY_SOURCE[name], key=lambda payload: -len(places(payload)))[:4]

    for payload in richest:
        for path in places(payload):
            for odd in ODD:
                check(name, changed(payload, path, odd))


# Numbers and depths that hypothesis itself could not print are tried above.
SHALLOW = st.sampled_from([odd for odd in ODD if odd is not DEEP and not (type(odd) is int and odd > 2**64)])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | SHALLOW,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_payload_makes_it_raise_anything_but_unreadable(name: str, data: st.DataObject) -> None:
    payload = data.draw(st.sampled_from(BY_SOURCE[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(payload) or [("event",)]))
        payload = changed(payload, path, data.draw(JSON))

    check(name, payload)


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_of_another_source_is_no_surprise(name: str) -> None:
    for payloads in BY_SOURCE.values():
        for payload in payloads:
            check(name, payload)


def test_a_long_cast_does_not_slow_it_down() -> None:
    payload = copy.deepcopy(BY_SOURCE["plex"][0])
    payload["Metadata"] = {**(payload.get("Metadata") or {}), "Role": [{"tag": "x" * 200}] * 5000}

    check("plex", payload)


LARGEST = {
    "guids": {"Guid": [{"id": "tvdb://1"}] * 100_000},
    "guids by name": {"Guids": {f"tvdb{number}": "1" for number in range(100_000)}},
    "genres": {"Genre": [{"tag": "Drama"}] * 100_000},
    "a word": {"title": "a" * 2_000_000},
    "entities": {"title": "&amp;" * 400_000},
}


@pytest.mark.parametrize("part", LARGEST)
@pytest.mark.parametrize("name", NAMES)
def test_a_body_as_large_as_is_taken_is_read_in_a_moment(name: str, part: str) -> None:
    payload = copy.deepcopy(BY_SOURCE[name][0])
    payload |= LARGEST[part]
    for inner in ("Metadata", "Item"):
        if isinstance(payload.get(inner), dict):
            payload[inner] |= LARGEST[part]

    def took() -> float:
        began = time.thread_time()
        with contextlib.suppress(Unreadable):
            read_webhook(name, payload, NOW)
        return time.thread_time() - began

    assert min(took() for _ in range(3)) < 0.5
