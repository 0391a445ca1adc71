"""The commands backfill and jobs: start, watch, list and cancel what runs in the background."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from webhook import clock
from webhook.accounts import accounts
from webhook.cli._common import (
    DryRun,
    Failed,
    Json,
    Which,
    Whose,
    count_of,
    print_table,
    say,
)
from webhook.cli._desk import (
    Desk,
    open_desk,
    person_or_only,
)
from webhook.cli._progress import Meter
from webhook.cli.transfer import ITEMS_LISTED, item_line
from webhook.queues import jobs
from webhook.queues.jobs import JobJson
from webhook.storage import migrate
from webhook.storage.db import Database
from webhook.transfer import backfill as backfilling
from webhook.transfer import import_counts, import_undo
from webhook.transfer.backfill import BackfillCountsJson, PreviewJson

POLL_INTERVAL = 0.5

app = typer.Typer()


# --- backfill


@app.command()
def backfill(
    tracker: Which,
    whose: Whose = None,
    dry_run: DryRun = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel it; what was not sent yet is not sent.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only show its progress.")] = False,
    as_json: Json = False,
) -> None:
    """Send a tracker the plays from the history that it is missing."""
    if dry_run + cancel + status > 1:
        raise typer.BadParameter("Use only one of --dry-run, --cancel and --status.")
    with open_desk() as at:
        owner = at.database.ask(lambda connection: person_or_only(connection, whose))
        built = accounts.get_tracker(at, tracker)
        row = at.database.ask(lambda connection: accounts.find_account(connection, owner.id, tracker))
        if dry_run:
            found = at.run(backfilling.preview(at.database, built, at.credentials, row.id))
            shown = {"tracker": tracker, "person": owner.name, "dry_run": True, **found.to_json()}
            say(as_json, shown, *preview_story(found.to_json(), built.label, owner.name))
        elif cancel:
            cancel_backfill(at.database, row.id, tracker, as_json)
        elif status:
            newest = newest_backfill(at.database, row.id)
            say(as_json, {"job": newest}, job_story(newest) if newest else nothing_yet(tracker))
        else:
            begin_backfill(at, built, row.id, as_json)


def preview_story(found: PreviewJson, label: str, name: str) -> Iterator[str]:
    counts = found["counts"]
    yield f"{label} of {name} has {count_of(found['holds'], 'play')}."
    yield f"{count_of(counts['sent'], 'play')} would be sent. Skipped: {describe_left_out(counts)}."
    if found["missing"]:
        yield f"Not on {label} yet, sent when added: {found['missing']:,}."
    if found["first"] and found["last"]:
        yield f"Watched between {found['first'][:10]} and {found['last'][:10]}:"
    yield from (f"  {play['watched_at']}  {item_line(play)}" for play in found["plays"][:ITEMS_LISTED])
    if counts["sent"] > ITEMS_LISTED:
        yield f"  … and {counts['sent'] - ITEMS_LISTED:,} more"
    yield "Dry run: nothing was sent."


def describe_left_out(counts: BackfillCountsJson) -> str:
    return (
        f"{counts['held']:,} already there, {counts['told']:,} already sent, "
        f"{counts['kept_back']:,} by a rule"
    )


def newest_backfill(database: Database, account_id: int) -> jobs.JobJson | None:
    found = database.ask(
        lambda connection: jobs.list_jobs(connection, kind=jobs.JobKind.BACKFILL, limit=1000)
    )
    return next((one for one in found if one["account"] == account_id), None)


def nothing_yet(tracker: str) -> str:
    return f"No backfill yet. Start one: watchmark backfill {tracker}"


def cancel_backfill(database: Database, account_id: int, tracker: str, as_json: bool) -> None:
    newest = newest_backfill(database, account_id)
    if newest is None or newest["state"] != jobs.JobState.RUNNING:
        raise Failed(f"No backfill of {tracker} is running.")
    taken = database.do(lambda connection: backfilling.cancel(connection, newest["id"], clock.now()))
    kept = "What was already sent stays there."
    say(
        as_json,
        {"job": newest["id"], "cancelled": True, "taken_back": taken},
        f"Job {newest['id']} is cancelled; {count_of(taken, 'delivery')} not sent. {kept}",
    )


def begin_backfill(at: Desk, built: Any, account_id: int, as_json: bool) -> None:
    now = clock.now()
    made = at.database.do(lambda connection: backfilling.begin(connection, built, account_id, now))
    if not is_served(at.settings.database):
        shown = found_job(at.database, made)
        begins = f"Job {made} is saved. It starts when the service runs: watchmark serve"
        say(as_json, {"job": shown, "serving": False}, begins)
        return
    follow(at.database, made, f"Backfill of {built.label}", as_json)


def is_served(url: str) -> bool:
    """True if a service runs on this database; always assumed on PostgreSQL, which has no lock to test."""
    if not url.startswith("sqlite"):
        return True
    try:
        with migrate.hold_lock(url):
            return False
    except migrate.AlreadyRunning:
        return True


def follow(database: Database, job_id: int, what: str, as_json: bool) -> None:
    """Watch a job until it is over; Ctrl-C stops the watching only."""
    import time

    shown = found_job(database, job_id)
    try:
        with Meter(what) as meter:
            while shown["state"] == jobs.JobState.RUNNING:
                meter.show(progress_of(shown["counts"]), counts_text(shown))
                time.sleep(POLL_INTERVAL)
                shown = found_job(database, job_id)
    except KeyboardInterrupt:
        goes_on = f"Job {job_id} continues in the background. Progress: watchmark jobs. To stop it: --cancel"
        say(as_json, {"job": shown, "serving": True}, goes_on)
        return
    say(as_json, {"job": shown, "serving": True}, job_story(shown))
    if shown["state"] == jobs.JobState.FAILED:
        raise typer.Exit(1)


def progress_of(counts: Mapping[str, int]) -> float | None:
    """The finished share of a backfill's deliveries, 0 to 1, or None if it has none."""
    put = counts.get("sent", 0)
    return counts.get("done", 0) / put if put else None


