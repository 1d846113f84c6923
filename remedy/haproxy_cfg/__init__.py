"""haproxy.cfg, read without losing a byte and edited word by word. Pure: no files, no host.

Text is handled as latin-1, so that every byte is one character and comes back as it was.
"""
