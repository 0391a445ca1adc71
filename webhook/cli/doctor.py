"""The command doctor, which checks everything."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from webhook import clock, servers, sources, trackers
from webhook import settings as environment
from webhook.accounts import accounts, keys, sealed_secrets, settings_store
from webhook.accounts.accounts import AccountCheck
from webhook.cli._common import (
    Json,
    count_of,
    say,
)
from webhook.cli._desk import (
    close_after,
    database_of,
    desk,
    ensure_data_dir,
    has_tables,
)
from webhook.cli._errors import sentence
from webhook.cli._findings import Finding, fine, note, problem_with
from webhook.cli._invalid_settings import find_invalid_settings
from webhook.cli.accounts import DRY_RUN_NOTE, check_all, dry_run_hint
from webhook.clock import stamp
from webhook.domain.outcome import DISCONNECTED
from webhook.domain.states import WebhookState
from webhook.maintenance import backup, integrity, notifications
from webhook.people import tokens
from webhook.queries.deliveries import count_by_state
from webhook.queries.people import AccountJson, list_accounts, list_unclaimed_identities
from webhook.queries.senders import find_repeats, find_silent_servers, find_wrong_clocks
from webhook.queries.webhooks import last_webhook_times
from webhook.queues.calls_left import describe_calls
from webhook.queues.listening import LineState, line_statuses
from webhook.settings import Environ, Settings, SettingsError
from webhook.storage import migrate
from webhook.storage.db import Damaged, Database, Unavailable, log_of
from webhook.storage.tables import webhook
from webhook.system.permissions import can_use, remedy

app = typer.Typer()

OLD_BACKUP = timedelta(days=7)


@app.command()
def doctor(
    online: Annotated[bool, typer.Option("--online/--offline", help="Contact each service as well.")] = True,
    as_json: Json = False,
) -> None:
    """Check everything and say how to fix what is wrong. Exits with 1 if there is a problem."""
    found = []
    for finding in examine(online):
        found.append(finding)
        todo = f". {finding.do}" if finding.do else ""
        if not as_json:
            say(False, None, f"{finding.level:<8}{finding.about}: {finding.says.removesuffix('.')}{todo}")
    if as_json:
        say(True, {"findings": [asdict(finding) for finding in found], "problems": problems(found)})
    if problems(found):
        raise typer.Exit(1)


def problems(found: Iterable[Finding]) -> int:
    return sum(finding.level == "PROBLEM" for finding in found)


def examine(online: bool) -> Iterator[Finding]:
    """All findings, from the basics up; checks that depend on a broken part are skipped."""
    try:
        environ: Environ = environment.environment()
        settings = environment.load(environ)
    except SettingsError as error:
        yield problem_with("settings", str(error))
        return
    environ, findings = merge_browser_settings(settings, environ)
    yield from findings
    settings = environment.load(environ)
    settled = list(check_settings(environ))
    yield from settled
    yield from check_folder(settings)
    yield from check_clock()
    yield check_notifications(settings)
    yield from check_broker(settings, online)
    yield check_backups(settings)
    if not has_database(settings):
        do = "It is created at the first start: watchmark serve. Where Watchmark runs already, run this in its folder, or set DATA_DIR."
        yield note("database", f"there is none in {settings.data_dir.absolute()} yet", do)
        return
    try:
        with close_after(database_of(settings)) as database:
            yield from check_contents(settings, environ, database, online and not problems(settled))
    except Damaged as error:
        yield problem_with("database", f"it is damaged: {error.found}", backup.restore_advice(settings))
    except Unavailable as error:
        yield problem_with("database", str(error), "Check DATABASE_URL, the disk and the database itself.")
    except (DatabaseError, SettingsError) as error:
        yield problem_with("database", sentence(error))


def has_database(settings: Settings) -> bool:
    """True if the SQLite file or its log exists; a PostgreSQL database is assumed to exist."""
    url = make_url(settings.database)
    path = Path(url.database or "")
    return url.get_backend_name() != "sqlite" or path.exists() or log_of(path).exists()


def merge_browser_settings(settings: Settings, environ: Environ) -> tuple[Environ, list[Finding]]:
    """The environment over the settings made in the browser, and the problems of the latter."""
    if not has_database(settings):
        return environ, []
    try:
        with close_after(database_of(settings)) as database:
            if not database.ask(has_tables):
                return environ, []
            sealed = keys.load_seal(settings, database)
            known = database.ask(lambda connection: settings_store.load_settings(connection, sealed))
    except (Unavailable, DatabaseError, SettingsError):
        return environ, []  # what is wrong with the database or the key is said of those
    usable, left_out = settings_store.usable_settings(environ, known)
    return usable, [
        problem_with(
            "settings made in the browser", f"{name} is not used: {why}", "Enter it again on its page."
        )
        for name, why in left_out.items()
    ]


def check_settings(environ: Environ) -> Iterator[Finding]:
    """What is set up of everything that has settings; whatever a start refuses is a problem."""
    refused = dict(find_invalid_settings(environ))
    yield from (problem_with(name, why) for name, why in refused.items())
    for name, module in trackers.modules().items():
        if name not in refused:
            given = environment.read_settings(module.Settings, f"{name}_", environ)
            yield fine(name, "is set up") if given else note(name, accounts.setup_hint(name))


def check_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        ensure_data_dir(settings)
    except SettingsError as error:
        yield problem_with("data folder", str(error))
        return
    free = shutil.disk_usage(folder).free
    says = f"{folder} is writable; {free / 1e9:.1f} GB free"
    level = problem_with if free < 1e8 else note if free < 1e9 else fine
    yield replace(level("data folder", says), do="Free some space." if free < 1e9 else None)
    if folder.stat().st_mode & 0o077:
        do = f"Restrict it: chmod 700 {shlex.quote(str(folder))}"
        yield note("data folder", "other users on this machine can read it", do)


def check_clock() -> Iterator[Finding]:
    now = clock.now()
    if now.year < 2026:
        yield problem_with("clock", f"it says {now:%Y-%m-%d}", "Set it, and keep it set with NTP.")
        return
    yield fine("clock", f"it says {stamp(now)}")


def check_notifications(settings: Settings) -> Finding:
    try:
        count = notifications.count_addresses(settings)
    except SettingsError as error:
        return problem_with("notices", str(error), "Test it: watchmark notify --test")
    if not count:
        do = "Set NOTIFY_URLS to be notified when an account needs attention or a server falls silent."
        return note("notices", "NOTIFY_URLS is not set, so no notifications are sent", do)
    return fine("notices", f"are sent to {count_of(count, 'address')}")


def check_broker(settings: Settings, online: bool) -> Iterator[Finding]:
    """Sign in at the MQTT broker and publish, where there is one."""
    if not settings.mqtt_url.get_secret_value():
        return
    if not online:
        yield note("MQTT broker", "not checked")
        return
    from webhook.maintenance.broker import try_broker  # late: most have no broker

    trouble = asyncio.run(try_broker(settings))
    if trouble is not None:
        yield problem_with("MQTT broker", trouble.says, trouble.do)
        return
    broker = environment.parse_broker(settings.mqtt_url.get_secret_value())
    how = "by TLS" if broker.tls else "without TLS"
    yield fine("MQTT broker", f"{broker.host} takes what is published, {how}")


def check_backups(settings: Settings) -> Finding:
    """Restore the newest backup beside the database, to see that it can be."""
    if make_url(settings.database).get_backend_name() != "sqlite":
        return note("backup", "PostgreSQL is backed up by its own tools", "Run pg_dump regularly.")
    folder = settings.backup_folder
    if folder.is_dir() and not can_use(folder):
        return problem_with("backup", f"{folder} cannot be used for backups", remedy(folder))
    newest = backup.newest_backup(settings)
    if newest is None:
        do = "Leave BACKUP_HOURS at 24, or run: watchmark backup FILE"
        return note("backup", f"there is none in {settings.data_dir} yet", do)
    try:
        found = backup.try_restore(settings, newest)
    except (backup.BackupError, OSError) as error:
        do = f"Make a new one: watchmark backup --keep {settings.backup_keep}"
        return problem_with("backup", f"{newest} cannot be restored: {error}", do)
    people = f"{found.people} {'person' if found.people == 1 else 'people'}"
    counts = f"{people}, {count_of(found.plays, 'play')}, {count_of(found.webhooks, 'webhook')}"
    says = f"{newest} of {found.made_at} can be restored: {counts}"
    age = clock.now() - datetime.fromtimestamp(newest.stat().st_mtime, UTC)
    if age > OLD_BACKUP:
        return note(
            "backup", f"{says}; it is {age.days} days old", "Make a newer one: watchmark backup --keep 7"
        )
    return fine("backup", says)


def check_contents(
    settings: Settings, environ: Environ, database: Database, online: bool
) -> Iterator[Finding]:
    if not database.ask(has_tables):
        yield note("database", "it is empty", "It is set up at the first start: watchmark serve")
        return
    yield from check_database(settings, database)
    try:
        database.ask(migrate.require_current)
    except migrate.OtherVersion as error:
        yield problem_with("schema", sentence(error))
        return
    yield fine("schema", "is up to date")
    is_right = yield from check_key(settings, database)
    yield from check_webhooks(database)
    yield from check_senders(settings, database)
    yield from check_lines(environ, database)
    yield from check_service(settings, online)
    yield from check_accounts(settings, environ, database, online and is_right)
    yield from check_backlog(database)
    yield from check_tokens(database)


def check_key(settings: Settings, database: Database) -> Generator[Finding, None, bool]:
    """Report the secrets that the key cannot open; returns False if there is no usable key."""
    try:
        seal = keys.load_seal(settings, database)
    except SettingsError as error:
        yield problem_with("key", str(error))
        return False
    lost = database.ask(lambda connection: sealed_secrets.find_unreadable(connection, seal))
    for one in lost:
        yield problem_with("key", f"it cannot decrypt {one.what}", one.do)
    if not lost:
        yield fine("key", f"{keys.key_name(settings)} decrypts everything")
    return True


def check_database(settings: Settings, database: Database) -> Iterator[Finding]:
    if not database.sqlite:
        yield fine("database", "PostgreSQL answers")
        return
    found = integrity.find_damage(database)
    if found is not None:
        yield problem_with("database", f"it is damaged: {found}", backup.restore_advice(settings))
        return
    yield fine("database", "it is intact")
    if not has_wal_fix(sqlite3.sqlite_version_info):
        says = f"{sqlite3.sqlite_version} can lose a commit when two processes checkpoint its log (fixed in 3.51.3)"
        do = "Watchmark avoids this, but updating is recommended."
        yield note("SQLite", says, do)


def has_wal_fix(version: tuple[int, ...]) -> bool:
    """True if this SQLite is free of the WAL-reset bug: https://sqlite.org/wal.html#walresetbug"""
    backports = ((3, 44, 6), (3, 50, 7))
    return version >= (3, 51, 3) or any(version[:2] == one[:2] and version >= one for one in backports)


