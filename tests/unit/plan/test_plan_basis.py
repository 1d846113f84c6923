"""What makes a plan stale."""

from collections.abc import Callable

from remedy.facts.model import HaproxyFile, HostFacts
from remedy.plan.basis import basis_of, changed_items

FILE = HaproxyFile(
    path="/etc/haproxy.cfg",
    raw=b"backend b\n",
    device=1,
    inode=2,
    mode=0o644,
    uid=0,
    gid=0,
    host_path="/srv/haproxy.cfg",
    host_device=1,
    host_inode=2,
)


def with_file(facts: HostFacts, file: HaproxyFile) -> HostFacts:
    balancer = facts.haproxies[0].model_copy(update={"files": (file,)})
    return facts.model_copy(update={"haproxies": (balancer,)})


def test_an_edit_of_haproxys_configuration_is_named(facts_of: Callable[[str], HostFacts]) -> None:
    before = with_file(facts_of("operator-28.5"), FILE)
    for change in ({"raw": b"backend c\n"}, {"host_inode": 3}, {"mode": 0o600}, {"uid": 99}):
        after = with_file(before, FILE.model_copy(update=change))
        assert changed_items(basis_of(before), basis_of(after)) == (
            "/etc/haproxy.cfg of haproxy in dev1-haproxy-1: changed",
        )


def test_passwords_of_the_configuration_are_not_in_the_basis(facts_of: Callable[[str], HostFacts]) -> None:
    secret = FILE.model_copy(update={"raw": b"stats auth admin:hunter2\n"})
    assert "hunter2" not in str(basis_of(with_file(facts_of("operator-28.5"), secret)))
