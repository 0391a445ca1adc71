"""The public contract as lines: what scripts, stacks and habits of other people rely on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.attacks.test_every_route import addresses
from webhook import app, cli, lookups, servers, settings, sources, trackers
from webhook.accounts import settings_store
from webhook.domain.event import REASONS, Action, Kind
from webhook.domain.outcome import Park
from webhook.domain.states import DeliveryState, HandMarkState, WebhookState
from webhook.people.scopes import Scope
from webhook.queues.jobs import JobState
from webhook.service import Service
from webhook.transfer import exports, imports
from webhook.web.metrics import Metrics, database_metrics

ROOT = Path(__file__).parent.parent
LISTS = ("/api/v1/", "/tvtime/", "/api/1.0/", "/api/auth", "/webhooks/", "/healthz", "/readyz", "/metrics")
"""What programs ask for, by any method; of pages only the addresses that are opened count."""

WORDS: dict[str, type[StrEnum]] = {
    "states of webhooks": WebhookState,
    "states of deliveries": DeliveryState,
    "states of marks by hand": HandMarkState,
    "states of jobs": JobState,
    "reasons of parked deliveries": Park,
    "actions": Action,
    "kinds": Kind,
    "scopes": Scope,
}


def contract(service: Service) -> str:
    """The whole of it, a heading and its lines at a time."""
    parts = {
        "addresses": list_addresses(service),
        "settings": list_settings(),
        "commands": list_commands(),
        "words": list_words(),
        "metrics": [f"{name} {kind} {' '.join(labels)}".rstrip() for name, kind, labels in metrics(service)],
        "tables": list_migrations(),
    }
    return "\n".join(f"# {name}\n" + "".join(f"{line}\n" for line in lines) for name, lines in parts.items())


def list_addresses(service: Service) -> list[str]:
    """The methods and path of each address that is not only a form of a page."""
    found: dict[str, set[str]] = {}
    for path, methods in addresses(app.web_app(service).routes):
        if "/static/" in path:
            continue
        wanted = methods if path.startswith(LISTS) else methods & {"GET"}
        if wanted:
            found.setdefault(path, set()).update(wanted)
    return [f"{path} {' '.join(sorted(methods))}" for path, methods in sorted(found.items())]


def list_settings() -> list[str]:
    """Each variable of the environment with its default, secrets and paths as they are by default."""
    lines = settings.example(settings_store.setting_groups()).splitlines()
    return sorted(
        line.removeprefix("#") for line in lines if line.startswith("#") and not line.startswith("# ")
    )


def list_commands() -> list[str]:
    return sorted(line for name in cli.COMMANDS for line in describe_command(name, cli.load(name)))


def describe_command(name: str, command: Any) -> Iterator[str]:
    """A line for a command with its arguments and options; for a group one for each command in it."""
    parts = [part for one in command.params if (part := describe_parameter(one))]
    if not hasattr(command, "commands") or parts:
        yield " ".join([name, *parts])
    for inner, one in getattr(command, "commands", {}).items():
        yield from describe_command(f"{name} {inner}", one)


def describe_parameter(one: Any) -> str | None:
    if one.param_type_name == "argument":
        named = one.metavar or str(one.name).upper()
        return named if one.required or named.startswith("[") else f"[{named}]"
    options = "/".join(sorted({*one.opts, *one.secondary_opts}, key=lambda option: (len(option), option)))
    return None if one.hidden else options


def list_words() -> list[str]:
    lists = {name: sorted(map(str, words)) for name, words in WORDS.items()}
    lists |= {
        "reasons of ignored webhooks": sorted(REASONS),
        "sources": sorted(sources.modules()),
        "trackers": sorted(trackers.modules()),
        "lookups": sorted(lookups.modules()),
        "media servers": sorted(servers.modules()),
        "imports": sorted(imports.modules()),
        "exports": sorted(exports.modules()),
    }
    return [f"{name}: {' '.join(words)}" for name, words in sorted(lists.items())]


def metrics(service: Service) -> list[tuple[str, str, tuple[str, ...]]]:
    """The name of each metric, as it is asked for, with its type and labels."""
    shown = Metrics(service)
    shown.counted = service.database.ask(shown.read_counts)
    families = [
        *database_metrics(shown.counted),
        shown.expiry_metric(),
        *shown.process_metrics(),
    ]
    return sorted(
        (
            f"{one.name}_total" if one.type == "counter" else one.name,
            one.type,
            tuple(getattr(one, "_labelnames", ())),
        )
        for one in families
    )


def list_migrations() -> list[str]:
    """Each revision of the tables with a digest of its file: what has landed is never changed again."""
    folder = ROOT / "migrations" / "versions"
    return [
        f"{path.stem} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
        for path in sorted(folder.glob("0*.py"))
    ]
