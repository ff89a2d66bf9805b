"""Socket event subscriptions: decides what an update looks like and what the server's answer changes.

Called by the flow behind `set_socket_event_subscriptions` and by the client state (transport §11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ValidationError

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