def found_job(database: Database, job_id: int) -> jobs.JobJson:
    shown = database.ask(lambda connection: jobs.get_job(connection, job_id))
    if shown is None:
        raise Failed(f"Job {job_id} was not found.")
    return shown


# --- jobs


@app.command("jobs")
def jobs_command(
    whose: Whose = None,
    cancel: Annotated[
        int | None, typer.Option("--cancel", metavar="ID", help="Cancel this job; what was done stays.")
    ] = None,
    undo: Annotated[
        int | None,
        typer.Option("--undo", metavar="ID", help="Undo this import: its plays go, also from your trackers."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List imports and backfills with their progress."""
    with open_desk() as at:
        if undo is not None:
            undo_import(at, undo, as_json)
            return
        if cancel is not None:
            stop_job(at.database, cancel, as_json)
            return
        owner = (
            None
            if whose is None
            else at.database.ask(lambda connection: person_or_only(connection, whose)).id
        )
        found = at.database.ask(lambda connection: jobs.list_jobs(connection, person_id=owner))
    if as_json:
        say(True, {"jobs": found})
        return
    rows = [
        [
            one["id"], one["kind"], one["what"], one["person"], state_text(one), counts_text(one),
            one["created_at"], one["error"],
        ]
        for one in found
    ]  # fmt: skip
    print_table(
        ("id", "kind", "what", "person", "state", "progress", "since", "error"),
        rows,
        "No imports or backfills yet.",
    )


def stop_job(database: Database, job_id: int, as_json: bool) -> None:
    shown = found_job(database, job_id)
    if shown["state"] != jobs.JobState.RUNNING:
        raise Failed(f"Job {job_id} has already ended: it is {shown['state']}.")
    taken = database.do(lambda connection: backfilling.cancel(connection, job_id, clock.now()))
    answer = {"job": job_id, "cancelled": True, "taken_back": taken}
    say(as_json, answer, f"Job {job_id} is cancelled. What it has done stays.")


def undo_import(at: Desk, job_id: int, as_json: bool) -> None:
    found_job(at.database, job_id)
    try:
        done = at.run(import_undo.undo(at.database, job_id, at.trackers, None, at.settings.watched_mark))
    except import_undo.NoUndo as error:
        raise Failed(f"Job {job_id} can't be undone: {error}.") from error
    left = f" {done.left:,} changed since and {'stays' if done.left == 1 else 'stay'}." if done.left else ""
    answer = {"job": job_id, "undone": True, **done.to_json()}
    say(
        as_json,
        answer,
        f"Job {job_id} is undone: {count_of(done.removed, 'play')} removed, {count_of(done.restored, 'change')} put back.{left}",
    )


def job_story(shown: JobJson) -> str:
    error = f" {shown['error']}" if shown["error"] else ""
    return f"Job {shown['id']} ({shown['kind']} {shown['what']}) is {shown['state']}: {counts_text(shown)}.{error}"


def state_text(shown: JobJson) -> str:
    return "undone" if shown["undone_at"] else str(shown["state"])


def counts_text(shown: JobJson) -> str:
    """A job's counts in words."""
    counts = shown["counts"]
    if shown["kind"] == jobs.JobKind.IMPORT:
        return import_counts.describe_counts(counts)
    words = {
        "sent": "queued",
        "held": "already there",
        "told": "already sent",
        "kept_back": "skipped by a rule",
    }
    return (
        ", ".join(f"{number:,} {words.get(name, name)}" for name, number in counts.items() if number)
        or "nothing"
    )
