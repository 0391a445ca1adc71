"""Hooks of mkdocs: the pages of the repository's root in the site, and links that lead out of docs/ made to fit there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"SECURITY.md": "security.md"}
"""Files of the root that are pages of the site too."""

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root, and list those that the navigation leaves out."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    listed = set(pages_within(config["nav"]))
    rest = [file.src_uri for file in files.documentation_pages() if file.src_uri not in listed]
    if rest:
        config["nav"].append({"More": sorted(rest)})
    return files


def pages_within(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    inside = nav.values() if isinstance(nav, dict) else nav
    return [page for one in inside for page in pages_within(one)]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to other files of the repository to its own site, where REPOSITORY_URL says which that is."""
    folder = ROOT if page.file.src_uri in PAGES.values() else ROOT / "docs"
    parts = FENCE.split(markdown)
    fences = FENCE.findall(markdown)
    texts = [LINK.sub(lambda found: lead(found, folder), part) for part in parts]
    return "".join(text + fence for text, fence in zip(texts, [*fences, ""], strict=True))


def lead(found: re.Match[str], folder: Path) -> str:
    """A link as it is within the site; to another file of the repository; or its words alone."""
    words, target, anchor = found[1], (folder / found[2]).resolve(), found[3] or ""
    path = target.relative_to(ROOT).as_posix()
    if path in PAGES:
        return f"[{words}]({PAGES[path]}{anchor})"
    if path == "README.md":
        return f"[{words}](index.md)"
    if path.startswith("docs/"):
        return f"[{words}]({path.removeprefix('docs/')}{anchor})"
    repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")
    return f"[{words}]({repository}/blob/HEAD/{quote(path)}{anchor})" if repository else words
