"""Builds the /var/lib/docker that every new host starts with: the container image is already in it."""

from __future__ import annotations

import time
from pathlib import Path

from remedy.lab.boot import start_host, stop_host
from remedy.lab.builds import Say, Workplace, build_once, heartbeat, workplace_lab
from remedy.lab.containers import CONTAINER_IMAGE, IMAGE_ENTRYPOINT
from remedy.lab.host import Host
from remedy.lab.prepare import prepare_host
from remedy.lab.records import FIRST_HOST_NUMBER, HostRecord
from remedy.lab.rootfs import host_rootfs, image_archive
from remedy.lab.switch import ensure_switch, remove_switch
from remedy.lab.topology import Topology


def docker_template(engine: str, cache: Path, say: Say) -> Path:
    """A directory to copy to a host's /var/lib/docker, built with that engine when it is not there yet."""
    rootfs = host_rootfs(engine, cache, say)
    archive = image_archive(cache, say)

    def make(workplace: Workplace) -> Path:
        with heartbeat(say, f"loading the container image into engine {engine}"):
            return _load_image(workplace, cache, engine, rootfs, archive)

    return build_once(cache, "templates", f"{rootfs.name}-{archive.stem}", make, say)


def _load_image(workplace: Workplace, cache: Path, engine: str, rootfs: Path, archive: Path) -> Path:
    lab = workplace_lab(workplace, cache)
    record = HostRecord(
        name="template",
        engine=engine,
        firewall="nft",
        number=FIRST_HOST_NUMBER,
        rootfs=rootfs,
        topology=Topology(),
        owner=None,
        created=time.time(),
    )
    directory = lab.host_directory(record.name)
    directory.mkdir(parents=True)
    ensure_switch(lab)
    prepare_host(lab, record, template=None)
    start_host(lab, record)
    host = Host(lab, record)
    changes = ["--change", f'ENTRYPOINT ["{IMAGE_ENTRYPOINT}"]', "--change", 'CMD ["idle"]']
    host.run(["docker", "import", *changes, "-", CONTAINER_IMAGE], stdin=archive.read_bytes(), timeout=300)
    # Stopped in good order, so that the databases in it are whole.
    host.run(["systemctl", "stop", "docker.service", "docker.socket", "containerd.service"], timeout=60)
    stop_host(lab, record)
    remove_switch(lab)
    return directory / "docker"
