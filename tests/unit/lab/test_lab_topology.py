"""Topologies: what may be written, what it comes to, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from remedy.errors import LabError
from remedy.lab.containers import container_request, expected_ports
from remedy.lab.rootfs import host_recipe
from remedy.lab.topology import Container, Publish, Topology
from remedy.lab.topology_files import load_topology, shipped_topologies


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("8080", Publish(port=8080)),
        (8080, Publish(port=8080)),
        ("5001:8080", Publish(port=8080, host_port=5001)),
        ("127.0.0.1:53:53/udp", Publish(port=53, host_port=53, host_ip="127.0.0.1", protocol="udp")),
        ("[::1]:80:8080", Publish(port=8080, host_port=80, host_ip="::1")),
        ("127.0.0.1::8080", Publish(port=8080, host_ip="127.0.0.1")),
    ],
)
def test_ports_are_written_as_docker_writes_them(written: object, expected: Publish) -> None:
    assert Publish.model_validate(written) == expected


def test_every_shipped_topology_can_be_loaded() -> None:
    assert shipped_topologies() == ["empty", "operator"]
    for name in shipped_topologies():
        load_topology(name)


def test_the_operators_topology_spells_out_three_backends() -> None:
    topology = load_topology("operator")
    assert [container.name for container in topology.containers] == [
        "dev1-haproxy-1",
        "dev1-api-1",
        "dev1-api-2",
        "dev1-api-3",
    ]
    files = {file.path: file.content for file in topology.files}
    servers = [line.strip() for line in files["/srv/dev1/haproxy.cfg"].splitlines() if "server api" in line]
    assert servers == [f"server api{n} 172.17.0.1:500{n} check" for n in (1, 2, 3)]
    assert '- "5001-5003:8080"' in files["/srv/dev1/compose.yaml"]
    assert "@each" not in "".join(files.values())


def test_scale_counts_containers_ports_and_servers() -> None:
    topology = load_topology("operator", {"api": 64})
    last = topology.containers[-1]
    assert (last.name, last.publish[0].host_port, last.compose and last.compose.number) == ("dev1-api-64", 5064, 64)
    assert "server api64 172.17.0.1:5064 check" in topology.files[0].content


def test_a_file_extends_a_shipped_topology(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: operator\n"
        "scale: {api: 2}\n"
        "daemon_json: {userland-proxy: false}\n"
        "files: [{path: /srv/dev1/haproxy.cfg, content: mine}]\n"
        "containers: [{name: extra, role: idle}]\n"
    )
    topology = load_topology(file)
    names = [container.name for container in topology.containers]
    assert names == ["dev1-haproxy-1", "dev1-api-1", "dev1-api-2", "extra"]
    assert {f.path: f.content for f in topology.files}["/srv/dev1/haproxy.cfg"] == "mine"
    assert topology.daemon_json == {"userland-proxy": False}


def test_a_file_extends_another_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("containers: [{name: a}]\n")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ncontainers: [{name: b}]\n")
    assert [c.name for c in load_topology(tmp_path / "mine.yaml").containers] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("containers: [{name: a, rolle: nginx}]", "containers.0.rolle"),
        ("containers: [{name: a}, {name: a}]", "same name"),
        ("containers: [{name: a, publish: ['x:y']}]", "HOST_PORT"),
        ("containers: [{name: a, networks: [n], network_mode: host}]", "exclude each other"),
        ("- a list", "is a mapping"),
        ("a: [", "not YAML"),
        ("scale: {web: 2}", "no service 'web'"),
        ("files: [{path: /x, content: '@each web: {n}'}]", "no container is of the service 'web'"),
        ("extends: nowhere", "no topology 'nowhere'"),
    ],
)
def test_a_wrong_topology_is_refused_with_its_reason(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text + "\n")
    with pytest.raises(LabError) as caught:
        load_topology(file)
    assert part in str(caught.value)


def test_braces_of_other_languages_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text('files: [{path: /x, content: "log-format %{+Q}o @ {x}\\n"}]\n')
    assert load_topology(file).files[0].content == "log-format %{+Q}o @ {x}\n"


def test_a_topology_survives_its_record() -> None:
    topology = load_topology("operator")
    assert Topology.model_validate_json(topology.model_dump_json()) == topology


def test_the_engine_is_asked_for_labels_ports_and_mounts() -> None:
    topology = load_topology("operator")
    request = container_request(topology.containers[0], topology)
    assert request["Labels"]["com.docker.compose.project.config_files"] == "/srv/dev1/compose.yaml"
    assert request["Labels"]["com.docker.compose.oneoff"] == "False"
    assert request["HostConfig"]["PortBindings"]["443/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "443"}]
    assert request["HostConfig"]["Binds"] == ["/srv/dev1/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
    assert request["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert request["Cmd"] == ["haproxy"]


def test_only_the_images_own_servers_are_waited_for() -> None:
    assert expected_ports(Container(name="a", listen=(80, 81))) == {80, 81}
    assert expected_ports(Container(name="a", command=("sleep", "1"))) == set()
    assert expected_ports(Container(name="a", role="idle")) == set()
    published = (Publish(port=443), Publish(port=53, protocol="udp"))
    assert expected_ports(Container(name="a", role="haproxy", publish=published)) == {443}


@pytest.mark.parametrize("package", ["", "openssh-server,sudo", "../x", "--hook", "Sudo"])
def test_a_package_has_a_package_s_name(package: str) -> None:
    with pytest.raises(ValidationError):
        Topology.model_validate({"packages": [package]})


def test_further_packages_want_a_root_file_system_of_their_own() -> None:
    usual = host_recipe("28.5")
    assert host_recipe("28.5", ["iptables"]) == usual
    assert host_recipe("28.5", ["sudo", "openssh-server"]) == host_recipe("28.5", ["openssh-server", "sudo"])
    assert host_recipe("28.5", ["sudo"]).key != usual.key
