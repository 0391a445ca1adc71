"""Keys: location, validation and replacement of the key that seals all secrets.

A key in a file lies outside the database. `rekey` writes the new one beside it, seals everything anew in one
transaction, and gives the new file the old one's place once it has opened every row that was committed. Whatever
is broken off, one of the files opens everything, and `load_seal` finds out which.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from webhook import clock
from webhook.accounts.seal import Seal
from webhook.accounts.sealed_secrets import (
    DESCRIBE_UNREADABLE,
    RENEW_SECRET,
    RenewedSecret,
    Secret,
    find_secrets,
)
from webhook.settings import Settings, SettingsError
from webhook.storage.db import Database
from webhook.system.files import sync_folder, write_private
from webhook.system.permissions import remedy

log = structlog.get_logger()

MIN_LENGTH = 32
"""Minimum characters of a key; generated ones are 48 random bytes in 64 characters."""

MIN_VARIETY = 8
"""Minimum number of different characters in a key; fewer are not random."""

MAKE_ONE = "Make one at random: openssl rand -base64 48"


# --- the key


def key_file(settings: Settings) -> Path:
    return settings.data_dir / "secret.key"


def key_name(settings: Settings) -> str:
    """The key's location as shown to people: SECRET_KEY or the path of the key file."""
    return "SECRET_KEY" if settings.secret_key.get_secret_value() else str(key_file(settings))


def new_key() -> str:
    return secrets.token_urlsafe(48)


def weakness(key: str) -> str | None:
    """The reason why a key is too weak to use, or None."""
    if len(key) < MIN_LENGTH:
        return f"is {'too short' if key else 'empty'}: a key has at least {MIN_LENGTH} characters"
    if len(set(key)) < MIN_VARIETY:
        return "repeats a few characters, so it can be guessed"
    return None


