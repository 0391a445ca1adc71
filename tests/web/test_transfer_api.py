"""History in and out over the API: files, jobs, edits, and that nobody touches another's."""

from __future__ import annotations

import dataclasses
import gc
import io
import re
import shutil
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from icalendar import Calendar
from sqlalchemy import func, insert, select, update

from tests.evening import plex
from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.fakes.trakt import Trakt
from tests.running import Process, started
from tests.servers._adapters import put_plex
from tests.web.conftest import Household, Open
from webhook import clock
from webhook.accounts import accounts
from webhook.domain.event import Action, Episode, Ids, Item, Movie, Show
from webhook.domain.play import Play, State
from webhook.storage import tables
from webhook.transfer import exports, imports, merge
from webhook.transfer.limits import Limits, NoRoom, Uploads
from webhook.transfer.records import Kept, Relation, Viewing

DIARY = b"""Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2024-01-02,Paper Boats,2016,https://boxd.it/1,4.5,,,2024-01-01
2024-01-03,Salt Road,1995,https://boxd.it/2,4,,,2024-01-02
2024-03-03,,1995,https://boxd.it/9,,,,2024-03-02
"""
AT = datetime(2024, 3, 1, 20, 15, tzinfo=UTC)
EMPTY = b'{"format":"watchmark","version":1}\n'


@pytest.fixture
def working(opened: Open) -> Household:
    """A service that carries out what it is asked."""
    return opened(WORKER="true")


def viewing(title: str, at: datetime, item: Item | None = None) -> Viewing:
    film = item or Movie(title=title, year=2001, ids=Ids(tmdb=sum(map(ord, title))))
    seen = Play(item=film, state=State.STOPPED, started_at=at, last_at=at, watched_at=at, source="trakt")
    return Viewing(play=seen, foreign_key=f"trakt:{title}:{at.isoformat()}")


def bring(home: Household, *entries: Viewing | Kept, person_id: int = 1) -> None:
    home.do(lambda connection: merge.merge_entries(connection, person_id, entries, clock.now()))


def count(home: Household, table: Any = tables.play) -> int:
    return int(
        home.do(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())
    )


def over(api: httpx.Client, job: dict[str, Any], seconds: float = 20) -> dict[str, Any]:
    """The job, once it is over."""
    ends = time.monotonic() + seconds
    while job["state"] == "running":
        assert time.monotonic() < ends, job
        time.sleep(0.05)
        job = api.get(f"/api/v1/jobs/{job['id']}").json()
    return job


