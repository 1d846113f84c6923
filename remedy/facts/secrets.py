"""Which values of an environment may go into a facts file that somebody will attach to a bug report."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECRET_NAME = re.compile(r"PASS|PWD|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|PRIVATE|SALT|DSN|COOKIE|SIGNATURE", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/\s]*@|-----BEGIN|eyJ[A-Za-z0-9_-]{8}")
# A port number alone, host:port, an IP address: what haproxy.cfg or an upstream setting refers to.
_ENDPOINT_VALUE = re.compile(r"^\d{1,5}$|(?:^|[^\d.])\d{1,3}(?:\.\d{1,3}){3}(?:$|[^\d.])|[\w\].-]:\d{1,5}(?:$|\D)|::")
_LONGEST_VALUE = 256


def looks_secret(name: str) -> bool:
    """Whether a variable's name says that its value is nobody's business."""
    return _SECRET_NAME.search(name) is not None


def keep_endpoints(environment: Iterable[str]) -> dict[str, str]:
    """Keep all names of NAME=VALUE pairs, but only values that look like an address or a port."""
    pairs = (entry.partition("=") for entry in environment)
    return {name: value if _is_endpoint(name, value) else "" for name, _, value in pairs}


def _is_endpoint(name: str, value: str) -> bool:
    return (
        len(value) <= _LONGEST_VALUE
        and not looks_secret(name)
        and _SECRET_VALUE.search(value) is None
        and _ENDPOINT_VALUE.search(value) is not None
    )


def hide_secrets(text: str, instead: str) -> str:
    """Replace what looks like a secret in any text: a user and password in a URL, a key, a token, PASSWORD=..."""
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement.format(instead), text)
    return text


_SECRETS_IN_TEXT = (
    (re.compile(r"://[^/\s@]*@"), "://{}@"),
    (re.compile(r"-----BEGIN[^-]*-----.*?(?:-----END[^-]*-----|$)", re.DOTALL), "{}"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]+)*"), "{}"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:pass(?:word|wd)?|secret|token|api[_-]?key|credential)[\w-]*)(=|: ?)(?!\s)[^\s,;\"']+"
        ),
        r"\1\2{}",
    ),
)
