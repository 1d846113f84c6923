"""`make demo`: a real Docker host is taken off docker-proxy and put back, under load, with the figures beside it.

    python -m remedy.demo --engine 28.5 --firewall nft

scenes tells the story; evidence and host_state read, throughput and traffic measure, stage writes to the terminal.
"""
