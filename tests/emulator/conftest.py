"""Fixtures: an emulator without delays, and a client that speaks its protocol by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        yield running


@pytest.fixture
def wire(supernet: LocalSupernet) -> Iterator[Wire]:
    with Wire(supernet) as client:
        yield client