def check_webhooks(database: Database) -> Iterator[Finding]:
    last = database.ask(last_webhook_times)
    newest = max((datetime.fromisoformat(at) for at in last.values() if at), default=None)
    if newest is not None and newest > clock.now() + timedelta(minutes=5):
        yield problem_with(
            "clock", f"the newest webhook is from {stamp(newest)}, which is in the future", "Set the clock."
        )
    for name, source in sources.modules().items():
        if name in last:
            yield fine(source.LABEL, f"last sent a webhook at {last[name]}")
    if not last:
        yield note(
            "webhooks", "none received yet", "Paste the address into your media server: watchmark urls"
        )


def check_senders(settings: Settings, database: Database) -> Iterator[Finding]:
    """Findings on servers that fell silent, report everything twice, or have a wrong clock."""
    now = clock.now()
    modules = sources.modules()
    for one in database.ask(lambda connection: find_silent_servers(connection, now, settings.silence_days)):
        do = "If somebody has watched something since, check that its webhook is still set up: watchmark urls. "
        do += "If it is no longer in use, dismiss it under Needs you."
        yield note("silence", one["says"], do)
    for repeat in database.ask(find_repeats):
        times = count_of(repeat["repeats"], "time")
        says = f"it sends duplicates: the same webhook arrived again within seconds, {times} recently"
        do = "Its webhook is probably set up twice. This is harmless, but you can remove one."
        yield note(
            modules[repeat["source"]].LABEL if repeat["source"] in modules else repeat["source"], says, do
        )
    for clock_off in database.ask(find_wrong_clocks):
        label = modules[clock_off["source"]].LABEL
        server = clock_off["server_name"] or clock_off["server"]
        ahead = "ahead of" if clock_off["seconds"] > 0 else "behind"
        says = f"its clock is off by {abs(clock_off['seconds']) // 60} minutes ({ahead} ours)"
        do = "Set the clock of that server, or of this one, with NTP."
        yield note(f"{label} server {server}" if server else label, says, do)


