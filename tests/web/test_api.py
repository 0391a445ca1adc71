"""The JSON API: its contract, who is let in, and that nothing a client sends is a fault of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from tests.web.conftest import Household, Open, serving
from webhook import clock
from webhook.accounts import accounts
from webhook.people import identities, tokens
from webhook.storage import tables

LISTS = ["webhooks", "deliveries", "plays", "people", "identities", "accounts", "household", "silent", "urls"]
EVENT = {
    *("action", "kind", "title", "show", "season", "number", "year", "ids", "show_ids", "position_ms"),
    *("duration_ms", "progress", "completed", "rating", "at", "user", "server", "player", "library"),
    *("person", "play", "deliveries"),
}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_wants_a_token(home: Household, name: str) -> None:
    answer = home.client().get(f"/api/v1/{name}")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_a_page(home: Household, name: str) -> None:
    answer = home.api().get(f"/api/v1/{name}")

    assert answer.status_code == 200
    assert answer.json().keys() == {"items", "next"}


def test_a_revoked_token_is_refused(home: Household) -> None:
    secret = home.token()
    headers = {"Authorization": f"Bearer {secret}"}
    home.do(lambda connection: tokens.revoke_token(connection, 2, clock.now()))

    assert home.client(headers=headers).get("/api/v1/plays").status_code == 401


def test_a_webhook_token_is_no_api_token(home: Household) -> None:
    headers = {"Authorization": f"Bearer {home.token('webhook')}"}

    assert home.client(headers=headers).get("/api/v1/plays").status_code == 401


def test_a_webhook_has_the_shape_of_the_contract(home: Household) -> None:
    webhook_id = home.hear()

    webhook = home.api().get(f"/api/v1/webhooks/{webhook_id}").json()

    assert webhook.keys() >= {"id", "source", "state", "reason", "received_at", "raw", "events"}
    assert webhook["state"] == "interpreted"
    (event,) = webhook["events"]
    assert event.keys() >= EVENT
    assert event["ids"]["tvdb"] == 9001
    assert event["person"] == "me"
    (delivery,) = event["deliveries"]
    assert delivery.keys() >= {"id", "tracker", "action", "state", "attempts", "reason", "answer", "due_at"}
    assert delivery["tracker"] == "tvtime"


def test_the_raw_body_is_only_in_the_single_webhook(home: Household) -> None:
    home.hear()

    (webhook,) = home.api().get("/api/v1/webhooks").json()["items"]

    assert "raw" not in webhook


def test_a_list_is_paged_by_its_cursor(home: Household) -> None:
    ids = [home.hear(title=f"Part {number}") for number in range(5)]
    api = home.api()
    seen: list[int] = []
    cursor = ""

    while True:
        page = api.get(f"/api/v1/webhooks?limit=2&after={cursor}").json()
        seen += [webhook["id"] for webhook in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("webhooks?limit=x", "limit"),
        ("webhooks?limit=0", "limit"),
        ("webhooks?after=-1", "after"),
        ("webhooks?after=99999999999999999999", "after"),
        ("webhooks?state=lost", "state"),
        ("webhooks?source=tivo", "source"),
        ("deliveries?state=lost", "state"),
        ("deliveries?tracker=letterboxd", "tracker"),
        ("deliveries?person=nobody", "person"),
        ("deliveries?person=%00", "person"),
        ("plays?since=yesterday", "since"),
    ],
)
def test_a_bad_parameter_is_named(home: Household, path: str, named: str) -> None:
    answer = home.api().get(f"/api/v1/{path}")

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(named)


def test_a_huge_limit_is_the_largest_page(home: Household) -> None:
    assert home.api().get("/api/v1/plays?limit=99999999999").status_code == 200


@pytest.mark.parametrize("wanted", ["0", "-1", "x", "1e3", "9" * 30, "9" * 5000, "%00", "٣"])
def test_an_id_that_cannot_be_is_not_found(home: Household, wanted: str) -> None:
    for path in (f"webhooks/{wanted}", f"deliveries/{wanted}"):
        assert home.api().get(f"/api/v1/{path}").status_code == 404


def test_an_unknown_address_and_a_wrong_method_are_problems(home: Household) -> None:
    api = home.api()

    assert api.get("/api/v1/nothing").json()["status"] == 404
    refused = api.delete("/api/v1/webhooks")
    assert refused.status_code == 405
    assert refused.headers["content-type"] == "application/problem+json"
    assert "GET" in refused.headers["allow"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(tmp_path_factory.mktemp("fuzz")) as home:
        home.hear()
        yield home.api()


names = st.sampled_from(["limit", "after", "state", "source", "tracker", "person", "since"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*LISTS, "webhooks/1", "deliveries/1", "templates/plex"]),
    params=st.lists(st.tuples(names, st.text(max_size=30) | st.integers().map(str)), max_size=4),
)
def test_no_query_is_a_fault_of_ours(shared: httpx.Client, name: str, params: list[tuple[str, str]]) -> None:
    query = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in params])

    assert shared.get(f"/api/v1/{name}?{query}").status_code < 500


bodies = st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "identity", "state", "kinds", "libraries", "people", "tells", "watched_mark"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.sampled_from(
        [
            ("POST", "people"),
            ("POST", "people/me/claim"),
            ("POST", "people/me/release"),
            ("PUT", "people/me/filters"),
            ("PUT", "accounts/1/rules"),
            ("PUT", "accounts/1/tells"),
            ("POST", "household"),
            ("POST", "deliveries/retry"),
            ("POST", "webhooks/replay"),
            ("POST", "webhooks/1/replay"),
        ]
    ),
    body=bodies,
)
def test_no_body_is_a_fault_of_ours(shared: httpx.Client, target: tuple[str, str], body: bytes) -> None:
    method, path = target

    assert shared.request(method, f"/api/v1/{path}", content=body).status_code < 500


def test_a_body_over_the_limit_is_refused(home: Household) -> None:
    answer = home.api().post("/api/v1/people", content=b"x" * (65 * 1024))

    assert answer.status_code == 413


# --- whose


def two_people(home: Household) -> tuple[int, int, httpx.Client]:
    """Webhooks of me and of bob, and a client with bob's token."""
    mine = home.hear("anna", "Mine")
    bob = home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    theirs = home.hear("bob", "Theirs")
    return mine, theirs, home.api(bob)


