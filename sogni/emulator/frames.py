"""The envelope of WebSocket messages: one JSON object with a type and a base64 payload (transport §7).

Called by the socket endpoint in both directions. It never looks at what a payload means.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from attrs import frozen


class FrameError(ValueError):
    """A message that is not an envelope, with the reason as its text."""


@frozen
class Frame:
    """One decoded message."""

    type: str
    data: Any


def encode(type: str, payload: Any) -> str:
    """Write a server message; ``data`` is padded standard base64 of compact JSON."""
    try:
        content = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which JSON may hold, has no form in UTF-8.
        content = json.dumps(payload, separators=(",", ":")).encode()
    data = base64.b64encode(content).decode("ascii")
    return json.dumps({"type": type, "data": data}, separators=(",", ":"))


def decode(message: str | bytes) -> Frame:
    """Read a client message strictly, as the service does."""
    try:
        envelope = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the message is not JSON: {error}") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("type"), str):
        raise FrameError("the message is not an object with a text 'type'")
    data = envelope.get("data")
    if not isinstance(data, str):
        raise FrameError(f"'data' of {envelope['type']} is not a base64 text")
    try:
        payload = json.loads(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise FrameError(f"'data' of {envelope['type']} is not base64 of JSON: {error}") from error
    return Frame(envelope["type"], payload)
