"""What a load balancer and its backends say to each other, kept from conntrack where no NAT needs it.

Nothing is imported here: the watcher follows pairs by name with a part of it, and the packet walk is a tenth of its
memory.
"""
