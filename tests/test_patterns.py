"""Patterns over strangers' texts: every one of the package takes time that grows no faster than the text."""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import webhook
from webhook.compat.tvtime.sidecar import Sidecar
from webhook.domain.redaction import Redaction

op: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")

FOLDER = Path(webhook.__file__).parent
CALLS = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
ANYWHERE = {"sub", "subn", "split", "findall", "finditer"}

MADE_WHEN_CALLED = {
    "compat/tvtime/sidecar.py": "way",
    "sources/_generic_fields.py": "number_field",
    "domain/redaction.py": "__init__",
    "transfer/imports/tvtime.py": "part",
    "web/http/language.py": "pattern_of",  # for short texts, see tests/locale
}
"""The functions that make a pattern when they are called, by file; `found` has what each makes."""

SMALL, LARGE, LARGEST = 2_500, 10_000, 1_000_000
NOTHING = 0.0015  # seconds for LARGE letters: growth by the square would take thirty times as long
PLENTY = 100 * NOTHING
"""No other's work makes a question last that long by itself, so that it is not asked again."""

STEEPEST = 8.0  # the time for four times the text: four times as much, or by the square sixteen


# --- which patterns there are


def modules() -> list[ModuleType]:
    names = [entry.name for entry in pkgutil.walk_packages(webhook.__path__, "webhook.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def found() -> dict[str, re.Pattern[Any]]:
    """Every pattern of the package by its name, those that are made when something is called too."""
    patterns: dict[str, re.Pattern[Any]] = {}
    seen: dict[int, Any] = {}
    for module in modules():
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                walk(f"{module.__name__}.{name}", value, patterns, seen)
    made = {
        "sidecar": [way.path for way in object.__new__(Sidecar).table()],
        "redaction": [Redaction({"user": f"Nora {number}", "text": "x"}).known for number in (1, 2)],
    }
    walk("made", made, patterns, {})
    return patterns


def walk(name: str, value: Any, patterns: dict[str, re.Pattern[Any]], seen: dict[int, Any]) -> None:
    """Patterns in tables, values, classes and what functions have closed over."""
    if id(value) in seen:
        return
    seen[id(value)] = value  # held, so that no other gets its id
    if isinstance(value, re.Pattern):
        patterns[name] = value
    elif isinstance(value, Mapping):
        for count, pair in enumerate(value.items()):
            walk(f"{name}[{count}]", list(pair), patterns, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for count, one in enumerate(value):
            walk(f"{name}[{count}]", one, patterns, seen)
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            walk(f"{name}.{entry.name}", getattr(value, entry.name), patterns, seen)
    elif isinstance(value, FunctionType) and value.__module__.startswith("webhook"):
        for count, cell in enumerate(value.__closure__ or ()):
            walk(f"{name}<{count}>", cell.cell_contents, patterns, seen)
    elif isinstance(value, type) and value.__module__.startswith("webhook"):
        for inner, one in list(vars(value).items()):
            walk(f"{name}.{inner}", one, patterns, seen)


PATTERNS = found()


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(FOLDER.rglob("*.py")):
        yield str(path.relative_to(FOLDER)), ast.parse(path.read_text())


@functools.cache
def used() -> dict[str, set[str]]:
    """By which methods the pattern of each name, with its module, is asked anywhere in the package."""
    ways: dict[str, set[str]] = {}
    for path, tree in sources():
        module = "webhook." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        home = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or node.attr not in CALLS:
                continue
            if isinstance(node.value, ast.Name):
                name = home.get(node.value.id, f"{module}.{node.value.id}")
                ways.setdefault(name, set()).add(node.attr)
            elif isinstance(node.value, ast.Attribute) and isinstance(node.value.value, ast.Name):
                name = f"{home.get(node.value.value.id, module)}.{node.value.attr}"
                ways.setdefault(name, set()).add(node.attr)
    return ways


def asked(name: str, pattern: re.Pattern[Any]) -> list[Callable[[Any], object]]:
    """How the package asks the pattern; one that stands in a table, or in a value, in every way that these are."""
    ways = used().get(name, set()) | {"fullmatch", "match"}
    if name.startswith("made."):
        ways |= {"sub"}
    if ways & ANYWHERE:
        ways = (ways - ANYWHERE) | {"sub"}
    calls: dict[str, Callable[[Any], object]] = {
        "sub": lambda text: pattern.sub(text[:0], text),
        "search": pattern.search,
        "match": pattern.match,
        "fullmatch": pattern.fullmatch,
    }
    return [calls[way] for way in sorted(ways)]


# --- texts that a pattern may take long over


@dataclass(frozen=True, slots=True)
class Pump:
    """What stands before a part that may be repeated, and that part once."""

    before: str
    part: str


def sample(nodes: Iterable[tuple[Any, Any]]) -> str:
    """A short text that these parts of a pattern match, nearly."""
    return "".join(one(code, about) for code, about in nodes)


def one(code: Any, about: Any) -> str:
    if code is op.LITERAL:
        return chr(about)
    if code is op.NOT_LITERAL:
        return "b" if about == ord("a") else "a"
    if code is op.ANY:
        return "a"
    if code is op.IN:
        return member(about)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return sample(about[2]) * max(about[0], 1)
    if code is op.SUBPATTERN:
        return sample(about[3])
    if code is op.ATOMIC_GROUP:
        return sample(about)
    if code is op.BRANCH:
        return sample(about[1][0])
    return ""


def member(about: Sequence[tuple[Any, Any]]) -> str:
    """A letter of a class, one that is a word's where there is one."""
    letters = "a0_.-+ @:/'A\t(~é" + "".join(map(chr, range(32, 127)))
    return next((letter for letter in letters if belongs(letter, about)), "\x01")


def belongs(letter: str, about: Sequence[tuple[Any, Any]]) -> bool:
    negated = bool(about) and about[0][0] is op.NEGATE
    return negated != any(meets(ord(letter), code, what) for code, what in about)


CATEGORIES: Mapping[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_NOT_DIGIT: lambda letter: not letter.isdigit(),
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_NOT_SPACE: lambda letter: not letter.isspace(),
    op.CATEGORY_WORD: lambda letter: letter.isalnum() or letter == "_",
    op.CATEGORY_NOT_WORD: lambda letter: not (letter.isalnum() or letter == "_"),
}


def meets(number: int, code: Any, what: Any) -> bool:
    if code is op.LITERAL:
        return bool(number == what)
    if code is op.RANGE:
        return bool(what[0] <= number <= what[1])
    return code is op.CATEGORY and CATEGORIES[what](chr(number))


def pumps(nodes: Sequence[tuple[Any, Any]], before: str = "") -> Iterator[Pump]:
    """Every part that may be repeated often, with a text that leads up to it."""
    for code, about in nodes:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            if about[1] >= 20:
                yield Pump(before, sample(about[2]))
            yield from pumps(about[2], before)
        elif code is op.SUBPATTERN:
            yield from pumps(about[3], before)
        elif code is op.ATOMIC_GROUP:
            yield from pumps(about, before)
        elif code is op.BRANCH:
            for branch in about[1]:
                yield from pumps(branch, before)
        before += one(code, about)


BASIC = ("a", " ", "0", "-", ".", "@", "a.", "a@", "(", "/", "\\", "a-", "tt1", "://a.")
TAILS = ("", "\x01", "!")


def worst(pattern: re.Pattern[Any]) -> list[Callable[[int], str]]:
    """Texts of a size, over which a careless pattern would try everything."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    repeated = [pump for pump in dict.fromkeys(pumps(tree)) if pump.part][:10]
    parts = list(
        dict.fromkeys([pump.part for pump in repeated] + [pump.before + pump.part for pump in repeated])
    )
    whole = sample(tree)
    shapes: list[tuple[str, str, str]] = [("", part, "") for part in (*BASIC, *parts, whole) if part]
    shapes += [(pump.before, pump.part, "") for pump in repeated]
    shapes += [("", a, b) for a in parts[:6] for b in parts[:6] if a != b]

    def text(shape: tuple[str, str, str], tail: str, size: int) -> str:
        before, part, then = shape
        if then:
            half = size // 2
            return (part * (half // len(part) + 1))[:half] + (then * (half // len(then) + 1))[:half] + tail
        return before + (part * (size // len(part) + 1))[:size] + tail

    return [
        lambda size, shape=shape, tail=tail: text(shape, tail, size)  # type: ignore[misc]
        for shape in dict.fromkeys(shapes)
        for tail in TAILS
    ]


# --- how long it takes


def seconds(ask: Callable[[Any], object], text: Any, times: int = 3) -> float:
    """What a question costs at the least, in the time of this thread: others do not count."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        ask(text)
        best = min(best, time.thread_time() - began)
        if not NOTHING < best < PLENTY:
            break
    return best


def steep(pattern: re.Pattern[Any], asks: Sequence[Callable[[Any], object]]) -> str | None:
    """A text over which the pattern takes too long, in words; None where there is none."""
    slowest = (0.0, asks[0], worst(pattern)[0])
    for ask in asks:
        for text in worst(pattern):
            took = seconds(ask, letters(pattern, text(LARGE)))
            slowest = max(slowest, (took, ask, text), key=lambda entry: entry[0])
            if took < NOTHING:
                continue
            less = seconds(ask, letters(pattern, text(SMALL)), 5)
            if took > STEEPEST * max(less, 1e-6):
                return f"{text(30)!r} and so on: {less:.4f} s for {SMALL} letters, {took:.4f} s for {LARGE}"
    took, ask, text = slowest
    most = 3 * took * LARGEST / LARGE + 0.5
    largest = seconds(ask, letters(pattern, text(LARGEST)), 1)
    return f"{text(30)!r} and so on: {largest:.2f} s for {LARGEST} letters" if largest > most else None


def letters(pattern: re.Pattern[Any], text: str) -> Any:
    return text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_text_takes_longer_than_it_is_long(name: str) -> None:
    pattern = PATTERNS[name]

    assert steep(pattern, asked(name, pattern)) is None


CARELESS = {
    "an e-mail address": r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+",
    "a year in brackets": r"(.+?)\s*\(((?:18|19|20)\d\d)\)",
    "a number at the end": r"(.*?)(\d*)\.json",
    "blanks around": r"\s*\((?:19|20)\d\d\)\s*$",
    "any domain": r"[^@\s]+@[^@\s]+\.[^@\s]+",
}


@pytest.mark.parametrize("pattern", CARELESS.values(), ids=list(CARELESS))
def test_a_careless_pattern_would_be_found(pattern: str) -> None:
    compiled = re.compile(pattern)

    assert steep(compiled, [compiled.search, compiled.fullmatch])


def test_the_package_has_its_patterns_where_they_are_found() -> None:
    assert len(PATTERNS) > 60
    assert "webhook.domain.redaction.EMAIL" in PATTERNS
    assert any("<" in name for name in PATTERNS), "what functions have closed over"


# --- that none is hidden


def test_a_pattern_is_compiled_where_it_is_found() -> None:
    at_once, hidden = [], []
    for name, tree in sources():
        calls = [(within, node) for within, node in inside(tree) if isinstance(node, ast.Call)]
        of_re = [(within, called) for within, node in calls if (called := called_on_re(node))]
        at_once += [f"{name}: re.{called}" for _, called in of_re if called in CALLS]
        made = {within for within, called in of_re if called == "compile" and within is not None}
        hidden += [f"{name}: {within}" for within in made if MADE_WHEN_CALLED.get(name) != within]

    assert at_once == []
    assert hidden == []


def inside(tree: ast.AST, within: str | None = None) -> Iterator[tuple[str | None, ast.AST]]:
    """Every node with the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        yield within, node
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from inside(node, node.name if function else within)  # type: ignore[attr-defined]


def called_on_re(node: ast.Call) -> str | None:
    """What of the module `re` is called, if this is such a call."""
    if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
        return None
    return node.func.attr if node.func.value.id == "re" else None


# --- that no two repeats stand side by side over the same letters


def side_by_side(nodes: Sequence[tuple[Any, Any]]) -> Iterator[str]:
    """Neighbours that are both repeated without end, and can both take the same letter."""
    open_ = list(flat(nodes))
    for (code, about), (other, then) in itertools.pairwise(open_):
        if endless(code, about) and endless(other, then) and shared(about[2], then[2]):
            yield f"{sample([(code, about)])} beside {sample([(other, then)])}"
    for code, about in nodes:
        for inner in within(code, about):
            yield from side_by_side(inner)


def flat(nodes: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """The parts in their order, those of groups too; what takes no letter is left out."""
    for code, about in nodes:
        if code is op.SUBPATTERN:
            yield from flat(about[3])
        elif code not in (op.AT, op.ASSERT, op.ASSERT_NOT):
            yield code, about


def within(code: Any, about: Any) -> list[Any]:
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [about[2]]
    if code is op.SUBPATTERN:
        return [about[3]]
    return list(about[1]) if code is op.BRANCH else []


def endless(code: Any, about: Any) -> bool:
    return code in (op.MAX_REPEAT, op.MIN_REPEAT) and about[1] is op.MAXREPEAT


def shared(one_: Sequence[tuple[Any, Any]], other: Sequence[tuple[Any, Any]]) -> bool:
    return bool(begin(one_) & begin(other))


def begin(nodes: Sequence[tuple[Any, Any]]) -> set[str]:
    """The letters that these parts can begin with, of those that matter."""
    code, about = nodes[0]
    ascii_ = [chr(number) for number in range(128)]
    match code:
        case op.LITERAL:
            return {chr(about)}
        case op.NOT_LITERAL:
            return {letter for letter in ascii_ if letter != chr(about)}
        case op.ANY:
            return set(ascii_) - {"\n"}
        case op.IN:
            return {letter for letter in ascii_ if belongs(letter, about)}
        case op.SUBPATTERN:
            return begin(about[3])
        case op.BRANCH:
            return {letter for branch in about[1] for letter in begin(branch)}
        case op.MAX_REPEAT | op.MIN_REPEAT | op.POSSESSIVE_REPEAT:
            return begin(about[2])
    return set()


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_two_endless_repeats_stand_side_by_side(name: str) -> None:
    pattern = PATTERNS[name]

    assert list(side_by_side(parser.parse(pattern.pattern, pattern.flags))) == []


def test_two_endless_repeats_would_be_found() -> None:
    assert list(side_by_side(parser.parse(r"(a+\s*)[\w ]*")))
    assert not list(side_by_side(parser.parse(r"\w+\.\w+")))
