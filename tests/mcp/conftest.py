"""One emulator for the tests of a file. Without the extra `mcp`, there is nothing to test."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from sogni.emulator import LocalSupernet

collect_ignore_glob = [] if find_spec("mcp") else ["test_[!e]*.py"]


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        yield running
