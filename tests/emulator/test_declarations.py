"""Declared options of the emulator: checks, error messages and descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator.declarations import InvalidValueError, Operation, nearest
from sogni.emulator.faults import FAULTS, Faults, SocketDrop
from tests.tables import each_row

REFUSED = [
    ("drop_socket", {"at": "nowhere"}, "at must be one of request_received, queued, initiating"),
    ("drop_socket", {}, "give exactly one of at, before, after_frames and after_tokens"),
    ("drop_socket", {"at": "queued", "after_frames": 1}, "give exactly one of"),
    ("drop_socket", {"at": "queued", "code": 1005}, "code must be a code that is valid in a close frame, got 1005"),
    ("drop_socket", {"after_frames": True}, "after_frames must be an integer of at least 1, got True"),
    ("http", {"status": 99}, "status must be an integer from 200 to 599, got 99"),
    ("http", {"delay": -1}, "delay must be a non-negative number of seconds, got -1"),
    ("http", {"delay": float("nan")}, "delay must be a non-negative number of seconds, got nan"),
    ("http", {"retry_after": "é"}, "retry_after must be printable ASCII, got 'é'"),
    ("http", {"body": "\ud800"}, "body must be a value that JSON can represent"),
    ("http", {"body": {1: object()}}, "body must be a value that JSON can represent"),
    ("http", {"path": "x" * 200, "times": 0}, "times must be an integer of at least 1, got 0"),
    ("fail_job", {"error": 1.5}, "error must be an integer or a string, got 1.5"),
    ("fail_job", {"required_plans": "pro"}, "required_plans must be a list of which each is a string, got 'pro'"),
    ("fail_job", {"consent_required": {"key": "a", "version": 1}}, "consent_required must be an object with key, ver"),
    ("fail_job", {"fair_use": []}, "fair_use must be an object, got []"),
]


@each_row("name, fields, message", REFUSED)
def test_a_value_that_is_not_allowed_is_refused(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(Faults(), name)(**fields)
    assert str(caught.value).startswith(message)


def test_every_fault_describes_all_of_its_fields() -> None:
    for name, kind in FAULTS.items():
        operation = Operation.of(kind, name)
        assert operation.summary.endswith(".")
        assert [it.name for it in operation.parameters.values() if not it.description] == []
        assert list(operation.parameters)[-1] == "times"


def test_a_schema_follows_from_the_hints() -> None:
    schema = Operation.of(SocketDrop, "drop_socket").schema()
    assert schema["properties"]["times"] == {
        "type": "integer", "minimum": 1, "default": 1, "description": "Number of uses. Default 1."
    }  # fmt: skip
    assert schema["properties"]["after_frames"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    assert schema["additionalProperties"] is False


def test_functions_are_declarations_too() -> None:
    def move(where: str, amount: Decimal = Decimal(1), pairs: tuple[tuple[str, int], ...] = ()) -> None:
        """Move.

        Args:
            where: Place.
            amount: Amount.
            pairs: Pairs.
        """

    operation = Operation.of(move, "move")
    operation.check({"where": "here", "amount": "1.5", "pairs": [["a", 1]]})
    refused: Mapping[str, dict[str, object]] = {
        "where is missing; it must be a string": {},
        "amount must be an amount, got 'x'": {"where": "", "amount": "x"},
        "pairs must be a list of which each is a list of 2 values, got [['a']]": {"where": "", "pairs": [["a"]]},
        "move has no field 'were'; did you mean where?": {"were": "here"},
        "move has no field 'zz'; there are where, amount, pairs": {"zz": 1},
    }
    for message, fields in refused.items():
        with pytest.raises(InvalidValueError) as caught:
            operation.check(fields)
        assert str(caught.value) == message


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("drop_sockets", FAULTS) == "did you mean drop_socket?"
