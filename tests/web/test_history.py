"""The pages of the history: looked at, searched, changed, brought in and taken out by a browser."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select

from tests.running import eventually
from tests.web.conftest import HOSTILE, Household, Open, form_token
from tests.web.viewings import NOON, film, part, seen
from webhook import clock
from webhook.domain.event import Ids, Show
from webhook.domain.play import Dated
from webhook.history import library
from webhook.queues import jobs
from webhook.storage.tables import job, play


def token(page: httpx.Response) -> str:
    return form_token(page.text)


@pytest.fixture
def household(opened: Open) -> Household:
    """One whose service works: imports go on in it."""
    return opened(WORKER="true")


def test_the_history_lies_under_its_days_in_the_persons_zone(household: Household) -> None:
    seen(household, film("Harbour", datetime(2026, 3, 1, 23, 30, tzinfo=UTC)))
    browser = household.browser()
    assert "Sunday 1 March" in browser.get("/history").text

    zone = "UPDATE person SET timezone = 'Europe/Berlin'"
    household.do(lambda connection: connection.exec_driver_sql(zone))
    assert "Monday 2 March" in browser.get("/history").text


def test_a_title_is_searched_and_what_is_hostile_is_only_text(household: Household) -> None:
    seen(household, film("Harbour"), film(HOSTILE, NOON + timedelta(days=1)))
    browser = household.browser()

    assert HOSTILE not in browser.get("/history").text
    found = browser.get("/history", params={"text": "harb"}).text
    assert "Harbour" in found
    assert "&lt;script&gt;" not in found
    nothing = browser.get("/history", params={"text": HOSTILE + "%"})
    assert nothing.status_code == 200
    assert HOSTILE not in nothing.text


def test_older_plays_follow_on_the_next_page_each_once(household: Household) -> None:
    seen(household, *(film(f"Film {number:02}", NOON + timedelta(days=number)) for number in range(7)))
    browser = household.browser()

    titles, address = [], "/history?limit=3"
    while address:
        page = browser.get(address).text
        titles += re.findall(r"<bdi>(Film \d\d)</bdi>", page)
        older = re.search(r'href="(/history\?[^"]+)">Older', page)
        address = older[1].replace("&amp;", "&") + "&limit=3" if older else ""

    assert titles == [f"Film {number:02}" for number in reversed(range(7))]


Change = Callable[[Household], object]


def the_play(household: Household) -> object:
    return household.do(lambda connection: connection.execute(select(play)).first())


@pytest.mark.parametrize(
    ("path", "fields", "holds"),
    [
        ("remove", {}, lambda row: row.removed_at is not None),
        ("redate", {"at": "2026-02-03T04:05:06"}, lambda row: row.watched_at == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("correct", {"title": "Slow Light", "ids.imdb": "tt0000009"}, lambda row: row.item["title"] == "Slow Light"),
    ],
)  # fmt: skip
def test_a_play_is_changed_by_its_form(
    household: Household, path: str, fields: dict[str, str], holds: Callable[[object], bool]
) -> None:
    seen(household, film("Harbour"))
    browser = household.browser()
    page = browser.get("/history/plays/1")

    answer = browser.post(f"/history/plays/1/{path}", data={"form_token": token(page), **fields})

    assert answer.status_code == 303
    assert holds(the_play(household))
    assert ">Edits<" in browser.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("redate", {"at": "yesterday"}, "a date and time"),
        ("redate", {"at": "2999-01-01T00:00"}, "future"),
        ("correct", {}, "Enter a title"),
        ("correct", {"ids.tvdb": "eleven"}, "are numbers"),
        ("merge", {"other": "999"}, "Play 999 was not found"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    household: Household, path: str, fields: dict[str, str], says: str
) -> None:
    seen(household, film("Harbour"))
    browser = household.browser()
    before = the_play(household)

    answer = browser.post(
        f"/history/plays/1/{path}",
        data={"form_token": token(browser.get("/history/plays/1")), **fields},
    )

    assert answer.status_code == 422
    assert says in answer.text
    assert the_play(household) == before


def test_two_plays_of_one_item_are_made_one(household: Household) -> None:
    seen(household, film("Harbour"), film("Harbour", NOON + timedelta(days=2)))
    browser = household.browser()
    page = browser.get("/history/plays/1")
    assert "Merge with another play" in page.text

    browser.post("/history/plays/1/merge", data={"form_token": token(page), "other": "2"})

    listed = browser.get("/history").text
    assert listed.count("<bdi>Harbour</bdi>") == 1


def test_a_member_sees_and_changes_only_their_own(household: Household) -> None:
    ben = household.person("ben")
    seen(household, film("Harbour"))
    seen(household, film("Slow Light"), person_id=ben)
    browser = household.browser("ben")

    assert "Harbour" not in browser.get("/history").text
    assert browser.get("/history?person=me").status_code == 403
    assert browser.get("/history/plays/1").status_code == 404
    for path in ("/history/numbers", "/library", "/history/import", "/history/export", "/history/backfill"):
        assert browser.get(f"{path}?person=me").status_code == 403, path
    mine = browser.get("/history/plays/2")
    answer = browser.post("/history/plays/1/remove", data={"form_token": token(mine)})
    assert answer.status_code == 404
    assert household.do(lambda connection: connection.execute(select(play.c.removed_at)).scalars().all()) == [
        None,
        None,
    ]


def test_a_show_has_its_seasons_ticked_and_is_followed(household: Household) -> None:
    seen(household, part(1), part(2), part(1, NOON + timedelta(days=30)), part(1, season=0))
    browser = household.browser()
    assert "/library/shows/tvdb:77" in browser.get("/library").text

    page = browser.get("/library/shows/tvdb:77")
    assert "2 episodes watched" in page.text
    assert " of 2 episodes watched" not in page.text
    assert "Specials" in page.text
    assert "2 times" in page.text

    browser.post(
        "/library/shows/follow",
        data={"form_token": token(page), "key": "tvdb:77", "title": "Tidewater", "back": "/library"},
    )
    assert [row.show for row in household.do(lambda connection: library.list_follows(connection, 1))] == [
        "Tidewater"
    ]
    assert browser.get("/library/shows/tvdb:78").status_code == 404


def test_a_followed_show_that_was_never_watched_has_a_page_too(household: Household) -> None:
    show = Show(title="North", ids=Ids(tvdb=5))
    household.do(lambda connection: library.follow_show(connection, 1, show, NOON))

    assert household.browser().get("/library/shows/tvdb:5").status_code == 200


# --- in and out


EPISODES = (
    "series_tvdb_id,series_imdb_id,series_uuid,title,season,episode,tvdb_id,is_watched,watched_at,"
    "rewatch_count,special\n"
    "77,,u,Tidewater,1,1,9001,true,2025-01-02T20:00:00Z,0,false\n"
    "77,,u,Tidewater,1,2,9002,true,2025-01-03T20:00:00Z,0,false\n"
    "77,,u,Tidewater,1,3,9003,true,0001-01-01T00:00:00Z,0,false\n"
)


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("tvtime-series-episodes-2026-07-01.csv", EPISODES)
    return packed.getvalue()


def looked_into(
    browser: httpx.Client, name: str = "export.zip", content: bytes | None = None
) -> httpx.Response:
    fields = {"form_token": token(browser.get("/history/import")), "kind": "tvtime"}
    file = {"file": (name, zipped() if content is None else content)}
    return browser.post("/history/import/look", data=fields, files=file)


def hidden(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text))


def test_a_file_is_looked_into_and_then_imported_once(household: Household) -> None:
    browser = household.browser()

    looked = looked_into(browser)
    assert looked.status_code == 200, looked.text
    assert "new plays" in looked.text
    assert "line 4" in looked.text
    assert household.do(lambda connection: connection.execute(select(play)).all()) == []

    begun = browser.post("/history/import/begin", data=hidden(looked))
    assert begun.status_code == 303, begun.text
    eventually(lambda: states(household) == ["done"], "the import is done")
    assert len(household.do(lambda connection: connection.execute(select(play)).all())) == 2

    again = looked_into(browser)
    assert "Nothing new was found" in again.text


def test_a_file_that_cannot_be_used_is_refused_on_the_page_to_choose_another(household: Household) -> None:
    page = looked_into(household.browser(), "notes.txt", b"nothing of the kind")

    assert page.status_code == 422
    assert '<p class="wrong" id="wrong-file">notes.txt is no export of TV Time' in page.text
    assert '<option value="tvtime" selected>' in page.text
    assert 'action="/history/import/look"' in page.text
    assert 'data-from="/history/import"' in page.text


def test_a_question_is_answered_before_the_import(household: Household) -> None:
    browser = household.browser()
    fields = {"form_token": token(browser.get("/history/import")), "kind": "netflix"}
    content = b'Title,Date\n"Grau: Staffel 1: Nacht","3/4/26"\n'

    asked = browser.post("/history/import/look", data=fields, files={"file": ("history.csv", content)})
    assert "Which number of a date such as 3/4/26 is the day?" in asked.text
    assert "Nothing has been imported yet" not in asked.text
    refused = browser.post("/history/import/begin", data=hidden(asked))
    wrong = browser.post("/history/import/look-again", data=hidden(asked) | {"answer.dates": "nonsense"})
    looked = browser.post("/history/import/look-again", data=hidden(asked) | {"answer.dates": "day-first"})
    assert (refused.status_code, wrong.status_code, looked.status_code) == (409, 422, 200)
    assert "3 Apr 2026" in looked.text
    assert "The first plays" in looked.text

    begun = browser.post("/history/import/begin", data=hidden(looked))
    assert begun.status_code == 303, begun.text
    eventually(lambda: states(household) == ["done"], "the import is done")
    [row] = household.do(lambda connection: connection.execute(select(play)).all())
    assert (row.watched_at.month, row.item["title"]) == (4, "Nacht")


def test_several_files_are_looked_into_together(household: Household) -> None:
    browser = household.browser()
    fields = {"form_token": token(browser.get("/history/import")), "kind": "letterboxd"}
    diary = b"Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n2026-03-01,A Film,1999,https://boxd.it/a,4,,,2026-03-01\n"
    ratings = b"Date,Name,Year,Letterboxd URI,Rating\n2026-03-01,A Film,1999,https://boxd.it/a,4.5\n"
    files = [("file", ("diary.csv", diary)), ("file", ("ratings.csv", ratings)), ("file", ("", b""))]

    looked = browser.post("/history/import/look", data=fields, files=files)

    assert looked.status_code == 200, looked.text
    assert re.search(r"<dt>library entries</dt><dd>1</dd>", looked.text)
    begun = browser.post("/history/import/begin", data=hidden(looked))
    assert begun.status_code == 303, begun.text
    eventually(lambda: states(household) == ["done"], "the import is done")
    assert len(household.do(lambda connection: connection.execute(select(play)).all())) == 1


def test_an_import_is_undone_as_a_whole_by_its_owner_only(household: Household) -> None:
    browser = household.browser()
    browser.post("/history/import/begin", data=hidden(looked_into(browser)))
    eventually(lambda: states(household) == ["done"], "the import is done")
    household.person("ben")
    assert household.browser("ben").post(
        "/history/jobs/1/undo", data={"form_token": token(household.browser("ben").get("/history/import"))}
    ).status_code in (403, 404)
    page = browser.get("/history/import")
    assert "Undo this import" in page.text

    undone = browser.post("/history/jobs/1/undo", data={"form_token": token(page)})

    assert undone.headers["location"].endswith("said=import-undone"), undone.text
    assert household.do(lambda connection: connection.execute(select(play)).all()) == []
    assert "Undo this import" not in browser.get("/history/import").text
    again = browser.post("/history/jobs/1/undo", data={"form_token": token(page)})
    assert again.status_code == 409


def states(household: Household) -> list[str]:
    return list(household.do(lambda connection: connection.execute(select(job.c.state)).scalars().all()))


@pytest.mark.parametrize(("kind", "path"), [("import", "import"), ("backfill", "backfill")])
def test_a_job_that_has_just_begun_is_shown_and_cancelled(household: Household, kind: str, path: str) -> None:
    household.do(
        lambda connection: jobs.begin_job(
            connection, jobs.JobKind(kind), "trakt", clock.now(), person_id=1, name="x"
        )
    )
    browser = household.browser()
    page = browser.get(f"/history/{path}")
    assert "running" in page.text

    cancelled = browser.post(
        "/history/jobs/1/cancel", data={"form_token": token(page), "back": f"/history/{path}"}
    )

    assert cancelled.headers["location"] == f"/history/{path}?said=cancelled"
    assert states(household) == ["cancelled"]


def test_what_was_not_looked_at_cannot_be_imported(household: Household) -> None:
    browser = household.browser()
    given = hidden(looked_into(browser))

    for change in ({"place": "../watchmark.db"}, {"kind": "trakt"}, {"digest": "0" * 64}, {"seal": ""}):
        assert browser.post("/history/import/begin", data={**given, **change}).status_code == 403, change
    assert states(household) == []


def test_a_bad_file_gets_a_sentence_and_leaves_nothing_behind(household: Household) -> None:
    browser = household.browser()

    answer = looked_into(browser, content=zipped()[:60])

    assert answer.status_code == 422
    assert "export.zip" in answer.text
    assert "Nothing was imported" in answer.text
    assert list(household.service.imports.place().iterdir()) == []


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n", b"garbage" * 99]
)
def test_a_broken_form_is_refused_and_leaves_nothing_behind(household: Household, body: bytes) -> None:
    browser = household.browser()

    answer = browser.post(
        "/history/import/look", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code in (400, 403, 422)
    assert list(household.service.imports.place().iterdir()) == []


def test_a_form_of_another_sign_in_is_refused(household: Household) -> None:
    browser = household.browser()

    answer = browser.post(
        "/history/import/look",
        data={"form_token": "x", "kind": "tvtime"},
        files={"file": ("a.zip", zipped())},
    )

    assert answer.status_code == 403
    assert list(household.service.imports.place().iterdir()) == []


def test_every_export_is_offered_and_downloads(household: Household) -> None:
    seen(household, film("Harbour"), part(1))
    browser = household.browser()

    offered = re.findall(r'href="(/api/v1/exports/[^"]+)"', browser.get("/history/export").text)

    assert len(offered) >= 7
    for address in offered:
        answer = browser.get(address)
        assert answer.status_code == 200, address
        assert answer.content


def test_a_ticked_play_says_so(household: Household) -> None:
    seen(household, film("Harbour", dated=Dated.TICKED))

    browser = household.browser()

    assert "date unknown" in browser.get("/history").text
    assert "marked then, watched earlier" in browser.get("/history/plays/1").text
