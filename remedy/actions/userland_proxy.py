"""SwitchUserlandProxy: daemon.json and a restart of the engine, in both directions."""

from __future__ import annotations

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import has_content, put_content
from remedy.actions.engine import wait_until
from remedy.actions.engine_state import (
    docker_proxies_serve,
    effective_userland_proxy,
    remove_leftovers,
    rules_serve,
)
from remedy.actions.sysctls import restore_sysctls
from remedy.errors import EngineError
from remedy.facts.model import FirewallBackend
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.guard_loop import GuardLoop
from remedy.plan.model import FileContent, SwitchUserlandProxy

SERVES_TIMEOUT_SECONDS = 30.0


class UserlandProxyAction:
    """Bring the engine to the target; undone by the original daemon.json and another restart."""

    def __init__(self, action: SwitchUserlandProxy, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """Nothing: the plan has the original bytes, sysctls and rules."""
        return {}

    def is_applied(self) -> bool:
        """daemon.json says so and the engine runs so."""
        return has_content(self._action.content) and self._effective() is self._action.target

    def apply(self) -> None:
        """Raises EngineError when the engine does not come back or does not serve every published port."""
        self._switch_to(self._action.content, self._action.target)

    def revert(self, _undo: dict[str, object]) -> None:
        """Back to the original setting, with what the engine leaves behind taken away."""
        action = self._action
        if not action.restart:
            put_content(action.back_content)
            return
        self._context.engine.settle()
        if self._context.engine.answers() and self._effective() is not action.target:
            put_content(action.back_content)  # the engine was never restarted with ours
        else:
            self._switch_to(action.back_content, not action.target)
        remove_leftovers(action.leftovers, self._backend)
        restore_sysctls(action.sysctls_before)

    def _effective(self) -> bool | None:
        return effective_userland_proxy(self._context.engine, self._backend)

    def _switch_to(self, content: FileContent, userland_proxy: bool) -> None:
        put_content(content)
        if not self._action.restart:
            return
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
        self._wait_until_served(userland_proxy)

    def _restart(self) -> None:
        action = self._action
        if not action.ruleset.redirects:
            self._context.note(f"engine restarted in {self._context.engine.restart():.1f} s")
            return
        with GuardLoop(forward_guard(self._backend, action.ruleset)) as loop:
            seconds = self._context.engine.restart()
            # The last rules follow the engine's first answer; the guard stays in front until they are there.
            wait_until(lambda: rules_serve(action.ruleset, self._backend), seconds=SERVES_TIMEOUT_SECONDS)
        self._context.note(f"engine restarted in {seconds:.1f} s; the FORWARD guard was moved {loop.count.moves} times")

    def _start_stopped(self) -> None:
        if not self._action.live_restore:
            self._context.engine.start_containers(self._action.containers)

    def _wait_until_served(self, userland_proxy: bool) -> None:
        ruleset = self._action.ruleset
        if not ruleset.redirects:
            return
        if not wait_until(lambda: rules_serve(ruleset, self._backend), seconds=SERVES_TIMEOUT_SECONDS):
            raise EngineError(
                "the engine restarted without its DNAT rules for every published port",
                why="waited 30 s for them",
                next_step="journalctl -u docker",
            )
        if userland_proxy and not wait_until(lambda: docker_proxies_serve(ruleset), seconds=SERVES_TIMEOUT_SECONDS):
            raise EngineError(
                "the engine restarted without a docker-proxy for every published port", next_step="journalctl -u docker"
            )
