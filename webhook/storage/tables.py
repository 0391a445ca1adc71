"""The rows: every table, once, for SQLite and PostgreSQL. Times are UTC milliseconds, JSON is text."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND


class Utc(TypeDecorator[datetime]):
    """An aware datetime, stored as milliseconds since 1970: sorts the same in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        try:
            return None if value is None else from_ms(value)
        except (OverflowError, TypeError) as error:
            raise sqlite3.DatabaseError("a time that is none") from error


class Json(TypeDecorator[Any]):
    """JSON as text: the same bytes in both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        try:
            return None if value is None else orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise sqlite3.DatabaseError("a value that is no JSON") from error


class Sealed(TypeDecorator[str]):
    """Text that `Seal.seal` made. What is sealed lies in columns of this type only: `rekey` finds it by that."""

    impl = Text
    cache_ok = True


# --- what each database says in its own way about JSON that is text


class json_field(GenericFunction[str]):  # noqa: N801 - named as SQLAlchemy names functions
    """A field of a JSON object, as text; an object or a list in it as JSON."""

    type = Text()
    inherit_cache = True


class json_rows(GenericFunction[Any]):  # noqa: N801
    """The texts of a JSON list, as rows of one column, `value`."""

    inherit_cache = True


@compiles(json_field, "sqlite")
def field_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    document, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_extract({document}, '$.' || {name})"


@compiles(json_field, "postgresql")
def field_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    document, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(CAST({document} AS json) ->> {name})"


@compiles(json_rows, "sqlite")
def rows_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **options)}"


@compiles(json_rows, "postgresql")
def rows_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text(CAST({compiler.process(element.clause_expr, **options)} AS json))"


def told(document: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """What an item, stored as JSON, tells by this name."""
    return json_field(type_coerce(document, Text), literal_column(f"'{name}'"))


# SQLite counts only INTEGER PRIMARY KEY by itself; PostgreSQL wants the 64 bits said.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def id_column() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


note = Table(
    "note",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Json),
    Column("sealed", Sealed),
    comment="What the service remembers of itself, by name; `sealed` where it is a secret.",
)

person = Table(
    "person",
    metadata,
    id_column(),
    Column("name", String(64), nullable=False, unique=True),
    Column("password", String(200)),
    Column("owner", Boolean, nullable=False, default=False),
    Column("filters", Json, nullable=False, default=dict),
    Column("timezone", String(64)),
    Column("created_at", Utc, nullable=False),
)

identity = Table(
    "identity",
    metadata,
    id_column(),
    Column("source", String(32), nullable=False),
    Column("server", String(200), nullable=False, default=""),
    Column("user", String(200), nullable=False),
    Column("label", String(200), nullable=False),
    Column("account_ids", Json, nullable=False, default=list, server_default="[]"),
    Column("server_name", String(200)),
    Column("person_id", ForeignKey("person.id", ondelete="SET NULL")),
    Column("ignored", Boolean, nullable=False, default=False, server_default=false()),
    Column("first_seen", Utc),
    Column("last_seen", Utc),
    UniqueConstraint("source", "server", "user"),
    comment="A user of a media server; `user` is case-folded, an empty server is any server.",
)

token = Table(
    "token",
    metadata,
    id_column(),
    Column("kind", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("sealed", Sealed, nullable=False),
    Column("name", String(100)),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE")),
    Column("created_at", Utc, nullable=False),
    Column("revoked_at", Utc),
    Column("scopes", Json),
    Column("expires_at", Utc),
)

webhook = Table(
    "webhook",
    metadata,
    id_column(),
    Column("source", String(32), nullable=False),
    Column("token_id", ForeignKey("token.id", ondelete="SET NULL")),
    Column("received_at", Utc, nullable=False),
    Column("content_type", String(200)),
    Column("raw", LargeBinary),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("identity_id", ForeignKey("identity.id", ondelete="SET NULL")),
    Column("events", Json),
    Column("interpreted_at", Utc),
)
Index(
    "ix_webhook_waiting",
    webhook.c.id,
    sqlite_where=text("state = 'received'"),
    postgresql_where=text("state = 'received'"),
)
Index(
    "ix_webhook_unclaimed",
    webhook.c.identity_id,
    sqlite_where=text("state = 'unclaimed'"),
    postgresql_where=text("state = 'unclaimed'"),
)
# What the list of webhooks is narrowed by, so that its search reads no bodies.
Index(
    "ix_webhook_shown",
    webhook.c.id,
    webhook.c.state,
    webhook.c.source,
    webhook.c.identity_id,
    webhook.c.token_id,
)

job = Table(
    "job",
    metadata,
    id_column(),
    Column("kind", String(16), nullable=False),
    Column("what", String(32), nullable=False),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE")),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE")),
    Column("name", String(200)),
    Column("digest", String(64)),
    Column("state", String(16), nullable=False),
    Column("cursor", Json),
    Column("counts", Json, nullable=False, default=dict),
    Column("error", Text),
    Column("created_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("finished_at", Utc),
    comment="Long work: an import, a backfill, a catch-up. What it has done, so that it goes on after a kill.",
)

play = Table(
    "play",
    metadata,
    id_column(),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("item", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("source", String(32), nullable=False),
    Column("server", String(200)),
    Column("player", String(200)),
    Column("player_id", String(200)),
    Column("library", String(200)),
    Column("started_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("played_ms", BigInteger, nullable=False, server_default="0"),
    Column("resumed_at", Utc),
    Column("replayed_ms", BigInteger, nullable=False, server_default="0"),
    Column("position_ms", BigInteger),
    Column("position_at", Utc),
    Column("estimated", Boolean, nullable=False, default=False),
    Column("known_percent", Float),
    Column("duration_ms", BigInteger),
    Column("watched_at", Utc),
    Column("unwatched_at", Utc),
    Column("manual", Boolean, nullable=False, default=False),
    Column("by_position", Boolean, nullable=False, default=False, server_default=false()),
    Column("view_count", Integer),
    Column("dated", String(8), nullable=False, server_default="exact"),
    Column("foreign_key", String(200)),
    Column("job_id", Id),
    Column("removed_at", Utc),
)
Index(
    "ix_play_foreign_key",
    play.c.person_id,
    play.c.foreign_key,
    unique=True,
    sqlite_where=text("foreign_key IS NOT NULL"),
    postgresql_where=text("foreign_key IS NOT NULL"),
)
Index("ix_play_started_at", play.c.started_at)
Index("ix_play_person_watched", play.c.person_id, play.c.watched_at)
Index("ix_play_person_started", play.c.person_id, play.c.started_at)
Index(
    "ix_play_open",
    play.c.person_id,
    play.c.last_at,
    sqlite_where=text("state <> 'stopped'"),
    postgresql_where=text("state <> 'stopped'"),
)

play_key = Table(
    "play_key",
    metadata,
    Column("person_id", Id, primary_key=True),
    Column("key", String(300), primary_key=True),
    Column("play_id", ForeignKey("play.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    comment="What a play's item is known by, so that the next event finds it.",
)
Index("ix_play_key_play_id", play_key.c.play_id)

runtime = Table(
    "runtime",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("ms", BigInteger, nullable=False),
    comment="How long an item or the episodes of a show run, for what is sent without a duration.",
)

account = Table(
    "account",
    metadata,
    id_column(),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), nullable=False),
    Column("tracker", String(32), nullable=False),
    Column("name", String(200)),
    Column("tokens", Sealed),
    Column("tells", Json, nullable=False),
    Column("rules", Json, nullable=False, default=dict),
    Column("parked", String(32)),
    Column("parked_at", Utc),
    Column("parked_why", Text),
    Column("due_at", Utc),
    Column("leased_until", Utc),
    Column("fence", Integer, nullable=False, default=0, server_default="0"),
    Column("held_until", Utc),
    Column("failures", Integer, nullable=False, default=0),
    Column("created_at", Utc, nullable=False),
    Column("last_done_at", Utc),
    UniqueConstraint("person_id", "tracker"),
)
Index("ix_account_due_at", account.c.due_at)

delivery = Table(
    "delivery",
    metadata,
    id_column(),
    Column("account_id", ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("webhook_id", ForeignKey("webhook.id", ondelete="SET NULL")),
    Column("play_id", ForeignKey("play.id", ondelete="SET NULL")),
    Column("key", String(120), nullable=False),
    Column("action", String(16), nullable=False),
    Column("mark", Boolean, nullable=False, default=False),
    Column("happened_at", Utc, nullable=False),
    Column("item", Json, nullable=False),
    Column("details", Json, nullable=False, default=dict),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Utc),
    Column("unsure", Boolean, nullable=False, default=False),
    Column("claimed", Boolean, nullable=False, default=False),
    Column("answer", Text),
    Column("remote_id", String(64)),
    Column("candidates", Json),
    Column("job_id", Id),
    Column("created_at", Utc, nullable=False),
    Column("settled_at", Utc),
    UniqueConstraint("account_id", "key"),
)
Index(
    "ix_delivery_waiting",
    delivery.c.account_id,
    delivery.c.due_at,
    delivery.c.id,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)
Index(
    "ix_delivery_stuck",
    delivery.c.state,
    delivery.c.id,
    sqlite_where=text("state IN ('unmatched', 'parked', 'dead')"),
    postgresql_where=text("state IN ('unmatched', 'parked', 'dead')"),
)
Index(
    "ix_delivery_job_id",
    delivery.c.job_id,
    delivery.c.state,
    sqlite_where=text("job_id IS NOT NULL"),
    postgresql_where=text("job_id IS NOT NULL"),
)
Index("ix_delivery_webhook_id", delivery.c.webhook_id)
Index("ix_delivery_play_id", delivery.c.play_id)

attempt = Table(
    "attempt",
    metadata,
    id_column(),
    Column("delivery_id", ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("took_ms", Integer),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text),
    Column("exchanges", Json),
)

item = Table(
    "item",
    metadata,
    id_column(),
    Column("kind", String(16), nullable=False),
    Column("season", Integer),
    Column("number", Integer),
    Column("learned_at", Utc, nullable=False),
    comment="An item that was asked about once; season and number are its place as aired.",
)

item_key = Table(
    "item_key",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("item_id", ForeignKey("item.id", ondelete="CASCADE"), nullable=False, index=True),
    comment="What an item is found by again.",
)

item_id = Table(
    "item_id",
    metadata,
    Column("item_id", ForeignKey("item.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("whose", String(8), primary_key=True),
    Column("namespace", String(16), primary_key=True),
    Column("value", String(200), nullable=False),
    Column("via", String(32), nullable=False),
    Column("sure", Float, nullable=False),
    Column("learned_at", Utc, nullable=False),
    comment="An id of an item (whose: own) or of its show, where it came from and how sure it is, 0 to 1.",
)

match = Table(
    "match",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("ids", Json, nullable=False),
    Column("title", String(500)),
    Column("season_offset", Integer, nullable=False, default=0),
    Column("distrusts", Boolean, nullable=False, default=False),
    Column("chosen_at", Utc, nullable=False),
    comment="What a person chose for an item, or for a whole show; distrusts: the ids that were sent are wrong.",
)

follow = Table(
    "follow",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("show_key", String(300), primary_key=True),
    Column("show", String(500)),
    Column("ids", Json, nullable=False),
    Column("state", String(16), nullable=False, server_default="following"),
    Column("followed_at", Utc, nullable=False),
    comment="The shows a person follows, in the built-in TV Time library.",
)

tick = Table(
    "tick",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("item_key", String(300), primary_key=True),
    Column("show_key", String(300)),
    Column("kind", String(16), nullable=False),
    Column("item", Json, nullable=False),
    Column("watched_at", Utc, nullable=False),
    Column("rewatches", Integer, nullable=False, default=0),
    comment="The watched marks of the built-in TV Time library.",
)

library = Table(
    "library",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("relation", String(16), primary_key=True),
    Column("item_key", String(300), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("item", Json, nullable=False),
    Column("value", Float),
    Column("at", Utc, nullable=False),
    comment="What a person has rated, loves, has on the watchlist or owns; value is the rating, 0 to 10.",
)

household = Table(
    "household",
    metadata,
    id_column(),
    Column("players", Json, nullable=False),
    Column("libraries", Json, nullable=False),
    Column("people", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    comment="What plays there, of somebody here, counts for these people (ids).",
)

unresolved = Table(
    "unresolved",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("item", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("candidates", Json),
    Column("due_at", Utc),
    Column("created_at", Utc, nullable=False),
    comment="Items of imported plays that came without an id: asked about, or waiting for a person.",
)
Index("ix_unresolved_due_at", unresolved.c.state, unresolved.c.due_at)

edit = Table(
    "edit",
    metadata,
    id_column(),
    Column("play_id", ForeignKey("play.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("what", String(16), nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("by", String(64)),
    Column("at", Utc, nullable=False),
    comment="What a person changed about a play by hand.",
)

episode_list = Table(
    "episode_list",
    metadata,
    Column("show_key", String(300), primary_key=True),
    Column("via", String(32), nullable=False),
    Column("episodes", Json, nullable=False),
    Column("asked_at", Utc, nullable=False),
    comment="The episodes that a show has, as a lookup gave them.",
)

tally = Table(
    "tally",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("what", String(100), primary_key=True),
    Column("token", String(32), primary_key=True),
    Column("until", Utc, nullable=False),
    Column("made_at", Utc, nullable=False),
    Column("size", Integer),
    Column("answer", Json),
    Column("titles", Json),
    comment="What a person's plays before `until` come to, as numbers.py counts them; triggers let go of it.",
)

# --- the VideoScrobbler API

app = Table(
    "app",
    metadata,
    id_column(),
    Column("key", String(32), nullable=False, unique=True),
    Column("sealed", Sealed, nullable=False),
    Column("name", String(100), nullable=False),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE")),
    Column("created_at", Utc, nullable=False),
    Column("suspended_at", Utc),
    comment="A program that may use the VideoScrobbler API: its API key, and its shared secret, sealed.",
)

app_session = Table(
    "app_session",
    metadata,
    Column("token_id", ForeignKey("token.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("app_id", ForeignKey("app.id", ondelete="CASCADE"), nullable=False),
    comment="Through which app a session key, which is a token, was given out.",
)

app_grant = Table(
    "app_grant",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("app_id", ForeignKey("app.id", ondelete="CASCADE"), nullable=False),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), nullable=False),
    Column("granted_at", Utc, nullable=False),
    Column("used_at", Utc),
    comment="That a person has let an app in, by the token it asked with; a token gives one session.",
)

privacy = Table(
    "privacy",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True, type_=Id),
    Column("seen_by", String(8), nullable=False),
    comment="Who sees through the VideoScrobbler API what a person watches: everyone, friends or nobody.",
)

video = Table(
    "video",
    metadata,
    id_column(),
    Column("kind", String(8), nullable=False),
    Column("item", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    comment="The local ids of the VideoScrobbler API; the kind is film, tv or url.",
)

video_key = Table(
    "video_key",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("video_id", ForeignKey("video.id", ondelete="CASCADE"), nullable=False, index=True),
    comment="What a video is found by again, as in play_key.",
)


def sealed_columns() -> list[Column[str]]:
    """Every column that holds something sealed."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Sealed)
    ]
