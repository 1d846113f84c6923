"""What is wrong with this host's published ports, what it costs, and what would mend it."""
