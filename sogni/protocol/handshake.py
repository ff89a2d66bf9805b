"""The WebSocket handshake: decides address and headers of the upgrade (transport §5, §6).

Called by both shells when they connect. It never opens anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..settings import PROTOCOL_VERSION, VERSION, Network, Settings
from .attribution import connection_parameters

CLIENT_NAME = f"Sogni/{PROTOCOL_VERSION} (sogni-python) {VERSION}"


def handshake_url(settings: Settings, *, app_id: str, network: Network | str, subscriptions: Mapping[str, bool]) -> str:
    """The socket address with its parameters, form-encoded, in the order of the sheet (transport §6)."""
    parameters = [("appId", app_id)]
    if settings.app_source:
        parameters.append(("appSource", settings.app_source))
    parameters += connection_parameters(settings.attribution)
    if subscriptions:
        flags = json.dumps(dict(subscriptions), separators=(",", ":"))
        parameters.append(("socketEventSubscriptions", flags))
    parameters += [
        ("clientName", CLIENT_NAME),
        ("clientType", "artist"),
        ("forceWorkerId", "fast" if network == "fast" else ""),
    ]
    parts = urlsplit(settings.socket_url)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))
