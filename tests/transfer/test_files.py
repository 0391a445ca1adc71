"""Export files: whatever is handed in, it is read as a stream, within limits, and said what is wrong with it."""

from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.transfer.exports_of_tvtime import locked, spoiled, zipped
from webhook.clock import now
from webhook.transfer.imports import _csv, modules
from webhook.transfer.imports._archive import MAX_ENTRIES, MICROSECOND, MILLISECOND, SECOND, Row, open_bundle
from webhook.transfer.imports._dates import NoDate, moment
from webhook.transfer.imports._streams import Allowance
from webhook.transfer.records import Bad, Unusable

MEBIBYTE = 1 << 20
FLAT = 50 * MEBIBYTE

Told = list[tuple[int | None, Any]]


def told(rows: Iterator[Row | Bad], *columns: str) -> Told:
    """Of each row its line and fields, of a bad one its line and what is wrong."""
    return [
        (row.line, row.why if isinstance(row, Bad) else tuple(row.get(name) for name in columns))
        for row in rows
    ]


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[bytes], Told]:
    """The columns a and b of a loose CSV file with this content."""

    def read(content: bytes) -> Told:
        path = tmp_path / "some.csv"
        path.write_bytes(content)
        with open_bundle(path) as bundle:
            return told(bundle.rows("some.csv"), "a", "b")

    return read


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were held at once while this ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- what can be opened


def refused(path: Path) -> str:
    with pytest.raises(Unusable) as caught, open_bundle(path):
        pytest.fail("it was opened")
    return str(caught.value)


def test_a_loose_file_is_a_bundle_of_one(tmp_path: Path) -> None:
    path = tmp_path / "anything.really"
    path.write_text("a,b\n1,2\n")

    with open_bundle(path) as bundle:
        assert (bundle.path, bundle.names, bundle.loose) == (path, ("anything.really",), True)
        assert told(bundle.rows("anything.really"), "b") == [(2, ("2",))]


def test_a_zip_is_known_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.csv", {"b.csv": "a\n1\n", "a.json": "[]"})

    with open_bundle(path) as bundle:
        assert (bundle.names, bundle.loose) == (("a.json", "b.csv"), False)


def test_what_is_no_export_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    zipped(tmp_path / "nothing", {})
    zipped(tmp_path / "pictures", {"a.png": "", "b.html": ""})

    assert refused(tmp_path / "missing").endswith("cannot be opened: No such file or directory.")
    assert "holds no file that can be read" in refused(tmp_path)
    assert refused(tmp_path / "empty").endswith("is empty.")
    assert "neither a zip nor a text file" in refused(tmp_path / "picture")
    assert "holds no file that can be read" in refused(tmp_path / "nothing")
    assert "holds no file that can be read" in refused(tmp_path / "pictures")


