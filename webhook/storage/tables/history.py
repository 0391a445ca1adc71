"""The history: plays with their keys and edits, the built-in library, statistics and video ids."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, false
from sqlmodel import Field

from webhook.domain.json_shapes import IdsJson, ItemJson
from webhook.storage.json_shapes import EditedPlayJson, WholePlayJson
from webhook.storage.tables.base import TableRow, id_field, partial_index, table_of
from webhook.storage.types import Id, JsonText, Utc


class PlayRow(TableRow, table=True):
    """A play: one viewing of one item by one person."""

    __tablename__ = "play"
    __table_args__ = (
        partial_index(
            "ix_play_foreign_key", "person_id", "foreign_key", where="foreign_key IS NOT NULL", unique=True
        ),
        partial_index("ix_play_open", "person_id", "last_at", where="state <> 'stopped'"),
        partial_index("ix_play_player", "player_id", where="state <> 'stopped'"),
        partial_index("ix_play_job_id", "job_id", where="job_id IS NOT NULL"),
        Index("ix_play_person_started", "person_id", "started_at"),
        Index("ix_play_person_watched", "person_id", "watched_at"),
        Index("ix_play_started_at", "started_at"),
    )

    id: int = id_field()
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    kind: str = Field(max_length=16)
    item: ItemJson = Field(sa_type=JsonText)
    state: str = Field(max_length=16)
    source: str = Field(max_length=32)
    server: str | None = Field(default=None, max_length=200)
    player: str | None = Field(default=None, max_length=200)
    player_id: str | None = Field(default=None, max_length=200)
    library: str | None = Field(default=None, max_length=200)
    started_at: datetime = Field(sa_type=Utc)
    last_at: datetime = Field(sa_type=Utc)
    played_ms: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    resumed_at: datetime | None = Field(default=None, sa_type=Utc)
    replayed_ms: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    position_ms: int | None = Field(default=None, sa_type=BigInteger)
    position_at: datetime | None = Field(default=None, sa_type=Utc)
    estimated: bool = False
    known_percent: float | None = None
    duration_ms: int | None = Field(default=None, sa_type=BigInteger)
    watched_at: datetime | None = Field(default=None, sa_type=Utc)
    unwatched_at: datetime | None = Field(default=None, sa_type=Utc)
    manual: bool = False
    by_position: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    view_count: int | None = None
    dated: str = Field(max_length=8, sa_column_kwargs={"server_default": "exact"})
    foreign_key: str | None = Field(default=None, max_length=200)
    job_id: int | None = Field(default=None, sa_type=Id)
    removed_at: datetime | None = Field(default=None, sa_type=Utc)


class PlayKeyRow(TableRow, table=True):
    """What a play's item is known by, so that the next event finds it."""

    __tablename__ = "play_key"
    __table_args__ = (
        Index("ix_play_key_play_id", "play_id"),
        {"comment": __doc__},
    )

    person_id: int = Field(primary_key=True, sa_type=Id)
    key: str = Field(primary_key=True, max_length=300)
    play_id: int = Field(primary_key=True, foreign_key="play.id", ondelete="CASCADE", sa_type=Id)


class PlayRecordRow(TableRow, table=True):
    """A row of a service's list that is a play which came from elsewhere; a list has at most one for each play."""

    __tablename__ = "play_record"
    __table_args__ = (
        Index("ix_play_record_play_id", "play_id"),
        partial_index("ix_play_record_key", "person_id", "key", where="key IS NOT NULL"),
        partial_index("ix_play_record_job_id", "job_id", where="job_id IS NOT NULL"),
        {"comment": __doc__},
    )

    id: int = id_field()
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    play_id: int = Field(foreign_key="play.id", ondelete="CASCADE", sa_type=Id)
    source: str = Field(max_length=32)
    key: str | None = Field(default=None, max_length=200)
    row: WholePlayJson = Field(sa_type=JsonText)
    before: WholePlayJson | None = Field(default=None, sa_type=JsonText)
    job_id: int | None = Field(default=None, sa_type=Id)


