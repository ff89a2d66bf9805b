"""The models: a project and its results."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.core.files.storage import Storage, storages
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.functional import empty

from sogni.api.project import Project
from sogni.base import overloaded_with_fields
from sogni.contrib.django.bases import LazyObject, Manager, Model
from sogni.contrib.django.clients import get_client
from sogni.contrib.django.conf import configuration
from sogni.contrib.django.follower import follower, settle
from sogni.core.projects.create import create_once
from sogni.core.projects.kinds import checked_params
from sogni.core.projects.params import params_snapshot
from sogni.errors import NotFoundError, ServerError, SogniConnectionError, SogniTimeoutError
from sogni.models.params import AudioProjectParams, ImageProjectParams, ProjectParams, VideoProjectParams

UNFINISHED: tuple[str, ...] = ("pending", "queued", "processing")
STATUSES: tuple[tuple[str, str], ...] = (
    ("pending", "pending"),
    ("queued", "queued"),
    ("processing", "processing"),
    ("completed", "completed"),
    ("failed", "failed"),
    ("canceled", "canceled"),
)
ORPHANED_SECONDS: float = 30.0
"""Time without updates from the process of a project, after which another process follows it."""
LOST_SECONDS: float = 600.0
"""Time for which the service may not know a project, because its files are uploaded before its request is sent."""


class _ResultStorage(LazyObject):
    """The storage that `SOGNI["STORAGE"]` names, looked up on first use."""

    def _setup(self) -> None:
        self._wrapped: Any = storages[configuration().storage]


_storage = _ResultStorage()


def result_storage() -> Storage:
    """Return the storage of results; migrations refer to it."""
    return _storage


def renew_storage() -> None:
    """Look up the storage again."""
    _storage._wrapped = empty


def result_path(result: SogniResult, name: str) -> str:
    """Return the path of a result in its storage; migrations refer to it."""
    return "/".join(filter(None, (configuration().upload_to, str(result.project_id), name)))


class SogniProjectManager(Manager):
    """`SogniProject.objects`."""

    @overloaded_with_fields(ImageProjectParams, VideoProjectParams, AudioProjectParams)
    def start(
        self,
        params: ProjectParams | None = None,
        /,
        *,
        max_cost: Decimal | float | str | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> SogniProject:
        """Create a project, store it, and keep it up to date until it is finished and its results are stored.

        Returns as soon as the request has been sent. Within a transaction, the project is followed once that is
        committed; if it is rolled back, the project is paid for but not stored.

        Args:
            params: As in `client.projects.create`. Alternatively, its fields are given as keyword arguments.
            max_cost: Refuse to send if the estimate exceeds this amount, in the token that pays. Default:
                `SOGNI["MAX_COST"]`.
            idempotency_key: A key that you choose for this project, 1 to 255 characters. If a project with this key
                exists, it is returned and nothing is sent.
            **fields: The fields of the params class that belongs to `type`.

        Returns:
            The stored project.

        Raises:
            ValidationError: An argument is invalid. Nothing has been stored or sent.
            TypeError: A keyword argument is unknown. The message suggests the closest name.
            CostLimitError: The estimate exceeds `max_cost`, or no estimate is available.
            ApiError: The service refused the request.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time. `manage.py sogni_sync` determines the state of the
                project.

        Example:
            >>> project = SogniProject.objects.start(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
            >>> project.status
            'pending'
        """
        checked = checked_params(params, fields)
        if idempotency_key is not None and (earlier := self.filter(idempotency_key=idempotency_key).first()):
            return earlier
        row: SogniProject = self.model(
            idempotency_key=idempotency_key,
            type=checked.params.type,
            model_id=checked.params.model_id,
            prompt=getattr(checked.params, "positive_prompt", None) or "",
            # As JSON at once: a value that cannot be stored is refused before anything is sent.
            params=json.loads(json.dumps(params_snapshot(checked.params), default=str)),
        )

        def store(project_id: str) -> None:
            row.project_id = project_id
            with transaction.atomic(using=self.db):
                row.save(using=self.db, force_insert=True)

        client = get_client()
        limit = configuration().max_cost if max_cost is None else max_cost
        try:
            project: Project = client.projects._project(
                client._engine.run(create_once(idempotency_key, checked, {}, limit, store))
            )
        except IntegrityError:
            # Another process stored a project with this key meanwhile.
            if idempotency_key is None:
                raise
            return self.get(idempotency_key=idempotency_key)
        except (SogniConnectionError, SogniTimeoutError, ServerError):
            # The service may have received it.
            raise
        except Exception:
            if row.project_id is not None:
                row.delete(using=self.db)
            raise
        if row.project_id is None:
            # The service knows the key, but this database does not.
            earlier = self.filter(project_id=project.id).first()
            if earlier is not None:
                return earlier
            store(project.id)
        transaction.on_commit(partial(follower.follow, row.pk, project, self.db), using=self.db)
        return row

    async def astart(self, *args: Any, **fields: Any) -> SogniProject:
        """Like `start`, for async code.

        Args:
            *args: As in `start`.
            **fields: As in `start`.

        Returns:
            The stored project.

        Example:
            >>> project = await SogniProject.objects.astart(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
        """
        started: SogniProject = await sync_to_async(self.start)(*args, **fields)
        return started

    def unfinished(self) -> models.QuerySet:
        """Return the projects that are not finished, oldest first.

        Returns:
            A query set.

        Example:
            >>> SogniProject.objects.unfinished().count()
            0
        """
        return self.filter(status__in=UNFINISHED).order_by("created_at")

    def sync(self, *, lost_after: float = LOST_SECONDS) -> list[SogniProject]:
        """Update the unfinished projects, and follow those that are still running.

        Use it after a restart. Projects that another process follows are not affected.

        Args:
            lost_after: Mark projects that the service does not know as failed if they were created at least this many
                seconds ago. Default 600.

        Returns:
            The projects that were unfinished, oldest first, in their current state.

        Raises:
            ApiError: The service refused a request.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> [(project.pk, project.status) for project in SogniProject.objects.sync()]
            []
        """
        found: list[SogniProject] = list(self.unfinished())
        for row in found:
            row.resume(lost_after=lost_after)
            row.refresh_from_db(using=self.db)
        return found


class SogniProject(Model):
    """A project. The process that started it keeps it up to date.

    `status` is that of `Project.status`, and `completed` once the results are stored.

    Attributes:
        id: Primary key, a random UUID.
        project_id: ID of the project at the service.
        idempotency_key: The key given to `start`; None by default.
        type: `image`, `video` or `audio`.
        model_id: ID of the model.
        prompt: The prompt; empty if there is none.
        params: All parameters, without files, with the keys of the wire format.
        status: `pending`, `queued`, `processing`, `completed`, `failed` or `canceled`.
        progress: Progress in percent, 0 to 100.
        queue_position: Position in the queue; None if unknown.
        cost: Cost of the project, in `token_type`; None until it is known.
        token_type: Token that pays; empty if unknown.
        error: Why the project failed; empty if it did not.
        error_code: Code of the error; empty if there is none.
        failed_jobs: Number of jobs without a result.
        created_at: When the project was created.
        followed_at: When a process last confirmed the state.
        finished_at: When the project ended; None until then.
    """

    id: uuid.UUID = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project_id: str | None = models.CharField(max_length=100, unique=True, null=True, editable=False)
    idempotency_key: str | None = models.CharField(max_length=255, unique=True, null=True, editable=False)
    type: str = models.CharField(max_length=20)
    model_id: str = models.CharField(max_length=200)
    prompt: str = models.TextField(blank=True)
    params: dict[str, Any] = models.JSONField(default=dict)
    status: str = models.CharField(max_length=20, choices=STATUSES, default="pending", db_index=True)
    progress: int = models.PositiveSmallIntegerField(default=0)
    queue_position: int | None = models.IntegerField(null=True)
    cost: Decimal | None = models.DecimalField(max_digits=30, decimal_places=12, null=True)
    token_type: str = models.CharField(max_length=20, blank=True)
    error: str = models.TextField(blank=True)
    error_code: str = models.CharField(max_length=100, blank=True)
    failed_jobs: int = models.PositiveSmallIntegerField(default=0)
    created_at: datetime = models.DateTimeField(default=timezone.now, editable=False)
    followed_at: datetime = models.DateTimeField(default=timezone.now, editable=False)
    finished_at: datetime | None = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[SogniProjectManager] = SogniProjectManager()
    results: Any
    """The stored results, a related manager of `SogniResult`."""

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]

    @property
    def finished(self) -> bool:
        """True once the status is final: the results are stored, or there are none."""
        return self.status not in UNFINISHED

    def cancel(self) -> None:
        """Cancel the project, and wait for the confirmation. The row follows a moment later.

        Raises:
            ConflictError: The service declined.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> project.cancel()
        """
        if self.project_id is not None and not self.finished:
            get_client().projects.cancel(self.project_id)

    def resume(self, *, lost_after: float = LOST_SECONDS) -> None:
        """Update an unfinished project: store its results, or follow it if it is still running.

        Args:
            lost_after: Mark a project that the service does not know as failed if it was created at least this many
                seconds ago. Default 600.

        Raises:
            ApiError: The service refused a request.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> project.resume()
        """
        self._resume(lost_after, at_once=True)

    def _resume(self, lost_after: float, *, at_once: bool) -> None:
        """Resume the project, and store the results of a finished one `at_once` or in the background."""
        using = self._state.db or "default"
        if self.finished or self.project_id is None or follower.follows(self.pk):
            return
        try:
            project = get_client().projects.attach(self.project_id)
        except NotFoundError:
            if timezone.now() - self.created_at >= timedelta(seconds=lost_after):
                settle(self.pk, None, using)
            return
        if project.finished and at_once:
            settle(self.pk, project, using)
        else:
            follower.follow(self.pk, project, using)

    def resume_if_orphaned(self) -> None:
        """Follow the project if the process that did so has ended.

        Raises:
            ApiError: The service refused a request.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> project.resume_if_orphaned()
        """
        now = timezone.now()
        if self.finished or now - self.followed_at < timedelta(seconds=ORPHANED_SECONDS):
            return
        rows = SogniProject.objects.using(self._state.db).filter(pk=self.pk, followed_at=self.followed_at)
        # One of several processes succeeds.
        if rows.update(followed_at=now):
            self._resume(LOST_SECONDS, at_once=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-ready data, as the progress view sends it.

        Returns:
            The state, and the URLs of the stored results.

        Example:
            >>> project.to_dict()["status"]
            'completed'
        """
        results: Iterable[SogniResult] = self.results.all()
        return {
            "id": str(self.pk),
            "status": self.status,
            "progress": self.progress,
            "queue_position": self.queue_position,
            "cost": None if self.cost is None else str(self.cost.normalize()),
            "token_type": self.token_type or None,
            "error": self.error or None,
            "failed_jobs": self.failed_jobs,
            "results": [{"kind": it.kind, "url": it.file.url, "seed": it.seed} for it in results],
        }

    def __str__(self) -> str:
        return f"{self.type} {self.pk}: {self.status}"


class SogniResult(Model):
    """A stored result of a project.

    Attributes:
        project: The project.
        job_id: ID of the job at the service.
        index: Position among the results, from 0.
        kind: `image`, `video`, `audio` or `model`.
        seed: Seed of the result; None if unknown.
        file: The file, in the storage that `SOGNI["STORAGE"]` names.
    """

    project: SogniProject = models.ForeignKey(SogniProject, on_delete=models.CASCADE, related_name="results")
    project_id: uuid.UUID
    job_id: str = models.CharField(max_length=100)
    index: int = models.PositiveSmallIntegerField()
    kind: str = models.CharField(max_length=20)
    seed: int | None = models.BigIntegerField(null=True)
    file: Any = models.FileField(upload_to=result_path, storage=result_storage, max_length=255)

    class Meta:
        ordering: ClassVar[list[str]] = ["index"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "job_id"], name="sogni_result_job")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.index} of {self.project_id}"
