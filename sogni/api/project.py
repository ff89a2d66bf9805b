# Generated from sogni_async/api/project.py by tools/unasync.py. Do not edit.
"""`Job`: one result of a project."""

from __future__ import annotations

import time
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from sogni.base import BaseJob, BaseProject, host_of
from sogni.core.projects import cancel, transfers, waiting
from sogni.core.projects import create as enhance
from sogni.core.projects import waiting as events
from sogni.core.projects.file_names import DEFAULT, exact_path, paths_in
from sogni.core.projects.image_requests import EnhancementStrength
from sogni.core.projects.project import ProjectState
from sogni.models.base import TokenType
from sogni.models.projects import AnyProjectEvent, ErrorData, project_event
from sogni.settings import check_seconds
from sogni.transport.engine import Engine
from sogni.transport.waiting import Deadline


class EnhancedImage:
    """The enhanced version of an image, made by `Job.enhance`."""

    def __init__(self, engine: Engine | None, state: ProjectState) -> None:
        self._engine = engine
        self._state = state

    @property
    def status(self) -> str:
        """The status of the project that enhances the image."""
        return self._state.status

    @property
    def progress(self) -> int:
        """Percent done."""
        return self._state.progress(time.time())

    @property
    def result(self) -> str | None:
        """The URL of the enhanced image, once it is there."""
        return next(iter(self._state.result_urls), None)

    @property
    def error(self) -> ErrorData | None:
        """Why enhancing failed."""
        return self._state.error

    def get_result_url(self) -> str:
        """The URL of the enhanced image, asked for when it is not known. JobError when there is none."""
        return host_of(self._engine, self._state).run(enhance.enhanced_url(self._state))

    def __repr__(self) -> str:
        return f"<EnhancedImage {self.status} {self.progress}%>"


