"""Watchlists: what the accounts of a person list, as it was read last, and what the person took off their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text, false
from sqlmodel import Field

from webhook.domain.json_shapes import ItemJson
from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, JsonText, Utc


class WatchlistReadRow(TableRow, table=True):
    """How far the watchlist of an account was read: the last whole read, and what the last try came to."""

    __tablename__ = "watchlist_read"
    __table_args__ = ({"comment": __doc__},)

    account_id: int = Field(primary_key=True, foreign_key="account.id", ondelete="CASCADE", sa_type=Id)
    off: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    asked: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    tried_at: datetime | None = Field(default=None, sa_type=Utc)
    read_at: datetime | None = Field(default=None, sa_type=Utc)
    held_at: datetime | None = Field(default=None, sa_type=Utc)
    error: str | None = Field(default=None, sa_type=Text)


class WatchlistCopyRow(TableRow, table=True):
    """A film or a show on the watchlist of an account; `missing` where a read that is held had it no longer."""

    __tablename__ = "watchlist_copy"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    account_id: int = Field(foreign_key="account.id", ondelete="CASCADE", sa_type=Id, index=True)
    item: ItemJson = Field(sa_type=JsonText)
    handle: str | None = Field(default=None, max_length=64)
    listed_at: datetime | None = Field(default=None, sa_type=Utc)
    seen_at: datetime = Field(sa_type=Utc)
    missing: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class WatchlistRemovalRow(TableRow, table=True):
    """A film or a show that a person took off their watchlist, so that no older list brings it back."""

    __tablename__ = "watchlist_removal"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id, index=True)
    item: ItemJson = Field(sa_type=JsonText)
    by: str = Field(max_length=64)
    at: datetime = Field(sa_type=Utc)


watchlist_read = table_of(WatchlistReadRow)
watchlist_copy = table_of(WatchlistCopyRow)
watchlist_removal = table_of(WatchlistRemovalRow)
