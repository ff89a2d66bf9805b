"""Which recordings are under way: decides that a chat is noted in those that its thread or task is inside of.

The recorders of both packages derive from `Recording`; `client.chat` asks through `asking`. It writes nothing.
A thread started inside a recording is outside of it, an asyncio task is inside, as with every context variable.
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

_UNDER_WAY: ContextVar[tuple[Recording, ...]] = ContextVar("sogni_recordings", default=())


class Recording:
    """A run record that is being made."""

    def __init__(self, engine: Any, *, run_id: str | None, session_id: str | None, account_id: str | None) -> None:
        self._engine = engine
        self._notes = RunNotes(run_id or f"run_{uuid4().hex}", session_id, account_id)
        self._open = False
        self.written: ReplayWriteResult | None = None
        """What the service says about the stored record; None before it is stored."""

    @property
    def run_id(self) -> str:
        """The id of the record."""
        return self._notes.run_id

    @property
    def record(self) -> RunRecord:
        """The record as it would be written now, without secrets."""
        return redact_run_record(self._noted(), secrets=self._engine.state.credentials.secrets)

    def _noted(self) -> RunRecord:
        return self._notes.record()

    def add(self, result: Any, *, messages: Any = (), model: str | None = None) -> None:
        """Note an answer that was not asked for inside this recording, such as that of another thread or a hosted run.

        `messages` are what was asked. RuntimeError when the record has been written.
        """
        if self.written is not None:
            raise RuntimeError(f"the record {self.run_id} has been written already")
        self._notes.begin(model, messages).answer = result

    def _begin(self) -> None:
        if self._open or self.written is not None:
            raise RuntimeError("a recording is entered once; make another one")
        self._open = True
        _UNDER_WAY.set((*_UNDER_WAY.get(), self))

    def _end(self, error: BaseException | None) -> None:
        self._open = False
        _UNDER_WAY.set(tuple(it for it in _UNDER_WAY.get() if it is not self))
        if error is not None:
            self._notes.fail(error)

    def _is_of(self, engine: Any) -> bool:
        return self._open and self._engine is engine


@define
class Asked:
    """A request that may be recorded; `answer` is set when there is one."""

    answer: Any = None


@contextmanager
def asking(engine: Any, model: str, messages: Any) -> Iterator[Asked]:
    """Note what is asked inside, and what came of it, in every recording under way for this client."""
    turns = [it._notes.begin(model, messages) for it in _UNDER_WAY.get() if it._is_of(engine)]
    asked = Asked()
    try:
        yield asked
    except BaseException as error:
        for turn in turns:
            turn.fail(error)
        raise
    for turn in turns:
        turn.answer = asked.answer


def unwritten(run_id: str, error: BaseException, failure: Exception) -> None:
    """Tell beside the error of a block that its record could not be written."""
    error.add_note(f"the run record {run_id} could not be written: {redact(str(failure))}")
