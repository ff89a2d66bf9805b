"""The wire form of socket event subscriptions (transport §11)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from sogni.core.connection.messages import acknowledged, subscription_update, wants_queue_frames
from sogni.errors import ValidationError
from tests.tables import each_row


@each_row(
    ("given", "payload"),
    [
        ({"modelAvailability": True}, {"subscriptions": {"modelAvailability": True}}),
        ({"reset": True, "unsubscribe": ["swarmModels"]}, {"reset": True, "unsubscribe": ["swarmModels"]}),
        ({"subscribe": "jobETA"}, {"subscribe": "jobETA"}),
        ({"subscribe": ("a", "b")}, {"subscribe": ("a", "b")}),
        ({"event": "a", "enabled": False}, {"event": "a", "enabled": False}),
        ({"reset": True, "subscriptions": {"a": False}}, {"subscriptions": {"a": False}, "reset": True}),
        ({"reset": True, "subscriptions": {}}, {"reset": True}),
        ({"reset": True, "somethingNew": 5}, {"reset": True, "somethingNew": 5}),
        (MappingProxyType({"a": True}), {"subscriptions": {"a": True}}),
        ({}, {}),
    ],
    ids=str,
)
def test_the_payload(given: Any, payload: dict[str, Any]) -> None:
    assert payload == subscription_update(given)


@each_row(
    "given",
    [
        None,
        ["a"],
        "a",
        {"a": "yes"},
        {"a": 1},
        {"subscriptions": None},
        {"subscriptions": []},
        {"subscriptions": {"a": None}},
        {"subscribe": 5},
        {"subscribe": ["a", 5]},
        {"unsubscribe": {"a": True}},
        {"reset": "yes"},
        {"enabled": 1, "event": "a"},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        subscription_update(given)
    assert caught.value.field == "socket_event_subscriptions"


@each_row(
    ("update", "wanted"),
    [
        ({}, True),
        ({"subscriptions": {"a": False}, "subscribe": "b", "unsubscribe": ["c"]}, True),
        ({"subscriptions": {"Project_Queue2": False}}, False),
        ({"unsubscribe": "projectqueue"}, False),
        ({"unsubscribe": ("a", "PROJECT QUEUE")}, False),
        ({"event": "projectQueue", "enabled": False}, False),
        ({"event": "projectQueue"}, True),
        ({"event": 5, "enabled": False}, True),
        ({"subscriptions": {"projectQueue": False}, "subscribe": ["projectQueue"]}, True),
        ({"reset": True}, True),
    ],
    ids=str,
)
def test_whether_an_update_wants_the_queue(update: Any, wanted: bool) -> None:
    """additions-5x §7: names are compared by their letters."""
    assert wants_queue_frames(update, True) is wanted
    assert wants_queue_frames({"subscribe": "projectQueue"}, False)


def test_what_was_given_is_not_changed() -> None:
    given = {"reset": True, "subscriptions": {"a": True}}
    subscription_update(given)
    assert given == {"reset": True, "subscriptions": {"a": True}}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"socketEventSubscriptions": {"a": True, "b": False, "c": 1, "d": None}}, {"a": True, "b": False}),
        ({"socketEventSubscriptions": {}}, {}),
        ({"socketEventSubscriptions": None}, None),
        ({"socketEventSubscriptions": ["a"]}, None),
        ({}, None),
        (None, None),
        ("text", None),
    ],
    ids=str,
)
def test_only_a_full_map_is_an_acknowledgement(payload: Any, expected: Any) -> None:
    assert expected == acknowledged(payload)
