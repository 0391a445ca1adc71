"""The commands for history in and out, and for putting it right, against real files, fakes and processes."""

from __future__ import annotations

import os
import signal
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from tests.fakes._server import Server
from tests.fakes.plex_server import PlexServer
from tests.servers._adapters import put_plex
from tests.test_cli import Home, soon, watched
from webhook import clock
from webhook.domain.event import Episode, Ids, Movie, Show, Track
from webhook.domain.play import Dated, Play, State
from webhook.storage import tables
from webhook.transfer import exports, imports, merge
from webhook.transfer.records import Kept, Relation, Viewing

DIARY = """Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2024-01-02,Paper Boats,2016,https://boxd.it/1,4.5,,,2024-01-01
2024-01-03,Salt Road,1995,https://boxd.it/2,4,,,2024-01-02
2024-02-03,Salt Road,1995,https://boxd.it/3,,Yes,,2024-02-02
"""
AT = datetime(2024, 3, 1, 20, 15, 0, 123000, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    prefixes = (
        "TRAKT_",
        "TVTIME_",
        "DATABASE_",
        "ADMIN_",
        "BASE_",
        "PLEX_",
        "JELLYFIN_",
        "EMBY_",
        "TAUTULLI_",
    )
    for name in list(os.environ):
        if name.startswith(prefixes) or name.endswith("_FILE") or name in ("HOST", "PORT", "SECRET_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLAIM_FIRST_USER", "true")
    return Home(tmp_path, monkeypatch)


def test_without_a_kind_an_import_lists_them_all(home: Home) -> None:
    listed, shown = home.json("import"), home.run("import")

    assert [*listed["files"]] == [*imports.modules()]
    assert {"plex", "trakt", "mdblist"} <= listed["services"].keys()
    assert not {"anilist", "mal", "tvtime", "webhook_out"} & listed["services"].keys()
    assert shown.exit_code == 0
    assert "watchmark import KIND FILE" in shown.stdout
    assert all(name in shown.stdout for name in listed["files"] | listed["services"])


def test_an_import_that_was_undone_is_listed_as_undone(home: Home, diary: Path) -> None:
    home.run("import", "letterboxd", str(diary))
    home.run("jobs", "--undo", "1")

    assert "undone" in home.run("jobs").stdout
    assert home.json("jobs")["jobs"][0]["state"] == "done"


def test_without_a_kind_an_export_lists_them_all(home: Home) -> None:
    listed, shown = home.json("export"), home.run("export")

    assert [*listed["formats"]] == [*exports.modules()]
    assert shown.exit_code == 0
    assert all(one["label"] in shown.stdout for one in listed["formats"].values())


@pytest.fixture
def diary(home: Home) -> Path:
    path = home.folder / "diary.csv"
    path.write_text(DIARY)
    return path


def viewing(title: str, at: datetime, **more: Any) -> Viewing:
    item = more.pop("item", None) or Movie(title=title, year=2001, ids=Ids(tmdb=sum(map(ord, title))))
    values = {
        "state": State.STOPPED,
        "started_at": at,
        "last_at": at,
        "watched_at": at,
        "source": "trakt",
        **more,
    }
    return Viewing(play=Play(item=item, **values), foreign_key=f"trakt:{title}:{at:%s}")


def bring(home: Home, *entries: Viewing | Kept, person_id: int = 1) -> None:
    home.run("people", "list")  # makes the database
    home.do(lambda connection: merge.merge_entries(connection, person_id, entries, clock.now()))


def plays(home: Home) -> list[Any]:
    return home.do(
        lambda connection: list(connection.execute(select(tables.play).order_by(tables.play.c.id)))
    )


# --- import


def test_an_import_is_said_in_full_and_nothing_comes_in_twice(home: Home, diary: Path) -> None:
    first = home.json("import", "letterboxd", str(diary))
    again = home.json("import", "letterboxd", str(diary))

    assert (first["counts"]["added"], first["counts"]["known"]) == (3, 0)
    assert (again["counts"]["added"], again["counts"]["known"]) == (0, 3)
    assert (first["first"][:10], first["last"][:10], first["person"]) == ("2024-01-01", "2024-02-02", "me")
    assert first["to_be_looked_up"] == 2
    assert len(plays(home)) == 3


def test_a_dry_run_says_the_same_and_brings_nothing(home: Home, diary: Path) -> None:
    would = home.json("import", "letterboxd", str(diary), "--dry-run")
    did = home.json("import", "letterboxd", str(diary))

    assert would["dry_run"] is True
    assert would["counts"] == did["counts"]
    assert home.json("jobs")["jobs"][0]["id"] == 1  # the dry run was none
    assert {item["title"] for item in would["without_ids"]} == {"Paper Boats", "Salt Road"}


def test_an_import_says_what_it_means_for_the_trackers(home: Home, diary: Path) -> None:
    ended = home.run("import", "letterboxd", str(diary))

    assert ended.exit_code == 0
    assert "Watched between 2024-01-01 and 2024-02-02." in ended.stdout
    assert "Imports are not sent to your trackers. To send them: watchmark backfill TRACKER" in ended.stdout
    assert "2 items wait to be looked up" in ended.stdout


def test_a_bad_row_is_named_and_costs_only_itself(home: Home, diary: Path) -> None:
    diary.write_text(DIARY + "2024-03-03,,1995,https://boxd.it/9,,,,2024-03-02\n")

    ended = home.run("import", "letterboxd", str(diary))

    assert ended.exit_code == 0
    assert "diary.csv, line 5: " in ended.stdout
    assert len(plays(home)) == 3


def test_a_kind_that_does_not_fit_says_what_the_file_looks_like(home: Home, diary: Path) -> None:
    unknown = home.run("import", "letterbox", str(diary))
    wrong = home.run("import", "trakt", str(diary))

    assert unknown.exit_code == 2
    assert all(kind in unknown.stderr for kind in imports.modules())
    assert wrong.exit_code == 1
    for ended in (unknown, wrong):
        assert "looks like letterboxd" in " ".join(ended.stderr.replace("│", " ").split())
    assert plays(home) == []


@pytest.mark.parametrize("kind", ["letterboxd", "nothing"])
def test_what_cannot_be_asked_needs_a_file(home: Home, kind: str) -> None:
    assert home.run("import", kind).exit_code == 2


def test_a_truncated_zip_is_refused_in_a_sentence(home: Home, diary: Path) -> None:
    whole = home.folder / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.write(diary, "diary.csv")
    half = home.folder / "half.zip"
    half.write_bytes(whole.read_bytes()[:-30])

    ended = home.run("import", "letterboxd", str(half))

    assert ended.exit_code == 1
    assert "half.zip is a zip, but cut off or damaged" in ended.stderr


def test_only_the_viewings_of_ones_own_user_come_in_from_a_server(home: Home) -> None:
    with Server(PlexServer()) as server:
        home.set(PLEX_URL=server.url, PLEX_TOKEN=server.fake.switches.token)
        put_plex(server.fake, "Nora", 1, AT)
        put_plex(server.fake, "Ben", 2, AT)
        home.run("people", "claim", "me", "plex:Nora")

        report = home.json("import", "plex")

    assert report["counts"]["added"] == 1
    assert [row.item["title"] for row in plays(home)] == ["Film 1"]


def test_a_server_that_is_not_set_up_names_its_settings(home: Home) -> None:
    ended = home.run("import", "plex")

    assert ended.exit_code == 1
    assert "Plex is not set up to be asked what was played. Set PLEX_URL and PLEX_TOKEN." in ended.stderr


def test_a_tracker_one_is_not_connected_to_says_how(home: Home) -> None:
    home.set(TRAKT_CLIENT_ID="x", TRAKT_CLIENT_SECRET="y")

    ended = home.run("import", "trakt")

    assert ended.exit_code == 1
    assert "Sign in: watchmark connect trakt --person me" in ended.stderr


def test_what_an_account_holds_comes_in_on_demand(home: Home) -> None:
    home.received(watched())
    home.do(lambda connection: connection.execute(tables.play_key.delete()))
    home.do(lambda connection: connection.execute(tables.play.delete()))
    tick = {
        "person_id": 1, "item_key": "tvdb:9", "show_key": "tvdb:1", "kind": "episode", "watched_at": AT, "rewatches": 0,
        "item": {"kind": "episode", "show": "Harbour Street", "season": 1, "number": 2, "ids": {"tvdb": 9}},
    }  # fmt: skip
    home.do(lambda connection: connection.execute(insert(tables.tick), tick))

    report = home.json("import", "tvtime")
    again = home.run("import", "tvtime")

    assert report["counts"]["added"] == 1
    assert "TV Time was read one time." in again.stdout
    assert plays(home)[0].watched_at == AT


def test_ctrl_c_keeps_what_came_in_and_the_same_command_goes_on(home: Home) -> None:
    lines = [DIARY.splitlines()[0]]
    lines += [f"2024-01-02,Film {n},2001,https://boxd.it/{n},,,,2024-01-01" for n in range(30_000)]
    path = home.folder / "diary.csv"
    path.write_text("\n".join(lines) + "\n")
    home.run("people", "list")

    process = home.start("import", "letterboxd", str(path))
    assert soon(lambda: len(plays_counted(home)) > 0)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    came = plays_counted(home)
    again = home.json("import", "letterboxd", str(path))

    assert process.returncode == 1
    assert "What was imported is kept; run the same command to continue." in said
    assert 0 < len(came) < 30_000
    assert again["job"] == 1
    assert again["counts"]["added"] == len(plays_counted(home)) == 30_000


def plays_counted(home: Home) -> list[int]:
    return home.do(lambda connection: list(connection.execute(select(tables.play.c.id)).scalars()))


# --- export


def test_an_export_brought_into_an_empty_install_makes_the_same_export(
    home: Home, diary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home.received(watched())
    half = {**watched(title="Half Seen"), "event": "media.play"}
    half["Metadata"]["Guid"] = [{"id": "tmdb://771101"}]
    home.received(half)
    home.run("import", "letterboxd", str(diary))
    special = Episode(show="Harbour Street", title="Extra", season=0, number=3, show_ids=Ids(tvdb=70))
    aired = Episode(show="Harbour Street", season=2, number=3, ids=Ids(tvdb=701), show_ids=Ids(tvdb=70))
    track = Track(title="Low Tide", artist="The Gulls", album="Shore", number=4)
    show = Show(title="Harbour Street", ids=Ids(tvdb=70))
    bring(
        home,
        viewing("Ticked", AT, dated=Dated.TICKED),
        viewing("Day", AT.replace(hour=12), dated=Dated.DAY),
        viewing("special", AT + timedelta(hours=1), item=special),
        viewing("aired", AT + timedelta(hours=2), item=aired, player="Sofa", duration_ms=2_700_000),
        viewing("track", AT + timedelta(hours=2), item=track),
        viewing("track again", AT + timedelta(minutes=121), item=track),
        viewing("unwatched", AT + timedelta(days=9), unwatched_at=AT + timedelta(days=10)),
        viewing("gone", AT + timedelta(days=3)),
        Kept(relation=Relation.FOLLOW, item=show, at=AT, state="archived"),
        Kept(relation=Relation.WATCHLIST, item=Movie(title="Later", year=2020), at=AT),
        Kept(relation=Relation.LOVE, item=track, at=AT),
        Kept(relation=Relation.COLLECTION, item=aired, at=AT),
        Kept(relation=Relation.RATING, item=show, at=AT, value=7.5),
    )
    near = Play(item=aired, state=State.STOPPED, started_at=AT + timedelta(hours=3), last_at=AT + timedelta(hours=3),
                watched_at=AT + timedelta(hours=3), source="plex")  # fmt: skip
    home.do(lambda connection: merge.add(connection, 1, [(Viewing(play=near), ("episode:tvdb:701",))], None))
    gone = next(row.id for row in plays(home) if row.item["title"] == "gone")
    home.run("history", "remove", str(gone))
    first = home.run("export", "watchmark").stdout_bytes
    path = home.folder / "all.jsonl"
    path.write_bytes(first)

    home.set(DATA_DIR=str(tmp_path_factory.mktemp("empty")))
    report = home.json("import", "watchmark", str(path))
    second = home.run("export", "watchmark").stdout_bytes

    assert second == first
    assert report["counts"]["bad"] == 0
    assert first.count(b'{"play"') == 13
    assert first.count(b'{"kept"') == 7
    assert b"gone" not in first


def test_a_month_is_exported_by_its_days(home: Home, diary: Path) -> None:
    home.run("import", "letterboxd", str(diary))

    said = home.run("export", "csv", "--since", "2024-02-01", "--until", "2024-03-01").stdout

    assert said.count("Salt Road") == 1
    assert "Paper Boats" not in said
    assert home.run("export", "csv", "--since", "yesterday").exit_code == 2


def test_a_rewatch_and_a_rating_stand_in_the_export(home: Home, diary: Path) -> None:
    home.run("import", "letterboxd", str(diary))

    rows = [line.split(",") for line in home.run("export", "csv").stdout.splitlines()]

    at = rows[0].index("rewatch")
    assert [(row[1], row[at], row[at + 1]) for row in rows[1:]] == [
        ("Paper Boats", "", "9.0"), ("Salt Road", "", "8.0"), ("Salt Road", "yes", "8.0"),
    ]  # fmt: skip


def test_a_history_of_several_pages_is_exported_whole_and_in_order(home: Home) -> None:
    many = [
        viewing(
            f"Film {n}", AT + timedelta(minutes=n // 3), item=Movie(title=f"Film {n}", ids=Ids(tmdb=n + 1))
        )
        for n in range(2500)
    ]
    bring(home, *many)

    rows = home.run("export", "csv").stdout.splitlines()[1:]

    assert [row.split(",")[1] for row in rows] == [f"Film {n}" for n in range(2500)]


@pytest.mark.parametrize("kind", [*exports.modules()])
def test_every_kind_is_written_to_a_file(home: Home, diary: Path, kind: str) -> None:
    home.run("import", "letterboxd", str(diary))
    out = home.folder / "out"

    shown = home.json("export", kind, "--out", str(out))

    assert shown["bytes"] == out.stat().st_size > 0
    assert not out.with_name("out.part").exists()


def test_an_export_that_cannot_be_written_leaves_nothing(home: Home) -> None:
    ended = home.run("export", "csv", "--out", str(home.folder / "none" / "out.csv"))

    assert ended.exit_code == 1
    assert "cannot be written: No such file or directory. Nothing was exported." in ended.stderr


def test_an_unknown_kind_and_json_without_a_file_are_wrong_usage(home: Home) -> None:
    assert home.run("export", "nope").exit_code == 2
    assert home.run("export", "csv", "--json").exit_code == 2


# --- backfill


def test_a_backfill_is_looked_at_begun_and_cancelled(home: Home) -> None:
    bring(home, viewing("One", AT), viewing("Two", AT + timedelta(days=1)))

    would = home.json("backfill", "tvtime", "--dry-run")
    begun = home.json("backfill", "tvtime")
    again = home.json("backfill", "tvtime")
    cancelled = home.json("backfill", "tvtime", "--cancel")

    assert (would["counts"]["sent"], would["dry_run"]) == (2, True)
    assert [play["title"] for play in would["plays"]] == ["One", "Two"]
    assert (begun["serving"], begun["job"]["state"], again["job"]["id"]) == (
        False,
        "running",
        begun["job"]["id"],
    )
    assert cancelled["cancelled"] is True
    assert home.json("backfill", "tvtime", "--status")["job"]["state"] == "cancelled"
    assert home.run("backfill", "tvtime", "--cancel").exit_code == 1


def test_a_backfill_is_followed_while_the_service_runs(home: Home) -> None:
    home.set(PORT="0")
    bring(home, viewing("One", AT), viewing("Two", AT + timedelta(days=1)))
    with home.running("serve"):
        done = home.json("backfill", "tvtime")

    assert done["job"]["state"] == "done"
    assert done["job"]["counts"]["done"] == 2
    ticks = home.do(
        lambda connection: connection.execute(select(func.count()).select_from(tables.tick)).scalar()
    )
    assert ticks == 2


def test_ctrl_c_stops_following_a_backfill_and_not_the_backfill(home: Home) -> None:
    home.set(PORT="0", WORKER="false")  # nothing of it is done, so it is followed until it is stopped
    bring(home, viewing("One", AT))
    with home.running("serve"):
        process = home.start("backfill", "tvtime")
        assert soon(lambda: bool(home.json("jobs")["jobs"]))
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    assert "Job 1 continues in the background." in said
    assert home.json("backfill", "tvtime", "--status")["job"]["state"] == "running"


def test_a_backfill_does_one_thing(home: Home) -> None:
    assert home.run("backfill", "tvtime", "--dry-run", "--cancel").exit_code == 2
    assert home.run("backfill", "trakt").exit_code == 1


# --- catch-up


def test_catch_up_puts_what_was_missed_into_the_inbox(home: Home) -> None:
    with Server(PlexServer()) as server:
        home.set(PLEX_URL=server.url, PLEX_TOKEN=server.fake.switches.token)
        home.run("people", "claim", "me", "plex:Nora")
        before = update(tables.person).values(created_at=clock.now() - timedelta(days=1))
        home.do(lambda connection: connection.execute(before))
        put_plex(server.fake, "Nora", 1, clock.now())

        (report,) = home.json("catch-up")["servers"]
        (again,) = home.json("catch-up", "plex")["servers"]
        (status,) = home.json("catch-up", "--status")["servers"]

    assert (report["server"], report["missed"], report["error"]) == ("plex", 1, None)
    assert again["missed"] == 0
    assert status["repaired"] == 1
    assert home.state(1) == "received"


def test_a_server_that_does_not_answer_is_said_and_ends_with_1(home: Home) -> None:
    home.set(PLEX_URL="http://127.0.0.1:9", PLEX_TOKEN="x")

    ended = home.run("catch-up")

    assert ended.exit_code == 1
    assert "plex: could not be reached" in ended.stdout


def test_catch_up_without_a_server_names_the_settings(home: Home) -> None:
    ended = home.run("catch-up")

    assert ended.exit_code == 1
    assert "PLEX_URL and PLEX_TOKEN" in ended.stderr
    assert "there is no server called tivo" in home.run("catch-up", "tivo").stderr.lower()


# --- jobs


def test_jobs_are_listed_and_a_running_one_is_cancelled(home: Home, diary: Path) -> None:
    bring(home, viewing("One", AT))
    home.run("import", "letterboxd", str(diary))
    home.run("backfill", "tvtime")

    assert "letterboxd" in home.run("jobs").stdout
    assert home.json("jobs", "--cancel", "2")["cancelled"] is True
    assert [(job["id"], job["state"]) for job in home.json("jobs")["jobs"]] == [(2, "cancelled"), (1, "done")]
    assert home.run("jobs", "--cancel", "2").exit_code == 1
    assert home.run("jobs", "--cancel", "77").exit_code == 1


# --- the history by hand


def told(home: Home) -> int:
    """A play of which the built-in library was told; its number."""
    home.received(watched())
    marked = update(tables.delivery).values(state="done", settled_at=clock.now())
    home.do(lambda connection: connection.execute(marked))
    (row,) = plays(home)
    return int(row.id)


def actions(home: Home) -> list[tuple[str, str]]:
    wanted = select(tables.delivery.c.action, tables.delivery.c.state).order_by(tables.delivery.c.id)
    return [tuple(row) for row in home.do(lambda connection: connection.execute(wanted).all())]


def test_plays_are_listed_and_found_by_their_title(home: Home) -> None:
    bring(home, viewing("One", AT), viewing("Two", AT + timedelta(days=1)))

    assert [play["title"] for play in home.json("history", "list")["items"]] == ["Two", "One"]
    assert [play["title"] for play in home.json("history", "list", "--text", "on")["items"]] == ["One"]
    assert [play["title"] for play in home.json("history", "list", "--since", "2024-03-02")["items"]] == [
        "Two"
    ]
    page = home.json("history", "list", "--limit", "1")
    assert [play["title"] for play in home.json("history", "list", "--after", page["next"])["items"]] == [
        "One"
    ]
    assert home.run("history", "list", "--after", "nonsense").exit_code == 2


def test_the_list_has_the_filters_of_the_page(home: Home) -> None:
    part = Episode(show="Tidewater", season=1, number=1, show_ids=Ids(tvdb=77))
    films = (viewing("One", AT), viewing("One", AT + timedelta(days=40)), viewing("Two", AT, manual=True))
    bring(home, *films, viewing("Part 1", AT, item=part))
    home.received(watched())
    home.run("history", "remove", "3")

    def ids(*options: str) -> list[int]:
        return sorted(play["id"] for play in home.json("history", "list", *options)["items"])

    assert ids("--kind", "movie") == [1, 2, 5]
    assert ids("--kind", "episode") == [4]
    assert ids("--only", "rewatched") == [2]
    assert ids("--only", "not-sent") == [5]
    assert ids("--only", "removed") == [3]
    assert ids("--only", "by-hand") == []
    assert ids("--library", "Nowhere") == []
    assert ids("--kind", "movie", "--text", "one", "--only", "rewatched") == [2]
    assert home.run("history", "list", "--kind", "show").exit_code == 2
    assert home.run("history", "list", "--only", "seldom").exit_code == 2


def test_a_film_is_added_and_told_with_its_date(home: Home) -> None:
    words = (
        "history",
        "add",
        "Salt Road",
        "--year",
        "1999",
        "--imdb",
        "tt0903747",
        "--at",
        "2024-03-01T20:15",
    )

    done, again = home.json(*words), home.run(*words)

    (row,) = plays(home)
    assert done == {"play": row.id, "person": "me", "added": True, "told": ["tvtime"]}
    assert (row.item["title"], row.item["ids"], row.manual) == ("Salt Road", {"imdb": "tt0903747"}, True)
    assert row.watched_at == datetime(2024, 3, 1, 20, 15, tzinfo=UTC)
    assert "Already added" in again.stdout


def test_an_episode_is_added_without_a_date(home: Home) -> None:
    home.json(
        "history",
        "add",
        "--show",
        "Tidewater",
        "--season",
        "1",
        "--number",
        "3",
        "--tvdb",
        "88",
        "--unknown-date",
    )

    (row,) = plays(home)
    assert (row.item["show"], row.item["season"], row.item["number"]) == ("Tidewater", 1, 3)
    assert (row.item["show_ids"], row.dated) == ({"tvdb": 88}, "ticked")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("Salt Road",), 2, "Enter the date with --at WHEN"),
        (("Salt Road", "--at", "2024-03-01", "--unknown-date"), 2, "Enter the date with --at WHEN"),
        (("Salt Road", "--at", "2999-01-01"), 1, "That day lies in the future"),
        (("--unknown-date",), 1, "Say which film it was"),
        (("--show", "Tidewater", "--unknown-date"), 1, "A show as a whole is no viewing"),
        (("Salt Road", "--year", "3000", "--unknown-date"), 1, "The year must be one from 1870"),
        (("Salt Road", "--unknown-date", "--person", "nobody"), 1, "there is nobody called nobody"),
    ],
)
def test_what_cannot_be_added_is_said(home: Home, words: tuple[str, ...], code: int, says: str) -> None:
    home.run("urls")

    ended = home.run("history", "add", *words)

    assert ended.exit_code == code
    assert says in " ".join(ended.stderr.replace("│", " ").split())
    assert plays(home) == []


