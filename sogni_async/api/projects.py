"""Creating, tracking and estimating projects, and waiting for several: `client.projects`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar, Unpack, overload

from sogni.base import overloaded_with_fields, to_attach
from sogni.core.catalogue import flows as catalogue
from sogni.core.catalogue import loras
from sogni.core.catalogue.model_families import asset_config, is_audio_id, is_video_id
from sogni.core.checks import invalid_value, reject_none_items
from sogni.core.outbox import CLOSED, CONNECTION, Listeners
from sogni.core.projects import cancel, create, lookups, past_projects, recovery, results, transfers
from sogni.core.projects.image_requests import EnhancementStrength
from sogni.core.projects.project import ProjectState
from sogni.core.projects.registry import PROJECTS_EVENTS
from sogni.core.projects.waiting import check_reachable, ensure_connection
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.errors import ClientClosedError, SogniError, SogniTimeoutError, ValidationError
from sogni.keywords import suggest_keywords
from sogni.models.base import BillingMode
from sogni.models.catalogue import AvailableModel, ModelOptions, SizePreset, SupportedModel, VideoAssetConfig
from sogni.models.loras import Lora, LoraCatalog, LoraConstraints
from sogni.models.params import (
    AudioProjectParams,
    ImageProjectParams,
    MediaInput,
    ProjectParams,
    VideoProjectParams,
)
from sogni.models.project_fields import AudioProjectFields, ImageProjectFields, VideoProjectFields
from sogni.models.projects import (
    CostEstimation,
    JobEvent,
    MissingProject,
    ProjectEvent,
    ProjectRecord,
    ProjectsSync,
    ProjectStatusRecord,
    QueueChange,
    RecentProject,
    ResultKind,
)
from sogni.settings import Network, TokenType, check_seconds
from sogni_async.api.loras import PersonalLoras
from sogni_async.api.project import Project, ProjectResult
from sogni_async.api.saved_uploads import SavedUploads
from sogni_async.transport.engine import Engine
from sogni_async.transport.waiting import Deadline, TopicSignal

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
RETURN_WHEN: tuple[ReturnWhen, ...] = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")


@suggest_keywords
async def wait(
    projects: Iterable[Project], timeout: float | None = None, return_when: ReturnWhen = "ALL_COMPLETED"
) -> tuple[set[Project], set[Project]]:
    """Wait for several projects, as `concurrent.futures.wait` does. Failed and canceled projects count as done.

    Args:
        projects: Projects, possibly of different clients.
        timeout: Seconds to wait; None for no limit. When it runs out, the unfinished projects are returned.
        return_when: `"ALL_COMPLETED"` (default), `"FIRST_COMPLETED"` or `"FIRST_EXCEPTION"`.

    Returns:
        Two sets: the projects that are done, and those that are not.

    Raises:
        ValidationError: An argument is invalid.
        SogniConnectionError: The connection of an unfinished project is permanently lost.

    Example:
        >>> done, not_done = await wait([project], timeout=60)
        >>> len(done), len(not_done)
        (1, 0)
    """
    if return_when not in RETURN_WHEN:
        raise ValidationError(
            f"return_when must be one of {', '.join(RETURN_WHEN)}, got {return_when!r}",
            field="return_when",
            value=return_when,
            allowed=RETURN_WHEN,
        )
    waited_for = _distinct(projects)
    deadline = Deadline(check_seconds("timeout", timeout))
    unreachable = await _connect(waited_for)
    with _Watcher(waited_for, unreachable) as watcher:
        while True:
            done = watcher.done()
            ended = len(done) == len(waited_for)
            if return_when == "FIRST_COMPLETED":
                ended = ended or bool(done)
            elif return_when == "FIRST_EXCEPTION":
                ended = ended or any(project.status in ("failed", "canceled") for project in done)
            if not ended:
                watcher.check()
            if ended or deadline.over:
                return done, waited_for - done
            await watcher.sleep(deadline.left())


@suggest_keywords
def as_completed(projects: Iterable[Project], timeout: float | None = None) -> AsyncIterator[Project]:
    """Yield projects as they finish, as `concurrent.futures.as_completed` does. Failed projects are yielded, too.

    Args:
        projects: Projects, possibly of different clients.
        timeout: Seconds for all projects together; None for no limit.

    Returns:
        An iterator over the projects. It can be closed.

    Raises:
        ValidationError: An argument is invalid.
        SogniTimeoutError: Not all projects finished in time.
        SogniConnectionError: The connection of an unfinished project is permanently lost.

    Example:
        >>> [it.status async for it in as_completed([project], timeout=60)]
        ['completed']
    """
    waited_for = _distinct(projects)
    return _as_completed(waited_for, check_seconds("timeout", timeout))


def _distinct(projects: Iterable[Project]) -> set[Project]:
    """Return the projects of a list, each once. Raises `ValidationError` for anything else."""
    if not isinstance(projects, Iterable):
        raise invalid_value("projects", projects, "a list of projects")
    given = reject_none_items("projects", list(projects))
    for index, project in enumerate(given):
        if not isinstance(project, Project):
            raise invalid_value(f"projects[{index}]", project, f"a {Project.__module__.partition('.')[0]}.Project")
    return set(given)


async def _as_completed(left: set[Project], timeout: float | None) -> AsyncIterator[Project]:
    deadline = Deadline(timeout)
    total = len(left)
    unreachable = await _connect(left)
    while left:
        with _Watcher(left, unreachable) as watcher:
            while not (done := watcher.done()):
                watcher.check()
                if deadline.over:
                    raise SogniTimeoutError(
                        f"{len(left)} of {total} projects are not finished", phase="total", timeout=timeout
                    )
                await watcher.sleep(deadline.left())
        left -= done
        for project in done:
            yield project


async def _connect(projects: Iterable[Project]) -> dict[Project, SogniError]:
    """Open the sockets that deliver the events of the projects; return the errors of those that failed to open."""
    unreachable: dict[Project, SogniError] = {}
    for project in projects:
        try:
            if not project.finished:
                await project._host().run(ensure_connection(project._state))
        except SogniError as error:
            unreachable[project] = error
    return unreachable


class _Watcher:
    """Waits for the end of several projects."""

    def __init__(self, projects: set[Project], unreachable: dict[Project, SogniError]) -> None:
        self._projects = list(projects)
        self._unreachable = unreachable
        self._signal = TopicSignal()

    def __enter__(self) -> _Watcher:
        for project in self._projects:
            if not project.finished and project not in self._unreachable:
                self._signal.watch(project._host(), project._state, CONNECTION, CLOSED)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal.release()

    async def sleep(self, seconds: float | None) -> None:
        await self._signal.sleep(seconds)

    def done(self) -> set[Project]:
        """Return the finished projects."""
        self._signal.clear()
        return {project for project in self._projects if project.finished}

    def check(self) -> None:
        """Raise an error if a project will never finish, because its connection is permanently lost."""
        for project in self._projects:
            if project.finished:
                continue
            if project in self._unreachable:
                raise self._unreachable[project]
            engine = project._host()
            if engine.closed:
                raise ClientClosedError(f"the client of project {project.id} is closed")
            check_reachable(project._state, engine.state)


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
    @overload
    def __call__(self, event: Literal["queue_changed"], function: Callable[[QueueChange], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["queue_changed"]) -> Decorator[QueueChange]: ...
    @overload
    def __call__(
        self, event: Literal["projects_synced"], function: Callable[[ProjectsSync[Project]], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["projects_synced"]) -> Decorator[ProjectsSync[Project]]: ...
    @overload
    def __call__(
        self,
        event: Literal["active_projects_recovered", "completed_projects_recovered"],
        function: Callable[[list[Project]], Any],
    ) -> Remover: ...
    @overload
    def __call__(
        self, event: Literal["active_projects_recovered", "completed_projects_recovered"]
    ) -> Decorator[list[Project]]: ...


@suggest_keywords
class Projects(EventEmitter[OnProjectsEvent]):
    """Media projects of one client.

    Events: `available_models` (list of `AvailableModel`), `project` (`ProjectEvent`), `job` (`JobEvent`),
    `queue_changed` (`QueueChange`: why a project waits), `projects_synced` (`ProjectsSync`),
    `active_projects_recovered` and `completed_projects_recovered` (list of `Project`: those of an earlier process).
    """

    _events = PROJECTS_EVENTS

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._personal_loras = PersonalLoras(engine)
        self._assets = SavedUploads(engine)

    def _listeners(self) -> Listeners:
        return self._engine.state.projects.listeners

    def _on_listener_added(self) -> None:
        self._engine.state.listen()

    # -- projects --------------------------------------------------------------

    @overload
    async def create(
        self,
        params: ProjectParams,
        /,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
    ) -> Project: ...
    @overload
    async def create(
        self,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[ImageProjectFields],
    ) -> Project: ...
    @overload
    async def create(
        self,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[VideoProjectFields],
    ) -> Project: ...
    @overload
    async def create(
        self,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[AudioProjectFields],
    ) -> Project: ...
    @overloaded_with_fields(ImageProjectParams, VideoProjectParams, AudioProjectParams)
    async def create(
        self,
        params: ProjectParams | None = None,
        /,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Project:
        """Create a project and return as soon as its request has been sent.

        All parameters and files are checked before anything is uploaded or sent. A project that could not be sent costs
        nothing.

        Args:
            params: An `ImageProjectParams`, `VideoProjectParams` or `AudioProjectParams`. Alternatively, its fields are
                given as keyword arguments.
            max_cost: Refuse to send if the estimate exceeds this amount, in the token that pays. No limit if None.
            idempotency_key: A key that you choose for this project, 1 to 255 characters, so that repeating the call
                does not pay twice: if the account already has a project with this key, that project is returned,
                whatever its state and whichever process created it. By default, each call creates a project.
            **fields: The fields of the params class that belongs to `type`, which is `"image"`, `"video"` or `"audio"`.
                `model_id` is required.

        Returns:
            The project, tracked until it finishes.

        Raises:
            ValidationError: An argument is invalid, or the key belongs to a project with other parameters. Nothing has
                been uploaded or sent.
            TypeError: A keyword argument is unknown. The message suggests the closest name.
            CostLimitError: The estimate exceeds `max_cost`, or no estimate is available.
            ApiError: The service refused a request.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> project = await client.projects.create(
            ...     type="image",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     positive_prompt="a lighthouse at dawn",
            ...     steps=8,
            ...     token_type="spark",
            ... )
            >>> (await project.wait(timeout=60)).status
            'completed'
        """
        return self._project(await self._engine.run(create.create_once(idempotency_key, params, fields, max_cost)))

    def _project(self, state: ProjectState) -> Project:
        project: Project = self._engine.present(state)
        return project

    async def get(self, project_id: str) -> ProjectRecord:
        """Get the service's record of a finished project.

        Args:
            project_id: ID of the project.

        Returns:
            The record.

        Raises:
            NotFoundError: The project does not exist, or it is not finished yet.

        Example:
            >>> (await client.projects.get(project.id)).id == project.id
            True
        """
        return await self._engine.run(results.project_record(project_id))

    async def get_status(self, project_id: str) -> ProjectStatusRecord:
        """Get the status of a project, even while it runs. Needs no socket.

        Use it to look at a project that another process started. `attach` follows such a project instead.

        Args:
            project_id: ID of the project.

        Returns:
            The status, the jobs in progress and those that have ended.

        Raises:
            NotFoundError: The account has no such project.
            ApiError: The service refused the request.

        Example:
            >>> status = await client.projects.get_status(project.id)
            >>> status.status, status.finished
            ('completed', True)
        """
        return await self._engine.run(past_projects.project_status(project_id))

    async def get_result(self, project_id: str, kind: ResultKind | None = None) -> ProjectResult:
        """Get the results of a project, even if another process started it. Needs no socket.

        Use it to fetch results after a script has stopped waiting. While the project runs, only the jobs that have
        ended have results.

        Args:
            project_id: ID of the project.
            kind: Type of the results, `"image"`, `"video"`, `"audio"` or `"model"`. Used only if neither the model nor
                the record of the project determines it.

        Returns:
            The jobs, each with the URL of its result or the reason why it has none.

        Raises:
            ValidationError: An argument is invalid.
            NotFoundError: The account has no such project.
            ApiError: The service refused the request.

        Example:
            >>> result = await client.projects.get_result(project.id)
            >>> [(job.status, job.kind, job.url) for job in result.jobs]
            [('completed', 'image', 'http...')]
        """
        return ProjectResult(self._engine, await self._engine.run(past_projects.project_result(project_id, kind)))

    async def list_elsewhere(self) -> list[ProjectRecord]:
        """List the unfinished projects of the account that clients with other app IDs started. Needs no socket.

        Use it to find projects of other processes. `attach` follows such a project, `cancel` cancels it.

        Returns:
            The records of the projects. Chats are not among them.

        Raises:
            RateLimitError: The service allows 20 such requests in 10 seconds.
            ApiError: The service refused the request.

        Example:
            >>> [record.id for record in await client.projects.list_elsewhere()]
            []
        """
        return await self._engine.run(lookups.projects_elsewhere())

    async def resolve_missing(
        self, ids: Iterable[str], *, attempts: int = 4, delay: float = 2.5
    ) -> dict[str, MissingProject]:
        """Determine the outcome of projects that this client does not follow. Needs no socket.

        A project is reported as lost only if every source of the service could be read and none of the sources lists
        it. Its record may appear a few seconds after its end, so a project without one is looked up several times.

        Args:
            ids: IDs of the projects.
            attempts: Number of requests for the record of a project, 1 to 100. Default 4.
            delay: Seconds between two attempts, 0 to 3600. Default 2.5.

        Returns:
            The outcome of each project, by ID.

        Raises:
            ValidationError: An argument is invalid.

        Example:
            >>> found = await client.projects.resolve_missing([project.id])
            >>> found[project.id].state
            'finished'
        """
        return await self._engine.run(lookups.missing_projects(ids, attempts=attempts, delay=delay))

    async def list_recent(
        self, since: datetime | None = None, limit: int = 50, app_source: str | None = None
    ) -> list[RecentProject]:
        """List the projects of the account that have completed results, newest first. Needs no socket.

        Pass their IDs to `get_result` to fetch the results.

        Args:
            since: List the results completed since this time. A time without a time zone is local. Default: the last
                24 hours. The service goes back seven days, and an earlier time counts as seven days ago.
            limit: Number of results (not projects) to list, 1 to 100. Default 50.
            app_source: List only projects of this application. Default: all.

        Returns:
            The projects, each with its listed jobs.

        Raises:
            ValidationError: An argument is invalid.
            ApiError: The service refused the request.

        Example:
            >>> recent = await client.projects.list_recent(limit=20)
            >>> project.id in [it.id for it in recent]
            True
        """
        return await self._engine.run(past_projects.recent_projects(since, limit, app_source))

    async def cancel(self, project_id: str) -> None:
        """Cancel a project and wait for the confirmation. Does nothing if the project is finished.

        Args:
            project_id: ID of the project.

        Raises:
            NotFoundError: The account has no such project. It is a `ConflictError`, too.
            ConflictError: The service declined. The project continues.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> await client.projects.cancel(project.id)
        """
        await self._engine.run(cancel.cancel_project(project_id))

    async def attach(self, project: Project | str) -> Project:
        """Track a project again, for example an unpickled one, or one that another process started.

        A project that another app ID started is polled, at intervals that grow from half a second to ten seconds. If
        another open client follows the project, it continues to do so.

        Args:
            project: A project or its ID.

        Returns:
            The project, tracked by this client.

        Raises:
            NotFoundError: The service does not know the project.

        Example:
            >>> (await client.projects.attach(project.id)).status
            'completed'
        """
        project_id, given = to_attach(self._engine, project)
        state = await self._engine.run(recovery.attach(project_id, given))
        if not isinstance(project, str) and given is project._state:
            project._attached(self._engine, state)
        return self._project(state)

    async def sync(self) -> ProjectsSync[Project]:
        """Compare the projects of this client with those that the service has for its app ID.

        The client does this automatically after connecting. Call it to find the projects that an earlier process with
        the same app ID left behind: the unfinished ones are followed from now on, and the service keeps finished ones
        for an hour. Both are `Project.recovered`. Listeners of `active_projects_recovered`,
        `completed_projects_recovered` and `projects_synced` are notified of every comparison.

        Returns:
            The result of the comparison. Projects that were recovered before are not repeated.

        Raises:
            ValidationError: The client has neither a socket nor an app ID.
            ApiError: The service refused the request.

        Example:
            >>> found = await client.projects.sync()
            >>> [project.id for project in found.recovered_completed]
            []
        """
        found: ProjectsSync[Project] = self._engine.present(await self._engine.run(recovery.sync_projects()))
        return found

    async def map(
        self, requests: Iterable[Request], *, concurrency: int = 8, max_cost: Decimal | float | str | None = None
    ) -> AsyncIterator[tuple[Request, Project]]:
        """Create one project per request and yield each as it finishes, failed or not.

        If a request is refused or the limit is reached, the projects that are still running are yielded before the
        error is raised.

        Args:
            requests: Params objects, or mappings of their fields. A mapping may contain the `idempotency_key` of its
                project, see `create`.
            concurrency: Projects that run at the same time, at least 1. Default 8.
            max_cost: Limit for all projects together, in the token that pays. Default: no limit.

        Yields:
            The request and its project.

        Raises:
            ValidationError: An argument or a request is invalid.
            CostLimitError: The estimates exceed `max_cost`, or no estimate is available.

        Example:
            >>> request = {"type": "image", "model_id": "krea2_turbo_fp8_scaled", "positive_prompt": "a lighthouse"}
            >>> [done.status async for _, done in client.projects.map([request])]
            ['completed']
        """
        plan = create.RequestQueue(requests, concurrency, max_cost)
        # Requests with the same idempotency key have the same project.
        running: dict[Project, list[Request]] = {}
        while True:
            while len(running) < plan.concurrency and plan.more():
                request, flow = plan.take()
                try:
                    state = await self._engine.run(flow)
                except Exception as error:
                    plan.failed(error)
                else:
                    running.setdefault(self._project(state), []).append(request)
            if not running:
                plan.finish()
                return
            done, _ = await wait(running, return_when="FIRST_COMPLETED")
            project = done.pop()
            for request in running.pop(project):
                yield request, project

    @property
    def tracked_projects(self) -> list[Project]:
        """The unfinished projects and those finished within the last 30 seconds."""
        return [self._project(state) for state in self._engine.state.projects.tracked()]

    # -- models ----------------------------------------------------------------

    @property
    def available_models(self) -> list[AvailableModel]:
        """Models that the network has announced, each with its `worker_count`; empty until the socket has connected."""
        return list(self._engine.state.catalogue.available)

    async def wait_for_models(self, timeout: float | None = 10) -> list[AvailableModel]:
        """Wait until the available models are known. Connects if necessary.

        Args:
            timeout: Seconds to wait; None for no limit. Default 10.

        Returns:
            The announced models. Those without workers have a `worker_count` of 0.

        Raises:
            SogniTimeoutError: The models were not announced in time.

        Example:
            >>> "krea2_turbo_fp8_scaled" in [model.id for model in await client.projects.wait_for_models()]
            True
        """
        return await self._engine.run(catalogue.wait_for_models(timeout))

    async def get_available_models(self, network: Network) -> list[AvailableModel]:
        """Get the models of a network and the number of workers that serve each now. Needs no socket.

        Args:
            network: `"fast"` or `"relaxed"`.

        Returns:
            The models. Those without workers have a `worker_count` of 0.

        Raises:
            ValidationError: The network is unknown.
            ApiError: The service refused the request.

        Example:
            >>> any(model.worker_count > 0 for model in await client.projects.get_available_models("fast"))
            True
        """
        return await self._engine.run(catalogue.available_models(network))

    async def get_supported_models(self, force_refresh: bool = False) -> list[SupportedModel]:
        """Get all models of the service, with or without workers.

        Args:
            force_refresh: Fetch the list even if the cached one is less than 24 hours old. Default False.

        Returns:
            The models.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> {model.media for model in await client.projects.get_supported_models()} >= {"image", "video", "audio"}
            True
        """
        return await self._engine.run(catalogue.supported_models(force_refresh))

    async def get_model_options(self, model_id: str) -> ModelOptions:
        """Get the options of a model: ranges and defaults of numbers, samplers and schedulers.

        Args:
            model_id: ID of the model.

        Returns:
            The options.

        Raises:
            ValidationError: The model is unknown.
            ApiError: The service refused the request.

        Example:
            >>> options = await client.projects.get_model_options("krea2_turbo_fp8_scaled")
            >>> options.steps.min <= options.steps.default <= options.steps.max
            True
        """
        return await self._engine.run(catalogue.model_options(model_id))

    async def get_size_presets(self, network: Network, model_id: str, force_refresh: bool = False) -> list[SizePreset]:
        """Get the named sizes of a model on a network.

        Args:
            network: `"fast"` or `"relaxed"`.
            model_id: ID of the model.
            force_refresh: Fetch the list even if the cached one is less than 10 minutes old. Default False.

        Returns:
            The presets, for `size_preset`.

        Raises:
            ValidationError: The network is unknown.
            ApiError: The service refused the request.

        Example:
            >>> presets = await client.projects.get_size_presets("fast", "krea2_turbo_fp8_scaled")
            >>> presets[0].width > 0
            True
        """
        return await self._engine.run(catalogue.size_presets(network, model_id, force_refresh))

    def get_video_asset_config(self, model_id: str) -> VideoAssetConfig:
        """Get the workflow of a video model and the media it takes.

        Args:
            model_id: ID of the model.

        Returns:
            Which media are required, optional or forbidden.

        Raises:
            ValidationError: This is not a video model.

        Example:
            >>> client.projects.get_video_asset_config("wan_v2.2-14b-fp8_s2v").assets.reference_audio
            'required'
        """
        return asset_config(model_id)

    def is_video_model_id(self, model_id: str) -> bool:
        """Check whether an ID belongs to a video model. Sends nothing.

        Args:
            model_id: ID of the model.

        Returns:
            The answer, from the list of models, or from the ID alone if the list has not been fetched.

        Example:
            >>> client.projects.is_video_model_id("ltx2-19b-fp8_i2v")
            True
        """
        listed = self._engine.state.catalogue.kinds.get(model_id)
        return listed == "video" if listed is not None else is_video_id(model_id)

    def is_audio_model_id(self, model_id: str) -> bool:
        """Check whether an ID belongs to an audio model. Sends nothing.

        Args:
            model_id: ID of the model.

        Returns:
            The answer, from the list of models, or from the ID alone if the list has not been fetched.

        Example:
            >>> client.projects.is_audio_model_id("ace_step_1.5_turbo")
            True
        """
        listed = self._engine.state.catalogue.kinds.get(model_id)
        return listed == "audio" if listed is not None else is_audio_id(model_id)

    # -- LoRAs -----------------------------------------------------------------

    @property
    def assets(self) -> SavedUploads:
        """Uploaded files that the service keeps for reuse."""
        return self._assets

    @property
    def personal_loras(self) -> PersonalLoras:
        """LoRAs that the account has imported."""
        return self._personal_loras

    async def available_loras(
        self, model_id: str | None = None, *, include_personal: bool = False, force_refresh: bool = False
    ) -> LoraCatalog:
        """Get the LoRAs that projects can use. Needs no account, unless `include_personal`.

        Args:
            model_id: Return only the LoRAs for this model. There are none for an unknown model. Default: all.
            include_personal: Include the personal LoRAs of the account, which are fetched on every call. Default False.
            force_refresh: Fetch the catalog even if the cached one is less than 5 minutes old. Default False.

        Returns:
            The LoRAs, the models that support LoRAs, and the limits per project.

        Raises:
            ValidationError: An argument is invalid.
            PermissionDeniedError: The account has no plan, which `include_personal` needs.
            ApiError: The service refused the request.

        Example:
            >>> catalog = await client.projects.available_loras("krea2_turbo_fp8_scaled")
            >>> [(lora.lora_id, lora.ui.min, lora.ui.max, lora.ui.default) for lora in catalog][0]
            ('krea2-ink-wash', 0, 1.5, 0.8)
        """
        return await self._engine.run(loras.available_loras(model_id, include_personal, force_refresh))

    async def get_lora(self, id: str) -> Lora | None:
        """Get a LoRA by its ID. IDs that start with `"personal-"` are those of personal LoRAs.

        Args:
            id: ID of the LoRA, `Lora.lora_id`.

        Returns:
            The LoRA, or None if there is no such LoRA.

        Raises:
            ValidationError: An argument is invalid.
            ApiError: The service refused the request.

        Example:
            >>> (await client.projects.get_lora("krea2-ink-wash")).name
            'Ink Wash'
        """
        return await self._engine.run(loras.find_lora(id))

    async def supports_loras(self, model_id: str) -> bool:
        """Check whether there are LoRAs for a model.

        Args:
            model_id: ID of the model.

        Returns:
            True if the catalog names the model.

        Raises:
            ValidationError: An argument is invalid.
            ApiError: The service refused the request.

        Example:
            >>> await client.projects.supports_loras("krea2_turbo_fp8_scaled")
            True
        """
        return await self._engine.run(loras.supports_loras(model_id))

    async def lora_constraints(self) -> LoraConstraints:
        """Get the limits for LoRAs in a project.

        Returns:
            The maximum number of LoRAs, and the range of strengths. The range of a single LoRA (`Lora.ui`) is narrower.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> (await client.projects.lora_constraints()).max_per_request
            8
        """
        return await self._engine.run(loras.lora_constraints())

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
        """Estimate what a project would cost. No files are uploaded.

        Args:
            params: As in `create`.
            **fields: As in `create`.

        Returns:
            The estimate. An amount is None if the service gave none.

        Raises:
            ValidationError: An argument is invalid.
            TypeError: A keyword argument is unknown.
            ApiError: The service refused the request.

        Example:
            >>> estimate = await client.projects.estimate(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
            >>> estimate.usd > 0
            True
        """
        return await self._engine.run(create.estimate_project(params, fields))

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
        width: int | None = None,
        height: int | None = None,
        size_preset: str | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        context_images: int | None = None,
        gpt_image_quality: str | None = None,
        output_format: str | None = None,
        billing_mode: BillingMode | None = None,
    ) -> CostEstimation:
        """Estimate what images would cost. `estimate` takes the parameters of a project instead.

        Args:
            model: ID of the model.
            image_count: Number of images, at least 1. Default 1.
            step_count: Number of inference steps. Default: that of the model.
            preview_count: Number of previews. Default 0.
            token_type: Token to estimate in, `"sogni"` or `"spark"`. Default: the token that `create` would use.
            network: `"fast"` (default) or `"relaxed"`.
            cn_enabled: Whether a control net is used. Default False.
            starting_image_strength: Strength of the starting image, 0 to 1. Default: no starting image.
            width: Width in pixels. Used only with `height`. Default: that of the model.
            height: Height in pixels. Used only with `width`. Default: that of the model.
            size_preset: ID of a size preset; takes precedence over `width` and `height`.
            guidance: Guidance scale. Used only with `sampler` or `context_images`.
            sampler: Name of the sampler.
            context_images: Number of context images.
            gpt_image_quality: Quality, for models that have one.
            output_format: Format of the images. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.

        Returns:
            The estimate. An amount is None if the service gave none.

        Raises:
            ValidationError: An argument is invalid, or there is no such model, sampler or size preset.
            ApiError: The service refused the request.

        Example:
            >>> one = await client.projects.estimate_cost("krea2_turbo_fp8_scaled")
            >>> four = await client.projects.estimate_cost("krea2_turbo_fp8_scaled", image_count=4)
            >>> four.usd > one.usd
            True
        """
        flow = create.estimate_image(
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
        width: int | None = None,
        height: int | None = None,
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
        """Estimate what videos would cost. `estimate` takes the parameters of a project instead.

        Args:
            model: ID of the model.
            width: Width in pixels. Default: that of the model.
            height: Height in pixels. Default: that of the model.
            fps: Frames per second. Default: that of the model.
            duration: Duration in seconds. Default: that of the model.
            frames: Number of frames; takes precedence over `duration`.
            steps: Number of inference steps. Default: that of the model.
            number_of_media: Number of videos, at least 1. Default 1.
            token_type: Token to estimate in, `"sogni"` or `"spark"`. Default: the token that `create` would use.
            network: `"fast"` or `"relaxed"`. Default: that of the connection.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            has_video_input: Whether there is an input video. Default: True with `reference_video` or
                `reference_video_urls`.
            reference_video: The input video. It is not read or sent.
            reference_video_urls: URLs of the input videos. They are not fetched or sent.
            reference_image_count: Number of reference images.
            reference_video_count: Number of reference videos.
            reference_video_duration_seconds: Duration of all reference videos together, in seconds.
            source_width: Width of the source in pixels. Used only with `source_height`.
            source_height: Height of the source in pixels. Used only with `source_width`.
            keyframe_count: Number of keyframes.

        Returns:
            The estimate. An amount is None if the service gave none.

        Raises:
            ValidationError: An argument is invalid, or it is missing and the model has no default for it.
            ApiError: The service refused the request.

        Example:
            >>> (await client.projects.estimate_video_cost("ltx2-19b-fp8_t2v", duration=5)).usd > 0
            True
        """
        flow = create.estimate_video(
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
        """Estimate what music or speech would cost. `estimate` takes the parameters of a project instead.

        Args:
            model: ID of the model.
            duration: Duration in seconds. Default: that of the model.
            steps: Number of inference steps. Default: that of the model.
            number_of_media: Number of results, at least 1. Default 1.
            token_type: Token to estimate in, `"sogni"` or `"spark"`. Default: the token that `create` would use.
            network: `"fast"` or `"relaxed"`. Default: that of the connection.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.

        Returns:
            The estimate. An amount is None if the service gave none.

        Raises:
            ValidationError: An argument is invalid, or it is missing and the model has no default for it.
            ApiError: The service refused the request.

        Example:
            >>> (await client.projects.estimate_audio_cost("ace_step_1.5_turbo", duration=30)).usd > 0
            True
        """
        flow = create.estimate_audio(
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
        self,
        strength: EnhancementStrength,
        token_type: TokenType = "spark",
        *,
        width: int | None = None,
        height: int | None = None,
    ) -> CostEstimation:
        """Estimate what `Job.enhance` would cost.

        Args:
            strength: `"light"`, `"medium"` or `"heavy"`.
            token_type: Token to estimate in, `"sogni"` or `"spark"`. Default `"spark"`.
            width: Width of the image in pixels, together with `height`. Default: that of the model.
            height: Height of the image in pixels, together with `width`. Default: that of the model.

        Returns:
            The estimate.

        Raises:
            ValidationError: An argument is invalid.
            ApiError: The service refused the request.

        Example:
            >>> (await client.projects.estimate_enhancement_cost("light")).usd > 0
            True
        """
        return await self._engine.run(create.estimate_enhancement(strength, token_type, width=width, height=height))

    # -- signed URLs -----------------------------------------------------------

    async def upload_url(self, *, image_id: str, job_id: str, type: str, content_type: str | None = None) -> str:
        """Get a signed URL for uploading an image with PUT. `create` uploads media itself.

        Args:
            image_id: ID of the image, chosen by the caller; usually a new upper-case UUID.
            job_id: ID of the project.
            type: Role of the image, for example `"startingImage"`, `"cnImage"`, `"contextImage1"` or
                `"referenceImage"`.
            content_type: MIME type of the image. Default: none.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> image_id, project_id = "3B6E1F0C-7C1B-4A53-9B5E-2D6B8C0E4A17", "4F1C7F52-6E1D-4E0B-8B0B-7A3E5F6A7B8C"
            >>> await client.projects.upload_url(image_id=image_id, job_id=project_id, type="startingImage")
            'http...'
        """
        return await self._sign(
            "image", "uploadUrl", image_id=image_id, job_id=job_id, type=type, content_type=content_type
        )

    async def download_url(self, *, image_id: str, job_id: str, type: str, content_type: str | None = None) -> str:
        """Get a signed URL of an image. For results, use `Job.get_result_url`.

        Args:
            image_id: ID of the image; that of a result is the ID of its job.
            job_id: ID of the project.
            type: `"complete"` for a result or `"preview"`, or the role that the image was uploaded with.
            content_type: MIME type of the image. Default: PNG.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            NotFoundError: The image does not exist.
            ApiError: The service refused the request.

        Example:
            >>> await client.projects.download_url(image_id=job.id, job_id=project.id, type="complete")
            'http...'
        """
        return await self._sign(
            "image", "downloadUrl", image_id=image_id, job_id=job_id, type=type, content_type=content_type
        )

    async def media_upload_url(
        self, *, job_id: str, type: str, id: str | None = None, content_type: str | None = None
    ) -> str:
        """Get a signed URL for uploading audio or video with PUT. `create` uploads media itself.

        Args:
            job_id: ID of the project.
            type: Role of the file: `"referenceAudio"` or `"referenceVideo"`.
            id: ID of the file. Default: none.
            content_type: MIME type of the file. Default: none.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            ApiError: The service refused the request.

        Example:
            >>> project_id = "4F1C7F52-6E1D-4E0B-8B0B-7A3E5F6A7B8C"
            >>> await client.projects.media_upload_url(job_id=project_id, type="referenceAudio")
            'http...'
        """
        return await self._sign("media", "uploadUrl", id=id, job_id=job_id, type=type, content_type=content_type)

    async def media_download_url(
        self, *, job_id: str, type: str, id: str | None = None, content_type: str | None = None
    ) -> str:
        """Get a signed URL of audio or video. For results, use `Job.get_result_url`.

        Args:
            job_id: ID of the project.
            type: `"complete"` for a result or `"preview"`, or the role that the file was uploaded with.
            id: ID of the file; that of a result is the ID of its job.
            content_type: MIME type of the file. Default: none.

        Returns:
            The URL, which is valid for a limited time.

        Raises:
            NotFoundError: The file does not exist.
            ApiError: The service refused the request.

        Example:
            >>> audio = await client.projects.create(
            ...     type="audio", model_id="ace_step_1.5_turbo", positive_prompt="calm piano", duration=10
            ... )
            >>> audio = await audio.wait(timeout=60)
            >>> await client.projects.media_download_url(job_id=audio.id, id=audio.jobs[0].id, type="complete")
            'http...'
        """
        return await self._sign("media", "downloadUrl", id=id, job_id=job_id, type=type, content_type=content_type)

    async def _sign(
        self, endpoint: Literal["image", "media"], direction: Literal["uploadUrl", "downloadUrl"], **fields: Any
    ) -> str:
        return await self._engine.run(transfers.request_signed_url(endpoint, direction, **fields))