def test_a_folder_is_read_like_a_zip(tmp_path: Path) -> None:
    folder = tmp_path / "Takeout"
    for place in ("b.csv", "deep/down/a.csv", "deep/b.csv", "__MACOSX/c.csv", ".hidden/d.csv", "picture.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("n\n1\n")
    (tmp_path / "secret.csv").write_text("n\n2\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")

    with open_bundle(folder) as bundle:
        assert (bundle.names, bundle.doubles) == (("a.csv", "b.csv"), ("deep/b.csv",))
        assert [row.get("n") for row in bundle.rows("a.csv") if not isinstance(row, Bad)] == ["1"]
        bundle.plan(["a.csv"])
        list(bundle.rows("a.csv"))
        assert bundle.progress == 1


@pytest.mark.parametrize("kept", [40, 200, -1])
def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a\n1\n", "b.csv": "b\n" + "1\n" * 99})
    path.write_bytes(path.read_bytes()[:kept])

    assert "cut off or damaged" in refused(path)


def test_a_zip_with_a_password_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    path = locked(zipped(tmp_path / "export.zip", {"a.csv": "a\n1\n"}))

    said = refused(path)

    assert "protected by a password" in said
    assert "Unpack it with the password" in said


def test_a_zip_of_too_many_files_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", ((f"{number}.csv", "") for number in range(MAX_ENTRIES + 1)))

    assert f"holds {MAX_ENTRIES + 1} files" in refused(path)


def test_a_zip_whose_table_of_contents_is_huge_is_refused_unread(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a\n"})
    content = path.read_bytes()
    end = content.index(b"PK\x05\x06")
    size = 40 * MEBIBYTE
    with path.open("wb") as file:
        file.write(content[:end])
        file.seek(end + size)
        file.write(content[end : end + 12] + size.to_bytes(4, "little") + content[end + 16 :])

    def opened() -> None:
        assert "table of contents is too large" in refused(path)

    assert peak(opened) < FLAT


def test_of_a_zip_only_text_files_are_seen_in_whatever_folder(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "export.zip",
        {
            "export/2026/Deep.CSV": "a\n",
            "export/lines.jsonl": "{}\n",
            "read me.txt": "",
            "__MACOSX/export/._lines.jsonl": "",
            "__MACOSX/other.csv": "",
            ".hidden.csv": "",
            ".git/config.txt": "",
            "export/program.exe": "",
            "export/folder.csv/": "",
            "bell\x07.csv": "",
        },
    )

    with open_bundle(path) as bundle:
        assert bundle.names == ("Deep.CSV", "lines.jsonl", "read me.txt")


def test_names_that_lead_out_of_the_zip_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = zipped(
        tmp_path / "inner" / "export.zip",
        {
            "../../out.csv": "a\n1\n",
            "/etc/absolute.csv": "a\n2\n",
            "C:\\windows\\drive.csv": "a\n3\n",
            "good/../../up.csv": "a\n4\n",
        },
    )

    with open_bundle(path) as bundle:
        found = {name: told(bundle.rows(name), "a") for name in bundle.names}

    assert found == {"absolute.csv": [(2, ("2",))], "drive.csv": [(2, ("3",))]}
    assert [entry.name for entry in tmp_path.rglob("*")] == ["inner", "export.zip"]


def test_of_files_with_one_name_the_outermost_counts_and_the_others_are_said(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "export.zip", {"deep/a.csv": "a\n1\n", "a.csv": "a\n2\n", "deep/b.csv": "a\n3\n"}
    )

    with open_bundle(path) as bundle:
        read = [told(bundle.rows(name), "a") for name in ("a.csv", "deep/a.csv", "b.csv")]
        said = [(bad.file, bad.why) for bad in bundle.duplicate_files({"a.csv", "b.csv"})]

        assert (bundle.names, bundle.doubles) == (("a.csv", "b.csv"), ("deep/a.csv",))
        assert list(bundle.duplicate_files({"b.csv"})) == []
    assert read == [[(2, ("2",))], [(2, ("1",))], [(2, ("3",))]]
    assert said == [("deep/a.csv", "there are several files called a.csv; this one was not read")]


def test_a_path_that_comes_twice_is_said_too(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped(tmp_path / "export.zip", [("a.csv", "a\n1\n"), ("a.csv", "a\n2\n")])

    with open_bundle(path) as bundle:
        assert (bundle.names, bundle.doubles) == (("a.csv",), ("a.csv (2)",))
        assert told(bundle.rows("a.csv (2)"), "a") == [(2, ("2",))]


# --- limits, while it is read


def test_a_zip_bomb_is_left_while_it_is_read_and_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as file:
        file.write(b"a,b\n")
        for _ in range(200):
            file.write(b"1," + b"0" * (MEBIBYTE - 100) + b"\n")

    def read() -> None:
        with open_bundle(path) as bundle, pytest.raises(Unusable, match="more than 200 times its size"):
            for _ in bundle.rows("a.csv"):
                pass

    assert path.stat().st_size < MEBIBYTE
    assert peak(read) < FLAT


def test_the_rows_of_all_files_together_are_bounded_and_those_of_a_second_reading_are_not(
    tmp_path: Path,
) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a\n" + "1\n" * 60, "b.csv": "a\n" + "1\n" * 60})

    with open_bundle(path, Allowance(rows=100)) as bundle:
        for _ in range(3):
            assert sum(1 for _ in bundle.rows("a.csv")) == 60
        with pytest.raises(Unusable, match="more than 100 rows"):
            list(bundle.rows("b.csv"))


def test_the_bytes_of_all_files_together_are_bounded(tmp_path: Path) -> None:
    text = "a\n" + "1\n" * 40_000
    path = zipped(tmp_path / "export.zip", {"a.csv": text, "b.csv": text})

    with open_bundle(path, Allowance(size=100_000)) as bundle:
        assert sum(1 for _ in bundle.rows("a.csv")) == 40_000
        with pytest.raises(Unusable, match="unpacks to more than"):
            list(bundle.rows("b.csv"))


def test_blank_lines_without_end_take_no_longer_than_is_allowed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a\n" + "\n" * 40_000_000})
    allowed = Allowance(seconds=0.2)

    with open_bundle(path, allowed) as bundle, pytest.raises(Unusable, match="took longer"):
        list(bundle.rows("a.csv"))

    assert allowed.all_bytes < 40_000_000


def test_much_text_that_packs_well_is_no_bomb_below_fifty_megabytes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a,b\n" + "1,2\n" * 1_000_000})

    with open_bundle(path) as bundle:
        assert sum(1 for _ in bundle.rows("a.csv")) == 1_000_000


def test_a_damaged_file_gives_the_rows_before_and_then_says_so(tmp_path: Path) -> None:
    lines = "".join(f"{number},x\n" for number in range(1, 20_001))
    path = spoiled(zipped(tmp_path / "export.zip", {"a.csv": "a,b\n" + lines}, zipfile.ZIP_STORED), "a.csv")

    with open_bundle(path) as bundle:
        found = told(bundle.rows("a.csv"), "a")

    assert found[0] == (2, ("1",))
    assert len(found) > 5_000
    assert "cannot be read: a.csv is damaged or cut off" in found[-1][1]


def test_a_way_of_packing_that_has_no_bounds_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", {"a.csv": "a\n1\n"}, zipfile.ZIP_BZIP2)

    with open_bundle(path) as bundle:
        [bad] = bundle.rows("a.csv")

    assert isinstance(bad, Bad)
    assert "packed in a way" in bad.why


def test_progress_goes_from_nothing_to_one(tmp_path: Path) -> None:
    lines = "".join(f"{number},{number * 7919 % 104729}\n" for number in range(100_000))
    path = zipped(tmp_path / "export.zip", {"a.csv": "a,b\n" + lines, "other.csv": lines})
    with open_bundle(path) as bundle:
        bundle.columns("other.csv")
        bundle.plan(["a.csv", "a.csv"])

        seen = [bundle.progress for _ in range(2) for _ in bundle.rows("a.csv")]

        assert seen[0] < 0.1
        assert seen == sorted(seen)
        assert 0.4 < seen[100_000] < 0.65
        assert bundle.progress > 0.99


# --- rows


def test_columns_are_found_by_name_in_any_order(rows: Callable[[bytes], Told]) -> None:
    assert rows(b"c, b ,a\n1,2,3\n") == rows(b"a,b\r\n3,2\r\n") == [(2, ("3", "2"))]


def test_a_column_that_is_missing_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("a,b\n1,2\n")

    with (
        open_bundle(path) as bundle,
        pytest.raises(Unusable, match=r"lacks the columns c, d\. It has: a, b\."),
    ):
        next(bundle.rows("some.csv", required=["d", "a", "c"]))


def test_a_field_is_stripped_and_nothing_is_none(rows: Callable[[bytes], Told]) -> None:
    assert rows(b"a,x\n  1 ,\n ,2\n") == [(2, ("1", None)), (3, (None, None))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_utf8_with_and_without_a_mark_and_utf16_with_one_are_read(
    rows: Callable[[bytes], Told], encoding: str
) -> None:
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    text = mark + "a,b\r\n" + "é,日本\r\n" * 20_000

    assert rows(text.encode(encoding)) == [(line, ("é", "日本")) for line in range(2, 20_002)]


def test_bytes_that_are_no_utf8_cost_their_row_only(rows: Callable[[bytes], Told]) -> None:
    found = rows("a,b\n1,2\né,3\n4,5\n".encode("cp1252"))

    assert found == [(2, ("1", "2")), (3, "it is not UTF-8 (byte 0xe9)"), (4, ("4", "5"))]


def test_a_header_that_is_no_utf8_makes_the_file_unusable(rows: Callable[[bytes], Told]) -> None:
    with pytest.raises(Unusable, match="is not UTF-8"):
        rows("é,b\n1,2\n".encode("cp1252"))


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"x" * (2 * MEBIBYTE), b'"a,b\n1,2\n', b"a\rb\r1\r2"])
def test_a_file_without_a_header_is_unusable(rows: Callable[[bytes], Told], content: bytes) -> None:
    with pytest.raises(Unusable):
        rows(content)


def test_a_row_of_the_wrong_length_is_bad(rows: Callable[[bytes], Told]) -> None:
    found = rows(b"a,b\n1\n\n1,2,3\n4,5\n")

    assert [line for line, _ in found] == [2, 4, 5]
    assert [isinstance(said, str) for _, said in found] == [True, True, False]


def test_a_quoted_field_may_have_quotes_commas_and_line_ends(rows: Callable[[bytes], Told]) -> None:
    assert rows(b'a,b\n"x ""y"", z","two\r\nlines"\n3,4\n') == [
        (2, ('x "y", z', "two\r\nlines")),
        (4, ("3", "4")),
    ]


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(b"4,5\n6,7\n", id="to the end of the file"),
        pytest.param(b'4,5\n6,"7"\n', id="to the next quote"),
        pytest.param(b'4,5\n6,"7,8"\n', id="to the next quote, with a comma"),
        pytest.param(b"4,5\n" * 300_000, id="over more than a row may have"),
    ],
)
def test_a_quote_that_is_never_closed_costs_its_row_only(rows: Callable[[bytes], Told], after: bytes) -> None:
    found = rows(b'a,b\n1,2\n"3,x\n' + after)

    assert found[0] == (2, ("1", "2"))
    assert found[1][0] == 3
    assert isinstance(found[1][1], str)
    assert [line for line, said in found[2:] if isinstance(said, tuple)] == list(
        range(4, 4 + after.count(b"\n"))
    )
    assert len(found) == 2 + after.count(b"\n")


