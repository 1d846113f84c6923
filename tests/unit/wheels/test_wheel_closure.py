"""Which locked packages go into the wheel set."""

from __future__ import annotations

from remedy.wheels.closure import locked, needed

LOCK = """\
# by make lock
Alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
beta.two==2.0 ; python_version < "3.12" \\
    --hash=sha256:cc

# The following packages are considered to be unsafe in a requirements file:
pip==26.0 \\
    --hash=sha256:dd
"""

ASKED = {
    "remedy": ["Alpha>=1", 'beta_two; python_version < "3.12"', 'python-iptables; extra == "legacy"'],
    "alpha": ["gamma", 'colorama; sys_platform == "win32"'],
    "gamma": ["alpha"],
}


def test_each_package_of_the_lock_file_keeps_its_hashes() -> None:
    entries = locked(LOCK)
    assert set(entries) == {"alpha", "beta-two", "pip"}
    assert entries["alpha"].endswith("--hash=sha256:bb")
    assert "sha256:dd" in entries["pip"]


def test_what_is_needed_depends_on_the_hosts_python_and_leaves_extras_out() -> None:
    def asks(name: str) -> list[str]:
        return ASKED.get(name, [])

    assert needed("remedy", asks, python="3.11") == ("alpha", "beta-two", "gamma")
    assert needed("remedy", asks, python="3.14") == ("alpha", "gamma")