def left(home: Household) -> list[str]:
    folder = home.service.settings.data_dir / "imports"
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def soon(holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 10
    while not holds() and time.monotonic() < ends:
        time.sleep(0.02)
    return holds()


# --- files to import


def test_a_file_is_imported_and_then_not_kept(working: Household) -> None:
    api = working.api()

    answer = api.post("/api/v1/imports/letterboxd?name=diary.csv", content=DIARY)
    job = over(api, answer.json()["job"])

    assert answer.status_code == 202
    assert (job["state"], job["person"], job["name"], job["what"]) == (
        "done",
        "me",
        "diary.csv",
        "letterboxd",
    )
    assert (job["counts"]["added"], job["counts"]["bad"]) == (2, 1)
    assert [play["title"] for play in api.get("/api/v1/plays").json()["items"]] == [
        "Salt Road",
        "Paper Boats",
    ]
    assert soon(lambda: left(working) == [])


def test_a_dry_run_is_answered_with_the_report_and_brings_nothing(home: Household) -> None:
    report = home.api().post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true", content=DIARY)

    assert report.status_code == 200
    shown = report.json()
    assert (shown["dry_run"], shown["counts"]["added"], shown["person"]) == (True, 2, "me")
    assert (shown["bad"][0]["file"], shown["bad"][0]["line"]) == ("diary.csv", 4)
    assert count(home) == count(home, tables.job) == 0
    assert left(home) == []


def test_an_unknown_kind_names_those_there_are(home: Household) -> None:
    answer = home.api().post("/api/v1/imports/betamax", content=DIARY)

    assert answer.status_code == 404
    assert all(kind in answer.json()["detail"] for kind in imports.modules())


def test_a_truncated_zip_is_refused_in_a_sentence(working: Household) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("diary.csv", DIARY)

    for dry_run in ("true", "false"):
        answer = working.api().post(
            f"/api/v1/imports/letterboxd?dry_run={dry_run}", content=packed.getvalue()[:-40]
        )

        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("upload.zip is a zip, but cut off or damaged.")
    assert left(working) == []
    assert count(working, tables.job) == 0


@pytest.mark.parametrize(
    ("path", "options", "status", "says"),
    [
        ("letterboxd", {"content": b""}, 400, "body is empty"),
        ("letterboxd", {"files": {"file": DIARY}}, 415, "not a form"),
        ("letterboxd?dry_run=maybe", {"content": DIARY}, 400, "dry_run"),
        ("letterboxd?dryrun=true", {"content": DIARY}, 400, "dryrun"),
        ("letterboxd?person=nobody", {"content": DIARY}, 400, "person"),
        ("letterboxd?name=..", {"content": DIARY}, 400, "name"),
        ("trakt?dry_run=true", {"content": DIARY}, 422, "no list of Trakt's"),
    ],
)
def test_what_cannot_be_imported_is_a_problem(
    working: Household, path: str, options: dict[str, Any], status: int, says: str
) -> None:
    answer = working.api().post(f"/api/v1/imports/{path}", **options)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert left(working) == []


def test_a_name_with_folders_is_only_a_name(working: Household) -> None:
    api = working.api()

    answer = api.post("/api/v1/imports/letterboxd?name=../../up/diary.csv", content=DIARY)

    assert over(api, answer.json()["job"])["name"] == "diary.csv"


def test_a_file_over_the_limit_is_refused_before_and_while_it_is_sent(opened: Open) -> None:
    home = opened(IMPORT_MAX_BYTES="100000")

    for content in (b"x" * 200_000, iter([b"x" * 50_000] * 4)):
        answer = home.api().post("/api/v1/imports/trakt?dry_run=true", content=content)

        assert answer.status_code == 413
        assert "The file is larger than" in answer.json()["detail"]
        assert "IMPORT_MAX_BYTES" in answer.json()["detail"]
        assert answer.headers["connection"] == "close"
    assert left(home) == []


def bomb(rows: int) -> bytes:
    """A zip of a few kilobytes with so many rows in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("diary.csv", DIARY.splitlines()[0] + b"\n" + b"x\n" * rows)
    return packed.getvalue()


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_file_of_more_rows_than_are_taken_is_left_in_a_sentence(opened: Open, dry_run: str) -> None:
    home = opened(WORKER="true", IMPORT_MAX_ROWS="3000")
    api = home.api()

    answer = api.post(f"/api/v1/imports/letterboxd?dry_run={dry_run}", content=bomb(1_000_000))

    if dry_run == "true":
        assert answer.status_code == 422
        said = answer.json()["detail"]
    else:
        job = over(api, answer.json()["job"])
        assert (job["state"], job["counts"]["bad"]) == ("failed", 3000)
        said = job["error"]
    assert "more than 3,000 rows (IMPORT_MAX_ROWS)" in said
    assert soon(lambda: left(home) == [])


def test_webhooks_are_taken_while_a_bomb_is_imported(tmp_path: Path) -> None:
    with started(Process(tmp_path, IMPORT_MAX_ROWS="20000").prepare()) as process:
        job = process.api_post("/imports/letterboxd", content=bomb(3_000_000))["job"]
        answers: list[int] = []
        while process.api(f"/jobs/{job['id']}")["state"] == "running":
            answers.append(process.post("plex", plex("media.scrobble", len(answers))).status_code)

        assert set(answers) == {200}
        assert process.api(f"/jobs/{job['id']}")["counts"]["bad"] == 20_000
        assert process.held_up() < 1.0


def test_a_file_that_takes_too_long_is_left_in_a_sentence(
    working: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dataclasses.replace(working.service.imports.limits, minutes=0)
    monkeypatch.setattr(working.service.imports, "limits", limits)

    answer = working.api().post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true", content=DIARY)

    assert answer.status_code == 422
    assert "longer than 0 minutes (IMPORT_MAX_MINUTES)" in answer.json()["detail"]


def test_only_so_many_files_of_one_person_are_taken_at_a_time(opened: Open) -> None:
    home = opened(WORKER="true", IMPORTS_PER_PERSON="2")
    going, begun = threading.Event(), threading.Semaphore(0)

    def slow() -> Iterator[bytes]:
        yield DIARY.splitlines()[0] + b"\n"
        begun.release()
        going.wait(20)

    def send() -> int:
        return (
            home.api()
            .post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true", content=slow())
            .status_code
        )

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(send) for _ in range(2)]
        for _ in waiting:
            assert begun.acquire(timeout=20)
        assert soon(lambda: len(home.service.imports.uploads.under_way) == 2)
        refused = home.api().post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true", content=DIARY)
        others = home.api(home.person("ben")).post(
            "/api/v1/imports/letterboxd?name=diary.csv&dry_run=true&person=ben", content=DIARY
        )
        going.set()
        assert [one.result(20) for one in waiting] == [200, 200]

    assert refused.status_code == 429
    assert "IMPORTS_PER_PERSON" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    assert others.status_code == 200
    assert (
        home.api()
        .post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true&person=me", content=DIARY)
        .status_code
        == 200
    )


def test_a_file_that_would_leave_webhooks_no_room_is_refused_before_it_is_sent(opened: Open) -> None:
    home = opened(WORKER="true", DISK_RESERVE_BYTES=str(1 << 60))

    answer = home.api().post("/api/v1/imports/letterboxd?dry_run=true", content=DIARY)

    assert answer.status_code == 507
    assert "are kept free for webhooks (DISK_RESERVE_BYTES)" in answer.json()["detail"]
    assert home.api().post("/webhooks/generic", json={}).status_code == 404  # the door is another matter
    assert left(home) == []


def test_what_several_files_have_still_to_send_is_room_that_is_taken(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    uploads = Uploads(tmp_path, Limits(size=free, reserve=0, per_person=9))

    with uploads.receive(1, free * 2 // 3) as first:
        with pytest.raises(NoRoom), uploads.receive(2, free * 2 // 3):
            pass
        assert uploads.under_way == [first]
    with uploads.receive(2, free * 2 // 3):
        pass


def test_an_import_stops_where_webhooks_would_have_no_room(
    working: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills(bundle: object) -> Iterator[object]:
        for number in range(2000):
            if number == 1200:
                full = dataclasses.replace(working.service.imports.limits, reserve=1 << 60)
                monkeypatch.setattr(working.service.imports.uploads, "limits", full)
            yield viewing(f"Film {number}", AT + timedelta(minutes=number))

    monkeypatch.setattr(imports.modules()["trakt"], "read", fills)
    api = working.api()

    job = over(api, api.post("/api/v1/imports/trakt", content=b"[]").json()["job"])

    assert (job["state"], job["counts"]["added"]) == ("failed", 1000)
    assert "kept free for webhooks" in job["error"]


def test_a_process_that_only_receives_takes_no_import(home: Household) -> None:
    answer = home.api().post("/api/v1/imports/letterboxd", content=DIARY)

    assert answer.status_code == 503
    assert "watchmark import KIND FILE" in answer.json()["detail"]


def test_a_file_of_20_mb_is_never_in_memory(home: Household) -> None:
    def sent() -> Iterator[bytes]:
        yield EMPTY
        for _ in range(320):
            yield b"x" * 65_535 + b"\n"

    api = home.api()
    api.post("/api/v1/imports/watchmark?dry_run=true", content=EMPTY)  # what is loaded once is loaded
    gc.collect()
    tracemalloc.start()
    try:
        answer = api.post("/api/v1/imports/watchmark?dry_run=true", content=sent())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.json()["counts"]["bad"] == 320
    assert most < 8_000_000


def test_an_import_that_meets_a_fault_of_ours_ends_and_the_service_goes_on(
    working: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(bundle: object) -> Iterator[object]:
        yield viewing("First", AT)
        yield from (viewing(f"Film {number}", AT) for number in range(600))
        raise ZeroDivisionError

    monkeypatch.setattr(imports.modules()["trakt"], "read", broken)
    api = working.api()

    job = over(api, api.post("/api/v1/imports/trakt", content=b"[]").json()["job"])

    assert job["state"] == "failed"
    assert "ZeroDivisionError" in job["error"]
    assert "what came in is kept" in job["error"]
    assert job["counts"]["added"] > 0
    assert (
        over(api, api.post("/api/v1/imports/letterboxd?name=diary.csv", content=DIARY).json()["job"])["state"]
        == "done"
    )


def test_an_import_is_cancelled(working: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(bundle: object) -> Iterator[object]:
        for number in range(1_000_000):
            if number > 500:
                time.sleep(0.001)
            yield viewing(f"Film {number}", AT + timedelta(minutes=number))

    monkeypatch.setattr(imports.modules()["trakt"], "read", endless)
    api = working.api()
    job = api.post("/api/v1/imports/trakt", content=b"[]").json()["job"]

    answer = api.post(f"/api/v1/jobs/{job['id']}/cancel")
    again = api.post(f"/api/v1/jobs/{job['id']}/cancel")

    assert answer.json()["job"]["state"] == "cancelled"
    assert again.status_code == 409
    assert soon(lambda: left(working) == [])


def test_a_killed_import_goes_on_at_the_next_start(tmp_path: Path) -> None:
    lines = DIARY.splitlines()[:1]
    lines += [f"2024-01-02,Film {n},2001,https://boxd.it/{n},,,,2024-01-01".encode() for n in range(30_000)]
    with started(Process(tmp_path).prepare()) as process:
        given = {"params": {"name": "diary.csv"}, "content": b"\n".join(lines)}
        job = process.api_post("/imports/letterboxd", **given)["job"]
        assert soon(lambda: process.api(f"/jobs/{job['id']}")["counts"].get("added", 0) > 0)
        process.kill()
        process.start()
        before = process.api(f"/jobs/{job['id']}")["counts"]["added"]
        assert 0 < before < 30_000
        ends = time.monotonic() + 60
        while (shown := process.api(f"/jobs/{job['id']}"))["state"] == "running" and time.monotonic() < ends:
            time.sleep(0.1)

    assert (shown["state"], shown["counts"]["added"], shown["counts"]["known"]) == ("done", 30_000, 0)
    assert not list((tmp_path / "imports").iterdir())


# --- files to take away


@pytest.mark.parametrize("kind", [*exports.modules()])
def test_every_kind_is_downloaded(home: Household, kind: str) -> None:
    bring(home, viewing("One", AT))

    answer = home.api().get(f"/api/v1/exports/{kind}")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == exports.modules()[kind].MEDIA_TYPE
    named = rf'attachment; filename="watchmark-me-{kind}-\d{{4}}-\d\d-\d\d\.{exports.modules()[kind].SUFFIX}"'
    assert re.fullmatch(named, answer.headers["content-disposition"])
    assert answer.content


def test_a_month_is_downloaded(home: Household) -> None:
    bring(home, viewing("March", AT), viewing("April", AT + timedelta(days=31)))

    text = home.api().get("/api/v1/exports/csv?since=2024-04-01&until=2024-05-01").text

    assert "April" in text
    assert "March" not in text
    assert home.api().get("/api/v1/exports/csv?since=spring").status_code == 400


def test_an_unknown_export_names_those_there_are(home: Household) -> None:
    answer = home.api().get("/api/v1/exports/betamax")

    assert answer.status_code == 404
    assert "letterboxd" in answer.json()["detail"]


def test_what_is_downloaded_is_imported_again(working: Household) -> None:
    bring(
        working,
        viewing("One", AT),
        Kept(relation=Relation.RATING, item=Movie(title="One", ids=Ids(tmdb=1)), at=AT, value=8),
    )
    api = working.api()
    ben = working.person("ben")
    own = api.get("/api/v1/exports/watchmark?person=me").content

    over(api, api.post("/api/v1/imports/watchmark?person=ben", content=own).json()["job"])

    assert working.api(ben).get("/api/v1/exports/watchmark").content == own


# --- backfill


@pytest.fixture
def trakt(opened: Open) -> Iterator[Household]:
    with Server(Trakt()) as server:
        yield opened(
            TRAKT_CLIENT_ID="fake-client-id", TRAKT_CLIENT_SECRET="fake-client-secret", WORKER="true",
            TRAKT_API_URL=server.url, TRAKT_AUTH_URL=server.url,
        )  # fmt: skip


def test_a_backfill_is_looked_at_and_done(working: Household) -> None:
    api = working.api()
    bring(working, viewing("One", AT), viewing("Two", AT + timedelta(days=1)))

    would = api.post("/api/v1/accounts/1/backfill?dry_run=true")
    begun = api.post("/api/v1/accounts/1/backfill")
    job = over(api, begun.json()["job"])

    assert (would.status_code, would.json()["counts"]["sent"]) == (200, 2)
    assert (begun.status_code, job["state"], job["counts"]["done"]) == (202, "done", 2)
    assert (job["kind"], job["what"], job["account"]) == ("backfill", "tvtime", 1)


def test_an_account_that_is_signed_out_says_so(trakt: Household) -> None:
    trakt.do(
        lambda connection: accounts.insert_account(
            connection, 1, "trakt", [Action.WATCHED, Action.STOP], clock.now()
        )
    )

    answer = trakt.api().post("/api/v1/accounts/2/backfill?dry_run=true")

    assert answer.status_code == 409
    assert "not signed in" in answer.json()["detail"]


def test_an_account_that_is_not_told_of_it_is_not_filled(working: Household) -> None:
    untold = update(tables.account).values(tells=[])
    working.do(lambda connection: connection.execute(untold))

    answer = working.api().post("/api/v1/accounts/1/backfill")

    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("Telling TV Time of watched items is switched off")
    assert working.api().post("/api/v1/accounts/77/backfill").status_code == 404


# --- catch-up


def test_catch_up_is_asked_for_and_shown(opened: Open) -> None:
    with Server(PlexServer()) as server:
        home = opened(WORKER="true", PLEX_URL=server.url, PLEX_TOKEN=server.fake.switches.token)
        api = home.api()
        assert soon(lambda: api.get("/api/v1/catch-up").json()["items"][0]["ran_at"] is not None)
        before = api.get("/api/v1/catch-up").json()["items"][0]["ran_at"]
        put_plex(server.fake, "Nora", 1, clock.now() + timedelta(seconds=1))

        asked = api.post("/api/v1/catch-up")

        assert (asked.status_code, asked.json()) == (202, {"asked": ["plex"]})
        assert soon(lambda: api.get("/api/v1/catch-up").json()["items"][0]["ran_at"] > before)
        (shown,) = api.get("/api/v1/catch-up").json()["items"]
        assert (shown["server"], shown["repaired"], shown["error"]) == ("plex", 1, None)


def test_without_a_server_there_is_nothing_to_ask(working: Household) -> None:
    assert working.api().get("/api/v1/catch-up").json() == {"items": [], "next": None}
    assert working.api().post("/api/v1/catch-up").status_code == 409


# --- plays by hand


def test_a_play_is_shown_with_what_was_told_and_changed(home: Household) -> None:
    home.hear()
    home.settle("done")
    api = home.api()

    changed = api.patch("/api/v1/plays/1", json={"watched_at": "2024-03-01T20:15:00Z"}).json()
    shown = api.get("/api/v1/plays/1").json()

    assert (changed["undone"], changed["told"]) == (["tvtime"], ["tvtime"])
    assert shown == changed["play"]
    assert shown["watched_at"] == "2024-03-01T20:15:00.000Z"
    assert [one["action"] for one in shown["deliveries"]] == ["watched", "unwatched", "watched"]
    assert [(one["what"], one["by"]) for one in shown["edits"]] == [("redated", "API token")]
    assert home.service.interpreter.told.is_set()


def test_a_removed_play_is_gone_from_the_list_and_keeps_its_trace(home: Household) -> None:
    home.hear()
    home.settle("done")
    api = home.api()

    answer = api.delete("/api/v1/plays/1").json()

    assert answer["undone"] == ["tvtime"]
    assert answer["play"]["removed_at"] is not None
    assert api.get("/api/v1/plays").json()["items"] == []
    assert api.delete("/api/v1/plays/1").status_code == 404
    assert api.get("/api/v1/plays/1").json()["edits"][0]["what"] == "removed"


def test_a_play_is_corrected(home: Household) -> None:
    item = Episode(show="Wrong", title="Own", season=1, number=1, ids=Ids(tvdb=5), show_ids=Ids(tvdb=1))
    bring(home, viewing("x", AT, item))

    about = {"show": "Harbour Street", "season": 2, "show_ids": {"tvdb": 70}}
    shown = home.api().patch("/api/v1/plays/1", json={"item": about}).json()["play"]

    assert (shown["show"], shown["season"], shown["number"], shown["title"]) == (
        "Harbour Street",
        2,
        1,
        "Own",
    )
    assert (shown["ids"], shown["show_ids"]) == ({}, {"tvdb": 70})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"watched": "2024-03-01"},
        {"watched_at": None},
        {"watched_at": 7},
        {"watched_at": "2999-01-01T00:00:00Z"},
        {"item": {}},
        {"item": {"kind": "opera"}},
        {"item": {"title": 7}},
        {"item": {"season": 1}},
        {"item": {"year": 7}},
        {"item": {"ids": {"imdb": "7"}}},
        {"item": {"ids": {"tmdb": [7]}}},
        {"item": {"ids": []}},
        {"item": {"colour": "blue"}},
    ],
)
def test_what_is_no_change_is_refused(home: Household, body: dict[str, Any]) -> None:
    bring(home, viewing("One", AT))

    answer = home.api().patch("/api/v1/plays/1", json=body)

    assert answer.status_code == 422
    assert home.api().get("/api/v1/plays/1").json()["edits"] == []


def test_what_is_no_time_is_named(home: Household) -> None:
    bring(home, viewing("One", AT))

    answer = home.api().patch("/api/v1/plays/1", json={"watched_at": "yesterday"})

    assert (answer.status_code, answer.json()["detail"][:10]) == (400, "watched_at")


def test_two_plays_are_made_one(home: Household) -> None:
    bring(home, viewing("One", AT), viewing("Uno", AT + timedelta(days=1)))
    api = home.api()

    assert api.post("/api/v1/plays/1/merge", json={"other": 2}).json()["play"]["id"] == 1
    assert [play["id"] for play in api.get("/api/v1/plays").json()["items"]] == [1]
    for other in (1, 2, 77, "2", None):
        assert api.post("/api/v1/plays/1/merge", json={"other": other}).status_code == 422


@pytest.mark.parametrize("wanted", ["0", "x", "9" * 30])
def test_an_id_that_cannot_be_is_not_found(home: Household, wanted: str) -> None:
    api = home.api()

    assert api.get(f"/api/v1/plays/{wanted}").status_code == 404
    assert api.get(f"/api/v1/jobs/{wanted}").status_code == 404
    assert api.post(f"/api/v1/accounts/{wanted}/backfill").status_code == 404


# --- the library, what has no ids, numbers, what comes next


def test_the_library_is_listed_in_pages(home: Household) -> None:
    films = [
        Kept(
            relation=Relation.WATCHLIST,
            item=Movie(title=f"Film {n}", ids=Ids(tmdb=n)),
            at=AT + timedelta(days=n),
        )
        for n in range(1, 6)
    ]
    bring(
        home,
        *films,
        Kept(relation=Relation.FOLLOW, item=Show(title="Harbour Street", ids=Ids(tvdb=70)), at=AT),
    )
    api = home.api()

    page = api.get("/api/v1/library?limit=4").json()
    rest = api.get(f"/api/v1/library?limit=4&after={page['next']}").json()

    assert [one["title"] for one in page["items"]] == ["Film 5", "Film 4", "Film 3", "Film 2"]
    assert ([one["title"] for one in rest["items"]], rest["next"]) == (["Film 1", "Harbour Street"], None)
    assert [one["relation"] for one in api.get("/api/v1/library?relation=follow").json()["items"]] == [
        "follow"
    ]
    assert api.get("/api/v1/library?relation=hate").status_code == 400


def nameless(home: Household) -> None:
    bring(home, viewing("Salt Road", AT, Movie(title="Salt Road", year=1995)))
    candidates = [{"kind": "movie", "title": "Salt Road", "year": 1995, "ids": {"tmdb": 77}}]
    waits = update(tables.unresolved).values(
        state="unmatched", reason="nobody knows it", candidates=candidates
    )
    home.do(lambda connection: connection.execute(waits))


@pytest.mark.parametrize("choice", [{"candidate": 1}, {"ids": {"tmdb": 77}}])
def test_what_came_without_an_id_is_matched_by_its_key(home: Household, choice: dict[str, Any]) -> None:
    nameless(home)
    api = home.api()
    (waits,) = api.get("/api/v1/unresolved").json()["items"]

    answer = api.post("/api/v1/unresolved/match", json={"key": waits["key"], **choice})

    assert answer.json() == {"key": "movie:title:saltroad:1995", "plays": 1}
    assert api.get("/api/v1/plays/1").json()["ids"] == {"tmdb": 77}
    assert api.get("/api/v1/unresolved").json()["items"] == []


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (Movie(title="Salt Road"), "movie:title:saltroad:"),
        (Episode(show="Harbour Street", title="Pilot"), "show:title:harbourstreet"),
        (Episode(show="Harbour Street", season=1, title="Pilot"), "show:title:harbourstreet"),
    ],
)
def test_what_has_neither_an_id_nor_a_year_or_number_is_asked_about(
    home: Household, item: Movie | Episode, key: str
) -> None:
    bring(home, viewing("row-1", AT, item))
    unmatched = update(tables.unresolved).values(state="unmatched", reason="nobody knows it")
    home.do(lambda connection: connection.execute(unmatched))
    api = home.api()

    assert [(one["key"], one["plays"]) for one in api.get("/api/v1/unresolved").json()["items"]] == [(key, 1)]
    waits = api.get("/api/v1/needs-you").json()
    assert [(one["key"], one["plays"]) for one in waits["unresolved"]] == [(key, 1)]
    assert waits["counts"]["unresolved"] == 1
    answer = api.post("/api/v1/unresolved/match", json={"key": key, "ids": {"tvdb": 77}})

    assert answer.json() == {"key": key, "plays": 1}
    about = api.get("/api/v1/plays/1").json()
    assert {**about["ids"], **(about["show_ids"] or {})} == {"tvdb": 77}
    assert api.get("/api/v1/needs-you").json()["counts"]["unresolved"] == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ids": {"tmdb": 1}}, 422),
        ({"key": 7, "ids": {"tmdb": 1}}, 422),
        ({"key": "movie:title:nothing:1", "ids": {"tmdb": 1}}, 404),
        ({"key": "movie:title:saltroad:1995"}, 422),
        ({"key": "movie:title:saltroad:1995", "candidate": 9}, 422),
        ({"key": "movie:title:saltroad:1995", "candidate": 1, "season_offset": 1}, 422),
    ],
)
def test_a_choice_that_cannot_be_is_refused(home: Household, body: dict[str, Any], status: int) -> None:
    nameless(home)

    assert home.api().post("/api/v1/unresolved/match", json=body).status_code == status
    assert len(home.api().get("/api/v1/unresolved").json()["items"]) == 1


def test_numbers_are_of_a_year_or_of_all(home: Household) -> None:
    bring(home, viewing("One", AT), viewing("Two", AT - timedelta(days=400)))
    api = home.api()

    year, ever = api.get("/api/v1/numbers?year=2024").json(), api.get("/api/v1/numbers").json()

    assert (year["person"], year["year"], year["years"]) == ("me", 2024, [2024, 2023])
    assert (len(year["days"]), len(ever["days"])) == (1, 2)
    assert api.get("/api/v1/numbers?year=99").status_code == 400


def test_what_comes_next_is_listed_for_followed_shows(home: Household) -> None:
    bring(home, Kept(relation=Relation.FOLLOW, item=Show(title="Harbour Street", ids=Ids(tvdb=70)), at=AT))

    (following,) = home.api().get("/api/v1/follows/next").json()["items"]

    assert (following["show"], following["known"], following["episode"]) == ("Harbour Street", False, None)


def test_a_calendar_is_read_with_the_token_in_its_address(home: Household) -> None:
    bring(home, viewing("Lately", clock.now() - timedelta(days=1)), viewing("Long Ago", AT))
    client, token = home.client(), home.token("api", 1)

    answer = client.get(f"/api/v1/calendar.ics?token={token}")
    further = client.get(f"/api/v1/calendar.ics?token={token}&since=2024-01-01")

    assert answer.headers["content-type"].startswith("text/calendar")
    assert [str(event["SUMMARY"]) for event in Calendar.from_ical(answer.text).walk("VEVENT")] == [
        "Lately (2001)"
    ]
    assert len(Calendar.from_ical(further.text).walk("VEVENT")) == 2
    assert client.get("/api/v1/calendar.ics").status_code == 401
    assert client.get(f"/api/v1/calendar.ics?token={home.token('webhook')}").status_code == 401
    assert client.get(f"/api/v1/calendar.ics?token={home.token('api')}").status_code == 403


# --- whose


@pytest.fixture
def two(working: Household) -> tuple[Household, httpx.Client, httpx.Client]:
    """Clients of ann and of ben, who are no owners and have each something of their own."""
    home = working
    ann, ben = member(home, "ann"), member(home, "ben")
    return home, home.api(ann), home.api(ben)


def member(home: Household, name: str) -> int:
    """Somebody new, with a play, a library entry, a job and an account; their number."""
    number = home.person(name)
    film = Movie(title=f"Film of {name}", ids=Ids(tmdb=number))
    bring(home, viewing(f"Film of {name}", AT, film), person_id=number)
    bring(home, Kept(relation=Relation.LOVE, item=film, at=AT), person_id=number)
    job = {"kind": "import", "what": "trakt", "person_id": number, "state": "running", "counts": {}}
    begun = {**job, "created_at": AT, "changed_at": AT}
    home.do(lambda connection: connection.execute(insert(tables.job), begun))
    home.do(lambda connection: accounts.add_builtin_accounts(connection, home.service.trackers, number, AT))
    return number


def test_members_see_only_their_own(two: tuple[Household, httpx.Client, httpx.Client]) -> None:
    _, ann, ben = two

    for client, name, other in ((ann, "ann", "ben"), (ben, "ben", "ann")):
        assert {one["person"] for one in client.get("/api/v1/jobs").json()["items"]} == {name}
        assert {one["person"] for one in client.get("/api/v1/library").json()["items"]} == {name}
        assert f"Film of {name}" in client.get("/api/v1/exports/csv").text
        assert f"Film of {other}" not in client.get("/api/v1/exports/csv").text
        assert client.get("/api/v1/numbers").json()["person"] == name
        for path in ("exports/csv", "library", "jobs", "numbers", "follows/next", "up-next", "unresolved"):
            assert client.get(f"/api/v1/{path}?person={other}").status_code == 403


def test_members_change_nothing_of_one_another(two: tuple[Household, httpx.Client, httpx.Client]) -> None:
    home, ann, ben = two
    (theirs,) = ben.get("/api/v1/plays").json()["items"]
    (job,) = ben.get("/api/v1/jobs").json()["items"]
    mine = ann.get("/api/v1/plays").json()["items"][0]["id"]
    account = ben.get("/api/v1/accounts").json()["items"][0]["id"]
    play = f"/api/v1/plays/{theirs['id']}"

    refused = [
        ann.get(play),
        ann.delete(play),
        ann.patch(play, json={"watched_at": "2024-01-01T00:00:00Z"}),
        ann.post(f"{play}/merge", json={"other": mine}),
        ann.get(f"/api/v1/jobs/{job['id']}"),
        ann.post(f"/api/v1/jobs/{job['id']}/cancel"),
        ann.post(f"/api/v1/accounts/{account}/backfill"),
        ann.post(f"/api/v1/accounts/{account}/backfill?dry_run=true"),
    ]

    assert {answer.status_code for answer in refused} == {404}
    assert ann.post(f"/api/v1/plays/{mine}/merge", json={"other": theirs["id"]}).status_code == 422
    assert ann.post("/api/v1/imports/letterboxd?person=ben", content=DIARY).status_code == 403
    assert ann.get("/api/v1/catch-up").status_code == 403
    assert ann.post("/api/v1/catch-up").status_code == 403
    assert ben.get(play).json()["edits"] == []
    assert count(home, tables.edit) == 0


def test_a_member_matches_only_what_they_have_watched(
    two: tuple[Household, httpx.Client, httpx.Client],
) -> None:
    home, ann, _ = two
    nameless(home)

    choice = {"key": "movie:title:saltroad:1995", "candidate": 1}

    assert ann.get("/api/v1/unresolved").json()["items"] == []
    assert ann.post("/api/v1/unresolved/match", json=choice).status_code == 404


def test_a_token_of_nobody_must_say_whose(two: tuple[Household, httpx.Client, httpx.Client]) -> None:
    home, _, _ = two

    assert home.api().get("/api/v1/exports/csv").status_code == 400
    assert home.api().get("/api/v1/exports/csv?person=ann").status_code == 200
    assert home.api(1).get("/api/v1/numbers").json()["person"] == "me"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs"), ("POST", "imports/trakt"), ("GET", "exports/csv"), ("GET", "library"), ("GET", "plays/1"),
        ("DELETE", "plays/1"), ("GET", "numbers"), ("POST", "catch-up"), ("POST", "accounts/1/backfill"),
    ],
)  # fmt: skip
def test_everything_wants_a_token(home: Household, method: str, path: str) -> None:
    answer = home.client().request(method, f"/api/v1/{path}", content=DIARY if method == "POST" else None)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_who_is_not_let_in_is_hung_up_on_and_sends_no_file(home: Household) -> None:
    answer = home.client().post("/api/v1/imports/trakt", content=DIARY)

    assert (answer.status_code, answer.headers["connection"]) == (401, "close")
    assert left(home) == []


# --- the document


def test_what_the_document_requires_is_given(two: tuple[Household, httpx.Client, httpx.Client]) -> None:
    home, ann, _ = two
    nameless(home)
    bring(home, Kept(relation=Relation.FOLLOW, item=Show(title="Harbour Street", ids=Ids(tvdb=70)), at=AT))
    schemas = home.client().get("/api/v1/openapi.json").json()["components"]["schemas"]
    me = home.api(1)

    for path, schema in (
        ("jobs", "Job"),
        ("library", "LibraryEntry"),
        ("unresolved", "Unresolved"),
        ("follows/next", "NextEpisode"),
    ):
        for item in me.get(f"/api/v1/{path}").json()["items"]:
            assert item.keys() == set(schemas[schema]["required"])
    report = me.post("/api/v1/imports/letterboxd?name=diary.csv&dry_run=true", content=DIARY).json()
    assert report.keys() == set(schemas["ImportReport"]["required"])
    account = ann.get("/api/v1/accounts").json()["items"][0]["id"]
    would = ann.post(f"/api/v1/accounts/{account}/backfill?dry_run=true").json()
    assert would.keys() == set(schemas["BackfillReport"]["required"])
    whole = ann.get("/api/v1/plays/1").json()
    assert whole.keys() >= set(schemas["PlayDetail"]["required"])
    assert me.get("/api/v1/numbers").json().keys() >= set(schemas["Numbers"]["required"])
