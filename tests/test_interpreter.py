"""From a webhook in the inbox to plays and deliveries, on every database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import pytest
from sqlalchemy import select, update

from webhook import sources
from webhook.accounts.accounts import insert_account
from webhook.domain.event import Action, Episode, Event, Ids, Kind, Movie
from webhook.domain.rules import ALWAYS_ON
from webhook.history import edits, library
from webhook.people import household, identities, people, tokens
from webhook.pipeline.interpreter import Interpreter
from webhook.pipeline.shared_reads import Capabilities
from webhook.queries.deliveries import list_deliveries
from webhook.queries.webhooks import find_webhook
from webhook.queues import inbox, leases
from webhook.queues.inbox import ReceivedWebhook
from webhook.storage.db import Database
from webhook.storage.tables import account, attempt, delivery, person, play, webhook

NOW = datetime.now(UTC).replace(microsecond=0)
VIDEO = frozenset({Kind.MOVIE, Kind.EPISODE})
AUDIENCES = {
    "trakt": Capabilities(VIDEO, ALWAYS_ON | {Action.UNWATCHED, Action.RATE, Action.UNRATE, Action.ADD}),
    "tvtime": Capabilities(VIDEO, frozenset({Action.WATCHED, Action.UNWATCHED})),
}


class Told(NamedTuple):
    """A tracker, as far as an edit goes."""

    tells: frozenset[Action]
    one_mark: bool = False


class House:
    """A database with a person, their accounts and an interpreter; webhooks go in, rows come out."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.interpreter = Interpreter(database, sources.read_webhook, AUDIENCES, 80.0, claim_first=True)
        self.me = database.do(lambda connection: people.add_person(connection, "me", NOW, owner=True))
        for name in AUDIENCES:
            self.account(self.me, name)

    def account(self, person_id: int, tracker: str, tells: frozenset[Action] = ALWAYS_ON) -> int:
        return self.database.do(
            lambda connection: insert_account(
                connection, person_id, tracker, tells & AUDIENCES[tracker].can, NOW
            )
        )

    def post(
        self, source: str, payload: Mapping[str, Any], minutes: float = 0.0, token_id: int | None = None
    ) -> dict[str, Any]:
        """Receive and interpret a webhook; its trace."""
        made = self.receive(source, payload, minutes, token_id)
        self.interpret()
        return self.trace(made)

    def receive(
        self, source: str, payload: Mapping[str, Any], minutes: float = 0.0, token_id: int | None = None
    ) -> int:
        """Store a webhook, which waits; its id."""
        at = NOW + timedelta(minutes=minutes)
        received = ReceivedWebhook(
            source=source, token_id=token_id, received_at=at, content_type=None, raw=orjson.dumps(payload)
        )
        (made,) = self.database.do(lambda connection: inbox.store_webhooks(connection, [received]))
        return made

    def rules(self, tracker: str, **rules: Any) -> None:
        """Give my account at a tracker rules of its own."""
        mine = (account.c.person_id == self.me, account.c.tracker == tracker)
        self.database.do(
            lambda connection: connection.execute(update(account).where(*mine).values(rules=rules))
        )

    def person(self, name: str, claims: str) -> None:
        """Somebody else, with an account at each tracker."""
        made = self.database.do(lambda connection: people.add_person(connection, name, NOW))
        for tracker in AUDIENCES:
            self.account(made, tracker)
        self.database.do(lambda connection: identities.claim_identities(connection, name, claims, NOW))

    def interpret(self) -> None:
        while self.database.do(lambda connection: self.interpreter.interpret(connection, [16]))[0]:
            pass

    def trace(self, webhook_id: int) -> Any:
        found = self.database.ask(lambda connection: find_webhook(connection, webhook_id))
        assert found is not None
        return found

    def replay(self, *webhook_ids: int) -> None:
        self.database.do(lambda connection: inbox.requeue(connection, webhook_ids))
        self.interpret()

    def plays(self) -> list[Any]:
        return list(
            self.database.ask(lambda connection: connection.execute(select(play).order_by(play.c.id)).all())
        )

    def deliveries(self, tracker: str | None = None, state: str = "waiting") -> list[tuple[str, bool]]:
        found = self.database.ask(
            lambda connection: list_deliveries(connection, tracker=tracker, state=state, limit=500)
        )
        return [(entry["action"], entry["mark"]) for entry in reversed(found["items"])]


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def plex(event: str, *, user: str = "anna", number: int = 3, **metadata: Any) -> dict[str, Any]:
    """A Plex webhook about an episode of an invented show."""
    return {
        "event": event,
        "user": True,
        "owner": True,
        "Account": {"id": 1, "title": user},
        "Server": {"title": "Attic", "uuid": "a" * 40},
        "Player": {"local": True, "title": "Living Room", "uuid": "living-room"},
        "Metadata": {
            "librarySectionType": "show",
            "librarySectionTitle": "Series",
            "ratingKey": f"90{number}",
            "type": "episode",
            "title": f"Part {number}",
            "grandparentTitle": "Tidewater",
            "guid": f"plex://episode/{number:024x}",
            "Guid": [{"id": f"tvdb://880{number}"}],
            "parentIndex": 1,
            "index": number,
            **metadata,
        },
    }


