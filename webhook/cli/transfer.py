"""The commands import, export and catch-up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from sqlalchemy import func, select

from webhook import servers, trackers
from webhook.cli._common import (
    DryRun,
    Failed,
    Json,
    Whose,
    count_of,
    parse_moment,
    print_table,
    say,
)
from webhook.cli._desk import (
    Desk,
    open_desk,
    person_or_only,
)
from webhook.cli._progress import Meter
from webhook.history.stats_span import zone_for
from webhook.servers import Server
from webhook.storage.db import Database
from webhook.storage.tables import PersonRow, unresolved
from webhook.texts import end_sentence
from webhook.transfer import catch_up as catching_up
from webhook.transfer import export, exports, import_counts, import_feeds, import_job, imports, sources
from webhook.transfer.catch_up import CatchUpJson
from webhook.transfer.export import Export
from webhook.transfer.import_counts import Counts
from webhook.transfer.import_feeds import Feed, FileFeed
from webhook.transfer.import_job import Report
from webhook.transfer.records import Options, Question, Unusable, wrong_answer
from webhook.transfer.show_ids import KIND as PLEX_SHOW

if TYPE_CHECKING:
    from webhook.domain.json_shapes import NamedItem

ITEMS_LISTED = 20
"""Maximum numbers of items without ids and of plays listed one by one."""

ImportName = Annotated[
    str | None, typer.Argument(metavar="KIND", help="Format or service. Leave it out to list them all.")
]
ExportName = Annotated[
    str | None, typer.Argument(metavar="KIND", help="Format. Leave it out to list them all.")
]

ANY_TABLE = "csv"

app = typer.Typer()


# --- import


@app.command("import")
def import_command(
    kind: ImportName = None,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The export file, or the folder with its files. Leave it out to import from a server or tracker.",
        ),
    ] = None,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            metavar="NAME=VALUE",
            help="Answer to a question about the file. --dry-run lists them.",
        ),
    ] = None,
    whose: Whose = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import history from a file, a media server or a tracker. Nothing is imported twice."""
    if kind is None:
        list_import_kinds(as_json)
        return
    check_kind(kind, file)
    options = parse_answers(answers or [])
    with open_desk() as at:
        owner = at.database.ask(lambda connection: person_or_only(connection, whose))
        try:
            report = at.run(bring_in(at, owner, kind, file, dry_run, options))
        except KeyboardInterrupt as error:
            raise Failed(report_interruption(dry_run)) from error
        except Unusable as error:
            raise Failed(f"{error}{hint(kind, file)}") from error
        once = file is None and kind in at.trackers
        looked_up = 0 if dry_run else at.database.ask(count_unresolved_items)
    shown = {"kind": kind, "person": owner.name, "dry_run": dry_run, **report.to_json()}
    lines = [*report_story(report, kind, owner.name, dry_run)]
    lines += [f"{at.trackers[kind].label} was read one time."] if once else []
    say(as_json, shown | {"to_be_looked_up": looked_up}, *lines, *afterwards(report, looked_up, dry_run))


def list_import_kinds(as_json: bool) -> None:
    files = {name: module.LABEL for name, module in imports.modules().items()}
    services = {name: module.LABEL for name, module in servers.modules().items()} | {
        name: module.LABEL for name, module in trackers.modules().items() if lists_history(module)
    }
    if as_json:
        say(True, {"files": files, "services": services})
        return
    typer.echo("From a file: watchmark import KIND FILE")
    print_table(("kind", "file of"), files.items(), "")
    typer.echo("\nFrom a server or an account that is connected: watchmark import KIND")
    print_table(("kind", "service"), services.items(), "")


def lists_history(tracker: ModuleType) -> bool:
    """True if an account at trackers of this module has a history that can be read."""
    built = get_type_hints(tracker.build)["return"]
    return hasattr(built, "history") and getattr(built, "sign_in", None) != "none"


def check_kind(kind: str, file: Path | None) -> None:
    """Raise BadParameter for options that do not fit the kind."""
    files, asked = imports.modules(), {**trackers.modules(), **servers.modules()}
    if file is not None and kind not in files:
        seems = looks_like(file)
        raise typer.BadParameter(
            f"{kind} is not a file format. Formats: {', '.join(files)}." + format_hint(file, seems),
            param_hint="KIND",
        )
    if file is None and kind not in asked:
        if kind in files:
            raise typer.BadParameter(
                f"{imports.modules()[kind].LABEL} is imported from its export file: watchmark import {kind} FILE",
                param_hint="FILE",
            )
        raise typer.BadParameter(
            f"{kind} can't be imported. Files: {', '.join(files)}. Without a file: {', '.join(asked)}.",
            param_hint="KIND",
        )


def looks_like(file: Path) -> list[str]:
    """The formats that can read a first entry from the file; one that reads any table only if no other does."""
    found = [kind for kind in imports.modules() if import_feeds.reads(kind, file)]
    return [kind for kind in found if kind != ANY_TABLE] or found


