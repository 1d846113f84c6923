"""Compose files: found by labels that may lie, and never followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.facts.compose_files import MARK, read_compose_projects
from remedy.facts.model import ComposeProject, Container


def container(**labels: str) -> Container:
    return Container(
        id="c", name="c", image="i", state="running", pid=1, started_at="", restart_policy="no",
        network_mode="bridge", labels={f"com.docker.compose.{key}": value for key, value in labels.items()},
        endpoints=(), ports=(),
    )  # fmt: skip


def project(directory: Path, files: str) -> ComposeProject:
    labels = {"project": "p", "project.working_dir": str(directory), "project.config_files": files}
    (found,) = read_compose_projects([container(**labels)])
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "compose.yaml").chmod(0o640)
    return tmp_path


def test_an_override_of_the_usual_name_is_read_by_compose_itself(directory: Path) -> None:
    found = project(directory, f"{directory}/compose.yaml")

    assert found.problem is None
    assert found.is_read_by_compose
    assert found.override is not None
    assert found.override.path == f"{directory}/compose.override.yaml"
    assert found.override.raw is None
    assert found.mode == 0o640


def test_an_own_override_is_known_again(directory: Path) -> None:
    (directory / "compose.override.yaml").write_bytes(MARK + b" x\n")

    found = project(directory, f"{directory}/compose.yaml,{directory}/compose.override.yaml")

    assert found.is_read_by_compose
    assert found.override is not None
    assert found.override.raw == MARK + b" x\n"


@pytest.mark.parametrize("name", ["compose.override.yaml", "docker-compose.override.yml"])
def test_somebody_elses_override_is_left_alone(directory: Path, name: str) -> None:
    (directory / name).write_text("services: {}\n")

    found = project(directory, f"{directory}/compose.yaml")

    assert not found.is_read_by_compose
    assert found.override is not None
    assert found.override.path == f"{directory}/compose.remedy.yaml"


def test_files_of_the_operators_choice_need_to_include_it(directory: Path) -> None:
    (directory / "prod.yaml").write_text("services: {}\n")

    assert not project(directory, f"{directory}/compose.yaml,{directory}/prod.yaml").is_read_by_compose


@pytest.mark.parametrize("files", ["/nowhere/compose.yaml", "", "compose.yaml", "/srv/../etc/compose.yaml"])
def test_labels_that_lead_nowhere_are_a_problem_not_an_error(directory: Path, files: str) -> None:
    assert project(directory, files).problem is not None


def test_a_symbolic_link_in_the_overrides_place_is_not_followed(directory: Path) -> None:
    (directory / "compose.override.yaml").symlink_to("/etc/shadow")

    found = project(directory, f"{directory}/compose.yaml")

    assert not found.is_read_by_compose


def test_a_strangers_file_of_remedys_other_name_is_not_written_over(directory: Path) -> None:
    (directory / "compose.override.yaml").write_text("services: {}\n")
    (directory / "compose.remedy.yaml").write_text("mine\n")

    assert "not remedy's" in (project(directory, f"{directory}/compose.yaml").problem or "")


def test_nothing_is_written_where_anybody_may_write(directory: Path) -> None:
    directory.chmod(0o777)

    assert "anybody" in (project(directory, f"{directory}/compose.yaml").problem or "")


@pytest.mark.parametrize(
    ("name", "override"),
    [("compose.yml", "compose.override.yml"), ("docker-compose.yml", "docker-compose.override.yml")],
)
def test_the_override_is_called_as_its_file(tmp_path: Path, name: str, override: str) -> None:
    (tmp_path / name).write_text("services: {}\n")

    found = project(tmp_path, f"{tmp_path}/{name}")

    assert found.is_read_by_compose
    assert found.override is not None
    assert found.override.path == f"{tmp_path}/{override}"


def test_a_file_that_compose_would_not_choose_was_chosen_by_the_operator(directory: Path) -> None:
    (directory / "docker-compose.yml").write_text("services: {}\n")

    assert not project(directory, f"{directory}/docker-compose.yml").is_read_by_compose


def test_an_override_that_a_rollback_has_taken_away_is_not_missed(directory: Path) -> None:
    found = project(directory, f"{directory}/compose.yaml,{directory}/compose.override.yaml")

    assert found.problem is None
    assert found.files == (f"{directory}/compose.yaml",)


def test_an_included_file_of_remedys_is_read(directory: Path) -> None:
    (directory / "prod.yaml").write_text("services: {}\n")
    (directory / "compose.remedy.yaml").write_bytes(MARK)

    found = project(directory, f"{directory}/prod.yaml,{directory}/compose.remedy.yaml")

    assert found.is_read_by_compose
    assert found.problem is None


def test_nothing_is_written_into_another_users_directory(directory: Path) -> None:
    os.chown(directory, 12345, 12345)

    assert "12345" in (project(directory, f"{directory}/compose.yaml").problem or "")


@pytest.mark.parametrize(
    "networks",
    ["{default: {external: true, name: shared}}", "{default: {external: {name: shared}}}", "{default: {name: shared}}"],
)
def test_the_default_network_is_called_as_the_file_calls_it(directory: Path, networks: str) -> None:
    (directory / "compose.yaml").write_text(f"services: {{a: {{ports: !reset null}}}}\nnetworks: {networks}\n")

    assert project(directory, f"{directory}/compose.yaml").default_network == "shared"


@pytest.mark.parametrize(
    "text", ["networks: [default", "networks: {default: {name: $X}}", "default: name", "- default: name"]
)
def test_files_that_do_not_say_it_leave_it_to_compose(directory: Path, text: str) -> None:
    (directory / "compose.yaml").write_text(text)

    assert project(directory, f"{directory}/compose.yaml").default_network is None
