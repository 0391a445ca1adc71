"""Settings: made in the browser below the environment, tokens, and a backup that can be restored."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sqlite3
import zipfile
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.prepared import open_service
from tests.web.conftest import Household, Open, form_token, serving
from webhook import clock
from webhook.accounts import settings_store
from webhook.clock import stamp
from webhook.maintenance import backup_folder
from webhook.maintenance.backup_schedule import store_outcome
from webhook.web.connections import settings_actions
from webhook.web.http import language, templating
from webhook.web.http.errors import Problem

FORM = {
    "WATCHED_MARK": "80",
    "CATCH_UP_MINUTES": "0",
    "SILENCE_DAYS": "3",
    "RETENTION_DAYS": "90",
    "LOG_LEVEL": "info",
}


def post(browser: Any, path: str, **fields: str) -> Any:
    return browser.post(path, data={"form_token": form_token(browser.get("/settings").text), **fields})


def held(home: Household) -> dict[str, str]:
    found: dict[str, str] = home.do(
        lambda connection: settings_store.load_settings(connection, home.service.seal)
    )
    return found


# --- what may be set


def test_a_setting_is_kept_and_the_service_opens_anew(home: Household) -> None:
    opened: list[bool] = []
    home.service.reopen = lambda: opened.append(True)
    browser = home.browser()

    answer = post(browser, "/settings", **{**FORM, "RETENTION_DAYS": "30", "WATCHED_MARK": " 85.5 "})

    assert answer.headers["location"] == "/settings?said=saved"
    assert held(home) == {"RETENTION_DAYS": "30", "WATCHED_MARK": "85.5"}
    assert opened == [True]
    page = browser.get("/settings").text
    assert 'name="WATCHED_MARK" value="85.5"' in page
    assert "without losing any webhooks" in page
    again = open_service({"DATA_DIR": str(home.service.settings.data_dir), "WORKER": "false"})
    assert again.settings.retention_days == 30
    again.database.close()


def test_what_is_as_usual_again_is_let_go(home: Household) -> None:
    browser = home.browser()
    post(browser, "/settings", **{**FORM, "RETENTION_DAYS": "30"})

    post(browser, "/settings", **FORM)

    assert held(home) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "soon"),
        ("WATCHED_MARK", "101"),
        ("LOG_LEVEL", "loud"),
        ("SILENCE_DAYS", "x" * 300),
    ],
)
def test_a_wrong_setting_changes_nothing_and_is_named(home: Household, name: str, value: str) -> None:
    home.service.reopen = lambda: pytest.fail("it was opened anew")
    browser = home.browser()

    answer = post(browser, "/settings", **{**FORM, "CATCH_UP_MINUTES": "5", name: value})

    assert answer.status_code == 422
    assert name in unescape(answer.text)
    assert held(home) == {}


def test_what_was_typed_beside_a_wrong_setting_stays_in_the_form(home: Household) -> None:
    browser = home.browser()

    page = post(browser, "/settings", **{**FORM, "CATCH_UP_MINUTES": "5", "RETENTION_DAYS": "soon"}).text

    assert 'name="CATCH_UP_MINUTES" value="5"' in page
    assert re.search(r'name="RETENTION_DAYS" value="soon"[^>]* aria-invalid="true"', page)
    assert 'aria-describedby="wrong-RETENTION_DAYS about-RETENTION_DAYS"' in page
    assert page.count('aria-invalid="true"') == 1
    assert 'id="wrong-RETENTION_DAYS"' in page
    assert "<h1>Settings</h1>" in page


def test_a_setting_that_cannot_be_used_any_more_does_not_stop_the_start(tmp_path: Path) -> None:
    with serving(tmp_path) as home:
        stale = {"TMDB_TOKEN": "secret token", "TMDB_API_URL": "http://tmdb:port"}
        home.do(lambda connection: settings_store.store_settings(connection, home.service.seal, stale))

    with serving(tmp_path) as home:
        browser = home.browser()
        page = browser.get("/connections/tmdb").text

        assert home.service.left_out.keys() == {"TMDB_API_URL"}
        assert "The saved value is not used because it is not valid. TMDB_API_URL" in unescape(page)
        assert post(browser, "/settings", **{**FORM, "RETENTION_DAYS": "30"}).status_code == 303
        assert held(home).keys() == {*stale, "RETENTION_DAYS"}


def test_what_the_environment_says_is_fixed(opened: Open) -> None:
    home = opened(RETENTION_DAYS="14")
    browser = home.browser()

    page = browser.get("/settings").text

    assert re.search(r'id="RETENTION_DAYS" value="14" disabled', page)
    assert 'name="RETENTION_DAYS"' not in page
    refused = post(browser, "/settings", RETENTION_DAYS="30")
    assert refused.status_code == 409
    assert "set in the environment" in refused.text
    settings = {one["name"]: one for one in home.api().get("/api/v1/settings").json()["items"]}
    assert settings["RETENTION_DAYS"]["set_by"] == "environment"
    assert settings["RETENTION_DAYS"]["value"] == 14
    assert settings["SILENCE_DAYS"]["set_by"] is None


def test_the_api_sets_and_lets_go(home: Household) -> None:
    api = home.api()

    said = {one["name"]: one for one in api.put("/api/v1/settings", json={"SILENCE_DAYS": 7}).json()["items"]}

    assert said["SILENCE_DAYS"]["value"] == 7
    assert said["SILENCE_DAYS"]["set_by"] == "browser"
    assert api.put("/api/v1/settings", json={"SILENCE_DAYS": None}).status_code == 200
    assert held(home) == {}
    for wrong in ({"DATA_DIR": "/x"}, {"SILENCE_DAYS": [1]}, {"SILENCE_DAYS": True}, {"SILENCE_DAYS": -1}):
        assert api.put("/api/v1/settings", json=wrong).status_code == 422
    assert held(home) == {}


def test_settings_that_the_service_could_not_open_with_are_refused(home: Household) -> None:
    """Half of a tracker's, an address that is none, a list that is not there."""
    for changes, named in (
        ({"TRAKT_CLIENT_ID": "x"}, "TRAKT_CLIENT_SECRET"),
        ({"PLEX_URL": "nonsense", "PLEX_TOKEN": "x"}, "PLEX_URL"),
        ({"ANIME_LISTS": "/nowhere.xml"}, "ANIME_LISTS"),
        (
            {"TRAKT_API_URL": "http://a:b", "TRAKT_CLIENT_ID": "x", "TRAKT_CLIENT_SECRET": "x"},
            "TRAKT_API_URL",
        ),
        ({"SIMKL_API_URL": "http://a:b", "SIMKL_CLIENT_ID": "x"}, "SIMKL_API_URL"),
        ({"DATA_DIR": "/x"}, "DATA_DIR"),
    ):
        with pytest.raises(Problem, match=named):
            asyncio.run(settings_actions.save_settings(home.service, changes))
    assert held(home) == {}


