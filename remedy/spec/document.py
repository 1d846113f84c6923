"""YAML text as plain values that remember where they stood.

YAML 1.2, plain scalars, sequences and mappings only: no tags, no directives, one document. Aliases are
followed, but only as far as `MAX_NODES` (a few lines of aliases can stand for billions of nodes).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from remedy.spec.problems import InvalidSpecError, Position, Problem, problem_error

Path = tuple[str | int, ...]

MAX_NODES = 20_000
MAX_DEPTH = 20
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {f"{_TAG}{name}" for name in ("str", "timestamp", "merge", "value")}
_KNOWN_TAGS = _TEXT_TAGS | {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "map", "seq")}


@dataclass(slots=True)
class Document:
    """A document's value and the places of its values and keys, by path."""

    file: str
    value: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def place_of_key(self, path: Path) -> Position | None:
        """Return where the key stands, or the nearest thing around it."""
        return self.keys.get(path) or self.place_of_value(path)

    def place_of_value(self, path: Path) -> Position | None:
        """Return where the value stands, or the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return None


def spell(path: Path) -> str:
    """Return the path as people write it: backends[0].port."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def read_document(text: str, file: str) -> Document:
    """Read YAML. Raises InvalidSpecError with every duplicate key, tag and alias that is not allowed."""
    directive = re.search(r"^%", text, flags=re.MULTILINE)
    if directive:
        raise problem_error("YAML directives are not supported", file, _position_at(text, directive.start()))
    root = _compose(text, file)
    document = Document(file)
    if root is None:
        return document
    document.value = _plain(root, (), document, ())
    if document.problems:
        raise InvalidSpecError(document.problems)
    return document


def _compose(text: str, file: str) -> Node | None:
    try:
        _measure(text, file)
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except ReaderError as error:
        what = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise problem_error(what, file, _position_at(text, error.position)) from error
    except MarkedYAMLError as error:
        raise _syntax_error(error, file) from error
    except (YAMLError, ValueError) as error:
        raise problem_error(f"not YAML: {error}", file) from error
    return root


def _measure(text: str, file: str) -> None:
    """Refuse what would take the composer minutes: it recurses, and the parser of events does not."""
    depth = 0
    for nodes, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark = event.start_mark
            raise problem_error("nested too deeply", file, Position(mark.line + 1, mark.column + 1))
        if nodes > MAX_NODES:
            raise problem_error(f"more than {MAX_NODES} values", file)


def _position_at(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - before.rfind("\n"))


def _syntax_error(error: MarkedYAMLError, file: str) -> InvalidSpecError:
    mark = error.problem_mark or error.context_mark
    position = Position(mark.line + 1, mark.column + 1) if mark is not None else None
    problem = str(error.problem or error.context or "syntax error")
    if r"\t" in problem:
        return problem_error(
            "a tab is used to indent; YAML wants blanks", file, position, next_step="replace tabs by two blanks"
        )
    if "another document" in problem:
        return problem_error("a second document begins here; remedy.yaml is one document", file, position)
    context = f" ({error.context})" if error.context and error.problem else ""
    return problem_error(f"not YAML: {problem}{context}", file, position)


def _plain(node: Node, path: Path, document: Document, parents: tuple[int, ...]) -> Any:
    document.nodes += 1
    if document.nodes > MAX_NODES:
        raise problem_error(f"more than {MAX_NODES} values, aliases followed", document.file)
    position = Position(node.start_mark.line + 1, node.start_mark.column + 1)
    document.values[path] = position
    if id(node) in parents:
        raise problem_error("an alias contains itself", document.file, position, key=spell(path))
    if str(node.tag) not in _KNOWN_TAGS:
        document.problems.append(Problem(document.file, position, spell(path), f"the tag {node.tag} is not supported"))
        return None
    if isinstance(node, SequenceNode):
        inside = (*parents, id(node))
        return [_plain(child, (*path, index), document, inside) for index, child in enumerate(node.value)]
    if isinstance(node, MappingNode):
        return _plain_mapping(node, path, document, (*parents, id(node)))
    return _plain_scalar(node, path, document)


def _plain_mapping(node: MappingNode, path: Path, document: Document, parents: tuple[int, ...]) -> Any:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        position = Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, ScalarNode) or str(key_node.tag) not in _TEXT_TAGS:
            document.problems.append(
                Problem(document.file, position, spell(path), "a key has to be text: put it in quotes")
            )
            continue
        here = (*path, str(key_node.value))
        if here[-1] in found:
            first = document.keys[here]
            what = f"the key is there twice, first in line {first.line}"
            document.problems.append(Problem(document.file, position, spell(here), what))
            continue
        document.keys[here] = position
        found[str(key_node.value)] = _plain(value_node, here, document, parents)
    return found


def _plain_scalar(node: Node, path: Path, document: Document) -> Any:
    kind = str(node.tag).removeprefix(_TAG)
    text = str(node.value)
    try:
        return _SCALARS[kind](text) if kind in _SCALARS else text
    except ValueError:
        document.problems.append(
            Problem(document.file, document.values[path], spell(path), f"{text!r} is not a {_NAMES[kind]}")
        )
        return None


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > 20:
        raise ValueError(text)
    unsigned = digits.lstrip("+-")
    # YAML 1.2: 010 is ten, 0o10 is eight.
    return int(digits, 0) if unsigned[:2].lower() in ("0x", "0o", "0b") else int(digits, 10)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_NAMES = {"bool": "boolean", "int": "whole number of a usual size", "float": "number"}
_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _text: None,
    "bool": _boolean,
    "int": _integer,
    "float": lambda text: float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan")),
}
