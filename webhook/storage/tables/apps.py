"""Programs that use the VideoScrobbler API, and who sees through it what a person watches."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, Sealed, Utc


class AppRow(TableRow, table=True):
    """A program that may use the VideoScrobbler API: its API key, and its shared secret, sealed."""

    __tablename__ = "app"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    key: str = Field(max_length=32, unique=True)
    sealed: str = Field(sa_type=Sealed)
    name: str = Field(max_length=100)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    created_at: datetime = Field(sa_type=Utc)
    suspended_at: datetime | None = Field(default=None, sa_type=Utc)


class AppSessionRow(TableRow, table=True):
    """Through which app a session key, which is a token, was given out."""

    __tablename__ = "app_session"
    __table_args__ = ({"comment": __doc__},)

    token_id: int = Field(primary_key=True, foreign_key="token.id", ondelete="CASCADE", sa_type=Id)
    app_id: int = Field(foreign_key="app.id", ondelete="CASCADE", sa_type=Id)


class AppGrantRow(TableRow, table=True):
    """That a person has let an app in, by the token it asked with; a token gives one session."""

    __tablename__ = "app_grant"
    __table_args__ = ({"comment": __doc__},)

    digest: str = Field(primary_key=True, max_length=64)
    app_id: int = Field(foreign_key="app.id", ondelete="CASCADE", sa_type=Id)
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    granted_at: datetime = Field(sa_type=Utc)
    used_at: datetime | None = Field(default=None, sa_type=Utc)


class PrivacyRow(TableRow, table=True):
    """Who sees through the VideoScrobbler API what a person watches: everyone, friends or nobody."""

    __tablename__ = "privacy"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    seen_by: str = Field(max_length=8)


app = table_of(AppRow)
app_session = table_of(AppSessionRow)
app_grant = table_of(AppGrantRow)
privacy = table_of(PrivacyRow)
