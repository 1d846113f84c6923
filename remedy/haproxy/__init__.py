"""A running haproxy: found, spoken to, its configuration checked and written, reloaded and waited for."""
