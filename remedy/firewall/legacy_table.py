"""One table of iptables-legacy in this process: read with one getsockopt, written with one commit.

python-iptables' own Table is not used: it is one object per process and name, whose handle may be minutes old, and
looking a chain up through it reads all five tables, which creates them in the kernel for good. Here every change
opens a fresh handle of libiptc, under the lock that iptables itself takes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from remedy.errors import CommandError, MissingExtraError, MissingToolError, PermissionNeededError

Family = Literal[4, 6]

LOCK_FILE = "/run/xtables.lock"  # iptables 1.8 XT_LOCK_NAME; XTABLES_LOCKFILE overrides it there too
LOCK_TIMEOUT_SECONDS = 10.0
_COMMIT_ATTEMPTS = 20
_LOCK_POLL_SECONDS = 0.0002


class LegacyTable:
    """An open table. What is changed happens at commit; without commit nothing happens.

    A chain's rules are seen through their targets only: nobody's rule is decoded, whatever extensions it uses.
    """

    def __init__(self, library: Any, handle: Any, name: str) -> None:
        self._library = library
        self._handle = handle
        self.name = name

    def chains(self) -> tuple[str, ...]:
        """The names of all chains, the built-in ones included."""
        return tuple(self._chains())

    def targets(self, chain: str) -> tuple[str, ...]:
        """Where each rule of the chain leads: a target's or a chain's name, "" for a rule without one."""
        return tuple(self._targets(chain.encode()))

    def create_chain(self, chain: str) -> None:
        """Make a new, empty chain."""
        self._call("create_chain", chain)

    def make_empty_chain(self, chain: str) -> None:
        """Make the chain, or delete the rules of the one that is there."""
        if chain in self.chains():
            self._call("flush_entries", chain)
        else:
            self.create_chain(chain)

    def drop_chain(self, chain: str) -> None:
        """Delete the jumps to it from the built-in chains, then the chain with its rules."""
        for hook in self.chains():
            if self._library.iptc_builtin(hook.encode(), self._handle):
                self.delete_jumps(hook, chain)
        self._call("flush_entries", chain)
        self._call("delete_chain", chain)

    def append(self, chain: str, entry: Any) -> None:
        """Add a rule (a buffer of legacy_entry.build) at the end."""
        self._call("append_entry", chain, entry)

    def insert(self, chain: str, entry: Any, index: int) -> None:
        """Add a rule before the index-th, counted from 0."""
        self._call("insert_entry", chain, entry, index)

    def delete_jumps(self, chain: str, target: str) -> None:
        """Delete every rule of `chain` that leads to `target`."""
        for index in reversed([i for i, found in enumerate(self.targets(chain)) if found == target]):
            self._call("delete_num_entry", chain, index)

    def commit(self) -> bool:
        """Write all changes at once. False when another program wrote the table since it was opened."""
        if self._library.iptc_commit(self._handle) == 1:
            return True
        reason = _errno()
        if reason == errno.EAGAIN:
            return False
        raise CommandError(
            f"the kernel does not take the changed table {self.name}",
            where=f"iptables-legacy, table {self.name}",
            why=_explain(self._library, reason),
        )

    def _chains(self) -> Iterator[str]:
        found = self._library.iptc_first_chain(self._handle)
        while found:
            yield found.decode()
            found = self._library.iptc_next_chain(self._handle)

    def _targets(self, chain: bytes) -> Iterator[str]:
        entry = self._library.iptc_first_rule(chain, self._handle)
        while entry:
            yield (self._library.iptc_get_target(entry, self._handle) or b"").decode()
            entry = self._library.iptc_next_rule(entry, self._handle)

    def _call(self, function: str, chain: str, *arguments: Any) -> None:
        if getattr(self._library, f"iptc_{function}")(chain.encode(), *arguments, self._handle) != 1:
            raise CommandError(
                f"libiptc refuses {function.replace('_', ' ')} {chain}",
                where=f"iptables-legacy, table {self.name}",
                why=_explain(self._library, _errno()),
            )


def change_table(name: str, family: Family, change: Callable[[LegacyTable], None]) -> None:
    """Run `change` on a freshly read table and commit it, under iptables' lock.

    The kernel refuses with EAGAIN when somebody without the lock changed the table in between: then the whole
    change is made again on what is there now. Raises CommandError, MissingExtraError, MissingToolError,
    PermissionNeededError.
    """
    with xtables_lock():
        for _ in range(_COMMIT_ATTEMPTS):
            with open_table(name, family) as table:
                change(table)
                if table.commit():
                    return
    raise CommandError(f"table {name} changes faster than it can be written", where=f"iptables-legacy, table {name}")


@contextmanager
def open_table(name: str, family: Family) -> Iterator[LegacyTable]:
    """The table as it is now. Opening an absent table creates it: ask `existing_tables` before reading."""
    library = libiptc(family)
    handle = library.iptc_init(name.encode())
    if not handle:
        reason = _errno()
        if reason in (errno.EPERM, errno.EACCES):
            raise PermissionNeededError("iptables can only be read and written by root")
        raise CommandError(f"table {name} cannot be opened", where="iptables-legacy", why=_explain(library, reason))
    try:
        yield LegacyTable(library, handle, name)
    finally:
        library.iptc_free(handle)


def existing_tables(family: Family) -> tuple[str, ...]:
    """The legacy tables that the kernel has for this network namespace, without creating any."""
    listing = Path("/proc/thread-self/net", "ip_tables_names" if family == 4 else "ip6_tables_names")
    try:
        return tuple(listing.read_text().split())
    except FileNotFoundError:
        return ()  # the kernel has no ip_tables, or it is not loaded


@contextmanager
def xtables_lock(timeout: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock that iptables-legacy takes (`iptables -w` waits for it, dockerd always does).

    Raises CommandError when another program holds it longer than `timeout` seconds.
    """
    path = os.environ.get("XTABLES_LOCKFILE", LOCK_FILE)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise PermissionNeededError("iptables can only be read and written by root", where=path) from error
    try:
        _wait_for_lock(descriptor, path, timeout)
        yield
    finally:
        os.close(descriptor)


def libiptc(family: Family) -> Any:
    """python-iptables' binding of libip4tc or libip6tc, loaded late (0.3 s: it runs ldconfig and gcc).

    Raises MissingExtraError without the extra, MissingToolError without the C libraries.
    """
    try:
        from iptc.ip4tc import iptc
        from iptc.ip6tc import ip6tc
    except ImportError as error:
        raise MissingExtraError("legacy", "writing rules on a host with iptables-legacy") from error
    except AttributeError as error:  # python-iptables found no library and went on with None
        raise MissingToolError(
            "libip4tc, libip6tc or libxtables is not installed", next_step="install the package iptables"
        ) from error
    return iptc if family == 4 else ip6tc


def _wait_for_lock(descriptor: int, path: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"another program holds the xtables lock for more than {timeout:g} s", where=path
                ) from None
            time.sleep(_LOCK_POLL_SECONDS)


def _errno() -> int:
    from iptc.ip4tc import _get_errno_loc

    return int(_get_errno_loc()[0])


def _explain(library: Any, reason: int) -> str:
    return (library.iptc_strerror(reason) or b"").decode(errors="replace") or os.strerror(reason)