def read_key(path: Path) -> str | None:
    """The content of a key file, or None if there is none; raises SettingsError if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be read. {remedy(path)}") from error
    except IsADirectoryError as error:
        raise SettingsError(f"{path} is a folder, where the key must be a file. Move it away.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def write_key(path: Path, key: str, *, replace: bool = True) -> None:
    try:
        write_private(path, f"{key}\n", replace=replace)
    except PermissionError as error:
        raise SettingsError(f"{path} cannot be written. {remedy(path.parent)}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}. Nothing was changed.") from error


# --- load


def load_seal(settings: Settings, database: Database) -> Seal:
    """The seal of this installation, whose key is generated at the first start.

    Raises SettingsError where the key is missing or weak, or opens nothing that is sealed.
    """
    stored = database.ask(find_secrets)
    path = key_file(settings)
    key: str | None = settings.secret_key.get_secret_value() or load_file(path, stored)
    if key is None:
        raise SettingsError(
            f"{path} is missing. It opens {count_secrets(len(stored))} in the database. {put_back(path)}"
        )
    seal = Seal(key)
    if stored and not any(seal.opens(secret.text) for secret in stored):
        fault = weakness(key) or "does not fit the database"
        raise SettingsError(f"{key_name(settings)} {fault}. {hint(settings, stored)} {put_back(path)}")
    if why := weakness(key):
        raise SettingsError(f"{key_name(settings)} {why}. {replace_weak(settings)}")
    return seal


def load_file(path: Path, stored: Sequence[Secret[Any]]) -> str | None:
    """The key of the file that opens most secrets, moved to its place; generated if nothing is sealed."""
    settle_files(path, stored)
    key = read_key(path)
    if key is None and not stored:
        write_key(path, new_key(), replace=False)
        key = read_key(path)
    return key


def settle_files(path: Path, stored: Sequence[Secret[Any]]) -> None:
    """Finish or undo an interrupted change of the key.

    A new key that opens nothing was broken off before its commit, or is being made just now: it is left alone.
    """
    kept = {
        one: key for one in (path, fresh_file(path), old_file(path)) if (key := read_key(one)) is not None
    }
    opened = {one: count_readable(Seal(key), stored) for one, key in kept.items()}
    best = max(opened, key=lambda one: opened[one], default=path)
    if best != path and opened[best]:
        install(path, best)
    if stored and opened.get(best) == len(stored):
        remove_old(path)


def count_readable(seal: Seal, stored: Sequence[Secret[Any]]) -> int:
    return sum(seal.opens(secret.text) for secret in stored)


def fresh_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def old_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def install(path: Path, fresh: Path) -> None:
    """Install a new key file; the old one is kept until the new one has opened everything."""
    before = read_key(path)
    if before is not None:
        write_key(old_file(path) if fresh != old_file(path) else fresh_file(path), before)
    try:
        fresh.replace(path)
        sync_folder(path.parent)
    except FileNotFoundError:  # another process was first
        return
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def remove_old(path: Path) -> None:
    if old_file(path).exists():
        old_file(path).unlink(missing_ok=True)
        sync_folder(path.parent)


def remove_beside(path: Path) -> None:
    """Delete the temporary key files that interrupted writes left next to the key file."""
    for left in path.parent.glob(f".{path.name}*-*"):
        left.unlink(missing_ok=True)


# --- what is wrong with it, in words


def count_secrets(number: int) -> str:
    return f"{number} {'secret' if number == 1 else 'secrets'}"


def put_back(path: Path) -> str:
    return (
        f"Put the right key back ({path}, or SECRET_KEY). Without it: watchmark rekey "
        "--forget, which keeps the history and says which sign-ins and addresses are made anew."
    )


def hint(settings: Settings, stored: Sequence[Secret[Any]]) -> str:
    """A sentence on the secrets that this key cannot open: the file that holds the right key, else their number."""
    path = key_file(settings)
    if settings.secret_key.get_secret_value():
        beside = read_key(path)
        if beside and count_readable(Seal(beside), stored):
            return f"{path} holds the key that fits: take SECRET_KEY out of the environment to use it."
    return (
        f"Another one has sealed {count_secrets(len(stored))} in the database (sign-ins, tokens, settings)."
    )


def replace_weak(settings: Settings) -> str:
    """Instructions for replacing a weak key; its secrets are sealed again with the new one."""
    if settings.secret_key.get_secret_value():
        return (
            f"{MAKE_ONE} > new.key. Then: watchmark rekey --new-key-file new.key, and set SECRET_KEY to what "
            "new.key holds. Nobody has to sign in again."
        )
    return "A full disk leaves such a file. Make a good one, for which nobody has to sign in again: watchmark rekey"


# --- another key


@dataclass(frozen=True, kw_only=True, slots=True)
class RekeyResult:
    """Result of a change of key: the number of sealed secrets, and those that had to be replaced."""

    sealed: int
    renewed: Sequence[RenewedSecret] = ()
    changed: bool = True
    """True if the key was replaced."""


def rekey(
    settings: Settings, database: Database, given: str | None = None, *, forget: bool = False
) -> RekeyResult:
    """Reseal everything with another key, `given` or random, all or nothing; raises SettingsError.

    With `forget`, secrets that cannot be opened are dropped or replaced; a key that is strong enough stays.
    """
    if given is not None and (why := weakness(given)):
        raise SettingsError(f"The new key {why}. {MAKE_ONE}")
    if settings.secret_key.get_secret_value():
        return rekey_setting(settings, database, given, forget=forget)
    path = key_file(settings)
    settle_files(path, database.ask(find_secrets))
    present = read_key(path)
    if present is None and not forget:
        raise SettingsError(f"{path} is missing, so nothing can be opened. {put_back(path)}")
    if forget and given is None and present is not None and weakness(present) is None:
        return reseal(database, present, present, forget=forget)
    fresh, secret = fresh_file(path), given or new_key()
    write_key(fresh, secret)
    try:
        done = reseal(database, present, secret, forget=forget)
    except SettingsError:  # rolled back; after any other error the outcome is unknown, so both files stay
        fresh.unlink(missing_ok=True)
        raise
    prove(database, secret)
    install(path, fresh)
    prove(database, read_key(path) or "")
    remove_old(path)
    remove_beside(path)
    return done


def rekey_setting(settings: Settings, database: Database, given: str | None, *, forget: bool) -> RekeyResult:
    """Reseal for a key in SECRET_KEY, whose next value must be given because the environment sets it."""
    present = settings.secret_key.get_secret_value()
    if given is None and not forget:
        raise SettingsError("SECRET_KEY is set, so say what the new one is: --new-key-file FILE")
    if given is None and (why := weakness(present)):
        raise SettingsError(f"SECRET_KEY {why}. {MAKE_ONE}")
    return reseal(database, present, given or present, forget=forget)


def reseal(database: Database, present: str | None, wanted: str, *, forget: bool) -> RekeyResult:
    old, new = None if present is None else Seal(present), Seal(wanted)

    def change(connection: Connection) -> RekeyResult:
        closed = reseal_readable(connection, old, None if present == wanted else new)
        if closed and not forget:
            raise SettingsError(unreadable_message(connection, closed))
        now = clock.now()
        renewed = [RENEW_SECRET[secret.column](connection, secret, new, now) for secret in closed]
        return RekeyResult(
            sealed=count_proven(connection, new),
            renewed=[one for one in renewed if one is not None],
            changed=present != wanted,
        )

    return database.do(change)


def reseal_readable(connection: Connection, old: Seal | None, new: Seal | None) -> list[Secret[Any]]:
    """Reseal everything that the old key opens with the new one; returns the secrets it does not open."""
    closed = []
    for secret in find_secrets(connection, lock=True):
        if old is None or not old.opens(secret.text):
            closed.append(secret)
        elif new is not None:
            secret.store(connection, new.seal(old.open(secret.text)))
    return closed


def count_proven(connection: Connection, seal: Seal) -> int:
    """Return the number of secrets after opening each with the key; raises SettingsError if one does not open."""
    found = find_secrets(connection)
    if count_readable(seal, found) < len(found):
        raise SettingsError("The new key does not open everything. The key files that were there are kept.")
    return len(found)


def prove(database: Database, key: str) -> None:
    """Check that this key opens every committed row; raises SettingsError, and then both key files stay."""
    database.ask(lambda connection: count_proven(connection, Seal(key)))


def unreadable_message(connection: Connection, closed: Sequence[Secret[Any]]) -> str:
    named = [
        lost.what for secret in closed if (lost := DESCRIBE_UNREADABLE[secret.column](connection, secret))
    ]
    which = f": {', '.join(named)}" if named else ""
    return (
        f"{count_secrets(len(closed))} cannot be opened with the present key{which}. Nothing was changed. "
        f"To let go of these and keep everything else: watchmark rekey --forget"
    )