def test_a_scrobble_becomes_one_play_and_one_mark_for_each_account(house: House) -> None:
    shown = house.post("plex", plex("media.scrobble"))

    (event,) = shown["events"]
    assert shown["state"] == "interpreted"
    assert (event["action"], event["person"], event["play"]) == ("watched", "me", 1)
    assert {(entry["tracker"], entry["action"]) for entry in event["deliveries"]} == {
        ("trakt", "stop"),
        ("tvtime", "watched"),
    }


def test_the_stop_after_the_scrobble_marks_nothing(house: House) -> None:
    house.post("plex", plex("media.play"))
    house.post("plex", plex("media.scrobble"), 40)

    house.post("plex", plex("media.stop"), 45)

    assert len(house.plays()) == 1
    assert house.deliveries().count(("stop", True)) == 1
    assert house.deliveries("tvtime") == [("watched", True)]


def test_the_same_webhook_received_twice_is_told_once(house: House) -> None:
    for _ in range(2):
        house.post("plex", plex("media.scrobble"))

    assert len(house.plays()) == 1
    assert sorted(house.deliveries()) == [("stop", True), ("watched", True)]


def test_replaying_everything_changes_nothing(house: House) -> None:
    for index, name in enumerate(
        ("media.play", "media.pause", "media.resume", "media.scrobble", "media.stop")
    ):
        house.post("plex", plex(name, duration=3_000_000), index * 8)
    before = (house.plays(), house.deliveries(), house.deliveries(state="superseded"))

    house.replay(1, 2, 3, 4, 5)

    assert (house.plays(), house.deliveries(), house.deliveries(state="superseded")) == before


def test_while_nobody_claims_anything_the_first_who_plays_is_the_first_person(house: House) -> None:
    first = house.post("plex", plex("media.play", user="anna"))
    second = house.post("plex", plex("media.scrobble", user="ben"))

    assert first["events"][0]["person"] == "me"
    assert second["state"] == "unclaimed"
    assert second["events"][0]["person"] is None
    assert len(house.plays()) == 1


def test_an_addition_to_the_library_claims_nobody(house: House) -> None:
    shown = house.post("plex", plex("library.new", user="ben"))

    assert shown["state"] == "unclaimed"
    assert house.post("plex", plex("media.play", user="anna"))["state"] == "interpreted"


def test_what_waited_unclaimed_is_interpreted_once_somebody_claims_it(house: House) -> None:
    house.post("plex", plex("media.play", user="anna"))
    waited = house.post("plex", plex("media.scrobble", user="Ben"))
    ben = house.database.do(lambda connection: people.add_person(connection, "ben", NOW))
    house.account(ben, "trakt")

    house.database.do(lambda connection: identities.claim_identities(connection, "ben", "plex:BEN", NOW))
    house.interpret()

    shown = house.trace(waited["id"])
    assert shown["state"] == "interpreted"
    assert [entry["person"] for entry in shown["events"][0]["deliveries"]] == ["ben"]


@pytest.fixture
def bens(house: House) -> int:
    """The token of an address that belongs to ben."""
    ben = house.database.do(lambda connection: people.add_person(connection, "ben", NOW))
    return house.database.do(
        lambda connection: tokens.add_token(connection, "webhook", "secret", "sealed", NOW, person_id=ben)
    )


def claim(house: House, name: str, identity: str) -> None:
    house.database.do(lambda connection: identities.claim_identities(connection, name, identity, NOW))
    house.interpret()


def test_somebodys_own_address_lets_in_whom_they_claim(house: House, bens: int) -> None:
    claim(house, "ben", "plex:benny")

    shown = house.post("plex", plex("media.scrobble", user="benny"), token_id=bens)

    assert shown["events"][0]["person"] == "ben"


def test_somebodys_own_address_lets_in_nobody_else(house: House, bens: int) -> None:
    claim(house, "me", "plex:anna")

    anothers = house.post("plex", plex("media.scrobble", user="anna"), token_id=bens)
    nobodys = house.post("plex", plex("media.scrobble", user="guest"), token_id=bens)

    assert [(one["state"], one["reason"]) for one in (anothers, nobodys)] == [
        ("unclaimed", identities.CLAIMED_BY_ANOTHER),
        ("unclaimed", "nobody claims plex:guest"),
    ]
    assert house.plays() == []


