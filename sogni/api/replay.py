# Generated from sogni_async/api/replay.py by tools/unasync.py. Do not edit.
"""Replay records of chats: `client.replay`."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from sogni.core import replay
from sogni.keywords import suggest_keywords
from sogni.local.recording import Recording, note_unwritten
from sogni.models.replay import ReplayRecord, ReplayRecords, ReplayWriteResult, RunRecord
from sogni.transport.engine import Engine


@suggest_keywords
class RunRecorder(Recording):
    """Records the chats inside an `with` block and stores the record at its end.

    Created by `client.replay.record`.

    It records `completions.create`, including streams and rounds of tools, and `hosted.create`, if they are called on
    this client and in this thread or task. Use `add` for other responses. `record` is the current record.

    Attributes:
        written: Response of the service, once the record is stored.
    """

    def __enter__(self) -> RunRecorder:
        """Start recording. Raises RuntimeError if the recorder has been used before."""
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Store the record, even if the block raised an error, which is then part of the record.

        Raises the errors of `replay.write`. If the block raised an error, they are added to that error as a note
        instead.
        """
        self._exit(error)
        try:
            self.written: ReplayWriteResult | None = self._engine.run(replay.write_run(self._unredacted()))
        except Exception as failure:
            if error is None:
                raise
            note_unwritten(self.run_id, error, failure)


@suggest_keywords
class Replay:
    """Replay records of the account. They need no socket."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, record: RunRecord | Mapping[str, Any]) -> ReplayWriteResult:
        """Store a record.

        Args:
            record: A `RunRecord`, or a mapping with at least `run_id`. Unknown keys are sent unchanged.

        Returns:
            The response. `.redacted` is True if the service removed something from the record.

        Raises:
            ValidationError: JSON cannot represent the record. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> client.replay.write({"run_id": "run_1", "user_request": "a kite"}).run_id
            'run_1'
        """
        return self._engine.run(replay.write_record(record))

    def list(self, limit: int | None = None) -> ReplayRecords:
        """Fetch summaries of the records.

        Args:
            limit: Number of records. Default: that of the service, which also applies to 0 or less.

        Returns:
            The summaries, in `.records`.

        Raises:
            ValidationError: `limit` is not an integer. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> _ = client.replay.write({"run_id": "run_1"})
            >>> [summary.run_id for summary in client.replay.list().records]
            ['run_1']
        """
        return self._engine.run(replay.list_records(limit))

    def get(self, run_id: str) -> ReplayRecord:
        """Fetch a record.

        Args:
            run_id: ID of the record.

        Returns:
            The record, in `.record`, and when it was created.

        Raises:
            NotFoundError: The record does not exist.
            ApiError: The service refused the request.

        Example:
            >>> _ = client.replay.write({"run_id": "run_1", "user_request": "a kite"})
            >>> client.replay.get("run_1").record.user_request
            'a kite'
        """
        return self._engine.run(replay.get_record(run_id))

    def record(
        self, *, session_id: str | None = None, run_id: str | None = None, account_id: str | None = None
    ) -> RunRecorder:
        """Record the chats inside an `with` block and store the record, without secrets, at its end.

        The record contains the user's request, every round with its tools, the final response, and the error that ended
        the block, if any.

        Args:
            session_id: ID of the session that the record belongs to.
            run_id: ID of the record. Default: a new one.
            account_id: ID of the account that the record is about.

        Returns:
            The recorder.

        Example:
            >>> with client.replay.record(session_id="s1") as run:
            ...     _ = client.chat.completions.create(messages=[{"role": "user", "content": "A kite?"}])
            >>> client.replay.get(run.run_id).record.user_request
            'A kite?'
        """
        return RunRecorder(self._engine, run_id=run_id, session_id=session_id, account_id=account_id)
