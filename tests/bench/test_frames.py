"""Benchmark: a frame from the socket to the applied state, and a token to the body of the `for` loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from statistics import median

import pytest

from tests.bench.clients import PACKAGES, Floor, Measured
from tests.bench.figures import RATIO, SLACK, Figures
from tests.bench.peer import MARKER, Peer, Progress

pytestmark = pytest.mark.bench

BLOCK = 2000
"""Frames that are sent at once; all of them lie in the socket's buffers, or wait to."""
ROUNDS = 15
TRACKED = (1, 100, 2000, 10_000)
FLATNESS = 1.35
"""What 10,000 tracked projects may cost more than one: the frames touch more memory than a processor keeps near."""
PACE = 1 / 200
"""Seconds between two tokens."""
DELAY = 0.0005
"""Seconds from sending a token to the body of the `for`."""


@pytest.fixture
def floor(peer: Peer) -> Iterator[Floor]:
    with closing(Floor(peer)) as opened:
        yield opened


@pytest.fixture(params=PACKAGES)
def client(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Measured]:
    with closing(PACKAGES[request.param](peer)) as connected:
        yield connected


@pytest.mark.parametrize("listening", [False, True], ids=["nobody-listens", "one-listens"])
def test_a_frame_of_progress(client: Measured, floor: Floor, peer: Peer, figures: Figures, listening: bool) -> None:
    """At most 1.7 times the floor, at any number of tracked projects.

    Every frame moves the percentage of its project. One project has a listener for `progress`; what that
    hears is counted too.
    """
    costs = {}
    for count in TRACKED:
        heard: list[int] = []
        client.track(count, heard.append if listening else None)
        peer.begin(count)
        pairs = []
        for _ in range(ROUNDS):
            peer.prepare("progress", BLOCK)
            pairs.append((floor.block(MARKER), client.progress()))
        whom = "1 listener" if listening else "no listener"
        costs[count] = figures.ratio(f"{client.name}: jobProgress, {count:,} tracked, {whom}", pairs, BLOCK)
        assert bool(heard) == listening
        expected = Progress(count)
        for _ in range(ROUNDS):
            expected.block(BLOCK)
        assert client.steps() == expected.steps
    assert max(costs.values()) <= RATIO * SLACK
    # No client costs less than the bare socket: a ratio below 1 is noise of the floor, not a base to compare with.
    assert costs[TRACKED[-1]] <= max(1.0, costs[TRACKED[0]]) * FLATNESS


def test_a_token_of_an_answer(client: Measured, floor: Floor, peer: Peer, figures: Figures) -> None:
    """At most 1.7 times the floor when they come at once."""
    pairs = []
    for _ in range(ROUNDS):
        peer.prepare("tokens", BLOCK)
        pairs.append((floor.block("llmJobResult"), client.tokens()))
    assert figures.ratio(f"{client.name}: token to the `for`, all at once", pairs, BLOCK) <= RATIO * SLACK


def test_the_delay_of_a_token(client: Measured, floor: Floor, peer: Peer, figures: Figures) -> None:
    """At most half a millisecond, or three times the bare socket's where the machine is that busy."""
    bare = median(floor.delays(200, PACE))
    delay = median(client.delays(200, PACE))
    figures.add(
        f"{client.name}: delay of a token, 200 a second",
        f"{delay * 1000:.2f} ms",
        f"{bare * 1000:.2f} ms",
        f"{DELAY * 1000} ms",
    )
    assert delay <= max(DELAY, 3 * bare)
