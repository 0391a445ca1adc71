"""Elements of an XML file, streamed. A document type and entities are refused, as they can expand without bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol
from xml.parsers import expat

from webhook.transfer.records import Unusable

MAX_NESTING = 16


class NoXml(ValueError):
    """The file is no XML from `line` on; the message is expat's."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


class Source(Protocol):
    """A text that is read piece by piece within a limit, which `renew` begins anew."""

    def read(self, size: int = -1, /) -> bytes: ...

    def renew(self) -> None: ...


def elements(source: Source, tag: str) -> Iterator[dict[str, str]]:
    """The elements of this tag at any depth, each as the stripped texts of its children by tag.

    Raises NoXml where the file ends being XML, and Unusable for a file with a document type or nested too deeply.
    """
    reading = Reading(source, tag)
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler = reading.begin
    parser.CharacterDataHandler = reading.text
    parser.EndElementHandler = reading.end
    more = True
    while more:
        piece = source.read()
        more = bool(piece)
        try:
            parser.Parse(piece, not more)
        except expat.ExpatError as error:
            yield from reading.take()
            raise NoXml(expat.ErrorString(error.code), error.lineno) from error
        yield from reading.take()


def refuse(*_: Any) -> int:
    raise Unusable("It has a document type or entities of its own, which no export needs: it was not read.")


class Reading:
    """The state of the parser: the element it is in, and those that are complete."""

    def __init__(self, source: Source, tag: str) -> None:
        self.source = source
        self.tag = tag
        self.path: list[str] = []
        self.element: dict[str, str] | None = None
        self.found: list[dict[str, str]] = []

    def take(self) -> list[dict[str, str]]:
        """The elements that are complete, once each."""
        found, self.found = self.found, []
        return found

    def begin(self, name: str, _: dict[str, str]) -> None:
        if len(self.path) >= MAX_NESTING:
            raise Unusable(f"Its XML is nested deeper than {MAX_NESTING}, as no export's is.")
        self.path.append(name)
        if name == self.tag and self.element is None:
            self.element = {}

    def text(self, said: str) -> None:
        if self.element is not None and self.path[-2:-1] == [self.tag]:
            name = self.path[-1]
            self.element[name] = self.element.get(name, "") + said

    def end(self, name: str) -> None:
        self.path.pop()
        if name == self.tag and self.element is not None and self.tag not in self.path:
            self.found.append({child: said.strip() for child, said in self.element.items()})
            self.element = None
        if self.element is None:
            self.source.renew()
