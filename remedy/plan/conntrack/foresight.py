"""The facts after the table was sized."""

from __future__ import annotations

from remedy.facts.model import HostFacts, KeptFile
from remedy.host.conntrack_settings import BUCKETS, HASH_SIZE, MAXIMUM
from remedy.plan.actions import SizeConntrack


def with_conntrack_size(facts: HostFacts, action: SizeConntrack) -> HostFacts:
    """With the action's values and files."""
    values = {BUCKETS if name == HASH_SIZE else name: value for name, value in action.values.items()}
    known = facts.conntrack
    update: dict[str, object] = {
        "maximum": int(values.get(MAXIMUM, known.maximum or 0)) or None,
        "buckets": int(values.get(BUCKETS, known.buckets or 0)) or None,
    }
    if known.sizing is not None:
        written = {
            file.path: KeptFile(path=file.path, raw=file.raw, mode=file.mode, uid=file.uid, gid=file.gid)
            for file in action.files
        }
        others = tuple(file for file in known.sizing.own_files if file.path not in written)
        update["sizing"] = known.sizing.model_copy(update={"own_files": (*others, *written.values())})
    return facts.model_copy(
        update={"sysctls": {**facts.sysctls, **values}, "conntrack": known.model_copy(update=update)}
    )
