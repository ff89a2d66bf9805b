"""Durable chat runs across starts of an emulator: what is written down of a run, and how it is read again.

Called by ``chat_runs``. A run is kept with every event but the pieces of what the model says, of which only the
events are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..archive import Archive
from ..event_log import Event
from ..hosted.payments import Payments
from ..hosted.shelf import restored
from .chat_run import ChatRun

KIND = "chat_run"
_PIECE = "assistant_delta"
_FIELDS = (
    *(
        "key",
        "decisions",
        "prepared",
        "created",
        "updated",
        "completed",
        "status",
        "artifacts",
        "made",
        "tool_calls",
        "previews",
    ),
    *("final_response", "failure_reason", "cancellation_reason"),
)
_SESSION_FIELDS = ("messages", "results", "usage", "output_tokens")


def keep_event(archive: Archive, run: ChatRun, event: Event, ends: bool) -> None:
    """Write an event down, and with it where the run stands."""
    with archive.together():
        if event.type != _PIECE:
            keep_run(archive, run)
        archive.add_event(KIND, run.id, event, ends)


def keep_run(archive: Archive, run: ChatRun) -> None:
    if archive.keeps:
        archive.put(KIND, run.id, run.account.wallet_address, _saved(run))


def _saved(run: ChatRun) -> dict[str, Any]:
    shelf = run.session.shelf
    return {
        "body": run.body,
        "session": run.session.id,
        "fields": {name: getattr(run, name) for name in _FIELDS},
        "paid": run.paid.saved(),
        "conversation": {name: getattr(run.session, name) for name in _SESSION_FIELDS},
        "shelf": {name: [media.saved() for media in getattr(shelf, name)] for name in ("made", "uploads")},
    }


def restore_run(run: ChatRun, saved: Mapping[str, Any], events: Iterable[tuple[Event, bool]]) -> None:
    """Put a new run where a kept one stood."""
    for name, value in saved["fields"].items():
        setattr(run, name, value)
    run.paid = Payments.restored(saved["paid"])
    for name, value in saved["conversation"].items():
        setattr(run.session, name, value)
    run.session.shelf.made = [restored(media) for media in saved["shelf"]["made"]]
    run.session.shelf.uploads = [restored(media) for media in saved["shelf"]["uploads"]]
    for event, ends in events:
        run.log.restore(event, ends)
