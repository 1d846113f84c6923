"""Figures of the watcher and its host for Prometheus: off unless asked, and only for who is on the host."""
