"""Pydantic's findings on a remedy.yaml as problems a person can act on."""

from __future__ import annotations

from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from remedy.spec.document import Document, Path, spell
from remedy.spec.models import Spec
from remedy.spec.problems import Problem

MISSING = "the key is missing"
_FOUND_LENGTH = 60


def problem_of(error: ErrorDetails, document: Document) -> Problem:
    """Return the problem that an error of pydantic's describes."""
    path, models = _walk(error["loc"], document.value)
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, models, document)
    if kind == "missing":
        place = document.place_of_value(path[:-1])
        return Problem(document.file, place, spell(path), MISSING)
    return Problem(document.file, document.place_of_value(path), spell(path), _expected(error, models))


def _unknown_key(path: Path, models: list[type[BaseModel]], document: Document) -> Problem:
    valid = [key for model in models for key in keys_of(model)]
    wrong = str(path[-1])
    near = get_close_matches(wrong.replace("-", "_").lower(), valid, n=1, cutoff=0.6)
    what = "unknown key" if near else f"unknown key; valid here: {', '.join(valid)}"
    return Problem(document.file, document.place_of_key(path), spell(path), what, near[0] if near else None)


def _expected(error: ErrorDetails, models: list[type[BaseModel]]) -> str:
    found = _shown(error["input"])
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "form":
            return f"{error['msg']}, found {found}"
        case "bool_type" | "bool_parsing":
            return f"expected true or false, found {found}"
        case "int_type" | "greater_than_equal" | "less_than_equal":
            return f"expected a whole number from 1 to 65535, found {found}"
        case "string_type":
            return f"expected text, found {found}: put it in quotes"
        case "tuple_type":
            return f"expected a list, found {found}"
        case "too_short":
            return "expected at least one, found an empty list"
        case "model_type" | "dict_type":
            valid = ", ".join(key for model in models for key in keys_of(model))
            return f"expected a mapping with the keys {valid}, found {found}"
        case "enum" | "literal_error":
            return f"expected {error['ctx']['expected']}, found {found}"
        case "string_pattern_mismatch" if "(s|m|h)" in error["ctx"]["pattern"]:
            return f"expected a duration such as 60s, 5m or 1h, found {found}"
        case "string_pattern_mismatch" if "KiB" in error["ctx"]["pattern"]:
            return f"expected an amount of memory such as 128MiB or 1GiB, found {found}"
        case "string_pattern_mismatch":
            return f"expected a systemd unit such as haproxy.service, found {found}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, found {found}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    match value:
        case None:
            return "nothing"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    shown = repr(value)
    return shown if len(shown) <= _FOUND_LENGTH else f"{shown[:_FOUND_LENGTH]}..."


def _walk(location: tuple[str | int, ...], value: Any) -> tuple[Path, list[type[BaseModel]]]:
    """Drop the union tags from pydantic's location; return the path and the models that hold its last key.

    For an error about a model itself the models are that model's.
    """
    path: list[str | int] = []
    around: list[type[BaseModel]] = [Spec]
    inside: list[type[BaseModel]] = [Spec]
    for index, step in enumerate(location):
        tagged = [model for model in inside if model.__name__ == step]
        if tagged and isinstance(step, str) and not (isinstance(value, dict) and step in value):
            inside = tagged
            continue
        path.append(step)
        is_last = index == len(location) - 1
        if isinstance(step, str):
            around = inside
            annotations = [
                field.annotation
                for model in inside
                for name, field in model.model_fields.items()
                if step == (field.alias or name)
            ]
            inside = [model for annotation in annotations for model in _models_in(annotation)]
        value = _child(value, step)
        if is_last and inside and not isinstance(value, dict):
            around = inside
    return tuple(path), around


def _child(value: Any, step: str | int) -> Any:
    try:
        return value[step]
    except (KeyError, IndexError, TypeError):
        return None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple):
        return [model for argument in get_args(annotation) for model in _models_in(argument)]
    return []


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys of a model as they are written in the file."""
    return [field.alias or name for name, field in model.model_fields.items()]