def test_a_play_that_is_there_already_is_added_with_rewatch(home: Home) -> None:
    words = ("history", "add", "Salt Road", "--year", "1999", "--at", "2024-03-01")
    home.run(*words)
    home.do(lambda connection: connection.execute(update(tables.play).values(source="plex")))

    refused, counted = home.run(*words), home.run(*words, "--rewatch")

    assert "watched on 1 March 2024. If this was another viewing, add --rewatch." in refused.stderr
    assert counted.exit_code == 0
    assert len(plays(home)) == 2


def test_a_removed_play_is_taken_back_and_stays_away(home: Home) -> None:
    number = told(home)

    done = home.json("history", "remove", str(number))

    assert done["undone"] == ["tvtime"]
    assert actions(home)[-1] == ("unwatched", "waiting")
    assert home.json("history", "list")["items"] == []
    assert home.run("history", "remove", str(number)).exit_code == 1


def test_a_removed_play_is_brought_back(home: Home) -> None:
    number = told(home)
    home.run("history", "remove", str(number))

    ended = home.run("history", "restore", str(number))

    assert "Nothing had to be sent again." in ended.stdout
    assert [play["id"] for play in home.json("history", "list")["items"]] == [number]
    assert home.run("history", "restore", str(number)).exit_code == 1


