"""A TV Time export is brought in by the browser, and a play is changed by hand."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, SCRIPTS, comes, opened, sign_in
from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.running import Process, eventually, started
from tests.servers._adapters import put_plex

HEADER = (
    "created_at,user_id,key,updated_at,s_id,ep_id,s_no,ep_no,series_name,runtime,bulk_type,gsi,"
    "is_followed,is_archived,is_for_later,uuid\n"
)
ROWS = (
    "2024-11-02 11:53:58,0,watch-episode-1-1,2024-11-02 11:53:58,413526,9476788,1,5,Treason,2520,,g,,,,u\n"
    "2024-11-03 21:00:00,0,watch-episode-1-2,2024-11-03 21:00:00,413526,9476789,1,6,Treason,2520,,g,,,,u\n"
    "2024-11-01 08:00:00,0,user-series-1,2024-11-01 08:00:00,413526,,,,Treason,,,,true,false,false,u\n"
)


def export(folder: Path) -> Path:
    path = folder / "gdpr-data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("gdpr-data/tracking-prod-records-v2.csv", HEADER + ROWS)
        file.writestr("gdpr-data/access_token.csv", "token\nsecret\n")
    return path


@SCRIPTS
def test_a_tv_time_export_is_looked_into_and_imported(
    browser: Browser, house: Process, tmp_path: Path, scripts: bool
) -> None:
    with opened(browser, scripts=scripts) as page:
        sign_in(page, house)
        page.goto(house.url + "/history/import")
        page.get_by_label("Format").select_option("tvtime")
        page.get_by_label("File or files, as you received them").set_input_files(export(tmp_path))
        page.get_by_role("button", name="Preview", exact=True).click()

        expect(page.get_by_role("heading", level=1)).to_contain_text("gdpr-data.zip")
        expect(page.get_by_text("Watched from 2 Nov 2024 to 3 Nov 2024")).to_be_visible()
        page.get_by_role("button", name="Import", exact=True).click()

        jobs = page.get_by_role("region", name="Imports")
        comes(page, jobs.get_by_text("done", exact=True), scripts=scripts)
        expect(jobs.get_by_text("2 new plays")).to_be_visible()
        page.get_by_role("link", name="Library").click()
        page.get_by_role("link", name="Treason").click()
        expect(page.get_by_text("2 episodes watched", exact=True)).to_be_visible()


@SCRIPTS
def test_what_a_server_has_recorded_is_looked_at_and_brought_in(
    browser: Browser, tmp_path: Path, scripts: bool
) -> None:
    with Server(PlexServer()) as plex:
        put_plex(plex.fake, "Nora", 1, datetime(2024, 11, 2, 20, tzinfo=UTC))
        put_plex(plex.fake, "Nora", 2, datetime(2024, 11, 3, 20, tzinfo=UTC))
        settings = {"PLEX_URL": plex.url, "PLEX_TOKEN": plex.fake.switches.token, "ADMIN_PASSWORD": PASSWORD}
        with (
            started(Process(tmp_path, **settings).prepare()) as house,
            opened(browser, scripts=scripts) as page,
        ):
            house.run("people", "claim", "me", "plex:Nora")
            sign_in(page, house)
            page.goto(house.url + "/history/import")
            page.get_by_role("button", name="Preview Plex").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Import from Plex")
            expect(page.get_by_text("Watched from 2 Nov 2024 to 3 Nov 2024")).to_be_visible()
            assert house.api("/jobs")["items"] == []

            plex.fake.faults.add("GET /", times=-1, delay=0.3)
            page.get_by_role("button", name="Import", exact=True).click()
            jobs = page.get_by_role("region", name="Imports")
            expect(jobs.get_by_text("running")).to_be_visible()
            comes(page, jobs.get_by_text("done", exact=True), scripts=scripts)
            expect(jobs.get_by_text("2 new plays")).to_be_visible()
            page.get_by_role("link", name="Plays").click()
            expect(page.get_by_role("link", name="Film 2")).to_be_visible()


@SCRIPTS
def test_a_tracker_is_filled_with_what_it_lacks(
    browser: Browser, house: Process, trakt: Server, tmp_path: Path, scripts: bool
) -> None:
    parts = [
        {"season": 1, "number": number, "title": None, "ids": {"tvdb": 9_476_783 + number}}
        for number in (5, 6)
    ]
    show = {"title": "Treason", "ids": {"tvdb": 413_526}, "episodes": parts}
    trakt.fake.catalogue.load({"shows": [show]})
    house.run("import", "tvtime", str(export(tmp_path)))
    house.connect("trakt", trakt.fake.sign_in("me"))
    with opened(browser, scripts=scripts) as page:
        sign_in(page, house)
        page.goto(house.url + "/history/backfill")
        page.get_by_role("button", name="See what\u2019s missing at Trakt").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Missing at Trakt")
        expect(page.get_by_text("Nothing has been sent yet.")).to_be_visible()
        expect(page.get_by_text("Treason S1 E5")).to_be_visible()
        assert not trakt.fake.made("POST /sync/history")

        trakt.fake.faults.add("POST /sync/history", delay=1.5)
        page.get_by_role("button", name="Send to Trakt").click()
        jobs = page.get_by_role("region", name="Backfills")
        expect(jobs.get_by_text("running")).to_be_visible()
        comes(page, jobs.get_by_text("done", exact=True), scripts=scripts)
    eventually(lambda: len(trakt.fake.state()["users"]["me"]["history"]) == 2, "Trakt has both")


@SCRIPTS
def test_a_title_is_found_while_one_types_or_by_the_button(
    browser: Browser, house: Process, tmp_path: Path, scripts: bool
) -> None:
    house.run("import", "tvtime", str(export(tmp_path)))
    with opened(browser, scripts=scripts) as page:
        sign_in(page, house)
        page.goto(house.url + "/history?kind=episode")
        box = page.get_by_role("searchbox", name="Search titles")
        for typed, found in (
            ("trea", page.get_by_role("link", name="Treason S1 E5")),
            ("sonx", page.get_by_text("No play has")),
        ):
            box.press("End")
            box.press_sequentially(typed)
            if not scripts:
                page.get_by_role("button", name="Search").click()
            expect(found).to_be_visible()
        expect(box).to_have_value("treasonx")
        assert page.url.endswith("/history?kind=episode&text=treasonx")


@SCRIPTS
def test_several_plays_are_ticked_and_removed(
    browser: Browser, house: Process, tmp_path: Path, scripts: bool
) -> None:
    house.run("import", "tvtime", str(export(tmp_path)))
    with opened(browser, scripts=scripts) as page:
        sign_in(page, house)
        page.goto(house.url + "/history")
        page.get_by_role("link", name="Select", exact=True).click()
        for number in (5, 6):
            page.get_by_label(f"Treason S1 E{number}").check()
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("button", name="Remove 2 plays").click()
        expect(page.get_by_text("Removed: 2.")).to_be_visible()
        expect(page.get_by_text("No plays yet.")).to_be_visible()


def test_a_play_is_given_another_time_and_removed(page: Page, house: Process, tmp_path: Path) -> None:
    house.run("import", "tvtime", str(export(tmp_path)))
    sign_in(page, house)
    page.goto(house.url + "/history?text=Treason")
    page.get_by_role("link", name="Treason S1 E5").click()

    page.get_by_text("Change when it was watched").click()
    page.get_by_label("Watched at").fill("2024-10-01T20:30:00")
    page.get_by_role("button", name="Change time").click()
    expect(page.get_by_text("1 Oct 2024, 20:30:00").first).to_be_visible()
    expect(page.get_by_role("heading", name="Edits")).to_be_visible()

    page.get_by_text("Remove this play").click()
    page.get_by_role("button", name="Remove play").click()
    expect(page.get_by_text("Imports and catch-up will not add it again")).to_be_visible()
    page.goto(house.url + "/history")
    expect(page.get_by_role("link", name="Treason S1 E5")).to_have_count(0)
    expect(page.get_by_role("link", name="Treason S1 E6")).to_have_count(1)
