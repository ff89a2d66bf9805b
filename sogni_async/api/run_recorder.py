"""`client.replay.record(...)`: a run record that makes itself from the chats inside a `with` block."""

from __future__ import annotations

from types import TracebackType

from sogni.flows import replay
from sogni.machine.run_recording import Recording, unwritten


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
            self.written = await self._engine.run(replay.write_run(self._noted()))
        except Exception as failure:
            if error is None:
                raise
            unwritten(self.run_id, error, failure)
