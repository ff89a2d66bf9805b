"""`Job`: one result of a project."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from sogni.flows import enhance, transfers
from sogni.job_view import JobView
from sogni.models.base import TokenType
from sogni.models.events import ErrorData
from sogni.protocol.enhancement import EnhancementStrength
from sogni.protocol.file_names import exact_path
from sogni.protocol.project_state import ProjectState
from sogni.views import host_of

from ..transport.streams import AsyncBinaryIO


class EnhancedImage:
    """The enhanced version of an image, made by `Job.enhance`."""

    def __init__(self, engine: Any, state: ProjectState) -> None:
        self._engine = engine
        self._state = state

    @property
    def status(self) -> str:
        """The status of the project that enhances the image."""
        return self._state.status

    @property
    def progress(self) -> int:
        """Percent done."""
        return int(self._engine.present(self._state).progress)

    @property
    def result(self) -> str | None:
        """The URL of the enhanced image, once it is there."""
        return next(iter(self._state.result_urls), None)

    @property
    def error(self) -> ErrorData | None:
        """Why enhancing failed."""
        return self._state.error

    async def get_result_url(self) -> str:
        """The URL of the enhanced image, asked for when it is not known. JobError when there is none."""
        return await host_of(self._engine, self._state).run(enhance.enhanced_url(self._state))  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<EnhancedImage {self.status} {self.progress}%>"


class Job(JobView):
    """One result of a project.

    Events: `progress` (int), `preview` (URL), `updated` (set of changed names), `completed` (URL or
    None), `failed` (`ErrorData` or None).
    """

    __slots__ = ()

    def _host(self) -> Any:
        return host_of(self._engine, self._state.project)

    @property
    def enhanced_image(self) -> EnhancedImage | None:
        """The enhanced version, None before `enhance` was called."""
        state = self._state.enhancement
        return None if state is None else EnhancedImage(self._engine, state)

    async def get_result_url(self) -> str:
        """The URL of the result; asked for when it is not known, the known one otherwise.

        Addresses of the service are short-lived (projects-4.2 §10.4). Raises `JobError` when the job
        is not completed or its result is withheld.
        """
        return await self._host().run(transfers.result_url(self._state))  # type: ignore[no-any-return]

    async def get_last_frame_url(self) -> str:
        """The URL of the last frame of a video, as an image; asked for when it is not known.

        The service has one where `return_last_frame` was asked for. Raises `JobError` when the job is no
        completed video, `NotFoundError` when there is none.
        """
        return await self._host().run(transfers.last_frame_url(self._state))  # type: ignore[no-any-return]

    async def get_result_data(self) -> bytes:
        """The bytes of the result, all in memory; `save` and `open` stream.

        Raises `JobError` when there is no result, `ApiError` or `SogniConnectionError` when it cannot
        be fetched.
        """
        return await self._host().run(transfers.result_data(self._state))  # type: ignore[no-any-return]

    async def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the result to a file and return its path; streamed, and there only when complete.

        A path without a suffix gets that of the content. An existing file with other content is kept: the new one gets
        a number (`cat-1.png`), unless `overwrite` is true. Raises `JobError`, `ApiError`, `SogniConnectionError`,
        `ValidationError`, `OSError`.
        """
        return await self._host().run(transfers.save_result(self._state, exact_path(path), overwrite=overwrite))  # type: ignore[no-any-return]

    async def open(self) -> AsyncBinaryIO:
        """A readable file object over the result, streamed from the service; close it when done.

        Raises `JobError`, `ApiError`, `SogniConnectionError`.
        """
        return await self._host().run(transfers.open_result(self._state))  # type: ignore[no-any-return]

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
        """Make an enhanced version of a finished image and return its URL; waits until it is done.

        `strength` is `light`, `medium` or `heavy`. Prompts and token are the project's where none are
        given (projects-4.2 §15). Raises `JobError` when the job has no image to enhance, and what
        `projects.create` and `Project.wait` raise.
        """
        return await self._host().run(  # type: ignore[no-any-return]
            enhance.enhance(
                self._state,
                self,
                strength,
                positive_prompt=positive_prompt,
                style_prompt=style_prompt,
                token_type=token_type,
            )
        )
