"""The frame envelope and the payload of socket event subscriptions."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from functools import lru_cache
from json import JSONDecoder, JSONEncoder, dumps, loads
from typing import Any, Literal, get_args

from sogni.errors import ProtocolError, ValidationError

_read = JSONDecoder().raw_decode
_write = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = lru_cache(maxsize=64)(dumps)

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
"""Frame types that the service sends."""


def encode_frame(kind: str, payload: Any) -> str:
    """Return a frame as a string: a type and the payload as base64 of its JSON."""
    try:
        text = _write(payload).encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8 form; it is escaped, as in JavaScript.
        text = dumps(payload, separators=(",", ":")).encode()
    data = b64encode(text).decode()
    return f'{{"type":{_quoted(kind)},"data":"{data}"}}'


def decode_frame(message: bytes | str) -> tuple[str, Any]:
    """Return type and payload of a text or binary frame; a missing payload is None.

    `jobID` and `imgID` at the top level are upper-cased. Raises `ProtocolError` for a malformed frame.
    """
    try:
        envelope = _json(message if isinstance(message, str) else message.decode("utf-8", "surrogatepass"))
        kind = envelope["type"]
        data = envelope.get("data")
        payload = _json(a2b_base64(data).decode("utf-8", "surrogatepass")) if data else None
    except (ValueError, KeyError, TypeError, AttributeError, Base64Error, RecursionError) as error:
        raise ProtocolError(f"not a frame: {type(error).__name__}") from error
    if type(kind) is not str:
        raise ProtocolError("not a frame: the type is missing")
    if type(payload) is dict:
        for name in ("jobID", "imgID"):
            value = payload.get(name)
            if value is not None:
                payload[name] = value.upper() if type(value) is str else str(value).upper()
    return kind, payload


def _json(text: str) -> Any:
    """Parse JSON like `json.loads` in a third of the time: no detection of encodings or surrounding whitespace."""
    try:
        value, end = _read(text)
    except ValueError:
        return loads(text)
    return value if end == len(text) else loads(text)


# Socket event subscriptions (transport §11)


UPDATE_KEYS = frozenset({"subscriptions", "subscribe", "unsubscribe", "reset", "event", "enabled"})
_FIELD = "socket_event_subscriptions"


def subscription_update(update: Any) -> dict[str, Any]:
    """Return the payload of `setSocketEventSubscriptions` for an update.

    A mapping without any key of an update is taken as a map of flags. Raises `ValidationError` for anything else.
    """
    if not isinstance(update, Mapping):
        raise ValidationError(
            f"{_FIELD} must be a mapping, got {update!r}", field=_FIELD, value=update, allowed="a mapping"
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
            f"{_FIELD}: flags must map names to True or False, got {wrong!r}",
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
                f"{_FIELD}: {key} must be a name or a list of names, got {names!r}",
                field=_FIELD,
                value=names,
                allowed="a name or a list of names",
            )
    for key in ("reset", "enabled"):
        if not isinstance(payload.get(key, False), bool):
            raise ValidationError(
                f"{_FIELD}: {key} must be True or False, got {payload[key]!r}",
                field=_FIELD,
                value=payload[key],
                allowed="True or False",
            )


def acknowledged(payload: Any) -> dict[str, bool] | None:
    """Return the complete map of flags that the server acknowledges; None if the frame has none."""
    flags = payload.get("socketEventSubscriptions") if isinstance(payload, dict) else None
    if not isinstance(flags, dict):
        return None
    return {name: flag for name, flag in flags.items() if isinstance(flag, bool)}


# The reasons for a wait are subscribed to unless the user declines them (transport §11).


_QUEUE_FRAME: FrameType = "projectQueue"


def _is_queue_frame(name: str) -> bool:
    # The service's own clients compare the letters only.
    return re.sub("[^a-z]", "", name.lower()) == _QUEUE_FRAME.lower()


def wants_queue_frames(update: Mapping[str, Any], before: bool) -> bool:
    """Return whether the user wants `projectQueue` frames after an update, as `subscription_update` returns it."""
    wanted = before
    flags = [*update.get("subscriptions", {}).items(), (update.get("event"), update.get("enabled"))]
    for key, flag in (("subscribe", True), ("unsubscribe", False)):
        names = update.get(key) or ()
        flags += [(name, flag) for name in ([names] if isinstance(names, str) else names)]
    for name, flag in flags:
        if isinstance(name, str) and isinstance(flag, bool) and _is_queue_frame(name):
            wanted = flag
    return wanted


def with_queue_frames(flags: Mapping[str, bool], wanted: bool) -> dict[str, bool]:
    """Return subscriptions for the handshake, with `projectQueue` as wanted whatever the service has last said."""
    chosen = {name: wanted if _is_queue_frame(name) else flag for name, flag in flags.items()}
    return {**chosen, _QUEUE_FRAME: True} if wanted else chosen
