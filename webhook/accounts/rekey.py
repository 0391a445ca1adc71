"""Replacement of the key that seals all secrets.

The new key is written beside the old one, everything is sealed anew in one transaction, and the new file gets the
old one's place once it has opened every row that was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from webhook import clock
from webhook.accounts.keys import (
    MAKE_ONE,
    count_readable,
    count_secrets,
    fresh_file,
    install,
    key_file,
    new_key,
    put_back,
    read_key,
    remove_beside,
    remove_old,
    settle_files,
    weakness,
    write_key,
)
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