def test_a_persons_token_sees_only_their_own(home: Household) -> None:
    mine, theirs, bobs = two_people(home)

    assert [webhook["id"] for webhook in bobs.get("/api/v1/webhooks").json()["items"]] == [theirs]
    assert bobs.get(f"/api/v1/webhooks/{mine}").status_code == 404
    assert bobs.get(f"/api/v1/webhooks/{theirs}").status_code == 200
    assert [play["person"] for play in bobs.get("/api/v1/plays").json()["items"]] == ["bob"]
    assert [person["name"] for person in bobs.get("/api/v1/people").json()["items"]] == ["bob"]
    assert bobs.get("/api/v1/deliveries").json()["items"] == []
    assert bobs.get("/api/v1/deliveries/1").status_code == 404
    assert bobs.get("/api/v1/accounts").json()["items"] == []
    assert bobs.get("/api/v1/identities").json()["items"] == []
    assert bobs.get("/api/v1/urls").json()["items"] == []


def test_a_persons_token_changes_nothing_of_others(home: Household) -> None:
    mine, _, bobs = two_people(home)
    home.settle("dead")

    assert bobs.post(f"/api/v1/webhooks/{mine}/replay").status_code == 404
    assert bobs.post("/api/v1/deliveries/1/retry").status_code == 404
    assert bobs.post("/api/v1/deliveries/retry").json() == {"retried": 0}
    assert bobs.get("/api/v1/plays?person=me").status_code == 403
    assert bobs.post("/api/v1/people", json={"name": "eve"}).status_code == 403
    assert bobs.post("/api/v1/people/bob/claim", json={"identity": "plex:anna"}).status_code == 403
    assert bobs.put("/api/v1/people/me/filters", json={}).status_code == 404


