"""An unknown keyword is answered with the one that was probably meant."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import sogni
import sogni_async
from sogni.core.checks import reject_unknown_keywords


class Calls:
    @reject_unknown_keywords
    def start(self, first: int, *, confirm_cost: bool = False) -> tuple[int, bool]:
        """Start."""
        return first, confirm_cost


def test_known_keywords_pass() -> None:
    assert Calls().start(1, confirm_cost=True) == Calls().start(first=1, confirm_cost=True) == (1, True)


@pytest.mark.parametrize(("name", "said"), [("confirm_costs", "did you mean 'confirm_cost'"), ("zzz", "'zzz'$")])
def test_others_are_refused(name: str, said: str) -> None:
    given: dict[str, Any] = {name: True}
    with pytest.raises(TypeError, match=said):
        Calls().start(1, **given)


def test_the_function_looks_as_before() -> None:
    assert list(inspect.signature(Calls.start).parameters) == ["self", "first", "confirm_cost"]
    assert Calls.start.__doc__ == "Start."


@pytest.mark.parametrize("package", [sogni, sogni_async])
def test_calls_with_many_keywords_name_the_nearest(package: Any) -> None:
    client = package.SogniClient(api_key="k")
    for call in (client.workflows.start, client.workflows.reseed, client.chat.runs.create):
        with pytest.raises(TypeError, match="did you mean 'idempotency_key'"):
            call(idempotency_keys="x")
