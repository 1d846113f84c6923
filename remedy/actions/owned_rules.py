"""A record of the rulesets that remedy wrote last, so that an overwritten one can be written again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.host.files import make_private_directory, remove_durably, write_atomically


@dataclass(frozen=True, slots=True)
class OwnedRules:
    """One JSON file per ruleset in `directory`."""

    directory: Path

    def get(self, name: RulesetName) -> Ruleset | None:
        """The ruleset of that name as it was written last; None when there is none."""
        try:
            return Ruleset.model_validate_json(self._path(name).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, ruleset: Ruleset) -> None:
        """Remember it."""
        make_private_directory(self.directory)
        write_atomically(self._path(ruleset.name), ruleset.model_dump_json().encode(), mode=0o600)

    def forget(self, name: RulesetName) -> None:
        """It is not on the host any more."""
        if self.directory.exists():
            remove_durably(self._path(name))

    def _path(self, name: RulesetName) -> Path:
        return self.directory / f"{name}.json"