def test_what_came_by_somebodys_own_address_counts_once_they_say_that_it_is_them(
    house: House, bens: int
) -> None:
    before = house.post("plex", plex("media.scrobble", user="guest"), token_id=bens)

    claim(house, "ben", "plex:guest")

    assert house.trace(before["id"])["events"][0]["person"] == "ben"


def of_account(account_id: int, event: str = "media.scrobble", **more: Any) -> dict[str, Any]:
    return {**plex(event, user="benny", **more), "Account": {"id": account_id, "title": "benny"}}


def told_by_tautulli(user_id: str) -> dict[str, Any]:
    return {
        "event": "tautulli.watched", "action": "watched", "media_type": "episode", "server_machine_id": "a" * 40,
        "username": "benny", "user_id": user_id, "show_name": "Tidewater", "episode_name": "Part 3",
        "season_num": "1", "episode_num": "3", "rating_key": "903",
    }  # fmt: skip


@pytest.mark.parametrize(("account_id", "becomes"), [("555", "interpreted"), ("777", "unclaimed")])
def test_a_tautulli_user_is_the_plex_user_of_the_same_account_alone(
    house: House, bens: int, account_id: str, becomes: str
) -> None:
    house.post("plex", of_account(555, "media.play"))
    claim(house, "ben", "plex:benny@Attic")

    assert house.post("tautulli", told_by_tautulli(account_id), 20)["state"] == becomes


@pytest.mark.parametrize(
    ("account_id", "becomes"), [(555, "interpreted"), (777, "unclaimed"), (1, "interpreted")]
)
def test_a_plex_name_claimed_everywhere_is_that_of_its_accounts_alone(
    house: House, bens: int, account_id: int, becomes: str
) -> None:
    claim(house, "ben", "plex:benny")
    house.post("plex", of_account(555, "media.play"))
    elsewhere = {**of_account(account_id, number=7), "Server": {"title": "Elsewhere", "uuid": "f" * 40}}

    assert house.post("plex", elsewhere, 10)["state"] == becomes


def test_an_ignored_plex_name_is_that_of_its_accounts_alone(house: House) -> None:
    house.database.do(lambda connection: identities.ignore_user(connection, "plex:benny", NOW))
    first = house.post("plex", of_account(555, "media.play"))
    house.database.do(lambda connection: identities.ignore_user(connection, "plex:benny@Attic", NOW))
    elsewhere = {**of_account(777, number=7), "Server": {"title": "Elsewhere", "uuid": "f" * 40}}
    house.interpreter.claim_first = False

    assert (first["state"], house.post("plex", elsewhere, 10)["state"]) == ("ignored", "unclaimed")


@pytest.mark.parametrize("server", ["b" * 32, "c" * 32])
def test_a_jellyfin_name_claimed_everywhere_has_an_account_on_each_server(house: House, server: str) -> None:
    claim(house, "me", "jellyfin:anna")
    saved = {
        "NotificationType": "PlaybackStart", "NotificationUsername": "anna", "ItemType": "Movie", "Name": "Quiet Harbour",
        "Year": 2001, "ItemId": "e" * 32,
    }  # fmt: skip
    house.post("jellyfin", {**saved, "ServerId": "b" * 32, "UserId": "1" * 32})

    there = {**saved, "ServerId": server, "UserId": server[0] * 32 if server[0] == "c" else "1" * 32}

    assert house.post("jellyfin", there, 10)["state"] == "interpreted"


NAMELESS = {"action": "watched", "kind": "movie", "title": "Quiet Harbour", "year": 2001}


def test_what_names_nobody_is_of_whom_its_address_belongs_to(house: House, bens: int) -> None:
    shown = house.post("generic", NAMELESS, token_id=bens)

    assert shown["events"][0]["person"] == "ben"


def test_what_names_nobody_at_the_households_address_can_be_claimed(house: House) -> None:
    before = house.post("generic", NAMELESS)
    assert before["state"] == "unclaimed"

    claim(house, "me", f"generic:{identities.UNNAMED_USER}")

    assert house.trace(before["id"])["events"][0]["person"] == "me"


def test_a_household_rule_holds_not_for_what_one_persons_address_lets_in(house: House, bens: int) -> None:
    claim(house, "ben", "plex:benny")
    house.database.do(
        lambda connection: household.add_rule(connection, ["Living Room"], [], ["me", "ben"], NOW)
    )

    shown = house.post("plex", plex("media.scrobble", user="benny"), token_id=bens)

    assert [entry["person"] for entry in shown["events"]] == ["ben"]


def test_whoever_plays_first_is_nobody_until_somebody_says_so(house: House) -> None:
    house.interpreter.claim_first = False

    before = house.post("plex", plex("media.scrobble", user="guest"))
    assert (before["state"], before["reason"]) == ("unclaimed", "nobody claims plex:guest")

    claim(house, "me", "plex:guest")
    assert house.trace(before["id"])["events"][0]["person"] == "me"