def check_lines(environ: Environ, database: Database) -> Iterator[Finding]:
    """Findings on the media servers that are listened to."""
    try:
        names = [name for name in servers.modules() if servers.is_set_up(name, environ)]
    except SettingsError:
        return  # which is said of the settings
    for line in database.ask(lambda connection: line_statuses(connection, names, clock.now())):
        label = servers.modules()[line.server].LABEL
        if line.state is LineState.LIVE:
            calls = count_of(line.calls, "call")
            says = f"listened to since {stamp(line.since)}, with {calls} in the last minute"
            yield fine(label, f"{says}; {line.remark}" if line.remark else says)
        else:
            do = "It is tried again by itself, and catch-up brings what was missed."
            yield note(label, f"not heard since {stamp(line.since)}: {line.error}", do)


def check_service(settings: Settings, online: bool) -> Iterator[Finding]:
    if not online:
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - asked, not bound
    url = f"http://{environment.host_in_url(host)}:{settings.port}/healthz"
    try:
        alive = httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        alive = False
    yield (
        fine("service", f"running at {url}")
        if alive
        else note("service", f"nothing answers at {url}", "Start it: watchmark serve")
    )


def check_accounts(
    settings: Settings, environ: Environ, database: Database, online: bool
) -> Iterator[Finding]:
    rows = database.ask(list_accounts)
    verdicts: Mapping[int, AccountCheck] = {}
    if online and rows:
        at = desk(settings, environ, database)
        verdicts = at.run(check_all(at))
        rows = database.ask(list_accounts)
    for row in rows:
        yield check_account(row, verdicts.get(row["id"]))
        for limit in row["limits"]:
            yield problem_with(f"{row['tracker']} of {row['person']}", limit["reason"], limit["explanation"])
        if row["rules"]["dry_run"]:
            yield note(
                f"{row['tracker']} of {row['person']}", f"is in a dry run: {DRY_RUN_NOTE}", dry_run_hint(row)
            )
    if not any(row["tracker"] == "trakt" for row in rows) and environ.get("TRAKT_CLIENT_ID"):
        yield note("trakt", "nobody is signed in", "Sign in: watchmark connect trakt")


