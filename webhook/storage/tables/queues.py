"""The queues: webhooks that came in, and accounts with their deliveries and attempts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field

from webhook.domain.json_shapes import ExchangeJson, ItemJson, RulesJson
from webhook.storage.json_shapes import CandidateJson, DetailsJson, EventJson
from webhook.storage.tables.base import TableRow, id_field, partial_index, table_of
from webhook.storage.types import Id, JsonText, Sealed, Utc


class WebhookRow(TableRow, table=True):
    """A webhook as it came, and what became of it."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_shown", "id", "state", "source", "identity_id", "token_id"),
        partial_index("ix_webhook_unclaimed", "identity_id", where="state = 'unclaimed'"),
        partial_index("ix_webhook_waiting", "id", where="state = 'received'"),
    )

    id: int = id_field()
    source: str = Field(max_length=32)
    token_id: int | None = Field(default=None, foreign_key="token.id", ondelete="SET NULL", sa_type=Id)
    received_at: datetime = Field(sa_type=Utc)
    content_type: str | None = Field(default=None, max_length=200)
    raw: bytes | None = None
    state: str = Field(max_length=16)
    reason: str | None = Field(default=None, sa_type=Text)
    identity_id: int | None = Field(default=None, foreign_key="identity.id", ondelete="SET NULL", sa_type=Id)
    events: list[EventJson] | None = Field(default=None, sa_type=JsonText)
    interpreted_at: datetime | None = Field(default=None, sa_type=Utc)


class AccountRow(TableRow, table=True):
    """An account of a person at a tracker."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("person_id", "tracker"),
        Index("ix_account_due_at", "due_at"),
    )

    id: int = id_field()
    person_id: int = Field(foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    tracker: str = Field(max_length=32)
    name: str | None = Field(default=None, max_length=200)
    server: str | None = Field(default=None, max_length=200)
    tokens: str | None = Field(default=None, sa_type=Sealed)
    tells: list[str] = Field(sa_type=JsonText)
    rules: RulesJson = Field(default_factory=dict, sa_type=JsonText)
    parked: str | None = Field(default=None, max_length=32)
    parked_at: datetime | None = Field(default=None, sa_type=Utc)
    parked_why: str | None = Field(default=None, sa_type=Text)
    due_at: datetime | None = Field(default=None, sa_type=Utc)
    leased_until: datetime | None = Field(default=None, sa_type=Utc)
    fence: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    held_until: datetime | None = Field(default=None, sa_type=Utc)
    failures: int = 0
    failing_since: datetime | None = Field(default=None, sa_type=Utc)
    created_at: datetime = Field(sa_type=Utc)
    last_done_at: datetime | None = Field(default=None, sa_type=Utc)


class DeliveryRow(TableRow, table=True):
    """Something that an account is sent, once."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("account_id", "key"),
        partial_index("ix_delivery_job_id", "job_id", "state", where="job_id IS NOT NULL"),
        partial_index("ix_delivery_live", "account_id", "due_at", where="state = 'waiting' AND NOT mark"),
        Index("ix_delivery_play_id", "play_id"),
        partial_index("ix_delivery_stuck", "state", "id", where="state IN ('unmatched', 'parked', 'dead')"),
        partial_index("ix_delivery_waiting", "account_id", "due_at", "id", where="state = 'waiting'"),
        Index("ix_delivery_webhook_id", "webhook_id"),
    )

    id: int = id_field()
    account_id: int = Field(foreign_key="account.id", ondelete="CASCADE", sa_type=Id)
    webhook_id: int | None = Field(default=None, foreign_key="webhook.id", ondelete="SET NULL", sa_type=Id)
    play_id: int | None = Field(default=None, foreign_key="play.id", ondelete="SET NULL", sa_type=Id)
    key: str = Field(max_length=120)
    action: str = Field(max_length=16)
    mark: bool = False
    happened_at: datetime = Field(sa_type=Utc)
    item: ItemJson = Field(sa_type=JsonText)
    details: DetailsJson = Field(default_factory=dict, sa_type=JsonText)
    state: str = Field(max_length=16)
    reason: str | None = Field(default=None, sa_type=Text)
    attempts: int = 0
    due_at: datetime | None = Field(default=None, sa_type=Utc)
    unsure: bool = False
    claimed: bool = False
    answer: str | None = Field(default=None, sa_type=Text)
    remote_id: str | None = Field(default=None, max_length=64)
    candidates: list[CandidateJson] | None = Field(default=None, sa_type=JsonText)
    job_id: int | None = Field(default=None, sa_type=Id)
    created_at: datetime = Field(sa_type=Utc)
    settled_at: datetime | None = Field(default=None, sa_type=Utc)


class AttemptRow(TableRow, table=True):
    """An attempt to send a delivery."""

    __tablename__ = "attempt"

    id: int = id_field()
    delivery_id: int = Field(foreign_key="delivery.id", ondelete="CASCADE", sa_type=Id, index=True)
    at: datetime = Field(sa_type=Utc)
    took_ms: int | None = None
    outcome: str = Field(max_length=16)
    reason: str | None = Field(default=None, sa_type=Text)
    exchanges: list[ExchangeJson] | None = Field(default=None, sa_type=JsonText)


webhook = table_of(WebhookRow)
account = table_of(AccountRow)
delivery = table_of(DeliveryRow)
attempt = table_of(AttemptRow)
