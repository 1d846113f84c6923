"""SwitchUserlandProxy: daemon.json and a restart of the engine, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import directories_to_make, has_content, put_content, remove_directories
from remedy.actions.engine import wait_until
from remedy.actions.engine_state import (
    docker_proxies_serve,
    effective_userland_proxy,
    remove_leftovers,
    rules_serve,
    still_wanted,
)
from remedy.actions.hairpin_mode import switch_on_everywhere
from remedy.actions.live_restore import hold
from remedy.actions.orderly_close import close_when_quiet, proxied_connections
from remedy.actions.sysctls import restore_sysctls
from remedy.errors import EngineError, RemedyError
from remedy.facts.model import FirewallBackend
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.guard_loop import GuardLoop
from remedy.firewall.ruleset import Ruleset
from remedy.plan.actions import FileContent, SwitchUserlandProxy

SERVES_TIMEOUT_SECONDS = 30.0


class UserlandProxyAction:
    """Bring the engine to the target; undone by the original daemon.json and another restart."""

    def __init__(self, action: SwitchUserlandProxy, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """The directories that are made for daemon.json; the plan has the original bytes, sysctls and rules."""
        return directories_to_make(self._action.path)

    def is_applied(self) -> bool:
        """daemon.json says so and the engine runs so."""
        return has_content(self._action.content) and self._effective() is self._action.target

    def apply(self) -> None:
        """Raises EngineError when the engine does not come back or does not serve every published port."""
        self._switch_to(self._action.content, self._action.target)

    def revert(self, undo: dict[str, object]) -> None:
        """Back to the original setting, with what the engine leaves behind taken away.

        Raises EngineError, CommandError, OSError.
        """
        action = self._action
        if action.restart:
            self._context.engine.settle()
        if not action.restart or self._effective() is (not action.target):
            put_content(action.back_content)  # the engine does not run with ours
        else:
            self._switch_to(action.back_content, not action.target)
        if not action.held:
            put_content(action.original)
        remove_leftovers(action.leftovers, self._backend)
        restore_sysctls(action.sysctls_before)
        if action.original.raw is None:
            remove_directories(undo)

    def _effective(self) -> bool | None:
        return effective_userland_proxy(self._context.engine, self._backend)

    def _switch_to(self, content: FileContent, userland_proxy: bool) -> None:
        if not self._action.restart:
            put_content(content)
            return
        self._let_containers_live()
        put_content(content)
        self._restart()
        found = self._effective()
        if found is not userland_proxy:
            raise EngineError(
                f"the engine restarted, and its userland proxy is not {'on' if userland_proxy else 'off'}",
                where=content.path,
                why=f"its rules and processes say {found}",
                next_step="journalctl -u docker",
            )
        self._start_stopped()
        if not userland_proxy:
            switch_on_everywhere(self._action.ruleset.engine_bridges)
        self._wait_until_served(userland_proxy)

    def _let_containers_live(self) -> None:
        """Nothing is restarted that would take containers along which the plan says live on.

        The undo of a release that failed, or somebody's reload, may have left live-restore off. Raises EngineError.
        """
        engine = self._context.engine
        if not self._action.live_restore or not engine.answers() or engine.live_restore():
            return
        # 26 and later reject a reload of a file that says userland-proxy true: the content without it.
        hold(engine, self._action.back_content if self._action.target else self._action.content)

    def _restart(self) -> None:
        action = self._action
        if not action.ruleset.redirects:
            self._context.note(f"engine restarted in {self._context.engine.restart():.1f} s")
            return
        self._end_proxied()
        with GuardLoop(forward_guard(self._backend, action.ruleset)) as loop:
            seconds = self._context.engine.restart()
            # The last rules follow the engine's first answer; the guard stays in front until they are there.
            self._wait_for_rules()
        self._context.note(f"engine restarted in {seconds:.1f} s; the FORWARD guard was moved {loop.count.moves} times")

    def _end_proxied(self) -> None:
        """Let connections through docker-proxy end between two requests: they would not live through the restart.

        New ones are carried by the bridging rules already.
        """
        ended = close_when_quiet(partial(proxied_connections, self._context.engine.main_pid()))
        if ended.closed or ended.busy:
            busy = f"; {ended.busy} were never quiet and end with it" if ended.busy else ""
            self._context.note(f"closed {ended.closed} connections through docker-proxy in order{busy}")

    def _start_stopped(self) -> None:
        if not self._action.live_restore:
            self._context.engine.start_containers(self._action.containers)

    def _wait_until_served(self, userland_proxy: bool) -> None:
        if not self._action.ruleset.redirects:
            return
        if not self._wait_for_rules():
            raise EngineError(
                "the engine restarted without its DNAT rules for every published port",
                why=f"waited {SERVES_TIMEOUT_SECONDS:.0f} s for them",
                next_step="journalctl -u docker",
            )
        if userland_proxy and not self._wait_for(docker_proxies_serve):
            raise EngineError(
                "the engine restarted without a docker-proxy for every published port", next_step="journalctl -u docker"
            )
        self._note_the_gone()

    def _wait_for_rules(self) -> bool:
        return self._wait_for(lambda ruleset: rules_serve(ruleset, self._backend))

    def _wait_for(self, serves: Callable[[Ruleset], bool]) -> bool:
        """Wait until it holds for every redirect, or for those whose container still has its address."""
        planned = self._action.ruleset

        def holds() -> bool:
            return serves(planned) or serves(still_wanted(planned, self._context.engine))

        return wait_until(holds, seconds=SERVES_TIMEOUT_SECONDS)

    def _note_the_gone(self) -> None:
        planned = self._action.ruleset.redirects
        try:
            wanted = still_wanted(self._action.ruleset, self._context.engine).redirects
        except RemedyError:
            return  # a note, no more
        for container in dict.fromkeys(redirect.container for redirect in planned if redirect not in wanted):
            ports = ", ".join(str(r.port) for r in planned if r.container == container and r not in wanted)
            self._context.note(f"{container} stopped or was made again meanwhile: not waited for its port {ports}")