def format_hint(file: Path, kinds: Sequence[str]) -> str:
    if not kinds:
        return f" {file} does not look like any of them."
    return f" {file} looks like {' or '.join(kinds)}: watchmark import {kinds[0]} {file}"


def hint(kind: str, file: Path | None) -> str:
    """A hint naming the other formats that the file looks like, or an empty text."""
    others = [] if file is None or not file.is_file() else [one for one in looks_like(file) if one != kind]
    return format_hint(file, others) if file is not None and others else ""


def parse_answers(given: Sequence[str]) -> Options:
    """The answers by the names of their questions; raises BadParameter."""
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name.strip()]:
        raise typer.BadParameter(f"{wrong[0]} is not of the form NAME=VALUE.", param_hint="--answer")
    return {name.strip(): value.strip() for name, _, value in pairs}


async def bring_in(
    at: Desk, owner: PersonRow, kind: str, file: Path | None, dry_run: bool, options: Options
) -> Report:
    feed = await feed_of(at, owner, kind, file, options)
    if (wrong := wrong_answer(await import_feeds.questions_of(feed), options)) is not None:
        raise typer.BadParameter(wrong, param_hint="--answer")
    with Meter(f"{feed.name} for {owner.name}") as meter:

        def progress(done: float | None, counts: Counts) -> None:
            meter.show(done, import_counts.describe_counts(asdict(counts)))

        if dry_run:
            return await import_job.preview(at.database, owner.id, feed, progress)
        return await import_job.run(at.database, owner.id, feed, progress=progress)


async def feed_of(at: Desk, owner: PersonRow, kind: str, file: Path | None, options: Options) -> Feed:
    if file is not None:
        return await FileFeed.open(kind, file, options=options)
    return await sources.feeds(at).open_feed(owner.id, kind)


def report_interruption(dry_run: bool) -> str:
    if dry_run:
        return "stopped. Dry run: nothing was imported."
    return "stopped. What was imported is kept; run the same command to continue."


def count_unresolved_items(connection: Any) -> int:
    imported = (unresolved.c.state == "waiting", unresolved.c.kind != PLEX_SHOW)
    wanted = select(func.count()).select_from(unresolved).where(*imported)
    return int(connection.execute(wanted).scalar_one())


def report_story(report: Report, kind: str, name: str, dry_run: bool) -> Iterator[str]:
    would = "would import" if dry_run else "imported"
    yield f"{kind} {would} for {name}: {import_counts.describe_counts(asdict(report.counts))}."
    for question in report.questions:
        yield from question_lines(question)
    if not report.whole:
        yield "The preview covers only the first part. The import reads everything."
    if report.cancelled:
        yield "Cancelled. What was imported is kept."
    if report.first is not None and report.last is not None:
        yield f"Watched between {report.first:%Y-%m-%d} and {report.last:%Y-%m-%d}."
    if report.without_ids:
        yield "Without an ID, to be looked up by title:"
        yield from (f"  {item_line(item)}" for item in report.without_ids[:ITEMS_LISTED])
        if report.counts.without_ids > ITEMS_LISTED:
            yield f"  … and {report.counts.without_ids - ITEMS_LISTED:,} more"
    for bad in report.bad:
        line = "" if bad.line is None else f", line {bad.line}"
        yield f"{bad.file}{line}: {bad.why}. {bad.do}"
    if report.counts.bad > len(report.bad):
        yield f"… and {report.counts.bad - len(report.bad):,} more unreadable rows."
    for left in report.left_out:
        yield f"{left.file}: {left.count:,} skipped. {left.why}"


def question_lines(question: Question) -> Iterator[str]:
    """A question about the file, with the answer that holds and the others."""
    answer = question.answer or ("needs an answer" if question.needed else "none")
    yield f"{question.text} --answer {question.name}={answer if question.answer else '…'} ({answer})"
    yield from (f"  {question.name}={value}: {label}" for value, label in question.choices if value)


def item_line(item: NamedItem) -> str:
    """An item in words."""
    season, number = item.get("season"), item.get("number")
    place = f"{season}x{number:02}" if season is not None and number is not None else None
    year = f"({item['year']})" if item.get("year") and not item.get("show") else None
    parts = (item.get("artist"), item.get("show"), place, item.get("title"), year)
    return " ".join(str(part) for part in parts if part) or f"untitled {item['kind']}"


def afterwards(report: Report, looked_up: int, dry_run: bool) -> Iterator[str]:
    if dry_run:
        yield "Dry run: nothing was imported."
        return
    if looked_up:
        items = f"{count_of(looked_up, 'item')} {'waits' if looked_up == 1 else 'wait'}"
        yield f"{items} to be looked up by the service. To see what it can't find: watchmark unmatched"
    if report.counts.added or report.counts.completed:
        yield "Imports are not sent to your trackers. To send them: watchmark backfill TRACKER"


# --- export


