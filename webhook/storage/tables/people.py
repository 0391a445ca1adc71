"""People: the identities they claim, their tokens, household rules; and the notes of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint, false
from sqlmodel import Field

from webhook.domain.json_shapes import FiltersJson
from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, JsonText, Sealed, Utc


class NoteRow(TableRow, table=True):
    """What the service remembers of itself, by name; `sealed` where it is a secret."""

    __tablename__ = "note"
    __table_args__ = ({"comment": __doc__},)

    name: str = Field(primary_key=True, max_length=64)
    value: Any = Field(default=None, sa_type=JsonText, nullable=True)
    sealed: str | None = Field(default=None, sa_type=Sealed)


class PersonRow(TableRow, table=True):
    """A person of this installation."""

    __tablename__ = "person"

    id: int = id_field()
    name: str = Field(max_length=64, unique=True)
    password: str | None = Field(default=None, max_length=200)
    owner: bool = False
    filters: FiltersJson = Field(default_factory=dict, sa_type=JsonText)
    timezone: str | None = Field(default=None, max_length=64)
    created_at: datetime = Field(sa_type=Utc)
    watchlist_until: str = Field(
        default="finished", max_length=16, sa_column_kwargs={"server_default": "finished"}
    )


class IdentityRow(TableRow, table=True):
    """A user of a media server; `user` is case-folded, an empty server is any server."""

    __tablename__ = "identity"
    __table_args__ = (
        UniqueConstraint("source", "server", "user"),
        {"comment": __doc__},
    )

    id: int = id_field()
    source: str = Field(max_length=32)
    server: str = Field(default="", max_length=200)
    user: str = Field(max_length=200)
    label: str = Field(max_length=200)
    account_ids: list[str] = Field(
        default_factory=list, sa_type=JsonText, sa_column_kwargs={"server_default": "[]"}
    )
    server_name: str | None = Field(default=None, max_length=200)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="SET NULL", sa_type=Id)
    ignored: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    first_seen: datetime | None = Field(default=None, sa_type=Utc)
    last_seen: datetime | None = Field(default=None, sa_type=Utc)


class TokenRow(TableRow, table=True):
    """A token that lets in a webhook, a script, an app or a subscriber."""

    __tablename__ = "token"

    id: int = id_field()
    kind: str = Field(max_length=16)
    digest: str = Field(max_length=64, unique=True)
    sealed: str = Field(sa_type=Sealed)
    name: str | None = Field(default=None, max_length=100)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    created_at: datetime = Field(sa_type=Utc)
    revoked_at: datetime | None = Field(default=None, sa_type=Utc)
    scopes: list[str] | None = Field(default=None, sa_type=JsonText)
    expires_at: datetime | None = Field(default=None, sa_type=Utc)


class HouseholdRow(TableRow, table=True):
    """What plays there, of somebody here, counts for these people (ids)."""

    __tablename__ = "household"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    players: list[str] = Field(sa_type=JsonText)
    libraries: list[str] = Field(sa_type=JsonText)
    people: list[int] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=Utc)


note = table_of(NoteRow)
person = table_of(PersonRow)
identity = table_of(IdentityRow)
token = table_of(TokenRow)
household = table_of(HouseholdRow)
