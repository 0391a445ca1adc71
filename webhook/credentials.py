"""Credentials: sealed at rest, and renewed once for all who wait."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, select, update

from webhook import clock
from webhook.db import Database
from webhook.event import Item
from webhook.history import Shelf
from webhook.outcome import Park, Snooze
from webhook.remote import Withheld, sending
from webhook.settings import Settings, SettingsError
from webhook.tables import account, app, token
from webhook.trackers import Held, Library, Renews, Tokens, Tracker


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


def seal(settings: Settings, database: Database | None = None) -> Seal:
    """The seal of this installation; its key is made at first start, mode 0600.

    With the database, a change of the key that was broken off after its commit is finished first.
    """
    given = settings.secret_key.get_secret_value()
    if given:
        return Seal(given)
    path = key_file(settings)
    if database is not None:
        finish_rekey(path, database)
    if not path.exists():
        make_key(path)
    return Seal(path.read_text().strip())


def key_file(settings: Settings) -> Path:
    return settings.data_dir / "secret.key"


def make_key(path: Path, secret: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write((secret or new_key()) + "\n")
        file.flush()
        os.fsync(file.fileno())
    on_disk(path.parent)


def new_key() -> str:
    return secrets.token_urlsafe(48)


def on_disk(folder: Path) -> None:
    """A new or renamed file outlives a power cut once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- another key


def rekey(settings: Settings, database: Database, given: str | None = None) -> int:
    """Seal everything with another key; how many things that were. Raises SettingsError.

    Everything is sealed anew in one transaction, or nothing. Where the key is a file, the new one lies
    beside it as secret.key.new until that transaction is committed, so that whatever is broken off,
    one of the two files opens everything; `seal` finds out which. With SECRET_KEY the new one is `given`.
    """
    old = seal(settings, database)
    if settings.secret_key.get_secret_value():
        if given is None:
            raise SettingsError("SECRET_KEY is set, so say what the new one is: --new-key-file FILE")
        return resealed(database, old, Seal(given))
    path = key_file(settings)
    fresh = path.with_name("secret.key.new")
    fresh.unlink(missing_ok=True)
    secret = given or new_key()
    make_key(fresh, secret)
    try:
        count = resealed(database, old, Seal(secret))
    except SettingsError:
        fresh.unlink(missing_ok=True)
        raise
    swap(path, fresh)
    return count


def resealed(database: Database, old: Seal, new: Seal) -> int:
    def change(connection: Connection) -> int:
        count = 0
        for table, column in SEALED:
            wanted = select(table.c.id, column).where(column.is_not(None), column != "").with_for_update()
            for made, sealed in connection.execute(wanted).all():
                again = new.seal(old.open(sealed))
                connection.execute(update(table).where(table.c.id == made).values({column: again}))
                count += 1
        return count

    return database.do(change)


SEALED = ((account, account.c.tokens), (token, token.c.sealed), (app, app.c.sealed))
"""Every column that holds something sealed."""


def finish_rekey(path: Path, database: Database) -> None:
    """Where a new key lies beside the old one and already opens what is stored, it takes its place.

    One that opens nothing was broken off before its commit, or is being made just now: it is left alone.
    """
    fresh = path.with_name("secret.key.new")
    try:
        secret = fresh.read_text().strip()
    except FileNotFoundError:
        return
    sealed = database.ask(any_sealed)
    if secret and sealed is not None and opens(Seal(secret), sealed):
        with suppress(FileNotFoundError):  # another process was quicker
            swap(path, fresh)


def any_sealed(connection: Connection) -> str | None:
    for table, column in SEALED:
        wanted = select(column).where(column.is_not(None), column != "").order_by(table.c.id).limit(1)
        if (sealed := connection.execute(wanted).scalar()) is not None:
            return str(sealed)
    return None


def opens(key: Seal, sealed: str) -> bool:
    try:
        key.open(sealed)
    except SettingsError:
        return False
    return True


def swap(path: Path, fresh: Path) -> None:
    """The new key in the old one's place; the old one is kept as secret.key.old until that is done."""
    kept = path.with_name("secret.key.old")
    if path.exists():
        kept.unlink(missing_ok=True)
        os.link(path, kept)
    fresh.replace(path)
    on_disk(path.parent)
    kept.unlink(missing_ok=True)


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
                with sending():
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

    def dry(self) -> AccountAccess:
        """The same, with a library that only says what it would do."""
        return AccountAccess(
            self._credentials, self._account_id, self._tracker, self._tokens, DryLibrary(self._library)
        )

    async def renew(self, stale: Tokens) -> Tokens:
        self._tokens = await self._credentials.renewed(self._account_id, self._tracker, stale)
        return self._tokens


class DryLibrary:
    """The built-in library in a dry run: it can be read, and changes raise Withheld."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def mark(self, item: Item, at: datetime, *, rewatch: bool) -> str:
        raise Withheld("would mark it watched in the built-in library")

    async def unmark(self, item: Item) -> str:
        raise Withheld("would unmark it in the built-in library")

    def held(self, since: datetime | None = None) -> AsyncIterator[Held]:
        return self._library.held(since)


def stale(tracker: Tracker, tokens: Tokens) -> bool:
    return hasattr(tracker, "stale") and cast(Renews, tracker).stale(tokens, clock.now())


def keep(connection: Connection, waiting: list[tuple[int, str]]) -> list[None]:
    for account_id, sealed in waiting:
        connection.execute(update(account).where(account.c.id == account_id).values(tokens=sealed))
    return [None] * len(waiting)