def test_a_file_of_broken_rows_only_is_left_before_it_takes_for_ever(rows: Callable[[bytes], Told]) -> None:
    found = rows(b"a,b\n" + b'x",,"\n' * 400_000)

    assert len(found) < 100
    assert "rest of the file was left" in found[-1][1]


def test_a_field_of_more_than_a_mebibyte_is_bad(rows: Callable[[bytes], Told]) -> None:
    long = b"x" * MEBIBYTE

    found = rows(b"a,b\n1," + long + b'\n2,"' + long + b'"\n3,' + long[:-10] + b"\n4,5\n")

    assert [(line, isinstance(said, str)) for line, said in found] == [
        (2, True),
        (3, True),
        (4, False),
        (5, False),
    ]
    assert "more than 1 MiB" in found[0][1]


def test_a_field_of_a_gibibyte_costs_its_row_and_hardly_any_memory(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n3," + b"x" * 8192)
        file.seek(1 << 30)
        file.write(b"\n4,5\n")
    found: Told = []

    def read() -> None:
        with open_bundle(path) as bundle:
            found.extend(told(bundle.rows("some.csv"), "a"))

    assert peak(read) < FLAT
    assert [(line, isinstance(said, str)) for line, said in found] == [(2, False), (3, True), (4, False)]


def test_much_text_after_an_open_quote_takes_hardly_any_memory() -> None:
    piece = b"x" * 65_535 + b"\n"

    def chunks() -> Iterator[bytes]:
        yield b'a,b\n1,"'
        for _ in range(1 << 12):
            yield piece

    def read() -> None:
        assert sum(1 for _ in _csv.read(chunks(), "some.csv", ())) == 1 << 12

    assert peak(read) < FLAT


@given(
    some.lists(
        some.tuples(
            some.text(some.characters(codec="utf-8"), max_size=8),
            some.text(some.sampled_from('",\n\r x'), max_size=6),
        ),
        min_size=1,
    ),
    some.integers(1, 9),
)
def test_what_a_csv_writer_wrote_is_read_however_it_is_cut(table: list[tuple[str, str]], size: int) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *table])
    content = written.getvalue().encode()
    chunks = (content[start : start + size] for start in range(0, len(content), size))

    found = list(_csv.read(chunks, "some.csv", ()))

    assert [tuple(row.values) for row in found if isinstance(row, Row)] == table
    assert len(found) == len(table)


