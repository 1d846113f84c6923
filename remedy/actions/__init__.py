"""What changes the host: one small class per kind of action, each with apply, revert and is_applied."""
