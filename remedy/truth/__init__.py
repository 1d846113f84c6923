"""The packet walk against the kernel: random Docker hosts, each connection really made, each answer compared."""
