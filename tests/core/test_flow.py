"""Evaluating the condition of a wait."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.flow import Until, evaluate, timeout_error, topics_of
from sogni.errors import ClientClosedError
from tests.core.play import Stage


def wait(found: Any) -> Until:
    return Until(("models",), lambda state: found, 5, "ready", "a model")


def test_a_wait_is_over_when_something_is_found() -> None:
    state = Stage().state
    assert (evaluate(wait(None), state), evaluate(wait(0), state)) == (None, 0)


def test_the_end_of_the_client_ends_a_wait_for_what_is_not_there() -> None:
    state = Stage().state
    state.closed = True
    assert evaluate(wait("there"), state) == "there"
    with pytest.raises(ClientClosedError, match="while waiting for a model"):
        evaluate(wait(None), state)


def test_a_wait_is_woken_by_its_topics_and_by_the_end() -> None:
    assert topics_of(wait(None)) == ["models", "closed"]


def test_a_wait_that_runs_out_says_for_what_and_how_long() -> None:
    error = timeout_error(wait(None))
    assert (error.message, error.phase, error.timeout) == ("waited 5 seconds for a model", "ready", 5)
