"""A record of the rulesets that remedy wrote last, so that an overwritten one can be written again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.host.files import make_private_directory, remove_durably, write_atomically


@dataclass(frozen=True, slots=True)
class OwnedRules:
    """One JSON file per ruleset in `directory`.

    durable: it outlives a power cut, which the rules themselves do not. The watcher, which writes them at boot anyway,
    does without: on a busy disk each rule would wait for its record.
    """

    directory: Path
    durable: bool = True

    def get(self, name: RulesetName) -> Ruleset | None:
        """The ruleset of that name as it was written last; None when there is none."""
        try:
            return Ruleset.model_validate_json(self._path(name).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, ruleset: Ruleset) -> None:
        """Remember it."""
        make_private_directory(self.directory)
        raw = ruleset.model_dump_json().encode()
        write_atomically(self._path(ruleset.name), raw, mode=0o600, durable=self.durable)

    def forget(self, name: RulesetName) -> None:
        """It is not on the host any more."""
        if not self.durable:
            self._path(name).unlink(missing_ok=True)
        elif self.directory.exists():
            remove_durably(self._path(name))

    def _path(self, name: RulesetName) -> Path:
        return self.directory / f"{name}.json"