def by_account(account_id: int, number: int = 3) -> dict[str, Any]:
    return {**plex("media.scrobble", number=number), "Account": {"id": account_id, "title": "anna"}}


def test_the_owner_is_the_same_by_both_account_ids(house: House) -> None:
    claim(house, "me", "plex:anna")

    shown = [house.post("plex", by_account(made, 3 + place)) for place, made in enumerate((1, 7001, 1))]

    assert [one["state"] for one in shown] == ["interpreted"] * 3


def test_nobody_takes_a_claimed_name_with_another_account(house: House) -> None:
    house.post("plex", by_account(7001))

    shown = house.post("plex", by_account(8002, 4))
    again = house.post("plex", by_account(7001, 5))

    assert (shown["state"], shown["reason"]) == ("unclaimed", "nobody claims plex:anna (account 8002)")
    assert again["state"] == "interpreted"


def test_a_user_is_the_same_in_every_form_of_unicode(house: House) -> None:
    claim(house, "me", "plex:Jos\N{LATIN SMALL LETTER E WITH ACUTE}")

    shown = house.post("plex", plex("media.scrobble", user="Jose\N{COMBINING ACUTE ACCENT}"))

    assert shown["state"] == "interpreted"


def test_what_a_server_adds_is_nobodys_unless_its_collection_is_somebodys(house: House) -> None:
    added = {
        "Event": "library.new",
        "Item": {"Id": "7", "Type": "Movie", "Name": "Quiet Harbour", "ProductionYear": 2001},
        "Server": {"Id": "e" * 32, "Name": "Emby"},
    }
    assert house.post("emby", added)["reason"] == "nobody_did_it"

    house.interpreter.collection_of = "me"

    assert house.post("emby", added)["events"][0]["person"] == "me"


def test_a_name_is_the_same_in_any_case_and_another_server_is_another_identity(house: House) -> None:
    house.post("plex", plex("media.play", user="Anna"))
    elsewhere = {**plex("media.play", user="anna"), "Server": {"title": "Cellar", "uuid": "b" * 40}}

    same = house.post("plex", plex("media.pause", user="ANNA"))
    other = house.post("plex", elsewhere)

    assert same["state"] == "interpreted"
    assert other["state"] == "unclaimed"


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"not_libraries": ["series"]}, "filter: never the library Series"),
        ({"libraries": ["Films"]}, "filter: only the library Films, and this is Series"),
        ({"not_players": ["Living room"]}, "filter: never the player Living Room"),
        ({"kinds": ["movie"]}, "filter: only films, and this is an episode"),
    ],
)
def test_a_filter_stops_it_and_says_so(house: House, filters: dict[str, Any], reason: str) -> None:
    house.database.do(lambda connection: connection.execute(update(person).values(filters=filters)))

    shown = house.post("plex", plex("media.scrobble"))

    assert (shown["state"], shown["reason"]) == ("ignored", reason)
    assert shown["events"][0]["title"] == "Part 3"
    assert house.plays() == []


def test_a_changed_filter_mends_on_replay(house: House) -> None:
    house.database.do(
        lambda connection: connection.execute(update(person).values(filters={"kinds": ["movie"]}))
    )
    stopped = house.post("plex", plex("media.scrobble"))
    house.database.do(lambda connection: connection.execute(update(person).values(filters={})))

    house.replay(stopped["id"])

    assert house.trace(stopped["id"])["state"] == "interpreted"
    assert len(house.plays()) == 1


def test_a_home_video_is_ignored_with_the_reason(house: House) -> None:
    home = plex(
        "media.scrobble", type="movie", subtype="clip", guid="com.plexapp.agents.none://abc?lang=xn", Guid=[]
    )
    home["Metadata"] |= {"librarySectionType": "movie", "title": "Beach", "year": 2012}

    shown = house.post("plex", home)

    assert (shown["state"], shown["reason"]) == ("ignored", "home_video")


def test_a_trailer_is_ignored_with_the_reason(house: House) -> None:
    shown = house.post(
        "plex", plex("media.play", type="clip", subtype="trailer", extraType=1, guid="iva://x/1")
    )

    assert (shown["state"], shown["reason"]) == ("ignored", "trailer")
    assert shown["explanation"]


def test_an_unknown_shape_is_quarantined(house: House) -> None:
    shown = house.post("plex", {"hello": "world"})

    assert shown["state"] == "quarantined"
    assert "not a Plex webhook" in shown["reason"]


def test_a_fault_of_ours_quarantines_one_webhook_and_leaves_the_others(house: House) -> None:
    def faulty(source: str, payload: Mapping[str, Any], at: datetime) -> Any:
        if payload["event"] == "media.boom":
            raise ZeroDivisionError("a fault of ours")
        return sources.read_webhook(source, payload, at)

    house.interpreter.read = faulty

    broken = house.post("plex", plex("media.boom"))
    good = house.post("plex", plex("media.scrobble"))

    assert broken["state"] == "quarantined"
    assert "a fault of ours" in broken["reason"]
    assert good["state"] == "interpreted"


