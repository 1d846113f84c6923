"""What a load balancer and its backends say to each other, kept from conntrack where no NAT needs it."""

from remedy.plan.notrack.bundle import Untracking, plan_notrack

__all__ = ["Untracking", "plan_notrack"]