# --- tokens


def test_a_token_is_shown_once_and_revoked(home: Household) -> None:
    browser = home.browser()

    made = post(browser, "/tokens", kind="api", name="script", back="/settings")

    (secret,) = re.findall(r'id="secret" class="copy" readonly value="([\w-]{40,})"', made.text)
    assert 'href="/settings">Back' in made.text
    api = home.client(headers={"Authorization": f"Bearer {secret}"})
    (number,) = [one["id"] for one in api.get("/api/v1/tokens").json()["items"] if one["name"] == "script"]
    page = browser.get("/settings").text
    assert secret not in page
    assert f'action="/tokens/{number}/revoke"' in page
    assert (
        post(browser, f"/tokens/{number}/revoke", back="/settings")
        .headers["location"]
        .startswith("/settings")
    )
    assert f'action="/tokens/{number}/revoke"' not in browser.get("/settings").text


def test_a_persons_webhook_token_is_theirs(home: Household) -> None:
    home.person("bob")

    page = unescape(post(home.browser(), "/tokens", kind="webhook", person="bob").text)

    assert "count for bob" in page
    assert f"{home.url}/webhooks/jellyfin/" in page


# --- a backup


def holds_people(content: bytes, folder: Path) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extract("watchmark.db", folder)
    with sqlite3.connect(folder / "watchmark.db") as connection:
        return [name for (name,) in connection.execute("SELECT name FROM person ORDER BY id")]


