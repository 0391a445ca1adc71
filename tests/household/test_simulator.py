"""The simulator itself: what counts as watched, what senders leave out, and what a rest of webhooks determines."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.household import truth
from tests.household.catalogue import TITLES, Kind
from tests.household.determined import expect
from tests.household.evidence import Must
from tests.household.narrator import invent
from tests.household.noise import Noise
from tests.household.senders import Message, Setup, Shows, messages
from tests.household.senders.mediabrowser import is_completed
from tests.household.story import Story, Unclear, read
from tests.household.truth import Diary
from webhook.settings import Settings

HERE = Path(__file__).parent
CAPTURED = Path(__file__).parents[3] / "shared" / "payloads" / "plex"
PAST_THE_END = "day 1 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-21:30, stop"
AGAIN = "day 3 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-21:30, stop"


def counted(story: str, person: str = "anna") -> int:
    diary = Diary(read(story).acts)
    return sum(diary.counted(person, title) for whose, title in [*diary.viewings] if whose == person)


# --- the truth


@pytest.mark.parametrize(
    ("story", "times"),
    [
        (PAST_THE_END, 1),
        (f"{PAST_THE_END}\n{AGAIN}", 2),
        (f"{PAST_THE_END}\nday 1 20:30:00 anna plays Sparrow Street 1x01 on plex tv: 20:30-22:00, stop", 1),
        (f"{PAST_THE_END}\nday 1 20:30:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-0:03, 20:30-22:00, stop", 1),
        ("day 1 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-11:00, stop", 0),
        (
            "day 1 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-11:00, stop\n"
            "day 2 20:00:00 anna plays Sparrow Street 1x01 on plex phone: 11:00-21:30, stop",
            1,
        ),
        ("day 1 20:00:00 anna plays Undertow on plex phone: 0:00-0:40, stop", 0),
        ("day 1 20:00:00 anna ticks Ash (2020) on emby", 1),
        ("day 1 20:00:00 anna ticks Ash (2020) on emby\nday 1 20:01:00 anna unticks Ash (2020) on emby", 0),
    ],
)  # fmt: skip
def test_a_viewing_counts_once_it_was_played(story: str, times: int) -> None:
    assert counted(story) == times


def test_what_plays_on_the_sofa_is_watched_by_all_who_sit_there() -> None:
    story = PAST_THE_END.replace("plex tv", "plex sofa")

    assert [counted(story, person) for person in ("anna", "ben", "cleo")] == [1, 1, 0]


def test_the_mark_is_the_one_that_the_service_has_by_default() -> None:
    assert truth.MARK[Kind.EPISODE] * 100 == Settings.model_fields["watched_mark"].default


@pytest.mark.parametrize(
    "name",
    [
        *("story", "catalogue", "truth", "narrator", "noise", "evidence", "determined"),
        "senders/plex",
        "senders/jellyfin",
    ],
)
def test_the_truth_knows_nothing_of_the_service(name: str) -> None:
    tree = ast.parse((HERE / f"{name}.py").read_text())

    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert not [module for module in modules if module.split(".")[0] == "webhook"]


# --- stories


def test_a_story_reads_as_it_is_written() -> None:
    story = invent(7, 300)

    assert read(str(story)) == story


def test_the_same_seed_tells_the_same_story() -> None:
    assert invent(3, 50) == invent(3, 50)


@pytest.mark.parametrize(
    "line", ["day 1 anna sleeps", PAST_THE_END.replace("Sparrow", "Swallow"), f"{PAST_THE_END}s"]
)
def test_a_line_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(Unclear):
        read(line)


# --- what servers send


def sent(name: str) -> list[Message]:
    story = invent(5, 600)
    return [message for message in messages(story, Setup(seed=5)) if message.body.get("event") == name]


def share(name: str, key: str) -> float:
    found = [message.body["Metadata"] for message in sent(name)]
    return sum(key in metadata for metadata in found) / len(found)


@pytest.mark.parametrize(
    ("event", "key", "low", "high"),
    [
        ("media.play", "viewOffset", 0.01, 0.12),
        ("media.scrobble", "viewOffset", 0, 0),
        ("media.scrobble", "viewCount", 1, 1),
        ("media.scrobble", "lastViewedAt", 1, 1),
        ("media.scrobble", "duration", 0.3, 0.6),
        ("media.play", "duration", 0.15, 0.5),
        ("media.stop", "viewOffset", 0.05, 0.2),
    ],
)
def test_plex_leaves_out_what_the_contract_says(event: str, key: str, low: float, high: float) -> None:
    assert low <= share(event, key) <= high


def test_plex_stops_sending_positions_once_an_item_is_watched() -> None:
    after = Story(
        read(PAST_THE_END).acts + read(AGAIN.replace("0:00-21:30", "0:00-9:00, rest 1:00, 9:00-22:00")).acts
    )

    known = [message for seed in range(20) for message in messages(after, Setup(seed=seed))]

    assert not [message for message in known if message.act is after.acts[1] and message.position is not None]


def test_plex_counts_the_views_of_each_account() -> None:
    story = read(f"{PAST_THE_END}\n{AGAIN}\n{AGAIN.replace('day 3', 'day 4').replace('anna', 'ben')}")

    found = [
        message.body["Metadata"]["viewCount"]
        for message in messages(story, Setup())
        if message.shows is Shows.FINISH
    ]

    assert found == [1, 2, 1]


@pytest.mark.skipif(not CAPTURED.exists(), reason="the captured payloads are not here")
def test_plex_metadata_has_no_key_that_was_never_captured() -> None:
    captured = {
        key
        for path in CAPTURED.glob("media.*.json")
        for key in json.loads(path.read_text()).get("Metadata", {})
    }

    invented = {
        key for message in messages(invent(2, 200), Setup()) for key in message.body.get("Metadata", {})
    }

    assert not invented - captured


@pytest.mark.parametrize(
    ("name", "position", "completed"),
    [
        ("Paper Boats 1x01", 60, False),
        ("Paper Boats 1x01", 900, False),
        ("Paper Boats 1x01", 1700, True),
        ("Paper Boats 1x01", None, True),
        ("Home Reel 1x01", 300, True),
        ("Foghorn", 40, True),
        ("Foghorn", 3, False),
    ],
)
def test_jellyfin_takes_for_completed_what_the_contract_says(
    name: str, position: int | None, completed: bool
) -> None:
    assert is_completed(TITLES[name], position) is completed


# --- noise


def test_a_message_has_the_same_fate_whatever_else_is_sent() -> None:
    noise, sent = Noise(lost=0.3, doubled=0.3, late=0.3), messages(invent(4, 40), Setup())

    assert noise.over(sent[::2]) == [
        entry for entry in noise.over(sent) if any(same(entry, one) for one in sent[::2])
    ]


def same(one: Message, other: Message) -> bool:
    return one.body is other.body


# --- the oracle


def judged(story: str, lost: tuple[str, ...] = (), setup: Setup = Setup()) -> list[Must]:  # noqa: B008
    """What must be, where the webhooks whose `event act` are named were lost."""
    acts = read(story).acts
    diary = Diary(acts)
    (viewings,) = diary.viewings.values()
    arrived = [
        message for message in messages(Story(acts), setup)
        if f"{message.body.get('event')} {acts.index(message.act)}" not in lost
    ]  # fmt: skip
    return [entry.must for entry in expect(viewings, arrived, None).viewings]


def test_a_viewing_is_determined_by_its_scrobble_alone() -> None:
    assert judged(PAST_THE_END, ("media.play 0", "media.stop 0")) == [Must.COUNT]


def test_a_viewing_of_which_only_the_start_arrived_is_not_determined() -> None:
    assert judged(PAST_THE_END, ("media.scrobble 0",)) == [Must.MAY]


@pytest.mark.parametrize(
    ("lost", "right"),
    [
        ((), [Must.COUNT, Must.COUNT]),
        (("media.stop 0",), [Must.COUNT, Must.COUNT]),
        (("media.play 1",), [Must.COUNT, Must.MAY]),
        (("media.scrobble 0",), [Must.MAY, Must.COUNT]),
        (("media.scrobble 1",), [Must.COUNT, Must.MAY]),
    ],
)
def test_a_second_viewing_is_determined_by_its_start_and_its_scrobble(
    lost: tuple[str, ...], right: list[Must]
) -> None:
    assert judged(f"{PAST_THE_END}\n{AGAIN}", lost) == right


def test_the_end_that_is_looked_at_again_must_not_count() -> None:
    peek = "day 2 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-0:03, 20:30-22:00, stop"

    assert judged(f"{PAST_THE_END}\n{peek}") == [Must.COUNT, Must.NOT]


@pytest.mark.parametrize(
    ("begins", "setup", "second"),
    [
        ("day 1 22:30:00", Setup(scrobbles_only=True), Must.COUNT),
        ("day 1 20:40:00", Setup(scrobbles_only=True), Must.MAY),
    ],
)
def test_a_count_that_has_grown_determines_a_second_viewing_well_apart(
    begins: str, setup: Setup, second: Must
) -> None:
    again = PAST_THE_END.replace("day 1 20:00:00", begins)

    assert judged(f"{PAST_THE_END}\n{again}", setup=setup) == [Must.COUNT, second]


RESTED = "day 1 20:00:00 anna plays Paper Boats 1x01 on jellyfin tv: 0:00-28:00, stop"
RESTED_PEEK = (
    "day 9 20:00:00 anna plays Paper Boats 1x01 on jellyfin tv: 28:00-28:05, rest 30:00, 28:05-29:00, stop"
)
UNTICKED = "day 20 20:00:00 anna unticks Paper Boats 1x01 on jellyfin"


def courses(story: str, setup: Setup = Setup()) -> set[tuple[int, ...]]:  # noqa: B008
    """Which of the viewings may count together, by their numbers."""
    acts = read(story).acts
    (viewings,) = Diary(acts).viewings.values()
    right = expect(viewings, messages(Story(acts), setup), None)
    return {tuple(entry.evidence for entry in course.counted) for course in right.courses}


def test_an_untick_takes_back_the_viewing_before_it() -> None:
    assert courses(f"{RESTED}\n{UNTICKED}") == {()}


def test_an_untick_takes_back_one_of_two_where_the_later_may_count() -> None:
    assert courses(f"{RESTED}\n{RESTED_PEEK}") == {(0,), (0, 1)}
    assert courses(f"{RESTED}\n{RESTED_PEEK}\n{UNTICKED}") == {(), (0,)}


def test_a_rest_that_seems_to_be_a_whole_viewing_may_count() -> None:
    rest = RESTED_PEEK.replace("28:00", "25:00").replace("28:05", "25:05")

    assert courses(f"{RESTED.replace('28:00', '25:00')}\n{rest}") == {(0,), (0, 1)}


def test_the_next_sitting_may_be_taken_for_the_end_of_one_whose_words_were_lost() -> None:
    peek = "day 2 20:00:00 anna plays Sparrow Street 1x01 on plex tv: 0:00-0:03, 20:30-22:00, stop"

    assert judged(f"{PAST_THE_END}\n{peek}", ("media.scrobble 0",)) == [Must.MAY, Must.MAY]


TEN = "day 4 20:00:00 cleo plays Ten Minutes (2001) on plex tv: 0:00-9:31, stop"
TEN_LOOK = (
    "day 6 19:20:00 cleo plays Ten Minutes (2001) on emby kitchen: 9:07-9:12, rest 30:00, 9:12-10:00, stop"
)
TEN_AGAIN = (
    "day 6 19:20:00 cleo plays Ten Minutes (2001) on emby kitchen: 0:00-9:12, rest 20:53, 9:12-10:00, stop"
)


def without_pause(story: str) -> list[Message]:
    """What Emby tells of the last act, up to where it goes on; the pause and all after it was lost."""
    told = messages(Story(read(story).acts[-1:]), Setup())
    return [message for message in told if message.shows in (Shows.START, Shows.ON)]


def test_a_look_at_the_end_whose_pause_was_lost_is_told_just_like_a_rewatch() -> None:
    """No rule can tell the two apart, so it may count; where the pause arrived it must not."""
    looked, again = without_pause(TEN_LOOK), without_pause(TEN_AGAIN)
    assert [(message.at, message.body) for message in looked] == [
        (message.at, message.body) for message in again
    ]
    acts = read(f"{TEN}\n{TEN_LOOK}").acts
    (viewings,) = Diary(acts).viewings.values()
    before = messages(Story(acts[:1]), Setup(tautulli=True))
    assert [one.must for one in expect(viewings, [*before, *looked], None).viewings] == [Must.COUNT, Must.MAY]

    whole = messages(Story(acts), Setup(tautulli=True))
    heard = [message for message in whole if message.shows not in (Shows.FINISH, Shows.NOTHING)]
    heard = [message for message in heard if message in before or message.act is acts[1]]
    assert expect(viewings, [*before, *heard], None).viewings[-1].must is Must.NOT