# --- JSON


def items(tmp_path: Path, content: bytes, prefix: str = "item") -> list[Any]:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with open_bundle(path) as bundle:
        return list(bundle.items("some.json", prefix))


def test_json_is_read_item_by_item(tmp_path: Path) -> None:
    content = b'[{"a": [1, 2.5, 123456789012345678901, null, true, "\xc3\xa9"]}, 2]'

    assert items(tmp_path, content) == [{"a": [1, 2.5, 123456789012345678901, None, True, "é"]}, 2]
    assert items(tmp_path, b"\xef\xbb\xbf" + content) == items(tmp_path, content.decode().encode("utf-16"))
    assert items(tmp_path, b'{"x": 1, "shows": [{"a": 1}, {"a": 2}]}', "shows.item") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("rest", [b"", b',{"a"', b", x]", b',"\xff"]'])
def test_json_that_breaks_off_gives_what_came_before_and_then_says_so(tmp_path: Path, rest: bytes) -> None:
    *before, last = items(tmp_path, b'[{"a": 1}, {"a": 2}' + rest)

    assert before == [{"a": 1}, {"a": 2}]
    assert isinstance(last, Bad)
    assert "no JSON" in last.why


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="nested deeper"):
        items(tmp_path, b"[" * 200_000)


def test_one_huge_json_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="more than 16 MiB"):
        items(tmp_path, b'["' + b"x" * (17 * MEBIBYTE) + b'"]')


