"""The conntrack remedy: how large the table shall be, and the action that makes it so."""

from remedy.plan.conntrack.sizing import plan_conntrack

__all__ = ["plan_conntrack"]
