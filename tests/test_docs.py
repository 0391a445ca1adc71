"""The documentation: every link leads somewhere, and every command, setting and address that it names is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from webhook import app, cli
from webhook.sources import generic
from webhook.web.http.operations import PREFIX

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        *sorted((ROOT / "docs").glob("*.md")),
        *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "deploy/README.md")),
    )
}
USERS = [name for name in PAGES if name not in {"SECURITY.md", "CONTRIBUTING.md", "docs/architecture.md"}]
"""The pages for who runs Watchmark; the others name parts of the program."""

FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s(])watchmark ((?:[a-z]|--)[^#|&;>\n]*)")
SETTING = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
ADDRESS = re.compile(r"(?:^|[\s(])(/[a-z][\w./{}-]*)")
PATH = re.compile(r"\"(/[a-z][^\"\s]*)\"")
SHELLS = {"sh", "bash", ""}

OTHERS_SETTINGS = {
    "APP_PASSWORD",
    "NAME_FILE",
    "POSTGRES_PASSWORD",
    "REPOSITORY_URL",
    "BASE_URL",
    "COMPOSE_FILE",
    "CONTENT_INTERACTION",
}
"""Variables of other programs, and words in capitals that stand for something."""


def links(text: str) -> Iterator[str]:
    for one, other in LINK.findall(FENCE.sub("", text)):
        yield one or other


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the forge and the site make them."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def spoken(text: str) -> list[str]:
    """What stands as code on a page: the pieces in a line, and the lines of blocks for a shell."""
    blocks = [block for kind, block in FENCE.findall(text) if kind in SHELLS]
    return [*INLINE.findall(FENCE.sub("", text)), *(line for block in blocks for line in block.splitlines())]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    broken = []
    for link in links(PAGES[name]):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(link)

    assert broken == []


# --- commands


load = cache(cli.load)


def wrong_with(line: str) -> str | None:
    """What a command line names that is not there; what stands for a value is taken as one."""
    words = shlex.split(re.sub(r"[…\[\]]", "", line), comments=True)
    if words[0].startswith("--"):
        return None if words[0] in {"--help", "--version", "--install-completion"} else words[0]
    if words[0] not in cli.COMMANDS:
        return words[0]
    command, rest = load(words[0]), words[1:]
    while rest and getattr(command, "commands", None) and not rest[0].startswith("-"):
        command = command.commands.get(rest[0])
        if command is None:
            return rest[0]
        rest = rest[1:]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    named = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return next((option for option in named if option not in known), None)


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_is_named_is_there(name: str) -> None:
    lines = {
        found for code in spoken(PAGES[name]) for found in COMMAND.findall(code) if found != cli.app.info.name
    }

    assert {line: wrong for line in lines if (wrong := wrong_with(line.strip())) is not None} == {}


# --- settings


@cache
def settings() -> set[str]:
    """Every setting, and what `compose.yaml` takes from the environment."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in (".env.example", "compose.yaml")]
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", texts[0], re.MULTILINE))
    return example | set(re.findall(r"\$\{([A-Z_]+)", texts[1]))


@pytest.mark.parametrize("name", USERS)
def test_every_setting_that_is_named_is_there(name: str) -> None:
    named = {found for code in INLINE.findall(FENCE.sub("", PAGES[name])) for found in SETTING.findall(code)}

    assert named - settings() - OTHERS_SETTINGS == set()


# --- addresses


@cache
def addresses() -> list[re.Pattern[str]]:
    """Every path that the program has a route for, or names, as a pattern."""
    files = (ROOT / "webhook").rglob("*.py")
    paths = {path for file in files for path in PATH.findall(file.read_text(encoding="utf-8"))}
    paths |= {PREFIX + operation.path for operation in app.api_operations()} | {PREFIX, generic.SCHEMA_PATH}
    return [re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path))) for path in paths]


def is_address(path: str) -> bool:
    """True if a route has this path, or begins with it where the rest is left open."""
    if any(pattern.fullmatch(path.rstrip("/")) or pattern.fullmatch(path) for pattern in addresses()):
        return True
    return path.endswith("/") and any(pattern.pattern.startswith(re.escape(path)) for pattern in addresses())


@pytest.mark.parametrize("name", USERS)
def test_every_address_that_is_named_is_there(name: str) -> None:
    named = {found for code in INLINE.findall(FENCE.sub("", PAGES[name])) for found in ADDRESS.findall(code)}
    ours = {
        path.partition("?")[0]
        for path in named
        if path.startswith(("/api/", "/webhooks", "/history", "/healthz"))
    }

    assert {path for path in ours if not is_address(path)} == set()


# --- the site


def test_the_site_has_every_page_that_its_navigation_names() -> None:
    named = re.findall(
        r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert len(named) > 15
    assert {page for page in named if f"docs/{page}" not in PAGES} == {"security.md"}
    assert len(set(named)) == len(named)
