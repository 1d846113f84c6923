"""The pages of the documentation: in the installed package, else in the checkout beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from remedy.errors import InputError

_FOLDERS = ("explanation", "how-to", "reference", "tutorial")
# What people ask for, and the page that answers.
ALIASES = {
    "userland-proxy": "why-docker-proxy-exists",
    "docker-proxy": "why-docker-proxy-exists",
    "doctor": "ask-the-doctor",
    "rollback": "undo",
}
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Page:
    """One page. topic: the file's name without its ending."""

    topic: str
    folder: str
    title: str
    text: str

    @property
    def plain_text(self) -> str:
        """The text with links to other pages as mere words, and the topics that they lead to at the end."""
        topics = [Path(target.partition("#")[0]).stem for _, target in _LINK.findall(self.text)]
        linked = [topic for topic in dict.fromkeys(topics) if topic in pages() and topic != self.topic]
        more = f"\nMore: {', '.join(f'`remedy explain {topic}`' for topic in linked)}\n" if linked else ""
        return _LINK.sub(r"\1", self.text) + more


@cache
def pages() -> dict[str, Page]:
    """All pages by topic, explanations first. Raises InputError where this installation has none."""
    found: dict[str, Page] = {}
    root = _root()
    for folder in _FOLDERS:
        directory = root / folder
        for file in sorted(directory.iterdir(), key=lambda item: item.name) if directory.is_dir() else ():
            if file.name.endswith(".md"):
                topic, text = file.name.removesuffix(".md"), file.read_text(encoding="utf-8")
                found.setdefault(topic, Page(topic, folder, text.partition("\n")[0].removeprefix("# "), text))
    if not found:
        raise InputError("this installation has no documentation in it", where=str(root), next_step="install it again")
    return found


def page_on(topic: str) -> Page | None:
    """The page on a topic; None when there is none."""
    name = topic.lower().replace("_", "-").removesuffix(".md")
    known = pages()
    # A page of that very name wins over an alias.
    return known.get(name) or known.get(ALIASES.get(name, ""))


def _root() -> Traversable:
    packaged = resources.files("remedy") / "pages"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"
