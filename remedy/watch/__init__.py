"""The watcher: what applied runs have put on the host stays right while containers come and go."""
