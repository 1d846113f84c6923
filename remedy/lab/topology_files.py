"""Reads topologies: a shipped one by its name, any other by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from remedy.errors import LabError
from remedy.lab.replicas import spell_out
from remedy.lab.topology import Topology

_SHIPPED = Path(__file__).parent / "topologies"
_MERGED_BY = {"files": "path", "networks": "name", "compose": "name", "containers": "name"}


def shipped_topologies() -> list[str]:
    """The names of the topologies that come with remedy."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_topology(source: str | Path | Topology, scale: dict[str, int] | None = None) -> Topology:
    """A topology spelled out: from a shipped name, a YAML file or a value. LabError when it is wrong."""
    if isinstance(source, Topology):
        data: dict[str, Any] = source.model_dump(exclude_unset=True)
        where = "topology"
    else:
        path = find_topology(source)
        data, where = _read(path), str(path)
    data = _extended(data, Path(where).parent)
    if scale:
        data["scale"] = {**data.get("scale", {}), **scale}
    try:
        return spell_out(Topology.model_validate(data))
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise LabError("this is not a topology", where=where, why=why) from error


def find_topology(source: str | Path, beside: Path | None = None) -> Path:
    """The file of a shipped name or of a path."""
    name = str(source)
    if name in shipped_topologies():
        return _SHIPPED / f"{name}.yaml"
    path = (beside or Path()) / name
    if path.is_file():
        return path
    raise LabError(
        f"there is no topology {name!r}",
        why=f"shipped: {', '.join(shipped_topologies())}; anything else is the path of a YAML file",
    )


def _read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(path.read_text())
    except (YAMLError, UnicodeDecodeError) as error:
        raise LabError("this is not YAML", where=str(path), why=" ".join(str(error).split())) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise LabError("a topology is a mapping", where=str(path))
    return data


def _extended(data: dict[str, Any], beside: Path) -> dict[str, Any]:
    """The topology laid over the one that it extends: entries of lists replace those of the same name."""
    base_name = data.pop("extends", None)
    if base_name is None:
        return data
    path = find_topology(base_name, beside)
    base = _extended(_read(path), path.parent)
    merged = {**base, **data}
    for key, identity in _MERGED_BY.items():
        entries = {entry[identity]: entry for entry in (*base.get(key, ()), *data.get(key, ()))}
        if entries:
            merged[key] = list(entries.values())
    return merged