def test_a_new_time_is_told_anew(home: Home) -> None:
    number = told(home)

    done = home.json("history", "redate", str(number), "2024-05-05T20:00")

    assert (done["undone"], done["told"]) == (["tvtime"], ["tvtime"])
    assert plays(home)[0].watched_at == datetime(2024, 5, 5, 20, tzinfo=UTC)
    assert home.run("history", "redate", str(number), "soon").exit_code == 2
    assert home.run("history", "redate", str(number), "2999-01-01").exit_code == 1


def test_times_are_shifted_all_or_none(home: Home) -> None:
    number = told(home)
    before = plays(home)[0].watched_at

    assert home.run("history", "shift", "--hours", "-2", str(number), "999").exit_code == 1
    assert plays(home)[0].watched_at == before
    done = home.json("history", "shift", "--hours", "-2", str(number))

    assert (done["undone"], done["told"]) == (["tvtime"], ["tvtime"])
    assert plays(home)[0].watched_at == before - timedelta(hours=2)
    assert home.run("history", "shift", "--hours", "0", str(number)).exit_code == 2


def test_a_play_is_given_to_the_person_who_watched_it(home: Home) -> None:
    number = told(home)
    home.run("people", "add", "ben")

    ended = home.run("history", "reassign", "--to", "ben", str(number))

    assert "1 play moved." in ended.stdout
    assert [play["person"] for play in home.json("history", "list")["items"]] == ["ben"]
    assert home.run("history", "reassign", "--to", "zoe", str(number)).exit_code == 1


