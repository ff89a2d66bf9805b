"""`Project`: one request and its jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from os import PathLike
from pathlib import Path

from sogni.flows import cancel, events, transfers, waiting
from sogni.models.events import Event
from sogni.protocol.file_names import DEFAULT, paths_in
from sogni.settings import check_seconds
from sogni.views import ProjectView

from ..transport.waiting import Deadline
from .job import Job


class Project(ProjectView):
    """A media project.

    Events: `progress` (int), `updated` (set of changed names), `job_started`, `job_completed` and
    `job_failed` (`Job`), `completed` (list of URLs), `failed` (`ErrorData`), `canceled` (nothing).

    >>> project = await client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse")
    >>> urls = await project.wait_for_completion(timeout=60)
    >>> len(urls)
    1
    """  # noqa: E501

    __slots__ = ()
    _job_class = Job

    async def wait(
        self,
        timeout: float | None = None,
        *,
        queue_timeout: float | None = None,
        check: bool = True,
        strict: bool = False,
        progress: bool = False,
    ) -> Project:
        """Wait until every job is settled and every result URL is known; returns the project.

        `timeout` and `queue_timeout` (until a worker starts) are seconds, None for ever; running out
        raises `SogniTimeoutError` and cancels nothing. With `check`, raises `ProjectFailedError` or
        `ProjectCanceledError`; with `strict`, `PartialFailureError` when only some jobs failed.
        `progress=True` shows a bar. A connection that is gone for good raises `SogniConnectionError`.
        """
        if not self._state.settled:
            self._host()
        if progress:
            from sogni.display import watching

            with watching(self):
                await self._wait(timeout, queue_timeout)
        else:
            await self._wait(timeout, queue_timeout)
        if check:
            waiting.raise_for_outcome(self._state, strict=strict)
        return self

    async def _wait(self, timeout: float | None, queue_timeout: float | None) -> None:
        if not self._state.settled:
            await self._engine.run(waiting.wait_for_project(self._state, timeout=timeout, queue_timeout=queue_timeout))

    async def wait_for_completion(
        self,
        timeout: float | None = None,
        *,
        queue_timeout: float | None = None,
        strict: bool = False,
        progress: bool = False,
    ) -> list[str]:
        """`wait`, then the result URLs in job order.

        Never quietly short: when some jobs failed or were withheld it warns `PartialResultWarning`, or
        raises `PartialFailureError` with `strict=True`.
        """
        await self.wait(timeout, queue_timeout=queue_timeout, strict=strict, progress=progress)
        waiting.warn_of_shortfall(self._state, stacklevel=2)
        return self.result_urls

    def events(self, timeout: float | None = None) -> AsyncIterator[Event]:
        """Iterate over the events, `.name` and `.value` as in `on`, until the project is finished.

        A late reader sees them from the first, less outdated progress. `timeout` is for the whole, in
        seconds; running out raises `SogniTimeoutError`. The iterator can be closed.
        """
        return self._iterate(check_seconds("timeout", timeout))

    async def _iterate(self, timeout: float | None) -> AsyncIterator[Event]:
        state, deadline = self._state, Deadline(timeout)
        feed = self._host().changed(lambda _, now: state.subscribe())
        try:
            while (event := await self._host().run(events.next_event(state, feed, left=deadline.left()))) is not None:
                yield Event(event.name, self._engine.present(event.value))
        finally:
            feed.close()

    async def cancel(self) -> None:
        """Cancel the project and wait for the confirmation; nothing happens to a finished one.

        Raises `ConflictError` when the service declines, `SogniTimeoutError` when it does not answer.
        """
        await self._host().run(cancel.cancel_project(self._state.id))

    def _ipython_display_(self) -> None:
        from sogni.display import live_in_notebook

        live_in_notebook(self)

    def _repr_html_(self) -> str:
        from sogni.display import project_html

        return project_html(self)

    async def save(self, directory: str | PathLike[str], *, name: str = DEFAULT, overwrite: bool = False) -> list[Path]:
        """Download every result into a directory and return the paths in job order.

        `name` is a pattern with `{project_id}`, `{index}`, `{job_id}` and `{seed}`; the suffix fits
        the content. Files are streamed, and appear only when complete. An existing file with other content is
        kept: the new one gets a number (`cat-1.png`), unless `overwrite` is true. Raises what `Job.save` raises.
        """
        jobs = self._state.job_list()
        return await self._host().run(transfers.save_project(jobs, paths_in(directory, name), overwrite=overwrite))  # type: ignore[no-any-return]
