"""Projects and their jobs: waiting, events, cancellation and results."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, overload

from attrs import evolve

from sogni.base import BaseJob, BaseProject, host_of
from sogni.core.flow import compute
from sogni.core.projects import cancel, create, past_projects, transfers, waiting
from sogni.core.projects.file_names import DEFAULT, paths_in, result_paths
from sogni.core.projects.image_requests import EnhancementStrength
from sogni.core.projects.job import JobState
from sogni.core.projects.project import ProjectState
from sogni.errors import ClientClosedError
from sogni.keywords import suggest_keywords
from sogni.local.storage import directory_or_storage, hidden, path_or_object
from sogni.models.converter import to_dict
from sogni.models.projects import (
    SYNC_LISTS,
    AnyProjectEvent,
    ErrorData,
    JobResult,
    ProjectResultRecord,
    ProjectsSync,
    ProjectStatus,
    project_event,
)
from sogni.settings import TokenType, check_seconds
from sogni_async.transport.engine import Engine
from sogni_async.transport.http import AsyncBinaryIO
from sogni_async.transport.waiting import Deadline


@suggest_keywords
class EnhancedImage:
    """The enhanced version of an image; created by `Job.enhance`."""

    def __init__(self, engine: Engine | None, state: ProjectState) -> None:
        self._engine = engine
        self._state = state

    @property
    def status(self) -> str:
        """Status of the project that enhances the image, as `Project.status`."""
        return self._state.status

    @property
    def progress(self) -> int:
        """Progress in percent, 0 to 100."""
        return self._state.progress(time.time())

    @property
    def result(self) -> str | None:
        """URL of the enhanced image; None until it is available."""
        return next(iter(self._state.result_urls), None)

    @property
    def error(self) -> ErrorData | None:
        """Why the enhancement failed; None if it did not."""
        return self._state.error

    async def get_result_url(self) -> str:
        """Get the URL of the enhanced image, from the service if it is not known yet.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            JobError: There is no enhanced image.

        Example:
            >>> await job.enhance("light")
            'http...'
            >>> await job.enhanced_image.get_result_url()
            'http...'
        """
        return await host_of(self._engine, self._state).run(create.enhanced_url(self._state))

    def __repr__(self) -> str:
        return f"<EnhancedImage {self.status} {self.progress}%>"


@suggest_keywords
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
        """The enhanced version of the image; None before `enhance` is called."""
        state = self._state.enhancement
        return None if state is None else EnhancedImage(self._engine, state)

    async def get_result_url(self) -> str:
        """Get the URL of the result, from the service if it is not known yet.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            JobError: The job is not completed, or its result is withheld.

        Example:
            >>> await job.get_result_url()
            'http...'
        """
        return await self._host().run(transfers.result_url(self._state))

    async def get_last_frame_url(self) -> str:
        """Get the URL of the last frame of a video, as an image, from the service if it is not known yet.

        The service has one if the project was created with `return_last_frame=True`.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            JobError: The job is not a completed video.
            NotFoundError: The service has no last frame.

        Example:
            >>> await job.get_last_frame_url()
            Traceback (most recent call last):
            JobError: ...
        """
        return await self._host().run(transfers.last_frame_url(self._state))

    async def get_result_data(self) -> bytes:
        """Get the result as bytes, all in memory. `save` and `open` stream it instead.

        Returns:
            The content of the file.

        Raises:
            JobError: There is no result.
            ApiError: The service refused the download.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> (await job.get_result_data())[:4]
            b'\\x89PNG'
        """
        return await self._host().run(transfers.result_data(self._state))

    async def get_preview_data(self) -> bytes:
        """Get the latest preview as bytes. Previews are JPEG files. There are some only if `number_of_previews` is set.

        Returns:
            The content of the file.

        Raises:
            JobError: There is no preview.
            ApiError: The service refused the download.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> await job.get_preview_data()
            Traceback (most recent call last):
            JobError: ...
        """
        return await self._host().run(transfers.preview_data(self._state))

    @overload
    async def save(self, path: PathLike[str], *, overwrite: bool = ..., storage_options: None = ...) -> Path: ...
    @overload
    async def save(self, path: str, *, overwrite: bool = ..., storage_options: Mapping[str, Any]) -> str: ...
    @overload
    async def save(self, path: str, *, overwrite: bool = ..., storage_options: None = ...) -> Path | Any: ...
    async def save(
        self,
        path: str | PathLike[str],
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Path | Any:
        """Save the result to a file or object. The download is streamed, and the file appears once it is complete.

        Args:
            path: Path of the file, or URL of an object such as ``s3://bucket/cat`` (extra ``sogni[fsspec]``). Without a
                suffix, it gets the one that fits the content.
            overwrite: Replace an existing file with different content. By default the new file gets a number
                (`cat-1.png`).
            storage_options: Options of fsspec for a URL, such as credentials and the endpoint. By default fsspec uses
                the environment. With options, type checkers know that the result is a URL.

        Returns:
            The path of the saved file, or the URL of the object.

        Raises:
            JobError: There is no result.
            ApiError: The service refused the download.
            SogniConnectionError: The service cannot be reached.
            ValidationError: The path or the URL is invalid. Nothing has been downloaded.
            OSError: The file or object cannot be written.
            ImportError: A URL is given, and fsspec or the library for its protocol is not installed.

        Example:
            >>> (await job.save("lighthouse")).suffix
            '.png'
        """
        path, storage_options = hidden(path, storage_options)
        path_for = path_or_object(path, storage_options)
        return await self._host().run(transfers.save_result(self._state, path_for, overwrite=overwrite))

    async def open(self) -> AsyncBinaryIO:
        """Open the result as a readable binary file that is streamed from the service. Close it when done.

        Returns:
            The file object.

        Raises:
            JobError: There is no result.
            ApiError: The service refused the download.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> async with await job.open() as file:
            ...     (await file.read(4))[1:]
            b'PNG'
        """
        file: AsyncBinaryIO = await self._host().run(transfers.open_result(self._state))
        return file

    def _download(self, path_for: Callable[[str], Path], *, preview: bool) -> Path:
        """Save the result or the preview, in a thread of the display, while the event loop may be blocked."""
        if self._engine is None:
            raise ClientClosedError(f"project {self.project_id} is detached")
        url = self._state.preview_url if preview else None
        if url is not None:
            return self._engine.run_apart(transfers.save_url(url, path_for))
        return self._engine.run_apart(transfers.save_result(self._state, path_for))

    def _ipython_display_(self) -> None:
        from sogni.display import show_job_in_notebook

        show_job_in_notebook(self)

    def _repr_html_(self) -> str:
        from sogni.display import job_html

        return job_html(self)

    async def enhance(
        self,
        strength: EnhancementStrength,
        *,
        positive_prompt: str | None = None,
        style_prompt: str | None = None,
        token_type: TokenType | None = None,
    ) -> str:
        """Make an enhanced version of a finished image, and wait until it is done.

        This creates a separate project with `krea2_turbo_fp8_scaled` on the fast network, in the size that was
        requested for this image. `projects.estimate_enhancement_cost` estimates its cost.

        Args:
            strength: `"light"`, `"medium"` or `"heavy"`.
            positive_prompt: Prompt. Default: that of the project.
            style_prompt: Style. Default: that of the project.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the project.

        Returns:
            The URL of the enhanced image.

        Raises:
            JobError: The job has no image to enhance.
            ValidationError: The model cannot render the size of the image. Nothing has been sent.
            ProjectFailedError: The enhancement failed.
            ApiError: The service refused the request.

        Example:
            >>> await job.enhance("light", positive_prompt="a lighthouse at dawn")
            'http...'
        """
        return await self._host().run(
            create.enhance(
                self._state,
                self,
                strength,
                positive_prompt=positive_prompt,
                style_prompt=style_prompt,
                token_type=token_type,
            )
        )


@suggest_keywords
class Project(BaseProject[Job]):
    """A media project.

    Events: `progress` (int), `updated` (set of changed names), `job_started`, `job_completed` and `job_failed` (`Job`),
    `completed` (list of URLs), `failed` (`ErrorData`), `canceled` (no value).

    Example:
        >>> project = await client.projects.create(
        ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
        ... )
        >>> urls = await project.wait_for_completion(timeout=60)
        >>> len(urls)
        1
    """

    __slots__ = ()
    _job_class = Job
    _engine: Engine | None

    def _host(self) -> Engine:
        """Return the engine. Raises `ClientClosedError` if the project belongs to no open client of this process."""
        return host_of(self._engine, self._state)

    async def wait(
        self,
        timeout: float | None = None,
        *,
        queue_timeout: float | None = None,
        check: bool = True,
        strict: bool = False,
        progress: bool = False,
    ) -> Project:
        """Wait until every job is settled and every result URL is known.

        Args:
            timeout: Seconds to wait; None for no limit. A timeout cancels nothing.
            queue_timeout: Seconds to wait until a worker starts; None for no limit.
            check: Raise an error if the project failed or was canceled. Default True.
            strict: Raise an error even if only some jobs failed. Default False.
            progress: Show a progress bar. Default False.

        Returns:
            The project.

        Raises:
            ProjectFailedError: The project failed.
            ProjectCanceledError: The project was canceled.
            PartialFailureError: Some jobs failed, and `strict` is true.
            SogniTimeoutError: The project is not finished in time.
            SogniConnectionError: The connection is permanently lost.

        Example:
            >>> (await project.wait(timeout=60)).status
            'completed'
        """
        tracked = not self._state.settled
        if tracked:
            self._host()
        if progress:
            from sogni.display import show_progress

            with show_progress(self) as view:
                await self._wait(timeout, queue_timeout)
                if view is not None and tracked:
                    await self._host().run(compute("downloading the results", view.finish))
        else:
            await self._wait(timeout, queue_timeout)
        if check:
            balances = None if self._engine is None else self._engine.state.account.balance
            waiting.raise_for_outcome(self._state, strict=strict, balances=balances)
        return self

    async def _wait(self, timeout: float | None, queue_timeout: float | None) -> None:
        if not self._state.settled:
            await self._host().run(waiting.wait_for_project(self._state, timeout=timeout, queue_timeout=queue_timeout))

    async def wait_for_completion(
        self,
        timeout: float | None = None,
        *,
        queue_timeout: float | None = None,
        strict: bool = False,
        progress: bool = False,
    ) -> list[str]:
        """Wait as `wait` does, and return the result URLs.

        If some jobs failed or their results are withheld, it warns with `PartialResultWarning`, or raises with
        `strict=True`.

        Args:
            timeout: Seconds to wait; None for no limit. A timeout cancels nothing.
            queue_timeout: Seconds to wait until a worker starts; None for no limit.
            strict: Raise an error if only some jobs failed. Default False.
            progress: Show a progress bar. Default False.

        Returns:
            The result URLs, in the order of the jobs.

        Raises:
            ProjectFailedError: The project failed, or no result is left.
            ProjectCanceledError: The project was canceled.
            PartialFailureError: Some jobs failed, and `strict` is true.
            SogniTimeoutError: The project is not finished in time.
            SogniConnectionError: The connection is permanently lost.

        Example:
            >>> await project.wait_for_completion(timeout=60)
            ['http...']
        """
        await self.wait(timeout, queue_timeout=queue_timeout, strict=strict, progress=progress)
        waiting.check_results(self._state, stacklevel=2)
        return self.result_urls

    def events(self, timeout: float | None = None) -> AsyncIterator[AnyProjectEvent[Job]]:
        """Iterate over the events of the project until it is finished. The iterator can be closed.

        A late subscriber receives all events from the first on, except outdated progress.

        Args:
            timeout: Seconds for the whole iteration; None for no limit.

        Returns:
            An iterator over events. The `name` of an event, as in `on`, determines the type of its `value`.

        Raises:
            SogniTimeoutError: The project is not finished in time.

        Example:
            >>> [event.name async for event in project.events()][-1]
            'completed'
        """
        return self._iterate(check_seconds("timeout", timeout))

    async def _iterate(self, timeout: float | None) -> AsyncIterator[AnyProjectEvent[Job]]:
        state, deadline = self._state, Deadline(timeout)
        engine = self._host()
        feed = engine.changed(lambda _, now: state.subscribe())
        try:
            while (event := await self._host().run(waiting.next_event(state, feed, left=deadline.left()))) is not None:
                yield project_event(event.name, engine.present(event.value))
        finally:
            feed.close()

    async def cancel(self) -> None:
        """Cancel the project and wait for the confirmation. Does nothing if the project is finished.

        Raises:
            ConflictError: The service declined.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> project = await client.projects.create(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
            >>> await project.cancel()
        """
        await self._host().run(cancel.cancel_project(self._state.id))

    def _ipython_display_(self) -> None:
        from sogni.display import show_project_in_notebook

        show_project_in_notebook(self)

    def _repr_html_(self) -> str:
        from sogni.display import project_html

        return project_html(self)

    @overload
    async def save(
        self, directory: PathLike[str], *, name: str = ..., overwrite: bool = ..., storage_options: None = ...
    ) -> list[Path]: ...
    @overload
    async def save(
        self, directory: str, *, name: str = ..., overwrite: bool = ..., storage_options: Mapping[str, Any]
    ) -> list[str]: ...
    @overload
    async def save(
        self, directory: str, *, name: str = ..., overwrite: bool = ..., storage_options: None = ...
    ) -> list[Path] | list[Any]: ...
    async def save(
        self,
        directory: str | PathLike[str],
        *,
        name: str = DEFAULT,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> list[Path] | list[Any]:
        """Save all available results to a directory or to object storage.

        Downloads are streamed, and files and objects appear once they are complete.

        Args:
            directory: The directory, which is created if necessary, or a storage URL such as ``s3://bucket/prefix``
                (extra ``sogni[fsspec]``).
            name: Pattern of the file names, with `{project_id}`, `{index}`, `{job_id}` and `{seed}`. The suffix fits
                the content.
            overwrite: Replace existing files with different content. By default the new files get numbers
                (`cat-1.png`).
            storage_options: Options of fsspec for a URL, such as credentials and the endpoint. By default fsspec uses
                the environment. With options, type checkers know that the result is a list of URLs.

        Returns:
            The paths of the saved files, or the URLs of the objects, in the order of the jobs.

        Raises:
            ApiError: The service refused a download.
            SogniConnectionError: The service cannot be reached.
            ValidationError: The pattern or the URL is invalid. Nothing has been downloaded.
            OSError: A file or object cannot be written.
            ImportError: A URL is given, and fsspec or the library for its protocol is not installed.

        Example:
            >>> [path.name for path in await project.save("pictures", name="lighthouse-{index}")]
            ['lighthouse-0.png']
        """
        directory, storage_options = hidden(directory, storage_options)
        path_for = paths_in(directory_or_storage(directory, storage_options), name)
        return await self._host().run(transfers.save_project(self._state.job_list(), path_for, overwrite=overwrite))


@suggest_keywords
class ProjectResult:
    """The results of a project, tracked by this client or not; created by `Projects.get_result`.

    Results can be pickled. An unpickled one cannot `save`; get the result again.
    """

    __slots__ = ("_engine", "_record")

    def __init__(self, engine: Engine | None, record: ProjectResultRecord) -> None:
        self._engine = engine
        self._record = record

    @property
    def id(self) -> str:
        """ID of the project."""
        return self._record.id

    @property
    def status(self) -> ProjectStatus | str:
        """Status of the project, as `Project.status`."""
        return self._record.status

    @property
    def finished(self) -> bool:
        """True if the project has ended. Otherwise only the jobs that have ended have results."""
        return self._record.finished

    @property
    def model_id(self) -> str | None:
        """ID of the model; None if the service did not name it."""
        return self._record.model_id

    @property
    def jobs(self) -> list[JobResult]:
        """The jobs: those that have ended, then those in progress."""
        return list(self._record.jobs)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as data.

        Returns:
            JSON-ready data, with the keys of the wire format.

        Example:
            >>> (await client.projects.get_result(project.id)).to_dict()["status"]
            'completed'
        """
        made: dict[str, Any] = to_dict(self._record)
        return made

    @overload
    async def save(
        self, directory: PathLike[str], *, name: str = ..., overwrite: bool = ..., storage_options: None = ...
    ) -> list[Path]: ...
    @overload
    async def save(
        self, directory: str, *, name: str = ..., overwrite: bool = ..., storage_options: Mapping[str, Any]
    ) -> list[str]: ...
    @overload
    async def save(
        self, directory: str, *, name: str = ..., overwrite: bool = ..., storage_options: None = ...
    ) -> list[Path] | list[Any]: ...
    async def save(
        self,
        directory: str | PathLike[str],
        *,
        name: str = DEFAULT,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> list[Path] | list[Any]:
        """Save every result that has a URL to a directory or to object storage, as `Project.save` does.

        Args:
            directory: The directory, which is created if necessary, or a storage URL such as ``s3://bucket/prefix``
                (extra ``sogni[fsspec]``).
            name: Pattern of the file names, with `{project_id}`, `{index}`, `{job_id}` and `{seed}`. The suffix fits
                the content.
            overwrite: Replace existing files with different content. By default the new files get numbers
                (`cat-1.png`).
            storage_options: Options of fsspec for a URL, such as credentials and the endpoint. By default fsspec uses
                the environment. With options, type checkers know that the result is a list of URLs.

        Returns:
            The paths of the saved files, or the URLs of the objects, in the order of the jobs.

        Raises:
            ApiError: The service refused a download.
            SogniConnectionError: The service cannot be reached.
            ValidationError: The pattern or the URL is invalid. Nothing has been downloaded.
            OSError: A file or object cannot be written.
            ImportError: A URL is given, and fsspec or the library for its protocol is not installed.

        Example:
            >>> result = await client.projects.get_result(project.id)
            >>> [path.name for path in await result.save("pictures", name="lighthouse-{index}")]
            ['lighthouse-0.png']
        """
        directory, storage_options = hidden(directory, storage_options)
        host = self._host()
        path_for = result_paths(directory_or_storage(directory, storage_options), name)
        return await host.run(past_projects.save_results(self._record, path_for, overwrite=overwrite))

    def __eq__(self, other: object) -> bool:
        return self._record == other._record if isinstance(other, ProjectResult) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (None, self._record)

    def _download(self, job: JobResult, path_for: Callable[[str], Path]) -> Path:
        """Save the result of a job, in a thread of the display, while the event loop may be blocked."""
        return self._host().run_apart(past_projects.save_result(self._record, job, path_for))

    def _host(self) -> Engine:
        if self._engine is None:
            raise ClientClosedError(f"the results of project {self.id} are detached; call projects.get_result again")
        return self._engine

    def _ipython_display_(self) -> None:
        from sogni.display import show_result_in_notebook

        show_result_in_notebook(self)

    def _repr_html_(self) -> str:
        return self._record._repr_html_().replace(type(self._record).__name__, type(self).__name__, 1)

    def __repr__(self) -> str:
        return f"<ProjectResult {self.id} {self.status} {len(self._record.jobs)} jobs>"


def handle_of(engine: Engine, value: Any) -> Any:
    """Return the public object of a state, which is always the same."""
    if isinstance(value, ProjectState):
        project = value.user_object
        if project is None:
            project = value.user_object = Project(engine, value)
        return project
    if isinstance(value, JobState):
        return engine.present(value.project)._present(value)
    if isinstance(value, list):
        return [handle_of(engine, item) for item in value]
    if isinstance(value, ProjectsSync):
        return evolve(value, **{name: handle_of(engine, getattr(value, name)) for name in SYNC_LISTS})
    return value
