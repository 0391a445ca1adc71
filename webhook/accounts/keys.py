"""Keys: location and validation of the key that seals all secrets.

A key in a file lies outside the database. Whatever change of it is broken off (`rekey`), one of the files opens
everything, and `load_seal` finds out which.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webhook.accounts.seal import Seal
from webhook.people import tokens
from webhook.settings import Settings, SettingsError
from webhook.storage.db import Database
from webhook.system.files import sync_folder, write_private
from webhook.system.permissions import remedy

if TYPE_CHECKING:
    from webhook.accounts.sealed_secrets import Secret

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
    if (seal := proven_seal(settings, database)) is not None:
        return seal
    from webhook.accounts.sealed_secrets import find_secrets  # what a short command need not load

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


def proven_seal(settings: Settings, database: Database) -> Seal | None:
    """The seal, where nothing is to be done: a strong key, in no more than one file, that opens the newest token."""
    path = key_file(settings)
    given = settings.secret_key.get_secret_value()
    if not given and (fresh_file(path).exists() or old_file(path).exists()):
        return None
    key = given or read_key(path)
    if key is None or weakness(key) is not None:
        return None
    seal, sealed = Seal(key), database.ask(tokens.newest_secret)
    return seal if sealed is not None and seal.opens(sealed) else None


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