def check_account(row: AccountJson, verdict: AccountCheck | None) -> Finding:
    about = f"{row['tracker']} of {row['person']}"
    if row["why"] == DISCONNECTED:
        again = f"Sign in again: watchmark connect {row['tracker']} --person {row['person']}"
        return note(about, "disconnected", again)
    if row["state"] != "working":
        return problem_with(about, row["state"], row["explanation"])
    if verdict is not None and not verdict.works:
        return problem_with(
            about, str(verdict.reason), "Waiting deliveries are retried automatically once that is fixed."
        )
    word = "works" if verdict else "not checked"
    return fine(about, f"{word}, {describe_calls(row['calls'])}" if row["calls"] else word)


def check_backlog(database: Database) -> Iterator[Finding]:
    nobodys = database.ask(list_unclaimed_identities)
    if waits := [one for one in nobodys if one["webhooks"]]:
        names = ", ".join(one["spelled"] for one in waits)
        yield note("people", f"not claimed: {names}", "Claim: watchmark people claim NAME SOURCE:USER")
    told = database.ask(count_by_state)
    for state in ("unmatched", "dead"):
        if number := told.get(state):
            do = "See why: watchmark trace ID, or the Deliveries page. Then: watchmark retry --state " + state
            yield note("deliveries", f"{number} {state}", do)
    unread = database.ask(count_unreadable)
    if unread:
        do = (
            "See why: watchmark trace ID. If the sender is at fault, mend it there and add what is missing: "
            "watchmark history add. After an update of Watchmark: watchmark replay --state quarantined"
        )
        yield note("webhooks", f"{unread} could not be read", do)


def count_unreadable(connection: Connection) -> int:
    wanted = select(func.count()).select_from(webhook).where(webhook.c.state == WebhookState.QUARANTINED)
    return connection.execute(wanted).scalar_one()


TOKEN_WARNING = timedelta(days=7)
"""The time before and after a token's expiry in which it is mentioned."""


def check_tokens(database: Database) -> Iterator[Finding]:
    now = clock.now()
    for row in database.ask(tokens.list_tokens):
        if row.expires_at is None or abs(row.expires_at - now) > TOKEN_WARNING:
            continue
        ends = "ended" if tokens.has_expired(row.expires_at, now) else "ends"
        named = f" ({row.name})" if row.name else ""
        says = f"token {row.id}{named} {ends} at {stamp(row.expires_at)}"
        again = tokens.token_command(row.kind, row.scopes, row.person)
        do = f"Create a new one, then revoke this one: {again}"
        yield note("tokens", says, do)
