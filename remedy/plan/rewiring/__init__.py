"""haproxy's servers led to their containers by name, on a network that both are on."""
