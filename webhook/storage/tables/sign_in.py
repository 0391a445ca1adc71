"""How people sign in: providers, browsers, second factors and passkeys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field

from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, JsonText, Sealed, Utc


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


oidc_user = table_of(OidcUserRow)
session = table_of(SessionRow)
second_factor = table_of(SecondFactorRow)
passkey = table_of(PasskeyRow)
used_challenge = table_of(UsedChallengeRow)