class Job(BaseJob):
    """One result of a project.

    Events: `progress` (int), `preview` (URL), `updated` (set of changed names), `completed` (URL or
    None), `failed` (`ErrorData` or None).
    """

    __slots__ = ()

    _engine: Engine | None

    def _host(self) -> Engine:
        return host_of(self._engine, self._state.project)

    @property
    def enhanced_image(self) -> EnhancedImage | None:
        """The enhanced version, None before `enhance` was called."""
        state = self._state.enhancement
        return None if state is None else EnhancedImage(self._engine, state)

    def get_result_url(self) -> str:
        """The URL of the result; asked for when it is not known, the known one otherwise.

        Addresses of the service are short-lived (projects-4.2 §10.4). Raises `JobError` when the job
        is not completed or its result is withheld.
        """
        return self._host().run(transfers.result_url(self._state))

    def get_last_frame_url(self) -> str:
        """The URL of the last frame of a video, as an image; asked for when it is not known.

        The service has one where `return_last_frame` was asked for. Raises `JobError` when the job is no
        completed video, `NotFoundError` when there is none.
        """
        return self._host().run(transfers.last_frame_url(self._state))

    def get_result_data(self) -> bytes:
        """The bytes of the result, all in memory; `save` and `open` stream.

        Raises `JobError` when there is no result, `ApiError` or `SogniConnectionError` when it cannot
        be fetched.
        """
        return self._host().run(transfers.result_data(self._state))

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the result to a file and return its path; streamed, and there only when complete.

        A path without a suffix gets that of the content. An existing file with other content is kept: the new one gets
        a number (`cat-1.png`), unless `overwrite` is true. Raises `JobError`, `ApiError`, `SogniConnectionError`,
        `ValidationError`, `OSError`.
        """
        return self._host().run(transfers.save_result(self._state, exact_path(path), overwrite=overwrite))

    def open(self) -> BinaryIO:
        """A readable file object over the result, streamed from the service; close it when done.

        Raises `JobError`, `ApiError`, `SogniConnectionError`.
        """
        file: BinaryIO = self._host().run(transfers.open_result(self._state))
        return file

    def _repr_html_(self) -> str:
        from sogni.display import job_html

        return job_html(self)

    def enhance(
        self,
        strength: EnhancementStrength,
        *,
        positive_prompt: str | None = None,
        style_prompt: str | None = None,
        token_type: TokenType | None = None,
    ) -> str:
        """Make an enhanced version of a finished image and return its URL; waits until it is done.

        `strength` is `light`, `medium` or `heavy`. Prompts and token are the project's where none are
        given (projects-4.2 §15). Raises `JobError` when the job has no image to enhance, and what
        `projects.create` and `Project.wait` raise.
        """
        return self._host().run(
            enhance.enhance(
                self._state,
                self,
                strength,
                positive_prompt=positive_prompt,
                style_prompt=style_prompt,
                token_type=token_type,
            )
        )


# `Project`: one request and its jobs.


class Project(BaseProject[Job]):
    """A media project.

    Events: `progress` (int), `updated` (set of changed names), `job_started`, `job_completed` and
    `job_failed` (`Job`), `completed` (list of URLs), `failed` (`ErrorData`), `canceled` (nothing).

    >>> project = client.projects.create(
    ...     type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse"
    ... )
    >>> urls = project.wait_for_completion(timeout=60)
    >>> len(urls)
    1
    """

    __slots__ = ()
    _job_class = Job
    _engine: Engine | None

    def _host(self) -> Engine:
        """The engine. `ClientClosedError` if the project belongs to no open client of this process."""
        return host_of(self._engine, self._state)

    def wait(
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
                self._wait(timeout, queue_timeout)
        else:
            self._wait(timeout, queue_timeout)
        if check:
            waiting.raise_for_outcome(self._state, strict=strict)
        return self

    def _wait(self, timeout: float | None, queue_timeout: float | None) -> None:
        if not self._state.settled:
            self._host().run(waiting.wait_for_project(self._state, timeout=timeout, queue_timeout=queue_timeout))

    def wait_for_completion(
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
        self.wait(timeout, queue_timeout=queue_timeout, strict=strict, progress=progress)
        waiting.warn_of_shortfall(self._state, stacklevel=2)
        return self.result_urls

    def events(self, timeout: float | None = None) -> Iterator[AnyProjectEvent[Job]]:
        """Iterate over the events, `.name` and `.value` as in `on`, until the project is finished.

        A late reader sees them from the first, less outdated progress. `timeout` is for the whole, in
        seconds; running out raises `SogniTimeoutError`. The iterator can be closed.
        """
        return self._iterate(check_seconds("timeout", timeout))

    def _iterate(self, timeout: float | None) -> Iterator[AnyProjectEvent[Job]]:
        state, deadline = self._state, Deadline(timeout)
        engine = self._host()
        feed = engine.changed(lambda _, now: state.subscribe())
        try:
            while (event := self._host().run(events.next_event(state, feed, left=deadline.left()))) is not None:
                yield project_event(event.name, engine.present(event.value))
        finally:
            feed.close()

    def cancel(self) -> None:
        """Cancel the project and wait for the confirmation; nothing happens to a finished one.

        Raises `ConflictError` when the service declines, `SogniTimeoutError` when it does not answer.
        """
        self._host().run(cancel.cancel_project(self._state.id))

    def _ipython_display_(self) -> None:
        from sogni.display import live_in_notebook

        live_in_notebook(self)

    def _repr_html_(self) -> str:
        from sogni.display import project_html

        return project_html(self)

    def save(self, directory: str | PathLike[str], *, name: str = DEFAULT, overwrite: bool = False) -> list[Path]:
        """Download every result into a directory and return the paths in job order.

        `name` is a pattern with `{project_id}`, `{index}`, `{job_id}` and `{seed}`; the suffix fits
        the content. Files are streamed, and appear only when complete. An existing file with other content is
        kept: the new one gets a number (`cat-1.png`), unless `overwrite` is true. Raises what `Job.save` raises.
        """
        jobs = self._state.job_list()
        return self._host().run(transfers.save_project(jobs, paths_in(directory, name), overwrite=overwrite))
