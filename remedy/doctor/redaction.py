"""What a bug report must not carry: secrets, and what is nobody's business. Works on JSON values, not on text.

Values of environment variables, labels, foreign options and daemon.json's other keys go; their names stay, because
that something is set is often what matters. Anything that looks like a secret goes wherever it stands.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from remedy.facts.secrets import hide_secrets

REDACTED = "(redacted)"
_OPEN_LABELS = "com.docker.compose."
_OPEN_OPTIONS = "com.docker.network."
# Keys of daemon.json that bear on networking, and hold no secret.
_OPEN_SETTINGS = frozenset(
    {
        *("userland-proxy", "userland-proxy-path", "live-restore", "iptables", "ip6tables", "firewall-backend"),
        *("ip-forward", "ip-forward-no-drop", "ip-masq", "ip", "bip", "bip6", "bridge", "fixed-cidr", "fixed-cidr-v6"),
        *("mtu", "ipv6", "icc", "default-gateway", "default-gateway-v6", "default-address-pools"),
        *("default-network-opts", "allow-direct-routing", "bridge-accept-fwmark", "host-gateway-ip"),
        *("experimental", "features", "hosts", "group", "storage-driver"),
    }
)
_ENCODED_FILE = re.compile(r"echo [A-Za-z0-9+/=]{8,} \| base64 -d")


def redact(value: Any, key: str = "") -> Any:
    """The value without what must not be told; `key` is what it stands under."""
    if isinstance(value, dict):
        return _redact_mapping(value, key)
    if isinstance(value, list):
        if key in ("command", "entrypoint") and all(isinstance(item, str) for item in value):
            return [*value[:1], *([REDACTED] if len(value) > 1 else [])]
        return [redact(item) for item in value]
    if not isinstance(value, str):
        return value
    if key == "raw":
        return _redact_file(value)
    return _ENCODED_FILE.sub(f"echo {REDACTED} | base64 -d", hide_secrets(value, REDACTED))


def _redact_mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    if key == "environment":
        # dockerd's PATH tells which iptables it runs.
        return {name: text if name == "PATH" else "" for name, text in value.items()}
    if key == "labels":
        return {name: text if name.startswith(_OPEN_LABELS) else "" for name, text in value.items()}
    if key == "options":
        return {name: text if name.startswith(_OPEN_OPTIONS) else "" for name, text in value.items()}
    if key == "parsed":
        return _redact_settings(value)
    return {name: redact(item, name) for name, item in value.items()}


def _redact_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: redact(item) if name in _OPEN_SETTINGS else REDACTED for name, item in settings.items()}


def _redact_file(encoded: str) -> str:
    """A file's bytes, base64 as Pydantic writes them: of daemon.json the keys that are open, of any other nothing.

    haproxy's configuration holds passwords (`stats auth`, userlists), a compose file the services' environment.
    """
    try:
        raw = base64.b64decode(encoded.translate(str.maketrans("-_", "+/")))
        settings = json.loads(raw)
    except (binascii.Error, ValueError):
        settings = None
    text = json.dumps(_redact_settings(settings), indent=2) if isinstance(settings, dict) else REDACTED
    return base64.urlsafe_b64encode(text.encode()).decode()
