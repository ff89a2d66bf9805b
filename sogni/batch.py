"""Batches of projects from requests to saved files, resumable across runs.

Every project is recorded in a journal with an idempotency key before it is sent, so the next run neither loses it nor
pays for it again. A batch never cancels projects: the next run collects what this one leaves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from sogni.api.projects import wait
from sogni.core.flow import Flow, new_id
from sogni.core.projects.batch_requests import BatchRequest, LineFinding, refuse_lines
from sogni.core.projects.create import Budget, check_media, create_once
from sogni.core.projects.file_names import DEFAULT
from sogni.errors import (
    InsufficientBalanceError,
    NotFoundError,
    ProjectError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.keywords import suggest_keywords
from sogni.local.batch_journal import BatchJournal
from sogni.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.api.project import Project
    from sogni.client import SogniClient
    from sogni.core.projects.project import ProjectState

_OF_ONE_REQUEST = (ValidationError, NotFoundError)
"""Errors that concern a single request; the batch continues with the others."""


@suggest_keywords
@frozen(kw_only=True)
class BatchItem:
    """Outcome of one request.

    Args:
        line: Line number of the request, starting at 1.
        fields: Fields of the project.
        project_id: Id of the project; None if it was not created.
        files: Paths of the saved results.
        error: Why results are missing; None if all of them were saved.
        earlier: True if an earlier run completed the request.
    """

    line: int
    fields: Mapping[str, Any]
    project_id: str | None = None
    files: list[Path] = field(factory=list)
    error: SogniError | None = None
    earlier: bool = False


@suggest_keywords
class Batch:
    """The requests of one file and their running projects.

    Args:
        client: Client that creates the projects.
        requests: The requests, in order.
        journal: Journal of the batch, opened.
        directory: Directory for the results.
        name: Pattern of the file names, see `Project.save`.
        overwrite: Replace existing files. Default False.
        concurrency: Maximum number of projects that run at once. Default 8.
        max_cost: Maximum cost of this run, in the token that pays. Default: no limit.
    """

    def __init__(
        self,
        client: SogniClient,
        requests: Sequence[BatchRequest],
        journal: BatchJournal,
        *,
        directory: Path,
        name: str = DEFAULT,
        overwrite: bool = False,
        concurrency: int = 8,
        max_cost: Any = None,
    ) -> None:
        self.total: int = len(requests)
        self.running: dict[Project, BatchRequest] = {}
        self.unsaved: list[str] = []
        """Ids of finished projects whose results could not be saved."""
        self._client = client
        self._journal = journal
        self._requests = requests
        self._directory, self._name, self._overwrite = directory, name, overwrite
        self._concurrency = concurrency
        self._budget = Budget(max_cost)
        self._waiting: deque[BatchRequest] = deque()
        self._sent: set[str] = set()
        self._remaining = self.total
        self._stopped: SogniError | None = None

    @property
    def uncollected(self) -> set[str]:
        """Ids of the projects that would continue if the batch ended now, including one that is being sent.

        Other projects that the client tracks, such as those of other commands, are not included.
        """
        tracked = self._client.projects.tracked_projects
        return {it.id for it in self.running} | {it.id for it in tracked if it.id in self._sent and not it.finished}

    def run(self, timeout: float | None = None) -> Iterator[BatchItem]:
        """Run the batch and yield the outcome of each request as soon as it is known.

        The error of a single request is the `error` of its item.

        Args:
            timeout: Time limit in seconds. Default: no limit.

        Yields:
            The outcomes.

        Raises:
            ValidationError: Media of a request are unusable. Nothing has been sent.
            SogniTimeoutError: The time limit was exceeded. Running projects continue.
            SogniError: No more projects can be created (balance, `max_cost`, connection). Raised once the running
                projects have finished.
            OSError: Results or the journal cannot be written.
        """
        for item in self._items(Deadline(timeout), timeout):
            self._remaining -= 1
            yield item
        if self._stopped is not None and self._remaining:
            self._stopped.add_note(f"{self._remaining} of {self.total} requests were not started")
            raise self._stopped

    def _items(self, deadline: Deadline, timeout: float | None) -> Iterator[BatchItem]:
        yield from self._completed_earlier()
        while True:
            while self._waiting and not self._stopped and len(self.running) < self._concurrency:
                rejected = self._start(self._waiting.popleft())
                if rejected is not None:
                    yield rejected
            if not self.running:
                return
            done, _ = wait(self.running, deadline.left(), "FIRST_COMPLETED")
            if not done:
                message = f"{self._remaining} of {self.total} requests did not finish within {timeout:g} seconds"
                raise SogniTimeoutError(message, phase="total", timeout=timeout)
            for project in sorted(done, key=lambda it: self.running[it].line):
                yield self._settled(project)

    def _completed_earlier(self) -> list[BatchItem]:
        """Return what earlier runs completed and queue the rest, starting with projects that were already sent."""
        items: list[BatchItem] = []
        sent: list[BatchRequest] = []
        new: list[BatchRequest] = []
        for request in self._requests:
            entry = self._journal[request.key]
            if entry.files and all(path.exists() for path in entry.files):
                items.append(_item(request, project_id=entry.project, files=list(entry.files), earlier=True))
            else:
                (sent if entry.project else new).append(request)
        self._check_files(new)
        self._waiting.extend((*sent, *new))
        return items

    def _check_files(self, requests: Sequence[BatchRequest]) -> None:
        findings: list[LineFinding] = []
        for request in requests:
            try:
                self._client._engine.run(check_media(request.params))
            except ValidationError as error:
                findings.append(LineFinding(line=request.line, message=str(error)))
        refuse_lines(findings)

    def _start(self, request: BatchRequest) -> BatchItem | None:
        """Resume or start a request; return its item if it is rejected."""
        try:
            project = self._project_of_earlier_run(request)
            if project is None:
                project = self._client._engine.present(self._client._engine.run(self._create(request)))
        except _OF_ONE_REQUEST as error:
            return _item(request, error=error)
        except SogniError as error:
            self._stopped = error
            return None
        self.running[project] = request
        return None

    def _project_of_earlier_run(self, request: BatchRequest) -> Project | None:
        """Return the project of an earlier run, or None if the service does not know it or it failed."""
        known = self._journal[request.key].project
        if known is None:
            return None
        try:
            project = self._client.projects.attach(known)
        except NotFoundError:
            return None
        if project.status in ("failed", "canceled"):
            # Repeated with another idempotency key, unless the line names one: this one belongs to the failed project.
            self._journal.forget(request.key)
            return None
        return project

    def _create(self, request: BatchRequest) -> Flow[ProjectState]:
        yield from self._budget.spend(request.params)

        key = request.idempotency_key or self._journal[request.key].idempotency_key or (yield from new_id())

        def announce(project_id: str) -> None:
            self._journal.begins(request.key, project_id, key)
            self._sent.add(project_id)

        return (yield from create_once(key, request.params, {}, announce=announce))

    def _settled(self, project: Project) -> BatchItem:
        """Save the results of a finished project and return its item."""
        request = self.running.pop(project)
        files: list[Path] = []
        error: SogniError | None = None
        try:
            project.wait(strict=True)
        except ProjectError as failure:
            error = failure
        if project.status == "completed":
            try:
                files = project.save(self._directory, name=self._name, overwrite=self._overwrite)
            except SogniError as failure:
                self.unsaved.append(project.id)
                error = failure
            except OSError as failure:
                self.unsaved.append(project.id)
                failure.filename = failure.filename or str(self._directory)
                failure.add_note(
                    f"line {request.line}: project {project.id} has finished, but its results were not saved"
                )
                raise
            else:
                self._journal.saved(request.key, files)
        else:
            self._journal.forget(request.key)
        if isinstance(error, InsufficientBalanceError):
            self._stopped = error
        return _item(request, project_id=project.id, files=files, error=error)


def _item(request: BatchRequest, **what: Any) -> BatchItem:
    return BatchItem(line=request.line, fields=request.fields, **what)
