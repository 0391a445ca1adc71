"""What Netflix hands out: days in any order, seasons in any language, and nothing counted that nobody chose."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

import pytest

from tests.transfer import _reading
from tests.transfer._reading import bad, packed, plays, viewings
from webhook import clock
from webhook.domain.event import Episode, Movie
from webhook.domain.play import Dated
from webhook.transfer.imports import netflix
from webhook.transfer.imports._archive import open_bundle
from webhook.transfer.imports._netflix_account import SKIPPED
from webhook.transfer.records import Entry, LeftOut, Question, Undecided, Unusable

HISTORY = "NetflixViewingHistory.csv"
ACCOUNT = "CONTENT_INTERACTION/ViewingActivity.csv"
COLUMNS = (
    "Profile Name,Start Time,Duration,Attributes,Title,Supplemental Video Type,Device Type,Bookmark,"
    "Latest Bookmark,Country"
)


def read(module: ModuleType, folder: Path, files: dict[str, str | bytes]) -> list[Entry]:
    """What the import says of these files: of a loose one where it is the short file, else of a zip."""
    if len(files) > 1 or ACCOUNT in files:
        return _reading.read_zip(module, folder, packed(folder, files).read_bytes())
    return _reading.read(module, folder, files)


def history(*rows: str) -> dict[str, str | bytes]:
    return {HISTORY: "\n".join(["Title,Date", *rows]) + "\n"}


def account(*rows: str) -> dict[str, str | bytes]:
    return {ACCOUNT: "\n".join([COLUMNS, *rows]) + "\n"}


def sitting(
    title: str, start: str, length: str = "00:43:26", reached: str | None = None, *, profile: str = "nora",
    attributes: str = "", extra: str = "",
) -> str:  # fmt: skip
    told = (
        profile,
        start,
        length,
        f'"{attributes}"',
        f'"{title}"',
        extra,
        "Toaster",
        reached or length,
        "",
        "DE",
    )
    return ",".join(told)


def asked(folder: Path, files: dict[str, str | bytes], **answers: str) -> list[Question]:
    with open_bundle(packed(folder, files), options=answers) as bundle:
        return netflix.questions(bundle)


def days(folder: Path, *dates: str) -> list[date]:
    files = history(*(f'"A Film {number}","{day}"' for number, day in enumerate(dates)))
    return [play.last_at.date() for play in plays(read(netflix, folder, files))]


# --- days


def test_a_day_above_twelve_settles_the_order_of_the_whole_file(tmp_path: Path) -> None:
    assert days(tmp_path, "25/01/16", "02/01/16") == [date(2016, 1, 25), date(2016, 1, 2)]
    assert days(tmp_path, "1/25/16", "1/2/16") == [date(2016, 1, 25), date(2016, 1, 2)]


def test_dots_and_four_digits_are_clear_by_themselves(tmp_path: Path) -> None:
    found = days(tmp_path, "2025-12-15", "2025.12.15", "05.02.26", "7. 3. 2026")

    assert found == [date(2025, 12, 15), date(2025, 12, 15), date(2026, 2, 5), date(2026, 3, 7)]


def test_the_order_that_keeps_the_file_sorted_is_right(tmp_path: Path) -> None:
    # As months and days these run from May back to March; as days and months they jump.
    assert days(tmp_path, "5/1/26", "4/12/26", "4/2/26", "3/3/26")[1] == date(2026, 4, 12)


def test_an_order_that_leads_into_the_future_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 6, 1, tzinfo=UTC))

    assert days(tmp_path, "2/12/26") == [date(2026, 2, 12)]


def test_what_no_row_settles_is_asked_and_stops_the_import_until_it_is_answered(tmp_path: Path) -> None:
    files = history('"A Film","3/4/26"')

    question, _ = asked(tmp_path, files)
    assert (question.name, question.is_open) == ("dates", True)
    with pytest.raises(Undecided, match="dates=day-first or dates=month-first"):
        read(netflix, tmp_path, files)
    for answer, day in (("day-first", date(2026, 4, 3)), ("month-first", date(2026, 3, 4))):
        with open_bundle(packed(tmp_path, files), options={"dates": answer}) as bundle:
            assert [play.last_at.date() for play in plays(list(netflix.read(bundle)))] == [day]


def test_a_day_is_kept_as_a_day(tmp_path: Path) -> None:
    [play] = plays(read(netflix, tmp_path, history('"A Film","31/3/26"')))

    assert play.dated is Dated.DAY
    assert play.watched_at == datetime(2026, 3, 31, 12, tzinfo=UTC)


# --- titles


@pytest.mark.parametrize(
    ("title", "item", "language"),
    [
        ("Pale Collar: Season 2: Withdrawal", Episode(show="Pale Collar", season=2, title="Withdrawal"), "en"),
        ("Teen: Limited Series: Episode 1", Episode(show="Teen", season=1, title="Episode 1"), "en"),
        ("Odd Things: Odd Things 4: Chapter Nine: Back", Episode(show="Odd Things", season=4, title="Chapter Nine: Back"), None),
        ("Grau: Staffel 1: Geheimnisse", Episode(show="Grau", season=1, title="Geheimnisse"), "de"),
        ("Grau: 2. Staffel: Nacht", Episode(show="Grau", season=2, title="Nacht"), "de"),
        ("Gris: Saison 3: Secrets", Episode(show="Gris", season=3, title="Secrets"), "fr"),
        ("Gris: Temporada 3: Secretos", Episode(show="Gris", season=3, title="Secretos"), "es"),
        ("グレー: シーズン2: 秘密", Episode(show="グレー", season=2, title="秘密"), "ja"),
        ("灰: 第3季: 秘密", Episode(show="灰", season=3, title="秘密"), "zh"),
        ("Fiend: Monster: The Long Story: Season 1: Home", Episode(show="Fiend: Monster: The Long Story", season=1, title="Home"), "en"),
        ("FIEND: Monster: The Long Story: The Good Box (Episode 4)", Episode(show="FIEND: Monster: The Long Story", season=1, number=4, title="The Good Box"), None),
        ("Seed: Season Two: Home", Episode(show="Seed", season=2, title="Home"), "en"),
        ("Sand: Part Two", Movie(title="Sand: Part Two"), None),
        ("Glass Onions: A Riddle", Movie(title="Glass Onions: A Riddle"), None),
        ("Scare Street: Part 1: 1994", Movie(title="Scare Street: Part 1: 1994"), None),
    ],
)  # fmt: skip
def test_a_title_says_what_it_is(
    tmp_path: Path, title: str, item: Episode | Movie, language: str | None
) -> None:
    [viewing] = viewings(read(netflix, tmp_path, history(f'"{title}","31/3/26"')))

    assert (viewing.play.item, viewing.language) == (item, language)


def test_other_rows_prove_that_a_prefix_is_a_show(tmp_path: Path) -> None:
    rows = ("Grau: Staffel 1: Nacht", "Grau: Der Anfang", "Heist: Part 1: One", "Heist: Part 1: Two")
    found = [
        play.item for play in plays(read(netflix, tmp_path, history(*(f'"{row}",31/3/26' for row in rows))))
    ]

    assert found[1] == Episode(show="Grau", title="Der Anfang")
    assert found[2:] == [Episode(show="Heist", season=1, title=word) for word in ("One", "Two")]


def test_a_person_adds_words_for_a_season(tmp_path: Path) -> None:
    files = history('"Szürke: Évad 2: Titkok",31/3/26')

    with open_bundle(packed(tmp_path, files), options={"season-words": "évad, kausi"}) as bundle:
        [play] = plays(list(netflix.read(bundle)))
    assert play.item == Episode(show="Szürke", season=2, title="Titkok")


def test_what_names_nothing_is_said_and_left(tmp_path: Path) -> None:
    rows = (
        '": Episode 7","4/4/26"',
        '"","25/3/26"',
        '"Grau: Staffel 2","24/3/26"',
        '"A Film",""',
        '"A Film","x"',
    )
    entries = read(netflix, tmp_path, history(*rows))

    assert plays(entries) == []
    assert [(one.line, one.why) for one in bad(entries)] == [
        (2, netflix.REMOVED),
        (3, "it has no title"),
        (4, netflix.NO_EPISODE),
        (5, "it has no date"),
        (6, "“x” is no date"),
    ]


def test_one_title_on_one_day_is_one_viewing_and_on_two_days_two(tmp_path: Path) -> None:
    rows = ('"A Film","31/3/26"', '"A Film","31/3/26"', '"A Film","30/3/26"')
    entries = read(netflix, tmp_path, history(*rows))

    assert len(plays(entries)) == 2
    assert len({viewing.foreign_key for viewing in viewings(entries)}) == 2
    assert LeftOut(file=HISTORY, count=1, why=netflix.AGAIN) in entries


def test_a_byte_order_mark_line_ends_and_utf_16_change_nothing(tmp_path: Path) -> None:
    text = str(history('"Grau: Staffel 1: Nächte","31/3/26"')[HISTORY])
    given = [
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
        text.encode("utf-16"),
    ]

    found = [plays(read(netflix, tmp_path, {HISTORY: one})) for one in given]

    assert all(one == found[0] for one in found)
    assert found[0][0].item.title == "Nächte"


# --- the account download


def test_sittings_within_six_hours_are_one_viewing_at_the_last_end(tmp_path: Path) -> None:
    title = "Grau: Season 1: Secrets (Episode 1)"
    entries = read(netflix, tmp_path, account(
        sitting(title, "2026-03-20 21:03:11", "00:20:00", "00:43:20"),
        sitting(title, "2026-03-20 19:00:00", "00:24:00", "00:24:00"),
        sitting(title, "2026-02-01 20:00:00", "00:43:00", "00:43:20"),
    ))  # fmt: skip

    first, second = plays(entries)
    assert second.item == Episode(show="Grau", season=1, number=1, title="Secrets")
    assert (second.started_at, second.watched_at) == (
        datetime(2026, 3, 20, 19, tzinfo=UTC),
        datetime(2026, 3, 20, 21, 23, 11, tzinfo=UTC),
    )
    assert (second.dated, second.position_ms) == (Dated.EXACT, (43 * 60 + 20) * 1000)
    assert first.watched_at == datetime(2026, 2, 1, 20, 43, tzinfo=UTC)


def test_a_sitting_that_goes_on_days_later_is_the_same_viewing_and_one_from_the_start_another(
    tmp_path: Path,
) -> None:
    entries = read(netflix, tmp_path, account(
        sitting("A Long Film", "2026-03-20 20:00:00", "01:00:00", "01:00:00"),
        sitting("A Long Film", "2026-03-22 20:00:00", "00:50:00", "01:50:00"),
        sitting("A Long Film", "2026-03-29 20:00:00", "01:55:00", "01:55:00"),
    ))  # fmt: skip

    assert [play.last_at.day for play in plays(entries)] == [22, 29]


def test_trailers_autoplay_and_what_was_only_opened_are_no_viewings(tmp_path: Path) -> None:
    title, at = "Grau: Season 1: Secrets", "2026-03-20 21:03:11"
    entries = read(netflix, tmp_path, account(
        sitting(title, at, extra="TRAILER"),
        sitting("Grau: Season 1_hook_2", at, extra="HOOK"),
        sitting("Clip: Grau", at),
        sitting(title, at, attributes="Autoplayed: user action: None; "),
        sitting("A Film", at, "00:01:02"),
    ))  # fmt: skip

    assert plays(entries) == []
    assert {one.why: one.count for one in entries if isinstance(one, LeftOut)} == {
        SKIPPED["extra"]: 3,
        SKIPPED["itself"]: 1,
        SKIPPED["short"]: 1,
    }


def test_the_profile_is_asked_and_profiles_are_never_mixed(tmp_path: Path) -> None:
    files = account(
        sitting("A Film", "2026-03-20 21:00:00", "01:40:00"),
        sitting("Another Film", "2026-03-21 21:00:00", "01:40:00", profile="ben"),
        sitting("A Third Film", "2026-03-22 21:00:00", "01:40:00"),
    )

    question, _ = asked(tmp_path, files)
    assert (question.name, question.is_open) == ("profile", True)
    assert [value for value, _ in question.choices] == ["nora", "ben"]
    with pytest.raises(Undecided):
        read(netflix, tmp_path, files)
    with open_bundle(packed(tmp_path, files), options={"profile": "ben"}) as bundle:
        entries = list(netflix.read(bundle))
    assert [play.item.title for play in plays(entries)] == ["Another Film"]


def test_columns_may_have_other_names_and_the_profile_may_be_missing(tmp_path: Path) -> None:
    text = "Start Time (UTC),Duration (H:MM:SS),Title\n2026-03-20 21:00:00,1:40:00,A Film\n"

    [play] = plays(read(netflix, tmp_path, {"ViewingActivity.csv": text}))

    assert play.watched_at == datetime(2026, 3, 20, 22, 40, tzinfo=UTC)


def test_ratings_and_lists_without_a_kind_are_counted_and_left(tmp_path: Path) -> None:
    files = account(sitting("A Film", "2026-03-20 21:00:00", "01:40:00"))
    files["Ratings.csv"] = "Profile Name,Title Name,Thumbs Value\nnora,A Film,2\nnora,Grau,1\n"

    entries = read(netflix, tmp_path, files)

    assert LeftOut(file="Ratings.csv", count=2, why=netflix.LIBRARY["ratings.csv"]) in entries


def test_what_is_no_history_of_netflix_says_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="Title and Date"):
        read(netflix, tmp_path, {"a.csv": "a,b\n1,2\n"})