def test_a_time_without_an_offset_is_the_persons_own(home: Home) -> None:
    number = told(home)
    zoned = update(tables.person).values(timezone="Europe/Berlin")
    home.do(lambda connection: connection.execute(zoned))

    home.run("history", "redate", str(number), "2024-07-05T20:00")

    assert plays(home)[0].watched_at == datetime(2024, 7, 5, 18, tzinfo=UTC)


def test_a_play_is_corrected_by_ids(home: Home) -> None:
    number = told(home)

    done = home.json("history", "correct", str(number), "--tmdb", "603", "--title", "Other", "--year", "1999")

    (row,) = plays(home)
    assert (row.item["title"], row.item["year"], row.item["ids"]) == ("Other", 1999, {"tmdb": 603})
    assert done["told"] == ["tvtime"]
    assert home.run("history", "correct", str(number)).exit_code == 2
    assert home.run("history", "correct", str(number), "--imdb", "603").exit_code == 2


def test_an_id_of_imdb_in_capitals_is_the_one_in_small_letters(home: Home) -> None:
    number = told(home)

    home.json("history", "correct", str(number), "--imdb", "TT0903747")

    (row,) = plays(home)
    assert row.item["ids"] == {"imdb": "tt0903747"}


def test_an_episode_is_corrected_by_its_shows_ids(home: Home) -> None:
    item = Episode(show="Wrong", season=1, number=1, ids=Ids(tvdb=5), show_ids=Ids(tvdb=1, imdb="tt0000001"))
    bring(home, viewing("x", AT, item=item))

    home.json("history", "correct", "1", "--tvdb", "70", "--show", "Harbour Street", "--season", "2")

    (row,) = plays(home)
    assert row.item["show_ids"] == {"tvdb": 70}
    assert row.item["ids"] == {}
    assert (row.item["show"], row.item["season"], row.item["number"]) == ("Harbour Street", 2, 1)


