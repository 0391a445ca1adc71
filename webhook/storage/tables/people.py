"""People: the identities they claim, their tokens and apps, household rules; and the notes of the service."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, false
from sqlmodel import Field

from webhook.storage.json_shapes import FiltersJson
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


class OidcUserRow(TableRow, table=True):
    """A user of an OpenID provider, and the person they are here; nobody until the owner says whom."""

    __tablename__ = "oidc_user"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        {"comment": __doc__},
    )

    id: int = id_field()
    issuer: str = Field(max_length=500)
    subject: str = Field(max_length=255)
    label: str = Field(max_length=200)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    first_seen: datetime = Field(sa_type=Utc)
    last_seen: datetime = Field(sa_type=Utc)


class SessionRow(TableRow, table=True):
    """A browser in which a person is signed in, by the name that its signed cookie holds."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_person", "person_id", "last_seen"), {"comment": __doc__})

    id: int = id_field()
    nonce: str = Field(max_length=32, unique=True)
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    method: str = Field(max_length=16)
    browser: str = Field(max_length=200)
    address: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=Utc)
    last_seen: datetime = Field(sa_type=Utc)


class SecondFactorRow(TableRow, table=True):
    """What a person's password needs beside it: a secret for codes, sealed, and the digests of recovery codes."""

    __tablename__ = "second_factor"
    __table_args__ = ({"comment": __doc__},)

    person_id: int = Field(primary_key=True, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    sealed: str = Field(sa_type=Sealed)
    last_step: int = Field(default=0, sa_type=Id)
    recovery: list[str] = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=Utc)


class PasskeyRow(TableRow, table=True):
    """A passkey that a person signs in with; bytes are base64url, as browsers send them."""

    __tablename__ = "passkey"
    __table_args__ = (Index("ix_passkey_person_id", "person_id"), {"comment": __doc__})

    id: int = id_field()
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    name: str = Field(max_length=100)
    rp_id: str = Field(max_length=255)
    credential_id: str = Field(max_length=1400, unique=True)
    public_key: str = Field(sa_type=Text)
    user_handle: str = Field(max_length=64)
    sign_count: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = Field(sa_type=Utc)
    last_used: datetime | None = Field(default=None, sa_type=Utc)


class UsedChallengeRow(TableRow, table=True):
    """The digest of a passkey's challenge that was answered, until it would have ended by itself."""

    __tablename__ = "used_challenge"
    __table_args__ = ({"comment": __doc__},)

    digest: str = Field(primary_key=True, max_length=64)
    expires_at: datetime = Field(sa_type=Utc)


note = table_of(NoteRow)
person = table_of(PersonRow)
identity = table_of(IdentityRow)
token = table_of(TokenRow)
household = table_of(HouseholdRow)
app = table_of(AppRow)
app_session = table_of(AppSessionRow)
app_grant = table_of(AppGrantRow)
privacy = table_of(PrivacyRow)
oidc_user = table_of(OidcUserRow)
session = table_of(SessionRow)
second_factor = table_of(SecondFactorRow)
passkey = table_of(PasskeyRow)
used_challenge = table_of(UsedChallengeRow)
