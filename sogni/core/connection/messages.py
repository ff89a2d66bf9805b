"""The frame envelope: decides how a message looks on the socket (transport §7).

Called by both shells for every frame. It never decides what a frame means.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from json import JSONDecoder, JSONEncoder, dumps, loads
from typing import Any, Literal, get_args

from sogni.errors import ProtocolError, ValidationError

_read = JSONDecoder().raw_decode
_write = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

FrameType = Literal[
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
]
FRAME_TYPES: frozenset[str] = frozenset(get_args(FrameType))
"""What the service sends (transport §9)."""


def encode_frame(kind: str, payload: Any) -> str:
    """The text of a frame: a type and the payload as base64 of its JSON."""
    try:
        text = _write(payload).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; escaped, as JavaScript does it, it travels.
        text = dumps(payload, separators=(",", ":")).encode()
    data = b64encode(text).decode()
    return f'{{"type":{dumps(kind)},"data":"{data}"}}'


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


# Socket event subscriptions: decides what an update looks like and what the server's answer changes.
#
# Called by the flow behind `set_socket_event_subscriptions` and by the client state (transport §11).


UPDATE_KEYS = frozenset({"subscriptions", "subscribe", "unsubscribe", "reset", "event", "enabled"})
_FIELD = "socket_event_subscriptions"


def subscription_update(update: Any) -> dict[str, Any]:
    """The payload of `setSocketEventSubscriptions` for what a caller gave (transport §11).

    A mapping with any of the keys of an update is one; any other mapping is a map of flags.
    ValidationError for what is no mapping and for a flag that is no boolean.
    """
    if not isinstance(update, Mapping):
        raise ValidationError(
            f"{_FIELD} must be a mapping, not {update!r}", field=_FIELD, value=update, allowed="a mapping"
        )
    payload = dict(update) if UPDATE_KEYS & update.keys() else {"subscriptions": dict(update)}
    if "subscriptions" in payload:
        flags = _flags(payload.pop("subscriptions"))
        if flags:
            payload = {"subscriptions": flags, **payload}
    _check_names(payload)
    return payload


def _flags(flags: Any) -> dict[str, bool]:
    wrong = flags if not isinstance(flags, Mapping) else {k: v for k, v in flags.items() if not isinstance(v, bool)}
    if wrong or not isinstance(flags, Mapping):
        raise ValidationError(
            f"{_FIELD}: flags must map names to True or False, not {wrong!r}",
            field=_FIELD,
            value=flags,
            allowed="True or False",
        )
    return dict(flags)


def _check_names(payload: Mapping[str, Any]) -> None:
    for key in ("subscribe", "unsubscribe"):
        names = payload.get(key)
        listed = [names] if isinstance(names, str) else names
        if listed is not None and not (isinstance(listed, list | tuple) and all(isinstance(n, str) for n in listed)):
            raise ValidationError(
                f"{_FIELD}: {key} must be a name or a list of names, not {names!r}",
                field=_FIELD,
                value=names,
                allowed="a name or a list of names",
            )
    for key in ("reset", "enabled"):
        if not isinstance(payload.get(key, False), bool):
            raise ValidationError(
                f"{_FIELD}: {key} must be True or False, not {payload[key]!r}",
                field=_FIELD,
                value=payload[key],
                allowed="True or False",
            )


def acknowledged(payload: Any) -> dict[str, bool] | None:
    """The full map a server acknowledges, booleans only; None when the frame holds none."""
    flags = payload.get("socketEventSubscriptions") if isinstance(payload, dict) else None
    if not isinstance(flags, dict):
        return None
    return {name: flag for name, flag in flags.items() if isinstance(flag, bool)}
