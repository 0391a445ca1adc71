"""Transfer: imports and other long work, what an import changed, and imported items without an id."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text
from sqlmodel import Field

from webhook.domain.json_shapes import ItemJson
from webhook.storage.json_shapes import CandidateJson, ImportChangeJson
from webhook.storage.tables.base import TableRow, id_field, table_of
from webhook.storage.types import Id, JsonText, Utc


class JobRow(TableRow, table=True):
    """Long work: an import, a backfill, a catch-up. What it has done, so that it goes on after a kill."""

    __tablename__ = "job"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    kind: str = Field(max_length=16)
    what: str = Field(max_length=32)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="CASCADE", sa_type=Id)
    account_id: int | None = Field(default=None, foreign_key="account.id", ondelete="CASCADE", sa_type=Id)
    name: str | None = Field(default=None, max_length=200)
    digest: str | None = Field(default=None, max_length=64)
    state: str = Field(max_length=16)
    cursor: Any = Field(default=None, sa_type=JsonText, nullable=True)
    counts: dict[str, int] = Field(default_factory=dict, sa_type=JsonText)
    error: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=Utc)
    changed_at: datetime = Field(sa_type=Utc)
    finished_at: datetime | None = Field(default=None, sa_type=Utc)
    options: dict[str, str] | None = Field(default=None, sa_type=JsonText)
    undone_at: datetime | None = Field(default=None, sa_type=Utc)


class ImportChangeRow(TableRow, table=True):
    """What an import changed besides the plays that it added, as it was before and after."""

    __tablename__ = "import_change"
    __table_args__ = ({"comment": __doc__},)

    id: int = id_field()
    job_id: int = Field(foreign_key="job.id", ondelete="CASCADE", sa_type=Id, index=True)
    what: str = Field(max_length=16)
    key: str = Field(max_length=300)
    before: ImportChangeJson | None = Field(default=None, sa_type=JsonText)
    after: ImportChangeJson | None = Field(default=None, sa_type=JsonText)


class UnresolvedRow(TableRow, table=True):
    """Items of imported plays that came without an id: asked about, or waiting for a person."""

    __tablename__ = "unresolved"
    __table_args__ = (
        Index("ix_unresolved_due_at", "state", "due_at"),
        {"comment": __doc__},
    )

    key: str = Field(primary_key=True, max_length=300)
    kind: str = Field(max_length=16)
    item: ItemJson = Field(sa_type=JsonText)
    state: str = Field(max_length=16)
    reason: str | None = Field(default=None, sa_type=Text)
    candidates: list[CandidateJson] | None = Field(default=None, sa_type=JsonText)
    due_at: datetime | None = Field(default=None, sa_type=Utc)
    created_at: datetime = Field(sa_type=Utc)
    language: str | None = Field(default=None, max_length=8)


job = table_of(JobRow)
import_change = table_of(ImportChangeRow)
unresolved = table_of(UnresolvedRow)