class RuntimeRow(TableRow, table=True):
    """How long an item or the episodes of a show run, for what is sent without a duration."""

    __tablename__ = "runtime"
    __table_args__ = ({"comment": __doc__},)

    key: str = Field(primary_key=True, max_length=300)
    ms: int = Field(sa_type=BigInteger)


class EditRow(TableRow, table=True):
    """What a person changed about a play by hand."""

    __tablename__ = "edit"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    play_id: int = Field(foreign_key="play.id", ondelete="CASCADE", sa_type=Id, index=True)
    what: str = Field(max_length=16)
    before: EditedPlayJson | None = Field(default=None, sa_type=JsonText)
    after: EditedPlayJson | None = Field(default=None, sa_type=JsonText)
    by: str | None = Field(default=None, max_length=64)
    at: datetime = Field(sa_type=Utc)


class TallyRow(TableRow, table=True):
    """What a person's plays before `until` come to, as numbers.py counts them; triggers let go of it."""

    __tablename__ = "tally"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    what: str = Field(primary_key=True, max_length=100)
    token: str = Field(primary_key=True, max_length=32)
    until: datetime = Field(sa_type=Utc)
    made_at: datetime = Field(sa_type=Utc)
    size: int | None = None
    answer: Any = Field(default=None, sa_type=JsonText, nullable=True)
    titles: Any = Field(default=None, sa_type=JsonText, nullable=True)


class FollowRow(TableRow, table=True):
    """The shows a person follows, in the built-in TV Time library."""

    __tablename__ = "follow"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    show_key: str = Field(primary_key=True, max_length=300)
    show: str | None = Field(default=None, max_length=500)
    ids: IdsJson = Field(sa_type=JsonText)
    state: str = Field(max_length=16, sa_column_kwargs={"server_default": "following"})
    followed_at: datetime = Field(sa_type=Utc)


class TickRow(TableRow, table=True):
    """The watched marks of the built-in TV Time library."""

    __tablename__ = "tick"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    item_key: str = Field(primary_key=True, max_length=300)
    show_key: str | None = Field(default=None, max_length=300)
    kind: str = Field(max_length=16)
    item: ItemJson = Field(sa_type=JsonText)
    watched_at: datetime = Field(sa_type=Utc)
    rewatches: int = 0


class LibraryRow(TableRow, table=True):
    """What a person has rated, loves, has on the watchlist or owns; value is the rating, 0 to 10."""

    __tablename__ = "library"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    relation: str = Field(primary_key=True, max_length=16)
    item_key: str = Field(primary_key=True, max_length=300)
    kind: str = Field(max_length=16)
    item: ItemJson = Field(sa_type=JsonText)
    value: float | None = None
    at: datetime = Field(sa_type=Utc)
    via: str | None = Field(default=None, max_length=32)


class VideoRow(TableRow, table=True):
    """The local ids of the VideoScrobbler API; the kind is film, tv or url."""

    __tablename__ = "video"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    kind: str = Field(max_length=8)
    item: ItemJson = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=Utc)


class VideoKeyRow(TableRow, table=True):
    """What a video is found by again, as in play_key."""

    __tablename__ = "video_key"
    __table_args__ = ({"comment": __doc__},)

    key: str = Field(primary_key=True, max_length=300)
    video_id: int = Field(foreign_key="video.id", ondelete="CASCADE", sa_type=Id, index=True)


play = table_of(PlayRow)
play_key = table_of(PlayKeyRow)
play_record = table_of(PlayRecordRow)
runtime = table_of(RuntimeRow)
edit = table_of(EditRow)
tally = table_of(TallyRow)
follow = table_of(FollowRow)
tick = table_of(TickRow)
library = table_of(LibraryRow)
video = table_of(VideoRow)
video_key = table_of(VideoKeyRow)