def test_what_was_anothers_before_a_claim_passed_on_stays_hidden(home: Household) -> None:
    mine, theirs, bobs = two_people(home)
    home.do(
        lambda connection: identities.claim_identities(connection, "bob", "plex:anna@attic-uuid", clock.now())
    )

    assert [webhook["id"] for webhook in bobs.get("/api/v1/webhooks").json()["items"]] == [theirs]
    assert bobs.get(f"/api/v1/webhooks/{mine}").status_code == 404


def test_the_owners_token_sees_everything(home: Household) -> None:
    two_people(home)

    assert len(home.api(1).get("/api/v1/webhooks").json()["items"]) == 2


# --- replay and retry


def test_a_webhook_is_replayed(home: Household) -> None:
    webhook_id = home.hear()

    answer = home.api().post(f"/api/v1/webhooks/{webhook_id}/replay").json()

    assert answer["replayed"] == 1
    assert answer["webhook"]["state"] == "received"
    assert home.service.interpreter.news.is_set()


def test_a_pruned_webhook_cannot_be_replayed(home: Household) -> None:
    webhook_id = home.hear()
    home.do(lambda connection: connection.execute(update(tables.webhook).values(raw=None)))

    answer = home.api().post(f"/api/v1/webhooks/{webhook_id}/replay")

    assert answer.status_code == 409
    assert "pruned" in answer.json()["detail"]


def test_many_webhooks_are_replayed_by_state(home: Household) -> None:
    home.hear()
    home.hear(title="Other")

    assert home.api().post("/api/v1/webhooks/replay?state=interpreted").json() == {"replayed": 2}


def test_replaying_everything_must_be_said(home: Household) -> None:
    api = home.api()

    assert api.post("/api/v1/webhooks/replay").status_code == 400
    assert api.post("/api/v1/webhooks/replay?stat=ignored").json()["detail"].startswith("stat ")


def test_a_dead_delivery_is_retried(home: Household) -> None:
    home.hear()
    home.settle("dead", reason="404")

    answer = home.api().post("/api/v1/deliveries/1/retry").json()

    assert answer["retried"] == 1
    assert answer["delivery"]["state"] == "waiting"
    assert home.service.interpreter.told.is_set()


def test_what_is_done_is_not_retried(home: Household) -> None:
    home.hear()
    home.settle("done")

    assert home.api().post("/api/v1/deliveries/1/retry").json()["retried"] == 0


def test_many_are_retried_by_default_all_that_are_stuck(home: Household) -> None:
    home.hear()
    home.settle("dead")
    home.hear(
        title="Other", index=2, Guid=[{"id": "tvdb://9002"}], guid="plex://episode/5d9c1280ba6eb9001fb6de50"
    )
    home.settle("unmatched")

    assert home.api().post("/api/v1/deliveries/retry?tracker=trakt").json() == {"retried": 0}
    assert home.api().post("/api/v1/deliveries/retry", json={"tracker": "tvtime"}).json() == {"retried": 2}


def test_more_are_retried_than_one_statement_takes(home: Household) -> None:
    home.hear()
    home.settle("dead")

    def copies(connection: object) -> None:
        row = dict(connection.execute(select(tables.delivery)).mappings().one())  # type: ignore[attr-defined]
        rows = [{**row, "id": number, "key": f"copy {number}"} for number in range(2, 1203)]
        connection.execute(tables.delivery.insert(), rows)  # type: ignore[attr-defined]

    home.do(copies)

    assert home.api().post("/api/v1/deliveries/retry?state=dead").json() == {"retried": 1202}


# --- people


def test_a_person_is_added_with_the_built_in_library(home: Household) -> None:
    api = home.api()

    assert api.post("/api/v1/people", json={"name": "bob"}).json()["name"] == "bob"
    assert ["bob", "tvtime"] in [
        [account["person"], account["tracker"]] for account in api.get("/api/v1/accounts").json()["items"]
    ]


