"""`client.replay.record(...)`: a run record that makes itself from the chats inside a `with` block."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from sogni.core import replay
from sogni.local.recording import Recording, unwritten
from sogni.models.replay import ReplayRecord, ReplayRecords, ReplayWriteResult, RunRecord
from sogni_async.transport.engine import Engine


class RunRecorder(Recording):
    """Notes what is asked of language models inside its `with` block, and writes the record at the end.

    Noted are `completions.create`, streams and rounds of tools included, and `hosted.create`, of this client and in
    this thread or task; `add` notes any other answer. `record` is the record as it is now, `written` what the service
    says about the stored one.
    """

    async def __aenter__(self) -> RunRecorder:
        """Begin. RuntimeError the second time."""
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the record, also when the block raised: that error is noted, and raised as if nothing had been written.

        Raises what `replay.write` raises; beside an error of the block that is a note on it.
        """
        self._end(error)
        try:
            self.written: ReplayWriteResult | None = await self._engine.run(replay.write_run(self._noted()))
        except Exception as failure:
            if error is None:
                raise
            unwritten(self.run_id, error, failure)


# `client.replay`: records of what happened in a turn, written by producers and read by viewers.


class Replay:
    """Replay records of the account. They need no socket."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def write(self, record: RunRecord | Mapping[str, Any]) -> ReplayWriteResult:
        """Keep a record; further keys travel unchanged. `.redacted` tells whether the service took something out.

        Raises `ValidationError` for what JSON cannot carry.
        """
        return await self._engine.run(replay.write_record(record))

    async def list(self, limit: int | None = None) -> ReplayRecords:
        """Summaries of the records in `.records`; without `limit` as many as the service likes."""
        return await self._engine.run(replay.list_records(limit))

    async def get(self, run_id: str) -> ReplayRecord:
        """A whole record: `.record` and `.create_time`. NotFoundError."""
        return await self._engine.run(replay.get_record(run_id))

    def record(
        self, *, session_id: str | None = None, run_id: str | None = None, account_id: str | None = None
    ) -> RunRecorder:
        """Make a run record of the chats inside a `with` block, and write it, without secrets, at its end.

        `run_id` is a new id when None. The record has what the user asked, every round with its tools, the final
        response, and the error the block ended with (replay §2).

        >>> from sogni_async import SogniClient
        >>> async with SogniClient.local() as client:
        ...     async with client.replay.record(session_id="s1") as run:
        ...         _ = await client.chat.completions.create(messages=[{"role": "user", "content": "A kite?"}])
        ...     (await client.replay.get(run.run_id)).record.user_request
        'A kite?'
        """
        return RunRecorder(self._engine, run_id=run_id, session_id=session_id, account_id=account_id)