def test_a_backup_is_downloaded_and_leaves_nothing_behind(home: Household, tmp_path: Path) -> None:
    home.person("bob")

    answer = post(home.browser(), "/settings/backup")
    told = home.api().get("/api/v1/backup")

    for one in (answer, told):
        assert one.headers["content-type"] == "application/zip"
        assert re.search(r'filename="watchmark-\d{4}-\d\d-\d\d\.zip"', one.headers["content-disposition"])
        assert int(one.headers["content-length"]) == len(one.content)
        assert holds_people(one.content, tmp_path / "unpacked") == ["me", "bob"]
    assert not [*Path(home.service.settings.data_dir).glob(".*")]


def test_the_page_warns_of_what_a_backup_holds(home: Household) -> None:
    page = unescape(home.browser().get("/settings").text)

    assert "Keep it as safe as a password" in page
    assert str(home.service.settings.data_dir / "secret.key") in page
    assert str(home.service.settings.data_dir.absolute()) in page


def test_the_page_says_where_backups_are_made_when_the_last_was_and_why_they_fail(home: Household) -> None:
    browser, held = home.browser(), home.service.settings
    before = browser.get("/settings").text
    made = backup_folder.add_backup(held, held.backup_folder, keep=1)
    home.do(lambda connection: store_outcome(connection, "No room.", clock.now()))
    after = browser.get("/settings").text

    assert f"every 24 hours, into <code>{held.backup_folder.absolute()}</code>" in before
    assert "None has been made yet" in before
    assert f'The last was made <time datetime="{stamp(backup_folder.time_of(made))}"' in after
    assert "Automatic backups have failed since" in after
    assert "No room." in after


def test_a_folder_of_backups_that_cannot_be_read_spoils_no_page(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.service.settings.backup_folder
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "access", lambda one, mode: Path(one) != folder)

    page, metrics = home.browser().get("/settings"), home.api().get("/metrics")

    assert f"Automatic backups cannot be made. {folder} cannot be used for backups." in page.text
    assert (page.status_code, metrics.status_code) == (200, 200)


def test_the_page_says_that_no_backups_are_made(opened: Open) -> None:
    home = opened(BACKUP_HOURS="0")
    home.do(lambda connection: store_outcome(connection, "No room.", clock.now()))

    page = home.browser().get("/settings").text

    assert "Automatic backups are off" in page
    assert "No room." not in page


def test_a_database_of_another_kind_has_its_own_tools(home: Household) -> None:
    browser, api = home.browser(), home.api()
    token = form_token(browser.get("/settings").text)
    settings = home.service.settings
    home.service.settings = settings.model_copy(update={"database_url": "postgresql://me:secret@db/house"})

    for answer in (
        browser.post("/settings/backup", data={"form_token": token}),
        api.get("/api/v1/backup"),
    ):
        assert answer.status_code == 409
        assert "pg_dump" in answer.text
        assert "secret" not in answer.text


# --- whose it is


def test_a_member_is_told_that_it_is_the_owners(home: Household) -> None:
    home.person("bob")

    answer = home.browser("bob").get("/settings")

    assert answer.status_code == 403
    assert "Only the owner" in answer.text


def test_who_has_not_signed_in_is_asked_to(home: Household) -> None:
    assert home.client().get("/settings").headers["location"] == "/sign-in?next=%2Fsettings"
    assert home.client().post("/settings/backup").headers["location"] == "/sign-in"


# --- the colours of this browser