def test_a_name_that_is_taken_is_a_conflict(home: Household) -> None:
    assert home.api().post("/api/v1/people", json={"name": "me"}).status_code == 409
    assert home.api().post("/api/v1/people", json={"name": " "}).status_code == 422


def test_an_unclaimed_identity_is_shown_and_claimed(home: Household) -> None:
    home.hear("anna")
    webhook_id = home.hear("carl", "Hers")
    api = home.api()
    (unclaimed,) = api.get("/api/v1/identities").json()["items"]
    assert unclaimed["webhooks"] == 1

    person = api.post("/api/v1/people/me/claim", json={"identity": unclaimed["spelled"]}).json()
    home.interpret()

    assert "carl" in [identity["user"] for identity in person["identities"]]
    assert api.get(f"/api/v1/webhooks/{webhook_id}").json()["state"] == "interpreted"


@pytest.mark.parametrize("server", ["", "@attic-uuid", "@Attic"])
def test_a_user_that_is_an_e_mail_address_is_claimed(home: Household, server: str) -> None:
    if server:
        home.hear(user="Anna@b.example")
    api = home.api()

    answer = api.post("/api/v1/people/me/claim", json={"identity": f"plex:Anna@b.example{server}"})

    claimed = {(one["user"], one["server"]) for one in answer.json()["identities"]}
    assert claimed == {("Anna@b.example", "attic-uuid" if server else None)}
    home.hear(user="anna@B.example")
    assert api.get("/api/v1/plays").json()["items"][0]["person"] == "me"
    released = api.post("/api/v1/people/me/release", json={"identity": f"plex:anna@b.example{server}"})
    assert released.json()["identities"] == []


def test_a_user_that_was_seen_is_meant_whole(home: Household) -> None:
    home.hear(user="anna@home")

    answer = home.api().post("/api/v1/people/me/claim", json={"identity": "plex:anna@home"})

    assert {one["user"] for one in answer.json()["identities"]} == {"anna@home"}


def test_a_server_that_was_never_seen_is_said(home: Household) -> None:
    answer = home.api().post("/api/v1/people/me/claim", json={"identity": "plex:anna@Cellar"})

    assert answer.status_code == 422
    assert "no plex user anna was seen on a server Cellar" in answer.json()["detail"]


@pytest.mark.parametrize("identity", ["", "anna", "tivo:anna", "plex:" + "x" * 300, "plex:a\0b", 7, None])
def test_what_is_no_identity_is_refused(home: Household, identity: object) -> None:
    answer = home.api().post("/api/v1/people/me/claim", json={"identity": identity})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("identity")


def test_a_claim_is_released(home: Household) -> None:
    home.hear("anna")
    api = home.api()

    assert api.post("/api/v1/people/me/release", json={"identity": "plex:anna"}).json()["identities"] == []
    assert api.post("/api/v1/people/me/release", json={"identity": "plex:anna"}).status_code == 422
    assert api.post("/api/v1/people/nobody/release", json={"identity": "plex:anna"}).status_code == 404


def test_filters_are_set_and_checked(home: Household) -> None:
    api = home.api()

    kept = api.put("/api/v1/people/me/filters", json={"kinds": ["movie"]}).json()["filters"]
    home.hear()

    assert kept == {"kinds": ["movie"], "home_videos": False}
    assert api.get("/api/v1/webhooks/1").json()["state"] == "ignored"
    assert api.put("/api/v1/people/me/filters", json={"kinds": ["opera"]}).status_code == 422
    assert api.put("/api/v1/people/me/filters", json={"kind": ["movie"]}).status_code == 422


# --- accounts


NO_RULES: dict[str, object] = {
    "watched_mark": None,
    "dry_run": False,
    "libraries": [],
    "not_libraries": [],
    "players": [],
    "not_players": [],
    "kinds": [],
}


