"""Finds the command blocks of a Markdown page, and what the page says about running them.

    ```sh lab                      runs in a root shell on a lab host, in /root
    ```sh machine                  runs on this machine, in the checkout, with its remedy in PATH
    ```sh lab exit=8               ... and its last command ends with 8
    ```console lab                 lines with `$ ` run one by one; between them stands what they write,
                                   where ... is anything and blanks do not count
    ```sh no-run reason="why"      is not run

GitHub shows the first word as the language and ignores the rest.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parents[2]
SHELLS = ("sh", "bash", "shell", "console", "shell-session", "zsh")
PLACES = ("lab", "machine", "no-run")


class UnclearBlockError(ValueError):
    """The words behind the language do not say what is to be done."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run in one go. output: what the page shows of it, None where it shows nothing."""

    script: str
    output: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of commands. place: lab, machine or no-run. exit: of its last command."""

    page: str
    line: int
    language: str
    place: str
    exit: int
    reason: str
    text: str

    @property
    def commands(self) -> tuple[Command, ...]:
        """In order. A block of a script is one command."""
        if self.language != "console":
            return (Command(self.text, None, self.line + 1),)
        return tuple(_prompts(self))


def pages() -> list[Path]:
    """The README and every page of the documentation."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The command blocks of a page. Raises UnclearBlockError, with the place."""
    tokens = MarkdownIt().parse(page.read_text())
    name = str(page.relative_to(REPOSITORY))
    fences = [token for token in tokens if token.type in ("fence", "code_block")]
    return [
        _block(name, (token.map or [0])[0] + 1, token.info, token.content)
        for token in fences
        if token.info.split()[:1] and token.info.split()[0] in SHELLS
    ]


def _block(page: str, line: int, info: str, text: str) -> Block:
    language, *words = shlex.split(info)
    options = dict(word.partition("=")[::2] for word in words[1:])
    if words[:1] == [] or words[0] not in PLACES:
        raise UnclearBlockError(f"{page}:{line}: say where ```{language} runs: {', '.join(PLACES)}")
    if unknown := options.keys() - {"exit", "reason"}:
        raise UnclearBlockError(f"{page}:{line}: unknown words {sorted(unknown)}")
    if words[0] == "no-run" and not options.get("reason"):
        raise UnclearBlockError(f'{page}:{line}: say why not: no-run reason="..."')
    return Block(
        page, line, language, words[0], int(options.get("exit", "0")), options.get("reason", ""), text.rstrip("\n")
    )


def _prompts(block: Block) -> list[Command]:
    found: list[Command] = []
    script, output, began = "", [], 0
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if script.endswith("\\"):
            script = f"{script}\n{line}"
        elif line.startswith("$ "):
            if script:
                found.append(Command(script, "\n".join(output), began))
            script, output, began = line[2:], [], number
        elif not script:
            raise UnclearBlockError(f"{block.page}:{number}: a console block begins with `$ `")
        else:
            output.append(line)
    return [*found, Command(script, "\n".join(output), began)]