def test_the_next_start_on_a_player_ends_what_was_on_there(house: House) -> None:
    house.post("plex", plex("media.play", number=3, duration=2_400_000))

    house.post("plex", plex("media.play", number=4, duration=2_400_000), 41)

    first, second = house.plays()
    assert (first.state, second.state) == ("stopped", "playing")
    assert first.watched_at is None


def test_plays_that_end_together_are_sent_in_the_order_in_which_they_were_heard_of_last(house: House) -> None:
    for number in (3, 4):
        house.post(
            "plex", {**plex("media.play", number=number), "Player": {"title": "TV", "uuid": f"{number}"}}
        )
    later, earlier = house.plays()
    for play_id, at in ((later.id, NOW), (earlier.id, NOW - timedelta(minutes=1))):
        move_play(house.database, play_id, "5", at)

    ended = house.post("plex", {**plex("media.play", number=5), "Player": {"title": "TV", "uuid": "5"}}, 1)

    stops = select(delivery.c.play_id).where(
        delivery.c.webhook_id == ended["id"], delivery.c.action == "stop"
    )
    order = house.database.ask(lambda connection: connection.scalars(stops.order_by(delivery.c.id)).all())
    assert list(dict.fromkeys(order)) == [earlier.id, later.id]


def move_play(database: Database, play_id: int, player: str, at: datetime) -> None:
    """Put a play on a player, where it was heard of last at this time."""
    moved = update(play).where(play.c.id == play_id).values(player_id=player, last_at=at)
    database.do(lambda connection: connection.execute(moved))


def test_what_was_on_another_player_goes_on(house: House) -> None:
    elsewhere = {**plex("media.play", number=4), "Player": {"title": "Tablet", "uuid": "tablet"}}
    house.post("plex", plex("media.play", number=3))

    house.post("plex", elsewhere, 1)

    assert [row.state for row in house.plays()] == ["playing", "playing"]


def test_a_start_replaces_the_start_before_that_was_not_told_yet(house: House) -> None:
    house.post("plex", plex("media.play", number=3))

    house.post("plex", plex("media.play", number=4), 0.1)

    assert house.deliveries("trakt").count(("start", False)) == 1


def test_every_episode_of_a_double_file_is_marked(house: House) -> None:
    payload = {
        "NotificationType": "PlaybackStop", "ItemType": "Episode", "Name": "Both", "SeriesName": "Tidewater",
        "ItemId": "0" * 32, "SeasonNumber": 1, "EpisodeNumber": 7, "EpisodeNumberEnd": 8, "RunTimeTicks": 24_000_000_000,
        "PlaybackPositionTicks": 23_900_000_000, "PlayedToCompletion": True, "NotificationUsername": "anna",
        "UserId": "1" * 32, "ServerId": "2" * 32, "DeviceId": "tv", "DeviceName": "TV", "Provider_tvdb": "8807",
    }  # fmt: skip

    shown = house.post("jellyfin", payload)

    assert [event["number"] for event in shown["events"]] == [7, 8]
    assert [row.watched_at is not None for row in house.plays()] == [True, True]
    assert house.deliveries("trakt") == [("stop", True), ("stop", True)]


def test_plex_and_tautulli_reporting_one_viewing_make_one_play(house: House) -> None:
    tautulli = {
        "event": "tautulli.watched",
        "Account": {"title": "anna"},
        "Server": {"title": "Attic", "uuid": "a" * 40},
        "Player": {"title": "Living Room", "uuid": "living-room"},
        "Metadata": {
            "type": "episode", "title": "Part 3", "grandparentTitle": "Tidewater", "index": "3", "parentIndex": "1",
            "ratingKey": "903", "Guids": {"tvdb": "555"},
        },
    }  # fmt: skip
    house.post("plex", plex("media.play"))
    house.post("plex", plex("media.scrobble"), 40)

    shown = house.post("tautulli", tautulli, 41)

    assert shown["state"] == "interpreted"
    assert len(house.plays()) == 1
    assert house.deliveries().count(("stop", True)) == 1


def test_a_manual_mark_taken_back_before_it_was_told_is_not_told(house: House) -> None:
    saved = {
        "NotificationType": "UserDataSaved", "SaveReason": "TogglePlayed", "ItemType": "Movie", "Name": "Quiet Harbour",
        "Year": 2001, "ItemId": "3" * 32, "Provider_imdb": "tt9000009", "NotificationUsername": "anna",
        "UserId": "1" * 32, "ServerId": "2" * 32,
    }  # fmt: skip
    house.post("jellyfin", {**saved, "Played": False})
    first = house.post("jellyfin", {**saved, "Played": True})
    assert first["state"] == "interpreted"

    house.post("jellyfin", {**saved, "Played": False}, 1)

    assert house.deliveries() == []
    assert {action for action, _ in house.deliveries(state="superseded")} == {"stop", "watched"}


