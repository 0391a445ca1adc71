"""The texts of Python code for the catalogue, collected by Babel (`make texts`).

Beside calls of gettext these are the texts that pages show of what the code tells others in English too: what a table
marked by `texts` holds, what an outcome, a refusal or an error says, how a setting or a set-up step is described, and each
sentence that a function keeps or gives back. One with values in it becomes a text with placeholders, by which a page recognises the sentence again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from webhook.web.http.language import MIN_LETTERS

Found = tuple[int, str | None, str | tuple[str, ...], list[str]]

MARKS = frozenset({"texts"})
SPOKEN = frozenset({
    "AccountError", "AlreadyWatched", "Bad", "BackupError", "CheckResult", "Cut", "Damaged", "Dead", "Done", "Field", "Invalid", "InvalidPassword",
    "Mark", "NoBackfill", "NoDate", "NoEdit", "NoMatch", "NoRoom", "Notice", "OidcError", "Ownership", "Parked", "PasskeyError", "PeopleError", "Problem", "Question", "Refusal",
    "Refused", "Retry", "SettingsError", "SignInFailed", "Skip", "Snooze", "TooLarge", "TooMany", "Unavailable",
    "RenewedSecret", "Unmatched", "Unreadable", "UnreadableSecret", "UnverifiedSettings", "Unusable", "Wrong", "NotRedacted", "Setting",
    "ask_table",
    "_require", "die_of", "end", "found_or", "park_as", "retry_later", "slow_down", "snooze_for", "TemplateError", "require_worker", "wrong_answer", "wrong",
})  # fmt: skip
"""What says its texts to people: outcomes, refusals, errors, and what describes a setting."""

NAMES = frozenset({"PURPOSE", "SETUP", "DESCRIPTION", "LABEL", "NOTE"})
"""The names by which plug-ins say what they are for."""

APART = (
    "cli/", "demo/", "compat/tvtime", "storage/", "system/", "network/", "models.py", "docs/", "health.py", "metrics.py", "static.py",
    "http/api.py", "http/live.py", "http/operations.py", "now/mqtt.py", "web/history/api.py", "web/people/api.py", "web/settings/api.py",
    "web/connections/api.py", "api_webhooks.py", "api_deliveries.py", "videoscrobbler/methods.py",
    "videoscrobbler/endpoint.py", "videoscrobbler/responses.py", "videoscrobbler/remote_ids.py",
    "videoscrobbler/apps_api.py", "_generic_fields.py", "history/stats.py", "exports/_", "app.py", "logs.py", "clock.py",
    "accounts/keys.py", "accounts/rekey.py", "maintenance/broker.py", "pipeline/turns.py", "storage.py",
)  # fmt: skip
"""What no page shows: commands, the demo, the answers of other APIs, the API's document."""

HANDED_ON = (ast.Assign, ast.AnnAssign, ast.Return, ast.Yield)
"""Where a sentence is kept or given back, so that it may reach a page."""

MACHINES = re.compile(
    r"^(watchmark|curl|tvtime|device|person|connection|import|plex|token) |INSERT|SELECT|text/|charset|multipart/form|-src "
    r"|no-store|attachment;|inline;|max-age|[Bb]earer|%Y|%-d|^[^a-z]*$|\n|openssl"
)
"""Texts with a space in them that are no sentences: headers, statements, commands, keys."""

NAVIGATION = "web/http/navigation.py"
LABELLED = frozenset({"Section", "Tab"})
"""The parts of the navigation, whose second argument is what people read."""

FIELD = re.compile(r"\{(\w+)\}")


def extract_python(file: BinaryIO, keywords: Any, comment_tags: Any, options: Any) -> Iterator[Found]:
    """Babel's extraction method for Python files."""
    if any(part in file.name for part in APART):
        return
    for node in ast.walk(ast.parse(file.read())):
        if isinstance(node, ast.Call):
            yield from texts_of_call(node)
            if file.name.endswith(NAVIGATION):
                yield from labels_of_navigation(node)
        elif (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value
            and NAMES.intersection(targets_of(node))
        ):
            yield from texts_within(node.value)
        elif isinstance(node, HANDED_ON) and isinstance(node.value, said_by(node)):
            yield from (one for one in texts_within(node.value) if is_sentence(str(one[2])))