def test_an_account_has_no_rules_until_some_are_set(home: Household) -> None:
    (account,) = home.api().get("/api/v1/accounts").json()["items"]

    assert account["rules"] == NO_RULES
    assert account["tells"] == ["unwatched", "watched"]


def test_rules_are_set_as_a_whole_and_hold_at_once(home: Household) -> None:
    api = home.api()
    api.put("/api/v1/accounts/1/rules", json={"dry_run": True, "kinds": ["movie"]})

    account = api.put("/api/v1/accounts/1/rules", json={"watched_mark": 60.5, "players": ["Den"]}).json()
    (event,) = api.get(f"/api/v1/webhooks/{home.hear()}").json()["events"]

    assert account["rules"] == {**NO_RULES, "watched_mark": 60.5, "players": ["Den"]}
    assert api.get("/api/v1/accounts").json()["items"] == [account]
    assert [(told["state"], told["reason"]) for told in event["deliveries"]] == [
        ("skipped", "this account's filter: only the player Den, and this is Sofa")
    ]


@pytest.mark.parametrize(
    "rules",
    [
        {"watched_mark": 0},
        {"watched_mark": 100.5},
        {"watched_mark": "60"},
        {"watched_mark": True},
        {"dry_run": 1},
        {"dry_run": None},
        {"libraries": "Films"},
        {"players": [""]},
        {"kinds": ["opera"]},
        {"home_videos": True},
        {"mark": 60},
    ],
)
def test_what_is_no_rule_is_refused_and_changes_nothing(home: Household, rules: dict[str, object]) -> None:
    api = home.api()
    api.put("/api/v1/accounts/1/rules", json={"watched_mark": 60})

    answer = api.put("/api/v1/accounts/1/rules", json=rules)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(next(iter(rules)))
    assert api.get("/api/v1/accounts").json()["items"][0]["rules"]["watched_mark"] == 60


def test_what_an_account_is_told_is_switched_as_a_whole_but_never_its_marks(home: Household) -> None:
    api = home.api()

    less = api.put("/api/v1/accounts/1/tells", json={"tells": []}).json()["tells"]
    more = api.put("/api/v1/accounts/1/tells", json={"tells": ["unwatched"]}).json()["tells"]

    assert (less, more) == (["watched"], ["unwatched", "watched"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tells": "unwatched"},
        {"tells": ["rate"]},
        {"tells": ["watched"]},
        {"tells": ["x"]},
        {"tells": [], "on": []},
    ],
)
def test_what_an_account_cannot_be_told_is_refused(home: Household, body: dict[str, object]) -> None:
    api = home.api()

    assert api.put("/api/v1/accounts/1/tells", json=body).status_code == 422
    assert api.get("/api/v1/accounts").json()["items"][0]["tells"] == ["unwatched", "watched"]


def test_an_account_of_a_tracker_that_is_not_set_up_says_what_to_set(home: Household) -> None:
    home.do(lambda connection: accounts.insert_account(connection, 1, "trakt", [], clock.now()))

    answer = home.api().put("/api/v1/accounts/2/tells", json={"tells": ["rate"]})

    assert answer.status_code == 409
    assert "TRAKT_CLIENT_ID" in answer.json()["detail"]


@pytest.mark.parametrize(("what", "body"), [("rules", {"dry_run": True}), ("tells", {"tells": []})])
def test_an_account_is_its_persons_and_the_owners(
    home: Household, what: str, body: dict[str, object]
) -> None:
    bob = home.person("bob")
    home.do(
        lambda connection: accounts.add_builtin_accounts(connection, home.service.trackers, bob, clock.now())
    )
    bobs = home.api(bob)

    assert bobs.put(f"/api/v1/accounts/1/{what}", json=body).status_code == 404
    assert bobs.put(f"/api/v1/accounts/2/{what}", json=body).json()["person"] == "bob"
    assert home.api(1).put(f"/api/v1/accounts/2/{what}", json=body).status_code == 200
    assert home.api(1).put(f"/api/v1/accounts/3/{what}", json=body).status_code == 404
    assert home.api(1).get("/api/v1/accounts").json()["items"][0]["rules"] == NO_RULES


