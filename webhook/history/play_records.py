"""Which entries of services' lists are plays that came from elsewhere, so that no list counts for one play twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import orjson
from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Connection, Text, bindparam, cast, delete, insert, select

from webhook.domain.play import Play
from webhook.storage.db import fresh_ids
from webhook.storage.json_shapes import WholePlayJson
from webhook.storage.json_sql import json_rows
from webhook.storage.rows import fetch_all
from webhook.storage.tables import PlayRecordRow, play, play_record


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRecord:
    """An entry of a list that is a play. `row` is the entry as a play, `before` the play without its mark or date."""

    play_id: int
    key: str | None
    row: Play
    before: Play | None = None
    job_id: int | None = None


@cache
def play_type() -> TypeAdapter[Play]:
    return TypeAdapter(Play)


def play_to_json(told: Play) -> WholePlayJson:
    """An entry as it is stored: what is as usual is left out."""
    found: WholePlayJson = play_type().dump_python(told, mode="json", exclude_defaults=True)
    return found


def play_from_json(stored: WholePlayJson) -> Play:
    return play_type().validate_python(stored)


def store_records(connection: Connection, person_id: int, found: Sequence[NewRecord]) -> None:
    if not found:
        return
    ids = fresh_ids(connection, play_record, len(found))
    rows = [
        {
            "id": made, "person_id": person_id, "play_id": one.play_id, "source": one.row.source, "key": one.key,
            "row": play_to_json(one.row), "before": None if one.before is None else play_to_json(one.before),
            "job_id": one.job_id,
        }
        for made, one in zip(ids, found, strict=True)
    ]  # fmt: skip
    connection.execute(insert(play_record), rows)


def forget_records(connection: Connection, ids: Collection[int]) -> None:
    if ids:
        connection.execute(delete(play_record).where(play_record.c.id.in_(ids)))


def find_records(connection: Connection, play_ids: Iterable[int]) -> list[PlayRecordRow]:
    """The entries that these plays are, the oldest first."""
    return fetch_all(connection, SELECT_RECORDS, PlayRecordRow, {"values": in_json(play_ids)})


def find_play_of_key(connection: Connection, person_id: int, key: str) -> int | None:
    """The person's play that the entry with this key became, or is."""
    for table, column, number in (
        (play, play.c.foreign_key, play.c.id),
        (play_record, play_record.c.key, play_record.c.play_id),
    ):
        wanted = select(number).where(table.c.person_id == person_id, column == key).limit(1)
        if (found := connection.execute(wanted).scalar()) is not None:
            return int(found)
    return None


def in_json(values: Iterable[str | int]) -> str:
    """Many values as one parameter: a parameter for each costs more than running the statement."""
    return orjson.dumps(list(values)).decode()


VALUES = json_rows(bindparam("values", type_=Text)).table_valued("value").c.value
SELECT_RECORDS = (
    select(play_record)
    .where(play_record.c.play_id.in_(select(cast(VALUES, BigInteger))))
    .order_by(play_record.c.id)
)
