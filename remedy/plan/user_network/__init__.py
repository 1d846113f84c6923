"""The network that load balancer and backends share: which one, with which subnet, and under which names."""

from remedy.plan.user_network.network import NetworkPlan, plan_network

__all__ = ["NetworkPlan", "plan_network"]