# --- the household


def test_a_household_rule_is_made_holds_and_is_taken_back(home: Household) -> None:
    home.person("bob")
    api = home.api()
    shared = {"players": ["sofa"], "libraries": [], "people": ["me", "bob"]}

    made = api.post("/api/v1/household", json={"players": ["sofa"], "people": ["me", "bob"]}).json()
    listed = api.get("/api/v1/household").json()["items"]
    events = api.get(f"/api/v1/webhooks/{home.hear()}").json()["events"]
    gone = api.delete(f"/api/v1/household/{made['id']}")

    assert made == {"id": made["id"], **shared}
    assert listed == [made]
    assert [(event["person"], event["how"]) for event in events][1] == ("bob", "by a household rule")
    assert gone.json() == {"id": made["id"], "removed": True}
    assert api.get("/api/v1/household").json()["items"] == []
    assert api.delete(f"/api/v1/household/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({}, "needs a player or a library"),
        ({"players": ["TV"]}, "needs the people"),
        ({"players": ["TV"], "people": ["eve"]}, "nobody called eve"),
        ({"players": "TV", "people": ["me"]}, "players must be a list"),
        ({"player": ["TV"], "people": ["me"]}, "player is not a field here"),
    ],
)
def test_a_household_rule_must_say_where_and_who(home: Household, rule: dict[str, object], why: str) -> None:
    api = home.api()

    answer = api.post("/api/v1/household", json=rule)

    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    assert api.get("/api/v1/household").json()["items"] == []


def test_the_household_is_the_owners_alone(home: Household) -> None:
    bobs = home.api(home.person("bob"))
    rule = {"players": ["TV"], "people": ["me", "bob"]}
    made = home.api(1).post("/api/v1/household", json=rule).json()["id"]

    assert bobs.get("/api/v1/household").status_code == 403
    assert bobs.post("/api/v1/household", json=rule).status_code == 403
    assert bobs.delete(f"/api/v1/household/{made}").status_code == 403
    assert len(home.api(1).get("/api/v1/household").json()["items"]) == 1


# --- open to everybody, and the document


def test_templates_and_the_document_need_no_token(home: Household) -> None:
    client = home.client()

    assert client.get("/api/v1/templates/jellyfin").headers["content-type"].startswith("text/plain")
    assert client.get("/api/v1/templates/plex").status_code == 404
    assert client.get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"


def test_what_the_document_requires_is_given(home: Household) -> None:
    home.hear()
    api = home.api()
    document = api.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]

    for path, schema in (("webhooks/1", "WebhookTrace"), ("deliveries/1", "DeliveryTrace")):
        assert api.get(f"/api/v1/{path}").json().keys() >= set(schemas[schema]["required"])
    for path, schema in (("plays", "Play"), ("people", "Person"), ("accounts", "Account"), ("urls", "Url")):
        for item in api.get(f"/api/v1/{path}").json()["items"]:
            assert item.keys() >= set(schemas[schema]["required"])


def test_the_addresses_are_those_the_door_takes(home: Household) -> None:
    found = {item["source"]: item["url"] for item in home.api().get("/api/v1/urls").json()["items"]}

    assert "?token=" in found["plex"]
    for url in found.values():
        assert httpx.post(url, json={}).status_code == 200


def test_a_database_that_is_away_is_said_so(home: Household) -> None:
    api = home.api()
    api.get("/api/v1/plays")

    def away(question: object) -> None:
        from webhook.storage.db import Unavailable

        raise Unavailable("the disk is full")

    home.service.database.ask = away  # type: ignore[assignment, method-assign]
    answer = api.get("/api/v1/plays")

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "the disk is full" in answer.json()["detail"]


