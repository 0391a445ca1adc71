"""Credentials: sealed at rest, and renewed once for all who wait."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import orjson
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, select, update

from webhook import clock
from webhook.db import Database
from webhook.history import Shelf
from webhook.outcome import Park, Snooze
from webhook.settings import Settings, SettingsError
from webhook.tables import account
from webhook.trackers import Library, Renews, Tokens, Tracker


class Seal:
    """Seals with a key that lies outside the database."""

    def __init__(self, secret: str) -> None:
        key = hashlib.sha256(b"watchmark seal\0" + secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self.signing = hashlib.sha256(b"watchmark cookies\0" + secret.encode()).hexdigest()

    def seal(self, value: Any) -> str:
        return self._fernet.encrypt(orjson.dumps(value)).decode()

    def open(self, sealed: str) -> Any:
        """What was sealed; raises SettingsError when it was sealed with another key."""
        try:
            return orjson.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken as error:
            raise SettingsError(
                "the stored sign-ins were sealed with another key. Put back the SECRET_KEY (or "
                "DATA_DIR/secret.key) they were made with, or connect the accounts again."
            ) from error


def seal(settings: Settings) -> Seal:
    """The seal of this installation; its key is made at first start, mode 0600."""
    given = settings.secret_key.get_secret_value()
    if given:
        return Seal(given)
    path = settings.data_dir / "secret.key"
    if not path.exists():
        make_key(path)
    return Seal(path.read_text().strip())


def make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())


class Credentials:
    """Gives trackers access to accounts; one renewal at a time for each."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self.database = database
        self.seal = seal
        self._locks: Mapping[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def access(self, account_id: int, person_id: int, tracker: Tracker) -> AccountAccess:
        """Access to an account, its tokens renewed first where they are about to age out."""
        tokens = await self.stored(account_id)
        access = AccountAccess(self, account_id, tracker, tokens, Shelf(self.database, person_id))
        if tokens and stale(tracker, tokens):
            await access.renew(tokens)
        return access

    async def stored(self, account_id: int) -> Tokens:
        sealed = await self.database.read(
            lambda connection: connection.execute(
                select(account.c.tokens).where(account.c.id == account_id)
            ).scalar_one_or_none()
        )
        return self.seal.open(sealed) if sealed else {}

    async def renewed(self, account_id: int, tracker: Tracker, stale_tokens: Tokens) -> Tokens:
        """Newer tokens than these. Who waited for another's renewal gets what that one brought."""
        async with self._locks[account_id]:
            stored = await self.stored(account_id)
            if stored != stale_tokens:
                return stored
            if not hasattr(tracker, "refresh"):
                raise Snooze(f"{tracker.label} no longer accepts the sign-in", park=Park.SIGNED_OUT)
            try:
                fresh = await cast(Renews, tracker).refresh(stale_tokens)
            except Snooze:
                # Another process (a command, another worker) may have renewed at the same moment.
                stored = await self.stored(account_id)
                if stored == stale_tokens:
                    raise
                return stored
            # Saved before it is used: the old refresh token is dead already.
            await self.database.write(keep, (account_id, self.seal.seal(dict(fresh))))
            return fresh


class AccountAccess:
    """One account's tokens, as a tracker may use and renew them."""

    def __init__(
        self, credentials: Credentials, account_id: int, tracker: Tracker, tokens: Tokens, library: Library
    ) -> None:
        self._credentials = credentials
        self._account_id = account_id
        self._tracker = tracker
        self._tokens = tokens
        self._library = library

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    @property
    def library(self) -> Library:
        return self._library

    async def renew(self, stale: Tokens) -> Tokens:
        self._tokens = await self._credentials.renewed(self._account_id, self._tracker, stale)
        return self._tokens


def stale(tracker: Tracker, tokens: Tokens) -> bool:
    return hasattr(tracker, "stale") and cast(Renews, tracker).stale(tokens, clock.now())


def keep(connection: Connection, waiting: list[tuple[int, str]]) -> list[None]:
    for account_id, sealed in waiting:
        connection.execute(update(account).where(account.c.id == account_id).values(tokens=sealed))
    return [None] * len(waiting)