def test_what_is_not_switched_on_is_skipped_with_the_rule(house: House) -> None:
    house.post("plex", plex("media.play"))

    shown = house.post("plex", {**plex("media.rate", userRating=8.0), "rating": 8.0})

    (told,) = shown["events"][0]["deliveries"]
    assert told["state"] == "skipped"
    assert "switched off" in told["reason"]


def test_a_play_of_which_no_stop_came_is_ended_by_itself(house: House) -> None:
    house.post("plex", plex("media.play", duration=1_200_000), -45)

    ended = house.database.do(lambda connection: house.interpreter.sweep(connection, [NOW]))

    assert ended == [1]
    assert house.plays()[0].state == "stopped"


def test_live_news_that_is_already_old_is_not_put(house: House) -> None:
    house.post("plex", plex("media.play"), -60)
    house.post("plex", plex("media.scrobble"), -20)

    assert house.deliveries("trakt") == [("stop", True)]


def test_a_pruned_webhook_is_not_replayed(house: House) -> None:
    shown = house.post("plex", plex("media.scrobble"))
    house.database.do(lambda connection: connection.execute(update(webhook).values(raw=None)))

    count = house.database.do(lambda connection: inbox.requeue(connection, [shown["id"]]))

    assert count == 0
    assert house.trace(shown["id"])["state"] == "interpreted"


def test_a_delivery_remembers_whether_the_item_was_seen_before(house: House) -> None:
    house.post("plex", plex("media.scrobble"), -5 * 24 * 60)

    house.post("plex", plex("media.scrobble"))

    rows = house.database.ask(
        lambda connection: connection.execute(select(delivery).order_by(delivery.c.id)).all()
    )
    assert [row.details["rewatch"] for row in rows if row.mark and row.account_id == 1] == [False, True]


# --- an account's own rules


def stop_at(percent: float) -> dict[str, Any]:
    return plex("media.stop", viewOffset=int(percent * 36_000), duration=3_600_000)


def test_an_account_with_a_lower_mark_is_told_sooner_and_once(house: House) -> None:
    house.rules("trakt", watched_mark=60)

    house.post("plex", stop_at(65))
    assert (house.deliveries("trakt"), house.deliveries("tvtime")) == ([("stop", True)], [])
    assert house.plays()[0].watched_at is None

    house.post("plex", stop_at(95), minutes=5)
    assert (house.deliveries("trakt"), house.deliveries("tvtime")) == ([("stop", True)], [("watched", True)])
    assert house.plays()[0].watched_at == NOW + timedelta(minutes=5)


def test_an_account_with_a_higher_mark_waits_for_it_and_hears_the_stop(house: House) -> None:
    house.rules("trakt", watched_mark=95)

    house.post("plex", stop_at(85))
    assert (house.deliveries("trakt"), house.deliveries("tvtime")) == ([("stop", False)], [("watched", True)])

    house.post("plex", stop_at(97), minutes=5)
    assert house.deliveries("trakt") == [("stop", True)]  # it replaces the stop that still waited
    assert house.deliveries("tvtime") == [("watched", True)]


def test_the_servers_own_word_counts_for_every_account(house: House) -> None:
    house.rules("trakt", watched_mark=99)

    (event,) = house.post("plex", plex("media.scrobble"))["events"]

    assert {(entry["tracker"], entry["mark"]) for entry in event["deliveries"]} == {
        ("trakt", True),
        ("tvtime", True),
    }


def test_an_account_hears_only_of_its_libraries_and_kinds_and_says_so(house: House) -> None:
    house.rules("trakt", not_libraries=["Series"])
    house.rules("tvtime", kinds=["movie"])

    (event,) = house.post("plex", plex("media.scrobble"))["events"]

    reasons = {entry["tracker"]: (entry["state"], entry["reason"]) for entry in event["deliveries"]}
    assert reasons == {
        "trakt": ("skipped", "this account's filter: never the library Series"),
        "tvtime": ("skipped", "this account's filter: only films, and this is an episode"),
    }
    assert house.plays()[0].watched_at is not None  # the history has it all the same


# --- the household


def share(house: House, **rule: Any) -> None:
    wanted = {"players": (), "libraries": (), "names": ("anna", "ben"), **rule}
    house.database.do(
        lambda connection: household.add_rule(
            connection, wanted["players"], wanted["libraries"], wanted["names"], NOW
        )
    )


@pytest.fixture
def family(house: House) -> House:
    house.person("anna", "plex:anna")
    house.person("ben", "plex:ben")
    return house


