"""A line in the system journal (identifier `remedy`) for every action, so that the host's own log tells the story."""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

SOCKET = "/dev/log"


def open_system_journal(socket: str = SOCKET) -> logging.Logger:
    """A logger to the host's syslog socket; without one it keeps quiet."""
    logger = logging.getLogger("remedy.journal")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        logger.addHandler(_handler(socket))
    return logger


def _handler(socket: str) -> logging.Handler:
    if not Path(socket).exists():
        return logging.NullHandler()
    try:
        handler = logging.handlers.SysLogHandler(address=socket)
    except OSError:
        return logging.NullHandler()
    handler.ident = "remedy: "
    handler.append_nul = False
    return handler
