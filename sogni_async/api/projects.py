"""Creating, tracking and estimating projects, and waiting for several: `client.projects`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar, Unpack, overload

from sogni.base import Decorator, EventEmitter, Remover, overloaded_with_fields, to_attach
from sogni.core.catalogue import flows as catalogue
from sogni.core.catalogue.model_families import asset_config, is_audio_id, is_video_id
from sogni.core.checks import without_gaps
from sogni.core.outbox import CLOSED, CONNECTION, Listeners
from sogni.core.projects import cancel, create, results
from sogni.core.projects import create as estimates
from sogni.core.projects import create as mapping
from sogni.core.projects import recovery as attaching
from sogni.core.projects import transfers as signing
from sogni.core.projects.image_requests import EnhancementStrength
from sogni.core.projects.project import ProjectState
from sogni.core.projects.registry import PROJECTS_EVENTS
from sogni.core.projects.waiting import check_news, have_connection
from sogni.errors import ClientClosedError, SogniError, SogniTimeoutError, ValidationError
from sogni.models.base import BillingMode, TokenType
from sogni.models.catalogue import AvailableModel, ModelOptions, SizePreset, SupportedModel, VideoAssetConfig
from sogni.models.params import (
    AudioProjectFields,
    AudioProjectParams,
    ImageProjectFields,
    ImageProjectParams,
    MediaInput,
    ProjectParams,
    VideoProjectFields,
    VideoProjectParams,
)
from sogni.models.projects import CostEstimation, JobEvent, ProjectEvent, ProjectRecord
from sogni.settings import Network, check_seconds
from sogni_async.api.project import Project
from sogni_async.transport.engine import Engine
from sogni_async.transport.waiting import Deadline, TopicSignal

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
RETURN_WHEN: tuple[ReturnWhen, ...] = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")


async def wait(
    projects: Iterable[Project], timeout: float | None = None, return_when: ReturnWhen = "ALL_COMPLETED"
) -> tuple[set[Project], set[Project]]:
    """Wait for several projects, as `concurrent.futures.wait` does. Failed and canceled projects count as done.

    Args:
        projects: Projects, also of different clients.
        timeout: Seconds to wait; None for no limit. When it runs out, the unfinished projects are returned.
        return_when: `"ALL_COMPLETED"`, `"FIRST_COMPLETED"` or `"FIRST_EXCEPTION"`.

    Returns:
        Two sets: the projects that are done, and those that are not.

    Raises:
        SogniConnectionError: The connection of an unfinished project is lost for good.
    """
    if return_when not in RETURN_WHEN:
        raise ValidationError(
            f"return_when must be one of {', '.join(RETURN_WHEN)}, not {return_when!r}",
            field="return_when",
            value=return_when,
            allowed=RETURN_WHEN,
        )
    wanted = set(without_gaps("projects", list(projects)))
    deadline = Deadline(check_seconds("timeout", timeout))
    lost = await _without_connection(wanted)
    with _Watch(wanted, lost) as watch:
        while True:
            done = watch.done()
            ended = len(done) == len(wanted)
            if return_when == "FIRST_COMPLETED":
                ended = ended or bool(done)
            elif return_when == "FIRST_EXCEPTION":
                ended = ended or any(project.status in ("failed", "canceled") for project in done)
            if not ended:
                watch.check()
            if ended or deadline.over:
                return done, wanted - done
            await watch.sleep(deadline.left())


def as_completed(projects: Iterable[Project], timeout: float | None = None) -> AsyncIterator[Project]:
    """Yield projects as they finish, as `concurrent.futures.as_completed` does. Failed projects are yielded, too.

    Args:
        projects: Projects, also of different clients.
        timeout: Seconds for all projects together; None for no limit.

    Raises:
        SogniTimeoutError: Not all projects finished in time.
    """
    wanted = set(without_gaps("projects", list(projects)))
    return _as_completed(wanted, check_seconds("timeout", timeout))


async def _as_completed(left: set[Project], timeout: float | None) -> AsyncIterator[Project]:
    deadline = Deadline(timeout)
    total = len(left)
    lost = await _without_connection(left)
    while left:
        with _Watch(left, lost) as watch:
            while not (done := watch.done()):
                watch.check()
                if deadline.over:
                    raise SogniTimeoutError(
                        f"{len(left)} of {total} projects are not finished", phase="total", timeout=timeout
                    )
                await watch.sleep(deadline.left())
        left -= done
        for project in done:
            yield project


async def _without_connection(projects: Iterable[Project]) -> dict[Project, SogniError]:
    """Open the sockets that bring the news; the projects that will have none, and why."""
    lost: dict[Project, SogniError] = {}
    for project in projects:
        try:
            if not project.finished:
                await project._host().run(have_connection(project._state))
        except SogniError as error:
            lost[project] = error
    return lost


class _Watch:
    """Watches several projects for their ends."""

    def __init__(self, projects: set[Project], lost: dict[Project, SogniError]) -> None:
        self._projects = list(projects)
        self._lost = lost
        self._signal = TopicSignal()

    def __enter__(self) -> _Watch:
        for project in self._projects:
            if not project.finished and project not in self._lost:
                self._signal.watch(project._host(), project._state, CONNECTION, CLOSED)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal.release()

    async def sleep(self, seconds: float | None) -> None:
        await self._signal.sleep(seconds)

    def done(self) -> set[Project]:
        """Projects that are finished."""
        self._signal.clear()
        return {project for project in self._projects if project.finished}

    def check(self) -> None:
        """Raise when a project never will be finished, its connection being gone for good."""
        for project in self._projects:
            if project.finished:
                continue
            if project in self._lost:
                raise self._lost[project]
            engine = project._host()
            if engine.closed:
                raise ClientClosedError(f"the client of project {project.id} is closed")
            check_news(project._state, engine.state)


Request = TypeVar("Request", bound=ProjectParams | Mapping[str, Any])


class OnProjectsEvent(Protocol):
    """`Projects.on` and `Projects.once`."""

    @overload
    def __call__(
        self, event: Literal["available_models"], function: Callable[[list[AvailableModel]], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["available_models"]) -> Decorator[list[AvailableModel]]: ...
    @overload
    def __call__(self, event: Literal["project"], function: Callable[[ProjectEvent], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["project"]) -> Decorator[ProjectEvent]: ...
    @overload
    def __call__(self, event: Literal["job"], function: Callable[[JobEvent], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["job"]) -> Decorator[JobEvent]: ...


class Projects(EventEmitter[OnProjectsEvent]):
    """Media projects of one client.

    Events: `available_models` (list of `AvailableModel`), `project` (`ProjectEvent`), `job` (`JobEvent`).
    """

    _events = PROJECTS_EVENTS

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.projects.listeners

    def _on_listener_added(self) -> None:
        self._engine.state.listen()

    # -- projects --------------------------------------------------------------

    @overload
    async def create(self, params: ProjectParams, /, *, max_cost: Decimal | float | str | None = None) -> Project: ...
    @overload
    async def create(
        self, *, max_cost: Decimal | float | str | None = None, **fields: Unpack[ImageProjectFields]
    ) -> Project: ...
    @overload
    async def create(
        self, *, max_cost: Decimal | float | str | None = None, **fields: Unpack[VideoProjectFields]
    ) -> Project: ...
    @overload
    async def create(
        self, *, max_cost: Decimal | float | str | None = None, **fields: Unpack[AudioProjectFields]
    ) -> Project: ...
    @overloaded_with_fields(ImageProjectParams, VideoProjectParams, AudioProjectParams)
    async def create(
        self, params: ProjectParams | None = None, /, *, max_cost: Decimal | float | str | None = None, **fields: Any
    ) -> Project:
        """Create a project and return as soon as its request has been sent.

        All parameters are checked, and all files looked at, before anything is uploaded or sent. A project that could
        not be sent costs nothing.

        Args:
            params: An `ImageProjectParams`, `VideoProjectParams` or `AudioProjectParams`. Alternatively, its fields are
                given as keyword arguments.
            max_cost: Refuse to send if the estimate exceeds this amount, in the token that pays. No limit if None.
            **fields: The fields of the params class that belongs to `type`, which is `"image"`, `"video"` or `"audio"`.
                `model_id` is required.

        Returns:
            The project, tracked until it finishes.

        Raises:
            ValidationError: An argument is invalid. Nothing has been uploaded or sent.
            TypeError: There is no such keyword argument. The message suggests the nearest one.
            CostLimitError: The estimate exceeds `max_cost`, or no estimate is available.
            ApiError: The service refused a request.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> project = await client.projects.create(
            ...     type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse at dawn", steps=4
            ... )
            >>> (await project.wait(timeout=60)).status
            'completed'
        """
        return self._project(await self._engine.run(create.create_project(params, fields, max_cost)))

    def _project(self, state: ProjectState) -> Project:
        project: Project = self._engine.present(state)
        return project

    async def get(self, project_id: str) -> ProjectRecord:
        """Get the record that the service keeps of a finished project.

        Args:
            project_id: Id of the project.

        Returns:
            The record.

        Raises:
            NotFoundError: There is no such project, or it is not finished yet.
        """
        return await self._engine.run(results.project_record(project_id))

    async def cancel(self, project_id: str) -> None:
        """Cancel a project and wait for the confirmation. Does nothing if the project is finished.

        Args:
            project_id: Id of the project.

        Raises:
            ConflictError: The service declined.
            SogniTimeoutError: The service did not answer in time.
        """
        await self._engine.run(cancel.cancel_project(project_id))

    async def attach(self, project: Project | str) -> Project:
        """Track a project again, for example an unpickled one, or one that another process started.

        A project that another app id started is polled, at intervals that grow from half a second to ten seconds. A
        project that another open client follows stays with that client, too.

        Args:
            project: A project or its id.

        Returns:
            The project, tracked by this client.

        Raises:
            NotFoundError: The service does not know the project.
        """
        project_id, given = to_attach(self._engine, project)
        state = await self._engine.run(attaching.attach(project_id, given))
        if not isinstance(project, str) and given is project._state:
            project._attached(self._engine, state)
        return self._project(state)

    async def map(
        self, requests: Iterable[Request], *, concurrency: int = 8, max_cost: Decimal | float | str | None = None
    ) -> AsyncIterator[tuple[Request, Project]]:
        """Create one project per request and yield each as it finishes, failed or not.

        When a request is refused or the limit is reached, the projects that are running are yielded first. Then the
        error is raised.

        Args:
            requests: Params objects, or mappings of their fields.
            concurrency: Projects that run at the same time, at least 1.
            max_cost: Limit for all projects together, in the token that pays. No limit if None.

        Yields:
            The request and its project.

        Raises:
            ValidationError: An argument or a request is invalid.
            CostLimitError: The estimates exceed `max_cost`, or no estimate is available.
        """
        plan = mapping.Plan(requests, concurrency, max_cost)
        running: dict[Project, Request] = {}
        while True:
            while len(running) < plan.concurrency and plan.more():
                request, flow = plan.take()
                try:
                    state = await self._engine.run(flow)
                except Exception as error:
                    plan.failed(error)
                else:
                    running[self._project(state)] = request
            if not running:
                plan.finish()
                return
            done, _ = await wait(running, return_when="FIRST_COMPLETED")
            project = done.pop()
            yield running.pop(project), project

    @property
    def tracked_projects(self) -> list[Project]:
        """Unfinished projects and those finished within the last half minute."""
        return [self._project(state) for state in self._engine.state.projects.tracked()]

    # -- models ----------------------------------------------------------------

    @property
    def available_models(self) -> list[AvailableModel]:
        """Models with workers now, as last announced; empty before the socket has connected."""
        return list(self._engine.state.catalogue.available)

    async def wait_for_models(self, timeout: float | None = 10) -> list[AvailableModel]:
        """Wait until the available models are known. Connects if necessary.

        Args:
            timeout: Seconds to wait; None for no limit.

        Returns:
            The models that have workers now.

        Raises:
            SogniTimeoutError: The models were not announced in time.
        """
        return await self._engine.run(catalogue.wait_for_models(timeout))

    async def get_available_models(self, network: Network) -> list[AvailableModel]:
        """Get the models that have workers on a network now. Needs no socket.

        Args:
            network: `"fast"` or `"relaxed"`.

        Returns:
            The models.
        """
        return await self._engine.run(catalogue.available_models(network))

    async def get_supported_models(self, force_refresh: bool = False) -> list[SupportedModel]:
        """Get all models of the service, with or without workers.

        Args:
            force_refresh: Fetch the list even if the one at hand is less than 24 hours old.

        Returns:
            The models.
        """
        return await self._engine.run(catalogue.supported_models(force_refresh))

    async def get_model_options(self, model_id: str) -> ModelOptions:
        """Get what a model accepts: ranges and defaults of numbers, samplers, schedulers.

        Args:
            model_id: Id of the model.

        Returns:
            The options.

        Raises:
            ValidationError: There is no such model.
        """
        return await self._engine.run(catalogue.model_options(model_id))

    async def get_size_presets(self, network: Network, model_id: str, force_refresh: bool = False) -> list[SizePreset]:
        """Get the named sizes of a model on a network.

        Args:
            network: `"fast"` or `"relaxed"`.
            model_id: Id of the model.
            force_refresh: Fetch the list even if the one at hand is less than 10 minutes old.

        Returns:
            The presets, for `size_preset`.
        """
        return await self._engine.run(catalogue.size_presets(network, model_id, force_refresh))

    def get_video_asset_config(self, model_id: str) -> VideoAssetConfig:
        """Get the workflow of a video model and the media it takes.

        Args:
            model_id: Id of the model.

        Returns:
            Which media are required, optional or forbidden.

        Raises:
            ValidationError: This is not a video model.
        """
        return asset_config(model_id)

    def is_video_model_id(self, model_id: str) -> bool:
        """Whether an id is that of a video model: as listed, else by its name; asks nobody."""
        listed = self._engine.state.catalogue.kinds.get(model_id)
        return listed == "video" if listed is not None else is_video_id(model_id)

    def is_audio_model_id(self, model_id: str) -> bool:
        """Whether an id is that of an audio model: as listed, else by its name; asks nobody."""
        listed = self._engine.state.catalogue.kinds.get(model_id)
        return listed == "audio" if listed is not None else is_audio_id(model_id)

    # -- prices ----------------------------------------------------------------

    @overload
    async def estimate(self, params: ProjectParams, /) -> CostEstimation: ...
    @overload
    async def estimate(self, **fields: Unpack[ImageProjectFields]) -> CostEstimation: ...
    @overload
    async def estimate(self, **fields: Unpack[VideoProjectFields]) -> CostEstimation: ...
    @overload
    async def estimate(self, **fields: Unpack[AudioProjectFields]) -> CostEstimation: ...
    @overloaded_with_fields(ImageProjectParams, VideoProjectParams, AudioProjectParams)
    async def estimate(self, params: ProjectParams | None = None, /, **fields: Any) -> CostEstimation:
        """Estimate what a project would cost. Sends no file.

        Args:
            params: As in `create`.
            **fields: As in `create`.

        Returns:
            The estimate. An amount is None if the service gave none.

        Raises:
            ValidationError: An argument is invalid.
            TypeError: There is no such keyword argument.
        """
        return await self._engine.run(estimates.estimate_project(params, fields))

    async def estimate_cost(
        self,
        model: str,
        *,
        image_count: int = 1,
        step_count: int | None = None,
        preview_count: int = 0,
        token_type: TokenType | None = None,
        network: Network | None = None,
        cn_enabled: bool = False,
        starting_image_strength: float | None = None,
        width: float | None = None,
        height: float | None = None,
        size_preset: str | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        context_images: int | None = None,
        gpt_image_quality: str | None = None,
        output_format: str | None = None,
        billing_mode: BillingMode | None = None,
    ) -> CostEstimation:
        """What images of a model would cost (projects-4.2 §16.1).

        The token is `spark` and the network `fast` when None; `context_images` is a count.
        """
        flow = estimates.estimate_image(
            model,
            image_count=image_count,
            step_count=step_count,
            preview_count=preview_count,
            token_type=token_type,
            network=network,
            cn_enabled=cn_enabled,
            starting_image_strength=starting_image_strength,
            width=width,
            height=height,
            size_preset=size_preset,
            guidance=guidance,
            sampler=sampler,
            context_images=context_images,
            gpt_image_quality=gpt_image_quality,
            output_format=output_format,
            billing_mode=billing_mode,
        )
        return await self._engine.run(flow)

    async def estimate_video_cost(
        self,
        model: str,
        *,
        width: float | None = None,
        height: float | None = None,
        fps: float | None = None,
        duration: float | None = None,
        frames: int | None = None,
        steps: int | None = None,
        number_of_media: int | None = None,
        token_type: TokenType | None = None,
        network: Network | None = None,
        billing_mode: BillingMode | None = None,
        has_video_input: bool | None = None,
        reference_video: MediaInput | None = None,
        reference_video_urls: Sequence[str] | None = None,
        reference_image_count: float | None = None,
        reference_video_count: float | None = None,
        reference_video_duration_seconds: float | None = None,
        source_width: float | None = None,
        source_height: float | None = None,
        keyframe_count: int | None = None,
    ) -> CostEstimation:
        """What videos of a model would cost (projects-4.2 §16.2, projects-5x §16).

        `frames` outranks `duration` (seconds). What is None is the model's usual value; the token is
        `spark` and the number one when None. A reference video or its URLs only say that there is one.
        """
        flow = estimates.estimate_video(
            model,
            width=width,
            height=height,
            fps=fps,
            duration=duration,
            frames=frames,
            steps=steps,
            number_of_media=number_of_media,
            token_type=token_type,
            network=network,
            billing_mode=billing_mode,
            has_video_input=has_video_input,
            reference_video=reference_video,
            reference_video_urls=reference_video_urls,
            reference_image_count=reference_image_count,
            reference_video_count=reference_video_count,
            reference_video_duration_seconds=reference_video_duration_seconds,
            source_width=source_width,
            source_height=source_height,
            keyframe_count=keyframe_count,
        )
        return await self._engine.run(flow)

    async def estimate_audio_cost(
        self,
        model: str,
        *,
        duration: float | None = None,
        steps: int | None = None,
        number_of_media: int | None = None,
        token_type: TokenType | None = None,
        network: Network | None = None,
        billing_mode: BillingMode | None = None,
    ) -> CostEstimation:
        """What music or speech of a model would cost; `duration` in seconds (projects-4.2 §16.3).

        What is None is the model's usual value; the token is `spark` and the number one when None.
        """
        flow = estimates.estimate_audio(
            model,
            duration=duration,
            steps=steps,
            number_of_media=number_of_media,
            token_type=token_type,
            network=network,
            billing_mode=billing_mode,
        )
        return await self._engine.run(flow)

    async def estimate_enhancement_cost(
        self, strength: EnhancementStrength, token_type: TokenType = "spark"
    ) -> CostEstimation:
        """What `Job.enhance` would cost: `light`, `medium` or `heavy` (projects-4.2 §16.4)."""
        return await self._engine.run(estimates.estimate_enhancement(strength, token_type))

    # -- addresses -------------------------------------------------------------

    async def upload_url(self, *, image_id: str, job_id: str, type: str, content_type: str | None = None) -> str:
        """A signed address to PUT an image to; `job_id` is the project's id (projects-4.2 §10.1)."""
        return await self._sign(
            "image", "uploadUrl", image_id=image_id, job_id=job_id, type=type, content_type=content_type
        )

    async def download_url(self, *, image_id: str, job_id: str, type: str, content_type: str | None = None) -> str:
        """A signed address to GET an image from; `type` is `complete` or `preview`."""
        return await self._sign(
            "image", "downloadUrl", image_id=image_id, job_id=job_id, type=type, content_type=content_type
        )

    async def media_upload_url(
        self, *, job_id: str, type: str, id: str | None = None, content_type: str | None = None
    ) -> str:
        """A signed address to PUT audio or video to (projects-4.2 §10.1)."""
        return await self._sign("media", "uploadUrl", id=id, job_id=job_id, type=type, content_type=content_type)

    async def media_download_url(
        self, *, job_id: str, type: str, id: str | None = None, content_type: str | None = None
    ) -> str:
        """A signed address to GET audio or video from."""
        return await self._sign("media", "downloadUrl", id=id, job_id=job_id, type=type, content_type=content_type)

    async def _sign(
        self, endpoint: Literal["image", "media"], direction: Literal["uploadUrl", "downloadUrl"], **fields: Any
    ) -> str:
        return await self._engine.run(signing.signed_address(endpoint, direction, **fields))