def test_it_all_holds_on_postgresql(opened: Open, postgres_url: str) -> None:
    home = opened(DATABASE_URL=postgres_url)
    _, theirs, bobs = two_people(home)
    home.settle("dead")
    api = home.api()

    for name in (*LISTS, f"webhooks/{theirs}", "deliveries/1"):
        assert api.get(f"/api/v1/{name}").status_code == 200
    assert len(bobs.get("/api/v1/webhooks").json()["items"]) == 1
    assert bobs.post("/api/v1/webhooks/replay?state=interpreted").json() == {"replayed": 1}
    assert api.post("/api/v1/deliveries/retry").json() == {"retried": 1}
    assert api.post("/api/v1/people", json={"name": "bob"}).status_code == 409
    assert api.post("/api/v1/people", json={"name": "cleo"}).status_code == 200
    assert api.get("/metrics").status_code == 200
    assert home.client().get("/readyz").status_code == 200
    assert home.browser().get("/").status_code == 200


def test_a_signed_in_browser_may_use_it_too_but_no_other_site(home: Household) -> None:
    browser = home.browser()

    assert browser.get("/api/v1/plays").status_code == 200
    assert browser.post("/api/v1/deliveries/retry").status_code == 403
    evil = {"Origin": "https://evil.example"}
    assert browser.post("/api/v1/deliveries/retry", headers=evil).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin"}
    assert browser.post("/api/v1/deliveries/retry", headers=own).status_code == 200


# --- what would be, and what is missing


def test_a_dry_run_says_what_a_replay_would_come_to_and_changes_nothing(home: Household) -> None:
    webhook_id = home.hear()
    forgotten = tables.delivery.delete()
    home.do(lambda connection: connection.execute(forgotten))

    answer = home.api().post(f"/api/v1/webhooks/{webhook_id}/replay?dry_run=true").json()

    assert (answer["replayed"], answer["dry_run"]) == (0, True)
    assert answer["would"]["state"] == "interpreted"
    told = [(one["id"], one["tracker"], one["state"]) for one in answer["would"]["deliveries"]]
    assert told == [(None, "tvtime", "waiting")]
    assert answer["webhook"]["state"] == "interpreted"
    assert home.api().get("/api/v1/deliveries").json()["items"] == []


def test_a_dry_run_of_anothers_webhook_is_not_found(home: Household) -> None:
    webhook_id = home.hear()
    bob = home.person("bob")

    answer = home.api(bob).post(f"/api/v1/webhooks/{webhook_id}/replay?dry_run=true")

    assert answer.status_code == 404


def test_a_dry_run_is_true_or_false(home: Household) -> None:
    webhook_id = home.hear()

    answer = home.api().post(f"/api/v1/webhooks/{webhook_id}/replay?dry_run=maybe")

    assert answer.status_code == 400
    assert home.api().get(f"/api/v1/webhooks/{webhook_id}").json()["state"] == "interpreted"


def silent(home: Household) -> None:
    now = clock.now()
    seen = {"first_seen": now - timedelta(days=20), "last_seen": now - timedelta(days=4)}
    home.do(lambda connection: connection.execute(update(tables.identity).values(seen)))


def test_a_server_that_fell_silent_is_listed_for_the_owner(home: Household) -> None:
    home.hear()
    bob = home.person("bob")
    silent(home)

    (found,) = home.api().get("/api/v1/silent").json()["items"]

    assert (found["source"], found["server_name"], found["days"]) == ("plex", "Attic", 4)
    assert home.api(bob).get("/api/v1/silent").json()["items"] == []


def test_the_list_of_what_needs_a_person_says_which_server_fell_silent(home: Household) -> None:
    home.hear()
    browser = home.browser()
    before = browser.get("/needs-you").text
    silent(home)

    assert "No webhook from" not in before
    assert "No webhook from Plex, server <bdi>Attic</bdi>, since" in browser.get("/needs-you").text


def test_a_line_break_in_an_address_leads_nowhere_in_words(opened: Open) -> None:
    client = opened(ROOT_PATH="/watch").client()
    paths = ["/api/v1/people/a%0Ab", "/watch/api/v1/people/%0A/password"]

    answers = [client.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["detail"] for answer in answers} == {"There is nothing at this address."}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
