"""The table of figures that a measuring run prints at its end, and the server that all measurements share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.figures import Figures
from tests.bench.peer import Peer

FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """The table, to be filled."""
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    with Peer() as started:
        yield started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[FIGURES].lines()
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