def test_what_plays_on_a_shared_player_counts_for_each_of_them_once(family: House) -> None:
    share(family, players=("living room",))

    shown = family.post("plex", plex("media.scrobble"))
    family.post("plex", plex("media.stop", viewOffset=3_500_000, duration=3_600_000), minutes=3)
    family.replay(shown["id"])

    assert [event["person"] for event in shown["events"]] == ["anna", "ben"]
    assert [event["how"] for event in shown["events"]] == ["claimed as plex:anna", "by a household rule"]
    assert len(family.plays()) == 2
    assert {entry["person"] for event in shown["events"] for entry in event["deliveries"]} == {"anna", "ben"}
    assert family.deliveries("trakt") == [("stop", True), ("stop", True)]


def test_elsewhere_and_in_other_libraries_it_is_the_claimers_alone(family: House) -> None:
    share(family, players=("Living Room",), libraries=("Kids",))

    (event,) = family.post("plex", plex("media.scrobble"))["events"]

    assert event["person"] == "anna"


def test_a_friend_whose_player_has_the_same_name_is_not_drawn_in(family: House) -> None:
    share(family, players=("Living Room",))

    shown = family.post("plex", plex("media.scrobble", user="stranger"))

    assert shown["state"] == "unclaimed"
    assert family.plays() == []


def test_each_of_the_household_keeps_their_own_filters(family: House) -> None:
    share(family, players=("Living Room",))
    family.database.do(
        lambda connection: connection.execute(
            update(person).where(person.c.name == "ben").values(filters={"not_libraries": ["Series"]})
        )
    )

    shown = family.post("plex", plex("media.scrobble"))

    assert shown["state"] == "interpreted"
    assert [event.get("stopped") for event in shown["events"]] == [None, "filter: never the library Series"]
    assert len(family.plays()) == 1


def test_a_rating_before_the_first_play_counts_once_somebody_has_played(house: House) -> None:
    rated = house.post("plex", {**plex("media.rate", userRating=7.5), "rating": 7.5})
    played = house.post("plex", plex("media.scrobble"), minutes=30)

    shown = house.trace(rated["id"])
    kept = house.database.ask(
        lambda connection: list(library.list_entries(connection, house.me, library.RATING))
    )
    assert (rated["state"], played["state"]) == ("unclaimed", "interpreted")
    assert (shown["state"], shown["events"][0]["person"]) == ("interpreted", "me")
    assert [entry.value for entry in kept] == [7.5]


def test_a_rating_read_together_with_the_first_play_counts_too(house: House) -> None:
    rating = {**plex("media.rate", userRating=7.5), "rating": 7.5}
    ids = [house.receive("plex", payload) for payload in (rating, plex("media.scrobble"))]

    house.interpret()

    kept = house.database.ask(
        lambda connection: list(library.list_entries(connection, house.me, library.RATING))
    )
    assert [house.trace(made)["state"] for made in ids] == ["interpreted"] * 2
    assert [entry.value for entry in kept] == [7.5]


def test_a_webhook_that_was_interpreted_and_requeued_since_it_was_parsed_is_parsed_again(
    house: House,
) -> None:
    """Its earlier parse does not know the play that it came to meanwhile."""
    made = house.receive("plex", plex("media.scrobble"))
    parsed = house.database.ask(lambda connection: house.interpreter.turns.read_window(connection, 16))
    house.interpret()
    house.database.do(lambda connection: inbox.requeue(connection, [made]))

    stale = house.database.do(lambda connection: house.interpreter.interpret_batches(connection, [parsed]))
    waiting = house.trace(made)["state"]
    house.interpret()

    assert (stale, waiting, house.trace(made)["state"]) == ([0], "received", "interpreted")
    assert len(house.plays()) == 1


def test_a_webhook_that_is_interpreted_since_it_was_parsed_is_left_alone(house: House) -> None:
    made = house.receive("plex", plex("media.scrobble"))
    parsed = house.database.ask(lambda connection: house.interpreter.turns.read_window(connection, 16))
    house.interpret()
    before = house.trace(made), house.deliveries()

    stale = house.database.do(lambda connection: house.interpreter.interpret_batches(connection, [parsed]))

    assert stale == [0]
    assert (house.trace(made), house.deliveries()) == before


def test_a_rating_is_its_givers_own(family: House) -> None:
    share(family, players=("Living Room",))

    shown = family.post("plex", {**plex("media.rate", userRating=8.0), "rating": 8.0})

    assert {event["person"] for event in shown["events"]} == {"anna"}


@pytest.mark.parametrize(
    ("rule", "why"),
    [({}, "would hold for everything"), ({"players": ("TV",), "names": ()}, "needs the people")],
)
def test_a_household_rule_must_say_where_and_who(family: House, rule: dict[str, Any], why: str) -> None:
    with pytest.raises(people.PeopleError, match=why):
        share(family, **rule)