@app.command("export")
def export_command(
    kind: ExportName = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. Default: standard output.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day or time on, such as 2026-10-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or time, such as 2026-11-01.")] = None,
    whose: Whose = None,
    as_json: Json = False,
) -> None:
    """Export the history to a file, in Watchmark's format or another one."""
    if kind is None:
        list_export_kinds(as_json)
        return
    if kind not in exports.modules():
        known = ", ".join(exports.modules())
        raise typer.BadParameter(f"{kind} is not a format. Formats: {known}.", param_hint="KIND")
    if as_json and out is None:
        raise typer.BadParameter("--json needs --out FILE.")
    binary = not exports.modules()[kind].MEDIA_TYPE.startswith(("text/", "application/json"))
    if out is None and binary and sys.stdout.isatty():
        raise typer.BadParameter(f"{kind} is a binary format. Write it to a file: --out FILE")
    with open_desk() as at:
        owner = at.database.ask(lambda connection: person_or_only(connection, whose))
        zone = at.database.ask(lambda connection: zone_for(connection, owner.id))
        wanted = Export(
            person_id=owner.id, kind=kind, since=None if since is None else parse_moment("--since", since, zone),
            until=None if until is None else parse_moment("--until", until, zone),
        )  # fmt: skip
        if out is None:
            write_to(at.database, wanted, sys.stdout.buffer)
            return
        size = write_export(at.database, wanted, out)
    shown = {"kind": kind, "person": owner.name, "file": str(out), "bytes": size}
    say(
        as_json,
        shown,
        f"Exported the history of {owner.name} to {out} as {wanted.module.LABEL} ({size:,} bytes).",
    )


def list_export_kinds(as_json: bool) -> None:
    formats = {
        name: {"label": module.LABEL, "description": module.DESCRIPTION}
        for name, module in exports.modules().items()
    }
    if as_json:
        say(True, {"formats": formats})
        return
    typer.echo("To a file: watchmark export KIND --out FILE")
    rows = [(name, one["label"], one["description"]) for name, one in formats.items()]
    print_table(("kind", "format", "what it is for"), rows, "")


def write_export(database: Database, wanted: Export, out: Path) -> int:
    """Write the export to a file, which appears only when complete; returns its size."""
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            write_to(database, wanted, file)
        part.replace(out)
        return out.stat().st_size
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Failed(f"{out} cannot be written: {error.strerror}. Nothing was exported.") from error


def write_to(database: Database, wanted: Export, file: IO[bytes]) -> None:
    with Meter(f"Export as {wanted.kind}") as meter:
        size = 0
        for piece in export.pieces(database, wanted):
            file.write(piece)
            size += len(piece)
            meter.show(None, f"{size / 1e6:.1f} MB")
        file.flush()


# --- catch-up


@app.command("catch-up")
def catch_up(
    server: Annotated[
        str | None,
        typer.Argument(metavar="SERVER", help="Name of a media server. Default: all that are set up."),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only show how far each was read.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch plays that no webhook reported. The service does this at start and every night."""
    with open_desk() as at:
        if not at.servers and server is None:
            sets = "; or ".join(" and ".join(sources.required_variables(name)) for name in servers.modules())
            raise Failed(f"No media server is set up for catch-up. Set {sets}.")
        chosen = at.servers if server is None else {server: sources.server_of(at.servers, server)}
        if status:
            found = at.database.ask(lambda connection: catching_up.server_progress(connection, chosen))
            say(as_json, {"servers": found}, *(status_line(one) for one in found))
            return
        reports = at.run(run_catch_up(at.database, chosen))
    shown = [
        {"server": one.server, "missed": one.missed, "known": one.known, "error": one.error}
        for one in reports
    ]
    say(as_json, {"servers": shown}, *(report_line(one) for one in reports))
    if not all(report.works for report in reports):
        raise typer.Exit(1)


async def run_catch_up(database: Database, chosen: Mapping[str, Server]) -> list[catching_up.Report]:
    reports = []
    for server in chosen.values():
        with Meter(f"Asking {server.label}"):
            reports.append(await catching_up.catch_up(database, server))
    return reports


def report_line(report: catching_up.Report) -> str:
    if report.error is not None:
        return f"{report.server}: could not be reached: {end_sentence(report.error)} It is retried automatically."
    if not report.missed:
        return f"{report.server}: nothing was missed; {report.known:,} plays already known."
    repaired = f"{count_of(report.missed, 'missed play')} {'is' if report.missed == 1 else 'are'}"
    return f"{report.server}: {repaired} in the inbox now; {report.known:,} already known. The service processes them."


def status_line(found: CatchUpJson) -> str:
    if found["ran_at"] is None:
        read = "never read"
    else:
        read = f"read until {found['read_until']}, last at {found['ran_at']}"
    error = f" Last error: {found['error']}." if found["error"] else ""
    return f"{found['server']}: {read}; {count_of(found['repaired'], 'play')} recovered.{error}"
