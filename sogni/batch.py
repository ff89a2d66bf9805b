"""Many requests from start to files: decides what is begun, gone on with and saved, also over several runs.

Called by `sogni batch`. What a run has begun stands in its journal: the next run neither forgets it nor pays for it
again. Nothing is canceled here; what is not collected in this run is collected in the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from sogni.api.projects import wait
from sogni.core.flow import Flow
from sogni.core.projects.batch_requests import BatchRequest, LineFinding, refuse_lines
from sogni.core.projects.create import Budget, check_media, create_project
from sogni.core.projects.file_names import DEFAULT
from sogni.errors import (
    InsufficientBalanceError,
    NotFoundError,
    ProjectError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.local.batch_journal import BatchJournal
from sogni.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.api.project import Project
    from sogni.client import SogniClient
    from sogni.core.projects.project import ProjectState

_OF_ONE_REQUEST = (ValidationError, NotFoundError)
"""What is wrong with a single request; the others may still be carried out."""


@frozen(kw_only=True)
class BatchItem:
    """What became of one request. `earlier`: the run before has done it. `error`: why there are not all results."""

    line: int
    fields: Mapping[str, Any]
    project_id: str | None = None
    files: list[Path] = field(factory=list)
    error: SogniError | None = None
    earlier: bool = False


class Batch:
    """The requests of one file, and those of their projects that run."""

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
        self.total = len(requests)
        self.running: dict[Project, BatchRequest] = {}
        self._client = client
        self._journal = journal
        self._requests = requests
        self._directory, self._name, self._overwrite = directory, name, overwrite
        self._concurrency = concurrency
        self._budget = Budget(max_cost)
        self._waiting: deque[BatchRequest] = deque()
        self._sent: set[str] = set()
        self._left = self.total
        self._stopped: SogniError | None = None

    @property
    def uncollected(self) -> set[str]:
        """The ids of projects that go on when it ends now: those that run, and one that is just being sent.

        The client may also track projects of other commands of this installation, which are none of these.
        """
        tracked = self._client.projects.tracked_projects
        return {it.id for it in self.running} | {it.id for it in tracked if it.id in self._sent and not it.finished}

    def run(self, timeout: float | None = None) -> Iterator[BatchItem]:
        """Carry the requests out, and yield what became of each as soon as it is known.

        What one request cannot have is the `error` of its item. Raises ValidationError for media that cannot be used,
        before anything is sent; SogniTimeoutError after `timeout` seconds; and, when nothing more can begin (no
        balance, `max_cost`, no connection), the error that says so, once the projects that run are over. OSError at
        once when results or the journal cannot be written.
        """
        for item in self._items(Deadline(timeout), timeout):
            self._left -= 1
            yield item
        if self._stopped is not None and self._left:
            self._stopped.add_note(f"{self._left} of {self.total} requests were not begun")
            raise self._stopped

    def _items(self, deadline: Deadline, timeout: float | None) -> Iterator[BatchItem]:
        yield from self._done_before()
        while True:
            while self._waiting and not self._stopped and len(self.running) < self._concurrency:
                refused = self._next(self._waiting.popleft())
                if refused is not None:
                    yield refused
            if not self.running:
                return
            done, _ = wait(self.running, deadline.left(), "FIRST_COMPLETED")
            if not done:
                words = f"{self._left} of {self.total} requests are not finished within {timeout:g} seconds"
                raise SogniTimeoutError(words, phase="total", timeout=timeout)
            for project in sorted(done, key=lambda it: self.running[it].line):
                yield self._settled(project)

    def _done_before(self) -> list[BatchItem]:
        """What an earlier run has done. What is left waits, the projects that were begun before the others."""
        items: list[BatchItem] = []
        begun: list[BatchRequest] = []
        new: list[BatchRequest] = []
        for request in self._requests:
            entry = self._journal[request.key]
            if entry.files and all(path.exists() for path in entry.files):
                items.append(_item(request, project_id=entry.project, files=list(entry.files), earlier=True))
            else:
                (begun if entry.project else new).append(request)
        self._check_files(new)
        self._waiting.extend((*begun, *new))
        return items

    def _check_files(self, requests: Sequence[BatchRequest]) -> None:
        findings: list[LineFinding] = []
        for request in requests:
            try:
                self._client._engine.run(check_media(request.params))
            except ValidationError as error:
                findings.append(LineFinding(line=request.line, message=str(error)))
        refuse_lines(findings)

    def _next(self, request: BatchRequest) -> BatchItem | None:
        """Go on with a request, or begin it; the item of one that is refused."""
        try:
            project = self._begun_before(request)
            if project is None:
                project = self._client._engine.present(self._client._engine.run(self._create(request)))
        except _OF_ONE_REQUEST as error:
            return _item(request, error=error)
        except SogniError as error:
            self._stopped = error
            return None
        self.running[project] = request
        return None

    def _begun_before(self, request: BatchRequest) -> Project | None:
        """The project of an earlier run; None when there is none, or none that the service (still) knows."""
        known = self._journal[request.key].project
        if known is None:
            return None
        try:
            project = self._client.projects.attach(known)
        except NotFoundError:
            return None
        return None if project.status in ("failed", "canceled") else project

    def _create(self, request: BatchRequest) -> Flow[ProjectState]:
        yield from self._budget.spend(request.params)

        def announce(project_id: str) -> None:
            self._journal.begins(request.key, project_id)
            self._sent.add(project_id)

        return (yield from create_project(request.params, {}, announce=announce))

    def _settled(self, project: Project) -> BatchItem:
        """Save what there is of a project that is over."""
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
                error = failure
            except OSError as failure:
                failure.filename = failure.filename or str(self._directory)
                failure.add_note(f"line {request.line}: project {project.id} is finished, its results are not saved")
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
