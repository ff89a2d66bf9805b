"""Which frames a connection wants: the map of event subscriptions and the rules that change it (transport
§11).

Called by a connection for every outgoing frame. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

_STANDARD = (
    "balanceUpdate",
    "changeNetwork",
    "jobError",
    "jobETA",
    "jobProgress",
    "jobResult",
    "jobRetry",
    "jobState",
    "modelAvailability",
    "subscriptionEntitlementUpdated",
    "swarmLLMModels",
    "swarmModels",
    "toastMessage",
)
_OPT_IN = ("appAlert", "subscriptionLimitNotice", "projectQueue")
_GROUPS = {"swarmModels": "modelAvailability", "swarmLLMModels": "modelAvailability"}
_ALWAYS = {"authenticated", "socketEventSubscriptionsUpdated"}


def _defaults() -> dict[str, bool]:
    return {**dict.fromkeys(_STANDARD, True), **dict.fromkeys(_OPT_IN, False)}


def _names(value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


@define
class Subscriptions:
    """The subscriptions of one connection."""

    events: dict[str, bool] = field(factory=_defaults)

    def wants(self, type: str) -> bool:
        """A group flag beats its members; unknown names are delivered."""
        if type in _ALWAYS:
            return True
        group = _GROUPS.get(type)
        return self.events.get(type, True) and (group is None or self.events.get(group, True))

    def set_flags(self, flags: Any) -> None:
        if isinstance(flags, Mapping):
            self.events.update({k: v for k, v in flags.items() if isinstance(v, bool)})

    def update(self, change: Any) -> None:
        """Apply an update object; names it does not list keep their state."""
        if not isinstance(change, Mapping):
            return
        if change.get("reset") is True:
            self.events = _defaults()
        self.set_flags(change.get("subscriptions"))
        self.events.update(dict.fromkeys(_names(change.get("subscribe")), True))
        self.events.update(dict.fromkeys(_names(change.get("unsubscribe")), False))
        event, enabled = change.get("event"), change.get("enabled")
        if isinstance(event, str) and isinstance(enabled, bool):
            self.events[event] = enabled
