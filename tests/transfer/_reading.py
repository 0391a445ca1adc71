"""A file or a zip made in a test, read by an import."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from webhook.domain.play import Play
from webhook.transfer.imports._archive import open_bundle
from webhook.transfer.records import Bad, Entry, Kept, Viewing


def read(module: ModuleType, folder: Path, files: Mapping[str, str | bytes]) -> list[Entry]:
    """What the import says of these files: of a loose one where it is alone, else of a zip."""
    path = loose(folder, files) if len(files) == 1 else packed(folder, files)
    with open_bundle(path) as bundle:
        return list(module.read(bundle))


def read_zip(module: ModuleType, folder: Path, content: bytes) -> list[Entry]:
    path = folder / "export.zip"
    path.write_bytes(content)
    with open_bundle(path) as bundle:
        return list(module.read(bundle))


def loose(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    [(name, content)] = files.items()
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def packed(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.sampled_from(
        [10**400, -1, 0, 0.5, 1e308, "", "0", "unknown", "1970-01-01", "9999-12-31T23:59:59Z", "tt1"]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ids", "title", "number"]), inner)
    ),
    max_leaves=5,
)
"""Values that an entry of JSON might hold where nobody expects them."""


@st.composite
def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """The value with one place of it, at any depth, made odd or taken away."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(ODD)
    place = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    copy = dict(value) if isinstance(value, dict) else list(value)
    if draw(st.integers(0, 4)) == 0:
        del copy[place]
    else:
        copy[place] = draw(spoiled(value[place]))
    return copy


def viewings(entries: list[Entry]) -> list[Viewing]:
    return [entry for entry in entries if isinstance(entry, Viewing)]


def plays(entries: list[Entry]) -> list[Play]:
    return [entry.play for entry in viewings(entries)]


def library(entries: list[Entry]) -> list[Kept]:
    return [entry for entry in entries if isinstance(entry, Kept)]


def bad(entries: list[Entry]) -> list[Bad]:
    return [entry for entry in entries if isinstance(entry, Bad)]
