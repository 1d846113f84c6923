"""What keeps the services on the network when compose makes their containers again: an override file of remedy's."""

from remedy.plan.compose_override.overrides import plan_overrides

__all__ = ["plan_overrides"]
