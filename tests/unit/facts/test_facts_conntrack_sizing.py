"""What sizes the conntrack table, read from the texts that kernels and hosts really have."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.facts import conntrack_sizing
from remedy.facts.conntrack_sizing import parse_memory, parse_setting_lines, parse_slab, read_setting_lines
from remedy.facts.model import SettingLine
from remedy.host import conntrack_settings, sysctls
from remedy.host.conntrack_settings import BUCKETS, HASH_SIZE, MAXIMUM, TIME_WAIT

SLAB_6_18 = """\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount>
nf_conntrack_expect      0      0    216   18    1 : tunables    0    0    0 : slabdata      0      0      0
nf_conntrack         304    304    256   16    1 : tunables    0    0    0 : slabdata     19     19      0
"""
SLAB_4_4 = "nf_conntrack_ffff88007c0e8000      0      0    312   13    1 : tunables    0    0    0\n"


@pytest.mark.parametrize(
    ("text", "page", "expected"),
    [
        (SLAB_6_18, 4096, 256),
        (SLAB_4_4, 4096, 316),  # 13 objects share a page: each costs its part of what is left over
        ("nf_conntrack 304 304 256 256 1 : tunables 0 0 0\n", 65536, 256),
        ("", 4096, None),
        ("nf_conntrack_expect      0      0    216   18    1 : tunables\n", 4096, None),
    ],
)
def test_an_entry_costs_its_part_of_the_slab(text: str, page: int, expected: int | None) -> None:
    assert parse_slab(text, page) == expected


def test_memory_is_in_bytes() -> None:
    assert parse_memory("MemTotal:       24684096 kB\nMemFree: 1 kB\n") == 24684096 * 1024
    assert parse_memory("") is None


def test_lines_are_found_however_they_are_written() -> None:
    text = """\
# net.netfilter.nf_conntrack_max = 1
net.netfilter.nf_conntrack_max = 500000
-net/netfilter/nf_conntrack_buckets=131072
net.nf_conntrack_max=600000
net.core.somaxconn = 4096
"""
    assert [(line.name, line.value, line.line) for line in parse_setting_lines(text, "f")] == [
        (MAXIMUM, "500000", 2),
        (BUCKETS, "131072", 3),
        (MAXIMUM, "600000", 4),
    ]


def test_files_count_in_the_order_of_their_names_and_the_first_directory_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for directory in (etc, usr):
        directory.mkdir()
    (usr / "50-tuned.conf").write_text(f"{MAXIMUM}=1\n")
    (etc / "50-tuned.conf").write_text(f"{MAXIMUM}=2\n")
    (usr / "60-late.conf").write_text(f"{TIME_WAIT}=3\n")
    conf = tmp_path / "sysctl.conf"
    conf.write_text(f"{MAXIMUM}=4\n")
    monkeypatch.setattr(conntrack_sizing, "SYSCTL_DIRECTORIES", (str(etc), str(usr), str(tmp_path / "none")))
    monkeypatch.setattr(conntrack_sizing, "SYSCTL_CONF", str(conf))
    assert [(line.path, line.value) for line in read_setting_lines()] == [
        (str(etc / "50-tuned.conf"), "2"),
        (str(usr / "60-late.conf"), "3"),
        (str(conf), "4"),
    ]
    (etc / "99-sysctl.conf").symlink_to(conf)
    assert [line.value for line in read_setting_lines()] == ["2", "3", "4"]
    assert isinstance(next(read_setting_lines()), SettingLine)


def test_what_is_read_only_here_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "net" / "netfilter"
    root.mkdir(parents=True)
    for name, mode in ((MAXIMUM, 0o444), (BUCKETS, 0o444), (TIME_WAIT, 0o644)):
        (root / name.rpartition(".")[2]).write_text("1\n")
        (root / name.rpartition(".")[2]).chmod(mode)
    parameter = tmp_path / "module" / "nf_conntrack" / "parameters" / "hashsize"
    parameter.parent.mkdir(parents=True)
    parameter.write_text("262144\n")
    parameter.chmod(0o600)
    monkeypatch.setattr(sysctls, "PROC_SYS", tmp_path)
    monkeypatch.setattr(conntrack_settings, "SYS_MODULE", tmp_path / "module")
    assert conntrack_sizing.read_sizing(4096).writable == (TIME_WAIT,)
    (root / "nf_conntrack_max").chmod(0o644)  # as in the machine's own namespace before 4.8
    assert conntrack_sizing.read_sizing(4096).writable == (MAXIMUM, TIME_WAIT, HASH_SIZE)