def test_many_json_values_may_be_larger_together(tmp_path: Path) -> None:
    values = (
        b'{"shows": [' + b",".join([b'{"a": "' + b"x" * (5 * MEBIBYTE) + b'"}'] * 5) + b'], "movies": [1]}'
    )

    assert len(items(tmp_path, values, "shows.item")) == 5
    assert items(tmp_path, values, "movies.item") == [1]


def test_a_number_of_thousands_of_digits_is_no_entry(tmp_path: Path) -> None:
    [bad] = items(tmp_path, b"[1" + b"0" * 5000 + b"]")

    assert isinstance(bad, Bad)


def test_lines_are_numbered_and_one_that_is_too_long_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n' + b"x" * (5 * MEBIBYTE) + b'\n{"a": 2}')

    with open_bundle(path) as bundle:
        first, long, last = bundle.lines("some.jsonl")

    assert (first, last) == ((1, b'{"a": 1}'), (4, b'{"a": 2}'))
    assert isinstance(long, Bad)
    assert (long.line, long.why) == (3, "the line has more than 4 MiB")


# --- dates


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("2021-02-04 22:11:37", None, datetime(2021, 2, 4, 22, 11, 37, tzinfo=UTC)),
        (" 2021-02-04T22:11:37Z ", None, datetime(2021, 2, 4, 22, 11, 37, tzinfo=UTC)),
        ("2021-02-04T22:11:37.5299999Z", None, datetime(2021, 2, 4, 22, 11, 37, 529999, tzinfo=UTC)),
        ("2021-02-04T22:11:37+02:00", None, datetime(2021, 2, 4, 20, 11, 37, tzinfo=UTC)),
        ("2021-02-04 22:11:37 +0200", None, datetime(2021, 2, 4, 20, 11, 37, tzinfo=UTC)),
        ("2021-02-04", None, datetime(2021, 2, 4, tzinfo=UTC)),
        ("1612476697", SECOND, datetime(2021, 2, 4, 22, 11, 37, tzinfo=UTC)),
        ("1612476697250", MILLISECOND, datetime(2021, 2, 4, 22, 11, 37, 250_000, tzinfo=UTC)),
        ("1612476697250001", MICROSECOND, datetime(2021, 2, 4, 22, 11, 37, 250_001, tzinfo=UTC)),
        ("1.612476697e+09", SECOND, datetime(2021, 2, 4, 22, 11, 37, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(text: str, unit: timedelta | None, expected: datetime) -> None:
    found = moment(text, unit)

    assert (found, found.tzinfo) == (expected, UTC)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("0000-00-00 00:00:00", None),
        ("1899-12-31 23:59:59", None),
        ("2021-02-30", None),
        ("20210204", None),
        ("1612476697", None),
        ("yesterday", None),
        ("", None),
        ("9" * 400, SECOND),
        ("nan", SECOND),
        ("-9000000000", SECOND),
        ("1612476697250", SECOND),
        ("2999-01-01", None),
    ],
)
def test_what_is_no_moment_of_watching_is_refused(text: str, unit: timedelta | None) -> None:
    with pytest.raises(NoDate):
        moment(text, unit)


def test_a_clock_may_be_a_day_ahead_and_no_more() -> None:
    ahead = now() + timedelta(hours=20)

    assert moment(ahead.isoformat()) == ahead
    with pytest.raises(NoDate, match="in the future"):
        moment((now() + timedelta(hours=25)).isoformat())


# --- kinds


def test_a_kind_has_a_label_and_a_reader() -> None:
    found = modules()

    assert "tvtime" in found
    assert not [name for name in found if name.startswith("_")]
    for module in found.values():
        assert isinstance(module.LABEL, str)
        assert callable(module.read)
