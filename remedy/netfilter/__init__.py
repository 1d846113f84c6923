"""netfilter as a pure model: rules in one typed form, and what they make of a packet.

`tables_from_iptables` and `tables_from_nft` read what stands on the host; `Firewall` runs packets through it.
"""
