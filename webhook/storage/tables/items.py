"""Items: ids that lookups gave, matches that a person chose, and episode lists."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from webhook.domain.json_shapes import IdsJson, ListedEpisodeJson
from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, JsonText, Utc


class ItemRow(TableRow, table=True):
    """An item that was asked about once; season and number are its place as aired."""

    __tablename__ = "item"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    kind: str = Field(max_length=16)
    season: int | None = None
    number: int | None = None
    learned_at: datetime = Field(sa_type=Utc)


class ItemKeyRow(TableRow, table=True):
    """What an item is found by again."""

    __tablename__ = "item_key"
    __table_args__ = ({"comment": __doc__},)

    key: str = Field(primary_key=True, max_length=300)
    item_id: int = Field(foreign_key="item.id", ondelete="CASCADE", sa_type=Id, index=True)


class ItemIdRow(TableRow, table=True):
    """An id of an item (whose: own) or of its show, where it came from and how sure it is, 0 to 1."""

    __tablename__ = "item_id"
    __table_args__ = ({"comment": __doc__},)

    item_id: int = Field(primary_key=True, foreign_key="item.id", ondelete="CASCADE", sa_type=Id)
    whose: str = Field(primary_key=True, max_length=8)
    namespace: str = Field(primary_key=True, max_length=16)
    value: str = Field(max_length=200)
    via: str = Field(max_length=32)
    sure: float
    learned_at: datetime = Field(sa_type=Utc)


class MatchRow(TableRow, table=True):
    """What a person chose for an item, or for a whole show; distrusts: the ids that were sent are wrong."""

    __tablename__ = "match"
    __table_args__ = ({"comment": __doc__},)

    key: str = Field(primary_key=True, max_length=300)
    kind: str = Field(max_length=16)
    ids: IdsJson = Field(sa_type=JsonText)
    title: str | None = Field(default=None, max_length=500)
    season_offset: int = 0
    distrusts: bool = False
    chosen_at: datetime = Field(sa_type=Utc)


class EpisodeListRow(TableRow, table=True):
    """The episodes that a show has, as a lookup gave them."""

    __tablename__ = "episode_list"
    __table_args__ = ({"comment": __doc__},)

    show_key: str = Field(primary_key=True, max_length=300)
    via: str = Field(max_length=32)
    episodes: list[ListedEpisodeJson] = Field(sa_type=JsonText)
    asked_at: datetime = Field(sa_type=Utc)


item = table_of(ItemRow)
item_key = table_of(ItemKeyRow)
item_id = table_of(ItemIdRow)
match = table_of(MatchRow)
episode_list = table_of(EpisodeListRow)
