"""Event feeds: past events, order, and merging of progress and updates."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.outbox import Feed
from sogni.models.projects import Event


def read(feed: Feed) -> list[tuple[str, Any]]:
    return [tuple(event) for event in iter(feed.pop, None)]


def fed(*events: tuple[str, Any]) -> list[tuple[str, Any]]:
    feed = Feed([])
    for event in events:
        feed.push(Event(*event))
    return read(feed)


def test_past_events_come_first_and_in_order() -> None:
    feed = Feed([Event("job_started", 1), Event("job_completed", 1)])
    feed.push(Event("completed", []))
    assert read(feed) == [("job_started", 1), ("job_completed", 1), ("completed", [])]


def test_an_empty_feed_has_nothing() -> None:
    assert Feed([]).pop() is None


def test_newer_progress_replaces_older() -> None:
    assert fed(("progress", 1), ("progress", 2), ("progress", 3)) == [("progress", 3)]


def test_updates_are_joined() -> None:
    assert [("updated", {"jobs", "status"})] == fed(("updated", {"jobs"}), ("updated", {"status"}))


def test_nothing_is_merged_across_another_event() -> None:
    """What came before a result stays before it."""
    events = [("progress", 1), ("updated", {"jobs"}), ("job_completed", 1), ("progress", 2), ("updated", {"jobs"})]
    assert events == fed(*events)


def test_other_events_are_never_merged() -> None:
    assert fed(("job_failed", 1), ("job_failed", 1)) == [("job_failed", 1), ("job_failed", 1)]


@pytest.mark.parametrize("frames", [10, 1000])
def test_what_nobody_reads_does_not_grow_with_progress(frames: int) -> None:
    feed = Feed([])
    for number in range(frames):
        feed.push(Event("progress", number))
        feed.push(Event("updated", {"jobs"}))
    assert [("progress", frames - 1), ("updated", {"jobs"})] == read(feed)


def test_the_past_of_one_feed_is_not_the_past_of_another() -> None:
    past = [Event("job_started", 1)]
    Feed(past).pop()
    assert [Event("job_started", 1)] == past