def test_a_browser_keeps_the_colours_it_chose(home: Household) -> None:
    browser = home.browser()
    assert "data-theme" not in browser.get("/").text

    answer = post(browser, "/theme", theme="dark", back="/history?text=x")

    assert answer.headers["location"] == "/history?text=x&said=saved"
    assert 'data-theme="dark"' in browser.get("/").text
    assert "data-theme" not in home.browser().get("/").text
    post(browser, "/theme", theme="neither", back="/")
    assert "data-theme" not in browser.get("/").text


# --- the language of this browser


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("fr;q=0.9, de;q=0.5, en;q=0.4", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("de;q=0, fr", "en"),
        ("fr, tlh;q=x", "en"),
        ("", "en"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_prefers(
    home: Household, accepted: str, language: str
) -> None:
    answer = home.browser().get("/history", headers={"Accept-Language": accepted})

    assert f'<html lang="{language}"' in answer.text
    assert ("Wiedergaben" in answer.text) == (language == "de")
    assert answer.headers["content-language"] == language
    assert {"Accept-Language", "Cookie"} <= set(answer.headers["vary"].split(", "))


def test_a_browser_keeps_the_language_it_chose(home: Household) -> None:
    browser = home.browser()

    answer = post(browser, "/theme", theme="", language="de", back="/history?text=x")

    assert answer.headers["location"] == "/history?text=x&said=saved"
    assert "Gespeichert." in browser.get("/history?said=saved").text
    assert '<html lang="de"' in browser.get("/", headers={"Accept-Language": "en"}).text
    assert '<html lang="en"' in home.browser().get("/").text
    post(browser, "/theme", theme="", language="", back="/")
    assert '<html lang="en"' in browser.get("/", headers={"Accept-Language": "en"}).text


def test_what_programs_ask_for_stays_english(home: Household) -> None:
    german = {"Accept-Language": "de"}

    assert "Niemand heißt nobody" in home.browser().get("/people/nobody", headers=german).text
    assert home.api().get("/api/v1/people/nobody", headers=german).json()["detail"].startswith("There is")


def test_days_and_numbers_are_those_of_the_language() -> None:
    at = datetime(2026, 11, 26, 15, 25, tzinfo=UTC)
    before = language.LANGUAGE.set("de")
    try:
        assert language.format_date(at, "%A %-d %B") == "Donnerstag, 26. November"
        assert language.format_date(at, "%-d %b %Y") == "26. Nov. 2026"
        assert language.format_number(1234.5) == "1.234,5"
        assert language.ngettext("%(num)s play", "%(num)s plays", 1) == "1 Wiedergabe"
        assert language.ngettext("%(num)s play", "%(num)s plays", 1234) == "1.234 Wiedergaben"
        assert language.translate("Trakt answered 503: it is in trouble. It is tried again by itself.") == (
            "Trakt hat mit 503 geantwortet: es hat Schwierigkeiten. Es wird von selbst noch einmal versucht."
        )
        assert language.translate("Pilot") == "Pilot"
        assert language.translate("filter: only the library Music, and this is Films") == (
            "Filter: nur Mediathek Music, und das hier ist Films"
        )
        assert language.translate("filter: only films, and this is an episode") == (
            "Filter: nur Filme, und das hier ist eine Folge"
        )
        assert language.translate("filter: only films or episodes, and this is a track") == (
            "Filter: nur Filme oder Folgen, und das hier ist ein Musiktitel"
        )
        assert language.translate("1,234 of 2,000 calls left today") == "heute noch 1.234 von 2.000 Aufrufen"
        template = templating.environment().from_string(
            "{{ ngettext('%(num)s play', '%(num)s plays', 1234) }}"
        )
        assert template.render() == "1.234 Wiedergaben"
    finally:
        language.LANGUAGE.reset(before)
    assert language.format_date(at, "%A %-d %B") == "Thursday 26 November"
    assert [language.format_number(one) for one in (1234, 7.5, 8.0, 1234.5)] == [
        "1,234",
        "7.5",
        "8",
        "1,234.5",
    ]
