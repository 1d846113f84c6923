"""No page points nowhere, every page is found from the index, and no command escapes its test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_blocks import REPOSITORY, pages
from markdown_it import MarkdownIt
from markdown_it.token import Token

INDEX = REPOSITORY / "docs" / "index.md"
ALL = [*pages(), *(REPOSITORY / name for name in ("CHANGELOG.md", "playbooks/README.md", "molecule/README.md"))]
# Their commands stand in indented blocks, which nothing runs yet.
INDENTED = {"docs/how-to/try-a-change-in-the-lab.md"}
COMMAND = re.compile(r"^\s*(?:[$#] )?(?:remedy|make|docker|pip|apt-get|systemctl|nft|iptables|journalctl) \S")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def tokens_of(page: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        yield token
        yield from token.children or ()


def links_of(page: Path) -> Iterator[str]:
    for token in tokens_of(page):
        if token.type == "link_open":
            yield str(token.attrs["href"])


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_every_page_is_found_from_the_index() -> None:
    seen, waiting = set(), [INDEX]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        paths = (link.partition("#")[0] for link in links_of(page) if not re.match(r"[a-z]+:", link))
        waiting += [(page.parent / path).resolve() for path in paths if path]

    assert {name_of(page) for page in pages()} - {name_of(page) for page in seen} == set()


@pytest.mark.parametrize("page", [page for page in pages() if name_of(page) not in INDENTED], ids=name_of)
def test_commands_stand_in_fences_where_a_test_finds_them(page: Path) -> None:
    indented = [token.content for token in tokens_of(page) if token.type == "code_block"]

    assert not [block for block in indented if any(COMMAND.match(line) for line in block.splitlines())]


def test_the_playbooks_read_as_ansible_does(tmp_path: Path) -> None:
    playbooks = sorted((REPOSITORY / "playbooks").glob("*.yml"))
    inventory = REPOSITORY / "playbooks" / "inventory"

    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "--syntax-check", "-i", inventory, *playbooks],
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
    )

    assert playbooks
    assert done.returncode == 0, done.stderr
