"""Media servers: what each has, what it will report of what it was told, and the marks by hand that it reported."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from webhook.domain.json_shapes import ItemJson
from webhook.storage.tables.base import TableRow, id_field, partial_index, table_of
from webhook.storage.types import Id, JsonText, Utc


class ServerItemRow(TableRow, table=True):
    """A film, or an episode that a file holds, on a media server."""

    __tablename__ = "server_item"
    __table_args__ = (Index("ix_server_item_key", "tracker", "item_key"), {"comment": __doc__})

    id: int = id_field()
    tracker: str = Field(max_length=32)
    item_key: str = Field(max_length=64)
    show_key: str | None = Field(default=None, max_length=64)
    library: str | None = Field(default=None, max_length=200)
    item: ItemJson = Field(sa_type=JsonText)


class ServerItemKeyRow(TableRow, table=True):
    """What an item on a media server is found by: an id, or its numbers under an id of its show."""

    __tablename__ = "server_item_key"
    __table_args__ = (Index("ix_server_item_key_item", "server_item_id"), {"comment": __doc__})

    tracker: str = Field(primary_key=True, max_length=32)
    key: str = Field(primary_key=True, max_length=300)
    server_item_id: int = Field(
        primary_key=True, foreign_key="server_item.id", ondelete="CASCADE", sa_type=Id
    )


class ExpectationRow(TableRow, table=True):
    """A change that a media server was told to make, which it reports like any other."""

    __tablename__ = "expectation"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    server: str = Field(primary_key=True, max_length=200)
    item_key: str = Field(primary_key=True, max_length=64)
    action: str = Field(primary_key=True, max_length=16)
    value: int = Field(primary_key=True)
    delivery_id: int = Field(sa_type=Id)
    told_at: datetime = Field(sa_type=Utc)
    until: datetime = Field(sa_type=Utc)


class HandMarkRow(TableRow, table=True):
    """A mark by hand that a media server reported, and whether it is held until its person decides."""

    __tablename__ = "hand_mark"
    __table_args__ = (
        Index("ix_hand_mark_at", "person_id", "server", "action", "at"),
        partial_index("ix_hand_mark_held", "person_id", "webhook_id", where="state = 'held'"),
        {"comment": __doc__},
    )

    webhook_id: int = Field(primary_key=True, foreign_key="webhook.id", ondelete="CASCADE", sa_type=Id)
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    server: str = Field(max_length=200)
    server_name: str | None = Field(default=None, max_length=200)
    source: str = Field(max_length=32)
    action: str = Field(max_length=16)
    subject: str = Field(max_length=300)
    at: datetime = Field(sa_type=Utc)
    state: str = Field(max_length=16)


server_item = table_of(ServerItemRow)
server_item_key = table_of(ServerItemKeyRow)
expectation = table_of(ExpectationRow)
hand_mark = table_of(HandMarkRow)
