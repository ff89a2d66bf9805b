"""The frame envelope: decides how a message looks on the socket (transport §7).

Called by both shells for every frame. It never decides what a frame means.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from json import JSONDecoder, dumps, loads
from typing import Any

from ..errors import ProtocolError

_read = JSONDecoder().raw_decode

FRAME_TYPES = frozenset(
    {
        "appAlert",
        "artistCancelConfirmation",
        "authenticated",
        "balanceUpdate",
        "changeNetwork",
        "jobETA",
        "jobError",
        "jobProgress",
        "jobResult",
        "jobRetry",
        "jobState",
        "jobTokens",
        "llmJobError",
        "llmJobResult",
        "projectQueue",
        "socketEventSubscriptionsUpdated",
        "subscriptionEntitlementUpdated",
        "subscriptionLimitNotice",
        "swarmLLMModels",
        "swarmModels",
        "toastMessage",
    }
)
"""What the service sends (transport §9)."""


def encode_frame(kind: str, payload: Any) -> str:
    """The text of a frame: a type and the payload as base64 of its JSON."""
    try:
        text = dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; escaped, as JavaScript does it, it travels.
        text = dumps(payload, separators=(",", ":")).encode()
    data = b64encode(text).decode()
    return dumps({"type": kind, "data": data}, separators=(",", ":"))


def decode_frame(message: bytes | str) -> tuple[str, Any]:
    """Type and payload of a frame, text or binary; a missing payload is None.

    `jobID` and `imgID` at the top level are upper-cased (transport §7). ProtocolError for what is no frame.
    """
    try:
        envelope = _json(message if isinstance(message, str) else message.decode("utf-8", "surrogatepass"))
        kind = envelope["type"]
        data = envelope.get("data")
        payload = _json(a2b_base64(data).decode("utf-8", "surrogatepass")) if data else None
    except (ValueError, KeyError, TypeError, AttributeError, Base64Error, RecursionError) as error:
        raise ProtocolError(f"not a frame: {type(error).__name__}") from error
    if type(kind) is not str:
        raise ProtocolError("a frame without a type")
    if type(payload) is dict:
        for name in ("jobID", "imgID"):
            value = payload.get(name)
            if value is not None:
                payload[name] = value.upper() if type(value) is str else str(value).upper()
    return kind, payload


def _json(text: str) -> Any:
    """What `json.loads` returns, at a third of its price: it guesses encodings and looks for white space around."""
    try:
        value, end = _read(text)
    except ValueError:
        return loads(text)
    return value if end == len(text) else loads(text)