def test_two_plays_are_made_one(home: Home) -> None:
    bring(home, viewing("One", AT), viewing("One again", AT + timedelta(days=9)))

    assert home.run("history", "merge", "1", "2").exit_code == 0
    assert [play["id"] for play in home.json("history", "list")["items"]] == [1]
    assert home.run("history", "merge", "1", "1").exit_code == 1


def test_the_library_is_listed_by_relation(home: Home) -> None:
    bring(
        home,
        Kept(relation=Relation.FOLLOW, item=Show(title="Harbour Street", ids=Ids(tvdb=70)), at=AT),
        Kept(relation=Relation.RATING, item=Movie(title="Later", year=2020), at=AT, value=8),
    )

    everything = home.json("library", "list")["library"]

    assert {(one["relation"], one["title"], one["value"]) for one in everything} == {
        ("follow", "Harbour Street", None), ("rating", "Later", 8.0),
    }  # fmt: skip
    assert [one["state"] for one in home.json("library", "list", "--relation", "follow")["library"]] == [
        "following"
    ]
    assert home.run("library", "list", "--relation", "hate").exit_code == 2


# --- what imports brought without ids


def nameless(home: Home, diary: Path) -> None:
    home.run("import", "letterboxd", str(diary))
    candidates = [{"kind": "movie", "title": "Salt Road", "year": 1995, "ids": {"tmdb": 77}}]
    waits = update(tables.unresolved).values(
        state="unmatched", reason="nobody knows it", candidates=candidates
    )
    home.do(lambda connection: connection.execute(waits))


