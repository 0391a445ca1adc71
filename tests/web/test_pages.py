"""The pages: they are drawn, empty and full, say what happened, and do what their buttons say."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import orjson
import pytest
from sqlalchemy import delete, update

from tests.web.conftest import HOSTILE, Household, Open, form_token
from webhook import clock
from webhook.accounts import accounts
from webhook.domain import rules
from webhook.domain.event import Action, Event, Movie
from webhook.domain.outcome import Park
from webhook.history import edits
from webhook.people import household, identities
from webhook.queues import inbox
from webhook.queues.parking import park
from webhook.storage import tables

PAGES = ["/", "/activity", "/deliveries", "/needs-you", "/setup", "/sign-in", "/nothing", "/welcome/x"]


@pytest.mark.parametrize("path", [*PAGES, "/static/style.css", "/api/v1/openapi.json", "/healthz"])
def test_every_answer_has_the_security_headers(home: Household, path: str) -> None:
    headers = home.browser().get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert ("immutable" if "static" in path else "no-store") in headers.get("cache-control")


@pytest.mark.parametrize(
    "path",
    ["/", "/activity", "/activity?text=x", "/deliveries", "/deliveries?state=dead", "/needs-you", "/setup"],
)
def test_an_empty_page_says_what_to_do(home: Household, path: str) -> None:
    page = home.browser().get(path)

    assert page.status_code == 200
    assert 'class="empty"' in page.text or path == "/setup"


def filled(home: Household) -> int:
    """Something playing, a watched episode whose mark failed, somebody unclaimed, a parked account."""
    watched = home.hear("anna", HOSTILE)
    home.settle("dead", reason=f"it said {HOSTILE}", answer=HOSTILE, attempts=1)
    home.tried(1, [{"method": "POST", "url": "https://x.example", "sent": {"title": HOSTILE}, "status": 500}])
    home.hear("anna", HOSTILE, "media.play", index=2, viewOffset=600000, guid="plex://episode/other", Guid=[])
    home.hear(HOSTILE, "Other", index=3)
    home.do(lambda connection: park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    return watched


@pytest.mark.parametrize(
    "path", ["/", "/activity", "/trace/1", "/trace/2", "/trace/3", "/deliveries", "/needs-you", "/setup"]
)
def test_a_hostile_title_is_only_text(home: Household, path: str) -> None:
    filled(home)

    page = home.browser().get(path)

    assert page.status_code == 200
    assert "<script" not in page.text.replace('<script src="/static/', "")
    assert " style=" not in page.text
    if path != "/setup":
        assert HOSTILE in unescape(page.text)


def test_a_webhook_that_names_nobody_is_shown_and_says_so(home: Household) -> None:
    body = {"action": "watched", "kind": "movie", "title": "Salt Road", "year": 2001}
    address = f"/webhooks/generic/{home.token('webhook')}"
    browser = home.browser()

    posted = home.client().post(address, json=body)
    home.interpret()

    for path in ("/activity", f"/trace/{posted.json()['webhook']}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "Salt Road (2001)" in page.text
        assert "The webhook has no user name" in page.text


def test_activity_is_narrowed_to_what_came_by_an_api_here(home: Household) -> None:
    home.hear("anna")

    page = home.browser().get("/activity?source=videoscrobbler")

    assert page.status_code == 200
    assert '<option value="videoscrobbler" selected>VideoScrobbler</option>' in page.text
    assert "Harbour Street" not in page.text


def test_now_shows_what_is_on_how_far_and_where(home: Household) -> None:
    filled(home)

    page = unescape(home.browser().get("/").text)

    playing, last = page.partition('id="last"')[::2]
    assert re.search(r"<bdi>Harbour Street</bdi></a>\s*</p>\s*<p><bdi>S1 E2", playing)
    assert '<progress max="100"' in playing
    assert 'data-duration="2700000" data-playing="true"' in playing
    assert "(estimated)" in playing
    assert "<bdi>me</bdi> · <bdi>Sofa</bdi> · Plex" in playing
    assert "10 of 45 min" in re.sub("<[^>]*>", "", playing)
    assert "S1 E2" not in last
    assert 'href="/trace/1"><bdi>Harbour Street</bdi>' in last
    assert f"<bdi>S1 E1 · {HOSTILE}" in last
    assert "TV Time: failed" in last


def test_now_says_which_tracker_knows_what_plays(opened: Open) -> None:
    home = opened(TRAKT_CLIENT_ID="a" * 64, TRAKT_CLIENT_SECRET="b" * 64)
    tells = [Action.START, Action.PAUSE, Action.STOP]
    home.do(lambda connection: accounts.insert_account(connection, 1, "trakt", tells, clock.now()))
    home.hear(event="media.play", viewOffset=600_000)
    browser = home.browser()

    waits = browser.get("/").text
    home.settle("done")
    told = browser.get("/").text

    assert "Trakt: waiting" in waits
    assert 'Trakt <span aria-hidden="true">✓</span><span class="unseen">sent</span>' in told


@pytest.mark.parametrize("path", ["/", "/trace/2", "/history", "/history/plays/1"])
def test_a_watched_play_is_not_said_to_stand_where_the_clock_guesses(opened: Open, path: str) -> None:
    home = opened(TRAKT_CLIENT_ID="a" * 64, TRAKT_CLIENT_SECRET="b" * 64)
    home.do(lambda connection: accounts.insert_account(connection, 1, "trakt", [Action.STOP], clock.now()))
    home.hear(event="media.play")
    home.hear(event="media.scrobble")

    page, (play,) = home.browser().get(path).text, home.api().get("/api/v1/plays").json()["items"]

    assert "watched" in page.lower()
    assert "estimated" not in page
    assert "<progress" not in page
    assert play["state"] == "playing"
    assert (play["position_ms"], play["progress"], play["estimated"]) == (None, None, False)


def test_a_watched_play_stands_where_its_server_said(home: Household) -> None:
    home.hear(event="media.play")
    home.hear(event="media.scrobble")
    home.hear(event="media.pause", viewOffset=2_565_000)

    now, trace = home.browser().get("/").text, home.browser().get("/trace/3").text

    assert 'value="95.0"' in now
    assert "Progress: 95 %." in " ".join(trace.split())


def test_a_dry_run_is_said_and_shows_what_would_be_sent(home: Household) -> None:
    home.hear()
    answer = "would send POST https://x.example/mark"
    home.settle("skipped", reason=rules.DRY_RUN, answer=answer)
    sent = {"method": "POST", "url": "https://x.example/mark", "sent": {"show": 7}, "withheld": True}
    home.tried(1, [sent])
    browser = home.browser()

    assert "TV Time: dry run" in browser.get("/").text
    page = unescape(browser.get("/trace/1").text)
    assert "Not sent (dry run): <code>POST https://x.example/mark</code>" in page
    assert '"show": 7' in page
    assert "no answer" not in page


def test_a_first_visit_leads_to_the_set_up(home: Household) -> None:
    browser = home.browser()

    page = browser.get("/").text
    home.hear()
    after = browser.get("/").text

    assert "Nothing has been played yet" in page
    assert 'href="/start">Set up your media server' in page
    assert "Nothing has been played yet" not in after


def test_a_play_that_no_tracker_was_told_of_still_leads_to_its_trace(home: Household) -> None:
    home.do(lambda connection: connection.execute(delete(tables.account)))
    number = home.hear()

    page = home.browser().get("/").text

    assert f'href="/trace/{number}"><bdi>Harbour Street</bdi>' in page


def test_the_old_address_of_the_activity_leads_on(home: Household) -> None:
    answer = home.browser().get("/webhooks?state=ignored")

    assert (answer.status_code, answer.headers["location"]) == (303, "/activity?state=ignored")


def test_the_activity_is_filtered(home: Household) -> None:
    home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    home.do(lambda connection: identities.claim_identities(connection, "me", "plex:anna", clock.now()))
    home.hear("anna", "Über Wasser", guid="plex://episode/1", Guid=[])
    home.hear("bob", 'The "Title"', index=2, guid="plex://episode/2", Guid=[])
    home.do(lambda connection: connection.execute(update(tables.delivery).values(webhook_id=None)))
    home.hear("anna", "100% wool_", index=3, guid="plex://episode/3", Guid=[])
    home.hear("carl", "Fourth", index=4, guid="plex://episode/4", Guid=[])
    browser = home.browser()

    def shown(query: str) -> list[str]:
        return sorted(re.findall(r'class="title" href="/trace/(\d)"', browser.get(f"/activity?{query}").text))

    assert shown("") == ["1", "2", "3", "4"]
    assert shown("person=bob") == ["2"]
    assert shown("text=wasser") == ["1"]
    assert shown("text=title") == ["2"]
    assert shown("text=%22title") == ["2"]
    assert shown("text=0%25") == ["3"]
    assert shown("text=l_f") == []
    assert shown("text=harbour&state=unclaimed") == ["4"]
    assert shown("tracker=tvtime") == ["3"]
    assert shown("tracker=trakt") == []


def test_the_activity_is_filtered_by_what_became_of_a_webhook(home: Household) -> None:
    for number, state in enumerate(("done", "dead", "unmatched", "waiting"), 1):
        home.hear("anna", f"Part {number}", index=number, guid=f"plex://episode/{number}", Guid=[])
        home.settle(state, reason=None if state == "done" else "it was refused")
    home.hear("carl", "Fifth", index=5, guid="plex://episode/5", Guid=[])
    home.hear("anna", "Sixth", subtype="trailer")
    dismissed = update(tables.delivery).where(tables.delivery.c.state == "unmatched")
    browser, api = home.browser(), home.api()

    def shown(query: str) -> list[int]:
        listed = re.findall(r'class="title" href="/trace/(\d)"', browser.get(f"/activity?{query}").text)
        given = api.get(f"/api/v1/webhooks?{query}").json()["items"]
        assert [str(one["id"]) for one in given] == listed
        return sorted(int(number) for number in listed)

    assert shown("outcome=needs_you") == [2, 3, 5]
    assert shown("outcome=failed") == [2]
    assert shown("outcome=waiting") == [4]
    assert shown("outcome=needs_you&state=unclaimed") == [5]
    home.do(lambda connection: connection.execute(dismissed.values(settled_at=clock.now())))
    assert shown("outcome=needs_you") == [2, 5]
    assert shown("reason=trailer") == [6]
    assert shown("reason=photo") == []
    assert browser.get("/activity?outcome=lost").status_code == 400


def test_the_reasons_why_webhooks_were_ignored_are_counted_as_chips(home: Household) -> None:
    for _ in range(2):
        home.hear("anna", subtype="trailer")
    home.hear(event="media.play.unknown")

    page = home.browser().get("/activity?state=ignored").text
    chips = page.partition('aria-label="Reasons"')[2].partition("</ul>")[0]

    assert re.search(r'reason=trailer">trailers <span class="note">2</span>', chips)
    assert re.search(r'reason=unsupported_event">not about viewing <span class="note">1</span>', chips)


def test_a_rare_title_is_found_further_back(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.web.visible.SEARCH_LIMIT", 2)
    for number in range(1, 6):
        home.hear("anna", f"Part {number}", index=number, guid=f"plex://episode/{number}", Guid=[])
    browser, path, pages = home.browser(), "/activity?text=part+1", []

    while path:
        page = browser.get(path).text
        pages.append("Part 1</bdi></a>" in page.replace("\n", ""))
        onward = re.search(r'class="onward"><a href="([^"]+)"', page)
        path = unescape(onward.group(1)) if onward else ""

    assert pages == [False, False, True]


def test_all_that_a_filter_shows_is_replayed(home: Household) -> None:
    filled(home)
    browser = home.browser()
    token = form_token(browser.get("/activity?state=interpreted").text)
    fields = {"form_token": token, "back": "/activity?state=interpreted", "state": "interpreted"}

    answer = browser.post("/activity/replay", data=fields)
    everything = browser.post("/activity/replay", data={"form_token": token})

    assert answer.headers["location"] == "/activity?state=interpreted&said=replayed-2"
    assert everything.status_code == 400
    received = home.api().get("/api/v1/webhooks?state=received").json()["items"]
    assert sorted(entry["id"] for entry in received) == [1, 2]


def test_a_webhook_is_copied_for_a_bug_report_without_names(home: Household) -> None:
    number = home.hear("Wilhelmina", "Pilot")
    page = unescape(home.browser().get(f"/trace/{number}").text)
    copied = re.search(r'<textarea id="report"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert copied

    report = orjson.loads(copied.group(1))
    assert report == home.api().get(f"/api/v1/webhooks/{number}/redacted").json()
    assert report["payload"]["Metadata"]["title"] == "Pilot"
    for secret in ("Wilhelmina", "Attic", "attic-uuid", "Sofa", "sofa-uuid"):
        assert secret not in copied.group(1)


def test_a_missed_webhook_says_that_it_was_repaired(home: Household) -> None:
    event = Event(action=Action.WATCHED, item=Movie(title="Lost", year=1999), at=clock.now(), user="anna")
    received = inbox.event_webhook("plex", event, clock.now(), inbox.CATCH_UP)
    home.do(lambda connection: inbox.store_webhooks(connection, [received]))
    home.interpret()

    assert "Missed webhook, recovered" in home.browser().get("/trace/1").text


def test_the_trace_says_for_whom_of_the_household_and_what_stopped_it(home: Household) -> None:
    bob = home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "me", "plex:anna", clock.now()))
    home.do(lambda connection: household.add_rule(connection, ["Sofa"], [], ["me", "bob"], clock.now()))
    filters = update(tables.person).where(tables.person.c.id == bob).values(filters={"not_players": ["Sofa"]})
    home.do(lambda connection: connection.execute(filters))
    number = home.hear()

    page = unescape(home.browser().get(f"/trace/{number}").text)

    assert "<b><bdi>bob</bdi></b>: by a household rule." in page
    assert "<b><bdi>me</bdi></b>: Passed." in page
    assert re.search(r"<b><bdi>bob</bdi></b>: Stopped: \w", page)
    assert page.count("Harbour Street S1 E1 – Pilot</bdi></p>") == 1


def test_the_trace_tells_of_edits_by_hand(home: Household) -> None:
    number = home.hear()
    home.do(
        lambda connection: edits.redate_play(
            connection, 1, clock.now() - timedelta(days=2), {}, "me", clock.now()
        )
    )

    assert "Date changed by hand by <bdi>me</bdi>" in home.browser().get(f"/trace/{number}").text


def test_the_trace_tells_the_story(home: Household) -> None:
    filled(home)

    page = home.browser().get("/trace/1").text

    steps = re.findall(r"<h2>(\w+)</h2>", page)
    assert steps == ["Received", "Read", "Person", "Filters", "Play", "Item", "Deliveries"]
    head = page.partition("<h1>")[2].partition("</h1>")[0]
    assert "<bdi>" in head
    assert "Webhook 1" not in head
    assert 'class="badge' in head
    assert "POST https://x.example" in page
    assert 'action="/deliveries/1/retry"' in page
    assert 'action="/trace/1/replay"' in page


@pytest.mark.parametrize("raw", [b'{"event":"media.play"}', b'{"event":"library.on.deck"}', b"{}"])
def test_what_was_not_understood_has_a_trace_too(home: Household, raw: bytes) -> None:
    received = inbox.ReceivedWebhook(
        source="plex", token_id=None, received_at=clock.now(), content_type=None, raw=raw
    )
    home.do(lambda connection: inbox.store_webhooks(connection, [received]))
    browser = home.browser()

    assert browser.get("/trace/1").status_code == 200
    home.interpret()
    assert browser.get("/trace/1").status_code == 200
    assert browser.get("/").status_code == 200


def test_a_webhook_is_replayed_by_its_button(home: Household) -> None:
    filled(home)
    browser = home.browser()
    token = form_token(browser.get("/trace/1").text)

    answer = browser.post("/trace/1/replay", data={"form_token": token})

    assert answer.headers["location"] == "/trace/1?said=replayed"
    assert "processed again" in browser.get("/trace/1?said=replayed").text


def test_one_or_all_deliveries_are_retried(home: Household) -> None:
    filled(home)
    browser = home.browser()
    token = form_token(browser.get("/deliveries?state=dead").text)
    fields = {"form_token": token, "back": "/deliveries?state=dead"}

    one = browser.post("/deliveries/1/retry", data=fields)
    home.settle("dead")
    many = browser.post("/deliveries/retry", data={"form_token": token, "state": "dead"})

    assert one.headers["location"] == "/deliveries?state=dead&said=retried"
    assert many.headers["location"] == "/deliveries?said=retried-1"
    assert "Retried: 1" in browser.get("/deliveries?said=retried-1").text


def test_a_member_sees_only_their_own(home: Household) -> None:
    filled(home)
    home.person("bob")
    home.do(lambda connection: identities.claim_identities(connection, "bob", "plex:bob", clock.now()))
    theirs = home.hear("bob", "Theirs", index=9, Guid=[{"id": "tvdb://77"}], guid="plex://episode/nine")
    browser = home.browser("bob")
    first = browser.get("/").text
    token = form_token(first)

    assert "Theirs" in first
    assert "Who is this?" not in browser.get("/needs-you").text
    assert HOSTILE not in unescape(first)
    assert browser.get("/trace/1").status_code == 404
    assert browser.get(f"/trace/{theirs}").status_code == 200
    assert HOSTILE not in unescape(browser.get("/deliveries?person=me").text)
    assert browser.post("/trace/1/replay", data={"form_token": token}).status_code == 404
    assert browser.post("/deliveries/1/retry", data={"form_token": token}).status_code == 404
    claim = {"form_token": token, "identity": "1", "person": "bob"}
    assert browser.post("/needs-you/claim", data=claim).status_code == 403
    assert HOSTILE not in unescape(browser.get("/activity?text=script").text)
    assert browser.get("/api/v1/webhooks/1/redacted").status_code == 404
    assert "/webhooks/plex?token=" not in browser.get("/setup").text


def test_the_set_up_page_has_every_address(home: Household) -> None:
    page = unescape(home.browser().get("/setup").text)

    assert f'value="{home.url}/webhooks/plex?token=' in page
    assert f'value="{home.url}/webhooks/jellyfin/' in page
    assert "{{ItemId}}" in page or "{{{" in page
    assert "no webhook yet" in page


def test_errors_are_pages_for_people(home: Household) -> None:
    browser = home.browser()

    for path, status in (
        ("/nothing", 404), ("/trace/0", 404), ("/deliveries?state=lost", 400), ("/activity?tracker=x", 400)
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
    assert browser.post("/").status_code == 405


def test_a_fault_of_ours_is_a_plain_page(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = home.browser()

    monkeypatch.setattr("webhook.web.visible.list_open_plays", lambda *_: 1 / 0)
    answer = browser.get("/")

    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("prefix", ["/watchmark", ""])
def test_links_keep_to_the_sub_path(opened: Open, prefix: str) -> None:
    """Whether the proxy in front hands the path on whole or cuts it off."""
    home = opened(ROOT_PATH="/watchmark")
    home.password("me")
    browser = home.client()

    asked = browser.get(f"{prefix}/deliveries")
    assert asked.headers["location"] == "/watchmark/sign-in?next=%2Fwatchmark%2Fdeliveries"
    fields = {"name": "me", "password": "correct horse", "next": "/watchmark/deliveries"}
    answer = browser.post(f"{prefix}/sign-in", data=fields)
    assert answer.headers["location"] == "/watchmark/deliveries"
    assert "Path=/watchmark" in answer.headers["set-cookie"]
    page = (
        home.client(headers={"Cookie": answer.headers["set-cookie"].partition(";")[0]})
        .get(f"{prefix}/setup")
        .text
    )
    for link in re.findall(r'(?:href|action)="(/[^"]*)"', page):
        assert link.startswith("/watchmark/")
    assert f'value="{home.url}/watchmark/webhooks/plex?token=' in page
    assert browser.get("/watchmark").headers["location"] == "/watchmark/"
    assert browser.get("/watchmark/static/style.css").status_code == 200


def test_what_a_parked_account_holds_up_leads_to_its_connection(home: Household) -> None:
    home.hear()
    home.do(lambda connection: park(connection, 1, Park.SIGNED_OUT, "refused", clock.now()))
    browser = home.browser()
    assert home.api().get("/api/v1/deliveries/1").json()["state"] == "parked"

    for page in ("/trace/1", "/deliveries", "/history/plays/1"):
        assert '<a href="/connections/tvtime">Fix in Connections</a>' in browser.get(page).text


def test_what_is_not_set_up_leads_to_its_connection(home: Household) -> None:
    browser = home.browser()
    elsewhere = update(tables.account).values(tracker="trakt")
    home.do(lambda connection: connection.execute(elsewhere))

    fields = {"form_token": form_token(browser.get("/").text), "account": "1"}
    answer = browser.post("/history/backfill/begin", data=fields)

    assert answer.status_code == 409
    assert "Trakt is not set up. Set TRAKT_CLIENT_ID and TRAKT_CLIENT_SECRET and restart" in answer.text
    assert '<a href="/connections/trakt">Fix in Connections</a>' in answer.text


def test_a_refused_form_leads_back_to_its_page(home: Household) -> None:
    browser = home.browser()
    fields = {"form_token": form_token(browser.get("/people").text), "name": "me", "back": "/people"}

    refused = browser.post("/people", data=fields, headers={"Referer": f"{home.url}/people?said=saved&x=1"})
    elsewhere = browser.post("/people", data=fields, headers={"Referer": "https://elsewhere//evil.example"})

    assert refused.status_code == 409
    assert "<p>There is a person called me already.</p>" in refused.text
    assert '<a href="/people?x=1">Back to the form</a>' in refused.text
    assert "Back to the form" not in elsewhere.text
