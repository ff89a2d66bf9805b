"""Run records of chats, for the recorders of both packages.

A request is added to the active recordings of its thread or task. As with every context variable, a thread started
inside a recording does not belong to it, while an asyncio task does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from attrs import define

from sogni.core.replay import RunNotes, redact_run_record
from sogni.models.replay import ReplayWriteResult, RunRecord
from sogni.redaction import redact

_ACTIVE: ContextVar[tuple[Recording, ...]] = ContextVar("sogni_recordings", default=())


class Recording:
    """A run record in progress."""

    def __init__(self, engine: Any, *, run_id: str | None, session_id: str | None, account_id: str | None) -> None:
        self._engine = engine
        self._notes = RunNotes(run_id or f"run_{uuid4().hex}", session_id, account_id)
        self._open = False
        self.written: ReplayWriteResult | None = None
        """Response of the service to the stored record; None until it is stored."""

    @property
    def run_id(self) -> str:
        """The id of the record."""
        return self._notes.run_id

    @property
    def record(self) -> RunRecord:
        """The record so far, without secrets."""
        return redact_run_record(self._unredacted(), secrets=self._engine.state.session.credentials.secrets)

    def _unredacted(self) -> RunRecord:
        return self._notes.record()

    def add(self, result: Any, *, messages: Any = (), model: str | None = None) -> None:
        """Add a response that was requested outside of this recording, for example in another thread or a hosted run.

        Args:
            result: The response.
            messages: Messages of the request. Default: none.
            model: Model of the request. Default: unknown.

        Raises:
            RuntimeError: The record has already been written.
        """
        if self.written is not None:
            raise RuntimeError(f"record {self.run_id} has already been written")
        self._notes.begin(model, messages).answer = result

    def _enter(self) -> None:
        if self._open or self.written is not None:
            raise RuntimeError("a recording can be entered only once; create another one")
        self._open = True
        _ACTIVE.set((*_ACTIVE.get(), self))

    def _exit(self, error: BaseException | None) -> None:
        self._open = False
        _ACTIVE.set(tuple(it for it in _ACTIVE.get() if it is not self))
        if error is not None:
            self._notes.fail(error)

    def _records(self, engine: Any) -> bool:
        return self._open and self._engine is engine


@define
class RecordedRequest:
    """A request that may be recorded. `answer` is its response."""

    answer: Any = None


@contextmanager
def recorded_request(engine: Any, model: str, messages: Any) -> Iterator[RecordedRequest]:
    """Add the request of a `with` block, with its response or error, to all active recordings of this client."""
    turns = [it._notes.begin(model, messages) for it in _ACTIVE.get() if it._records(engine)]
    request = RecordedRequest()
    try:
        yield request
    except BaseException as error:
        for turn in turns:
            turn.fail(error)
        raise
    for turn in turns:
        turn.answer = request.answer


def note_unwritten(run_id: str, error: BaseException, failure: Exception) -> None:
    """Add a note to the error of a block whose record could not be written."""
    error.add_note(f"run record {run_id} could not be written: {redact(str(failure))}")