def test_what_an_import_brought_without_ids_is_listed_and_matched_by_its_key(home: Home, diary: Path) -> None:
    nameless(home, diary)
    waits = {one["key"]: one for one in home.json("unmatched")["imported"]}
    listed = home.run("unmatched").stdout

    chosen = home.json("match", "movie:title:saltroad:1995", "--candidate", "1")
    other = home.json("match", "movie:title:paperboats:2016", "--imdb", "tt0000042")

    assert waits["movie:title:saltroad:1995"]["plays"] == 2
    assert "Salt Road (1995), 2 plays" in listed
    assert (chosen["plays"], other["plays"]) == (2, 1)
    ids = {row.item["title"]: row.item["ids"] for row in plays(home)}
    assert ids == {"Salt Road": {"tmdb": 77}, "Paper Boats": {"imdb": "tt0000042"}}
    assert home.json("unmatched")["imported"] == []


def test_a_match_of_nothing_that_waits_is_refused(home: Home, diary: Path) -> None:
    nameless(home, diary)

    assert home.run("match", "movie:title:nothing:1990", "--tmdb", "1").exit_code == 1
    assert home.run("match", "movie:title:saltroad:1995", "--candidate", "2").exit_code == 1
    assert "movie:title:saltroad:1995" in home.run("unmatched").stdout