def test_a_mark_is_taken_back_although_a_rewatch_has_begun(house: House) -> None:
    house.post("plex", plex("media.scrobble"))
    house.post("plex", plex("media.play", viewOffset=0), minutes=60 * 24)
    event = Event(
        action=Action.UNWATCHED, item=Episode(show="Tidewater", season=1, number=3, ids=Ids(tvdb=8803)),
        at=NOW + timedelta(days=1, minutes=5), user="anna", server="a" * 40,
    )  # fmt: skip
    house.database.do(
        lambda connection: inbox.store_webhooks(
            connection, [inbox.event_webhook("plex", event, event.at, "test")]
        )
    )
    house.interpret()

    first, again = house.plays()
    assert (first.unwatched_at, again.unwatched_at) == (event.at, None)


# --- the first who plays something


def test_once_a_claim_was_given_up_nobody_is_given_a_user_unasked(house: House) -> None:
    assert house.post("plex", plex("media.scrobble"))["events"][0]["person"] == "me"
    house.database.do(lambda connection: identities.release_claims(connection, "me", "plex:anna"))

    shown = house.post("plex", plex("media.scrobble", user="ben", number=4), minutes=1)

    assert shown["state"] == "unclaimed"
    assert len(house.plays()) == 1


def test_a_servers_own_record_gives_its_first_user_to_nobody(house: House) -> None:
    event = Event(
        action=Action.WATCHED,
        item=Movie(title="Harbour", year=1999),
        at=NOW,
        user="friend",
        server="s",
        recorded=True,
    )
    (made,) = house.database.do(
        lambda connection: inbox.store_webhooks(
            connection, [inbox.event_webhook("plex", event, NOW, inbox.CATCH_UP)]
        )
    )
    house.interpret()

    assert house.trace(made)["state"] == "unclaimed"


# --- a play that was removed by hand


def test_what_follows_of_a_removed_play_is_of_it_and_a_new_viewing_is_a_new_play(house: House) -> None:
    house.post("plex", plex("media.scrobble"))
    trackers = {name: Told(audience.can) for name, audience in AUDIENCES.items()}
    house.database.do(lambda connection: edits.remove_play(connection, 1, trackers, "me", NOW))

    late = house.post("plex", plex("media.stop", viewOffset=3_500_000, duration=3_600_000), minutes=3)
    again = house.post("plex", plex("media.scrobble"), minutes=60 * 24)

    assert [event["play"] for event in late["events"]] == [1]
    assert [event["play"] for event in again["events"]] == [2]
    assert house.deliveries("trakt") == [("stop", True)]


# --- a clock that is set back


def test_what_waited_for_a_time_waits_no_longer_when_the_clock_is_set_back_a_day(house: House) -> None:
    house.post("plex", plex("media.scrobble"))
    later = NOW + timedelta(days=1)
    lanes = {"due_at": later, "leased_until": later, "held_until": later + timedelta(minutes=5)}

    def before(connection: Any) -> None:
        connection.execute(update(account).values(lanes))
        connection.execute(update(delivery).values(due_at=later + timedelta(minutes=1)))
        row = connection.execute(select(delivery.c.id)).first()
        connection.execute(attempt.insert().values(delivery_id=row.id, at=later, outcome="retry"))

    house.database.do(before)
    sweep = house.interpreter.sweep
    house.database.do(lambda connection: sweep(connection, [NOW]))
    house.database.do(lambda connection: sweep(connection, [NOW + timedelta(seconds=30)]))

    rows = house.database.ask(lambda connection: connection.execute(select(account)).all())
    waiting = house.database.ask(
        lambda connection: connection.execute(select(delivery.c.due_at)).scalars().all()
    )
    assert {row.leased_until for row in rows} == {NOW}
    assert {row.held_until for row in rows} == {NOW + timedelta(minutes=5)}  # what it was meant to be
    assert set(waiting) == {NOW + timedelta(minutes=1)}
    soon = NOW + timedelta(minutes=1)
    due = house.database.ask(lambda connection: leases.find_next_due(connection, list(AUDIENCES), soon))
    assert due == NOW + timedelta(minutes=5)


# --- what is reported long afterwards


def test_plays_that_are_reported_long_afterwards_are_as_many_as_were_sent(house: House) -> None:
    """Each by its own time, and each once however often it is sent."""
    part = {"action": "watched", "kind": "episode", "show": "Tidewater", "season": 1, "episode": 2}
    times = [(NOW - timedelta(minutes=minutes)).isoformat() for minutes in (300, 270, 240)]
    sent = [{**part, "duration": 1500, "ids": {"tvdb": 700}, "user": "me", "at": at} for at in times]

    for payload in [*sent, *sent[::-1]]:
        house.post("generic", payload)

    found = house.database.ask(
        lambda connection: list(connection.execute(select(play.c.watched_at)).scalars())
    )
    assert sorted(at.isoformat() for at in found) == times
