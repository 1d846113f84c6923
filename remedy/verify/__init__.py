"""Verification by real traffic, from inside each consumer's network namespace."""
