"""SetWatcher: what is told before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.actions.watcher import spec_of
from remedy.apply.settings import Settings
from remedy.errors import InputError, RefusedError
from remedy.facts import systemd
from remedy.plan.actions import SetWatcher
from remedy.watch.unit import options_of, unit_text


def action(path: str | None) -> SetWatcher:
    words = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    return SetWatcher(id="watcher", **words, installed=True, spec_path=path)


def test_a_service_that_is_installed_again_keeps_its_metrics() -> None:
    settings = Settings(Path("/var/lib/remedy"), "unix:///run/docker.sock")
    for options in (("--metrics", "127.0.0.1:9417"), ("--metrics", "unix:/run/remedy/metrics.sock"), ()):
        assert options_of(unit_text(settings, Path("/etc/remedy/remedy.yaml"), options)) == options
    assert options_of(None) == ()


def test_a_spec_that_is_not_there_is_told_with_its_place() -> None:
    with pytest.raises(InputError) as told:
        spec_of(action("/etc/remedy/none.yaml"))
    assert told.value.where == "/etc/remedy/none.yaml"


def test_a_spec_that_the_service_would_not_see_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "remedy.yaml"
    spec.write_text("version: 1\n")
    monkeypatch.setattr(systemd, "PRIVATE_PLACES", (str(tmp_path),))
    with pytest.raises(RefusedError):
        spec_of(action(str(spec)))
    monkeypatch.setattr(systemd, "PRIVATE_PLACES", ())
    assert spec_of(action(str(spec))) == spec