def said_by(node: ast.stmt | ast.expr) -> tuple[type[ast.expr], ...]:
    """The values that may be a sentence; what is given back may be two, what is wrong and what to do."""
    values = (ast.Constant, ast.JoinedStr, ast.IfExp, ast.BoolOp)
    return (*values, ast.Tuple) if isinstance(node, ast.Return) else values


def labels_of_navigation(call: ast.Call) -> Iterator[Found]:
    """The label of a section or a tab; that of a section has a short word of its own where a bar has little room."""
    name = name_of(call.func)
    if name in LABELLED:
        for line, _, text, _ in texts_within(call.args[1]):
            yield line, None, text, []
            if name == "Section":
                yield line, "pgettext", ("section", str(text)), []


def targets_of(node: ast.Assign | ast.AnnAssign) -> list[str]:
    return [name_of(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]


def texts_of_call(call: ast.Call) -> Iterator[Found]:
    name = name_of(call.func)
    if name in ("gettext", "ngettext"):
        wanted = 1 if name == "gettext" else 2
        said = [str(arg.value) for arg in call.args[:wanted] if isinstance(arg, ast.Constant)]
        if len(said) == wanted:
            yield call.lineno, name, tuple(said) if wanted > 1 else said[0], []
    elif name in MARKS:
        for arg in call.args:
            yield from texts_within(arg)
    elif name in SPOKEN:
        for arg in [*call.args, *(keyword.value for keyword in call.keywords)]:
            yield from (one for one in texts_within(arg) if is_sentence(str(one[2])))


def texts_within(node: ast.expr) -> Iterator[Found]:
    """The texts of a value: itself, or what a table, a list, a choice or a call in it holds."""
    if isinstance(node, (ast.Constant, ast.JoinedStr)):
        text = text_of(node)
        if not text.startswith("/") and any(
            letter.isalpha() for letter in FIELD.sub("", re.sub(r"%\(\w+\)s", "", text))
        ):
            yield node.lineno, None, text, []
        return
    if isinstance(node, ast.Dict):
        inside: list[ast.expr] = list(node.values)
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        inside = list(node.elts)
    elif isinstance(node, ast.IfExp):
        inside = [node.body, node.orelse]
    elif isinstance(node, ast.BoolOp):
        inside = list(node.values)
    elif isinstance(node, ast.Call) and name_of(node.func) not in SPOKEN | MARKS:
        inside = [*node.args, *(keyword.value for keyword in node.keywords)]
    else:
        inside = []
    for one in inside:
        yield from texts_within(one)


def text_of(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return FIELD.sub(r"%(\1)s", node.value) if isinstance(node.value, str) else ""
    text, named = "", dict[str, str]()
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            text += str(piece.value).replace("%", "%%")
        elif isinstance(piece, ast.FormattedValue):
            text += f"%({place_of(piece.value, named)})s"
    return text


def place_of(value: ast.expr, named: dict[str, str]) -> str:
    """The name of a placeholder: that of the value, and another for another value of that name."""
    name = name_of(value).strip("_") or "value"
    said = ast.unparse(value)
    number = 2
    found = name
    while named.setdefault(found, said) != said:
        found, number = f"{name}{number}", number + 1
    return found


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return (
            node.slice.value
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
            else name_of(node.value)
        )
    if isinstance(node, ast.Call):
        inner = node.args[0] if node.args else node.func
        return name_of(inner) or name_of(node.func)
    return ""


def is_sentence(text: str) -> bool:
    """True if the text says something without its values, so that it can be recognised."""
    rest = re.sub(r"%\(\w+\)s", "", text)
    return (
        " " in rest.strip()
        and not MACHINES.search(rest)
        and sum(letter.isalpha() for letter in rest) >= MIN_LETTERS
    )
