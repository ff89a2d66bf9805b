"""Batches of projects from requests to saved files, resumable across runs.

Every project is recorded in a journal with an idempotency key before it is sent, so the next run neither loses it nor
pays for it again. A batch never cancels projects: the next run collects what this one leaves.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sogni.core.checks import integer
from sogni.core.flow import Flow
from sogni.core.projects.batch_requests import (
    BatchRequest,
    LineFinding,
    batch_requests,
    may_succeed_again,
    refuse_lines,
)
from sogni.core.projects.create import Budget, check_media, create_once, estimate_params, paying_token
from sogni.core.projects.file_names import DEFAULT
from sogni.core.projects.kinds import checked_params
from sogni.display import show_count
from sogni.errors import (
    InsufficientBalanceError,
    NotFoundError,
    ProjectError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.keywords import suggest_keywords
from sogni.local.batch_files import source_rows
from sogni.local.batch_journal import BatchJournal
from sogni.local.batch_reports import check_report, write_report
from sogni.local.storage import only_directory
from sogni.models.batches import BatchItem, BatchReport, BatchStatus
from sogni_async.api.projects import wait
from sogni_async.client import SogniClient
from sogni_async.transport.driver import in_thread
from sogni_async.transport.waiting import Deadline

if TYPE_CHECKING:
    from sogni.core.projects.project import ProjectState
    from sogni.models.params import ProjectParams
    from sogni_async.api.project import Project

__all__ = ["Batch", "BatchItem", "BatchReport", "run"]

for _kind in (BatchItem, BatchReport):
    suggest_keywords(_kind)

_OF_ONE_REQUEST = (ValidationError, NotFoundError)
"""Errors that concern a single request; the batch continues with the others."""

_UNPRICED = ("positive_prompt", "negative_prompt", "style_prompt", "seed", "idempotency_key")


@suggest_keywords
async def run(
    source: str | os.PathLike[str] | Iterable[ProjectParams | Mapping[str, Any] | str],
    directory: str | os.PathLike[str],
    *,
    client: SogniClient | None = None,
    concurrency: int = 8,
    max_cost: Any = None,
    retry_failed: int = 0,
    journal: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    progress: bool = False,
    skip_bad_rows: bool = False,
) -> BatchReport:
    """Create a project for each request, save all results, and continue where an earlier run stopped.

    All requests are parsed and checked before the first one is sent. Results that an earlier run saved are kept,
    projects that it left running are awaited, and failed ones are repeated. An interrupted run cancels nothing.

    Args:
        source: Path of a file (CSV, JSON Lines, JSON, YAML, or a prompt on each line), or params objects, mappings of
            their fields, or prompts.
        directory: Directory for the results, created if missing.
        client: Client that creates the projects. Default: a new one with the settings of the environment.
        concurrency: Maximum number of projects that run at once, at least 1. Default 8.
        max_cost: Maximum cost of this run, in the token that pays. Default: no limit.
        retry_failed: How often to repeat a request that failed for a reason that may pass, such as a lost worker.
            Requests that the service refuses are not repeated. Default 0.
        journal: Path of the journal, which lets the next run continue. Default: named after the file, in `directory`.
        report: Path of a report to write, whose name ends with `.csv`, `.json` or `.html` (with thumbnails). It is
            written also if an error ends the run. Default: none.
        defaults: Fields of all requests; those with a `type` only of requests of that type, which is also the default
            type. The fields of a request take precedence. Default: none.
        progress: Show how many requests are done, if standard error is a terminal. Default False.
        skip_bad_rows: Run the other requests if some are invalid, which count as failed. Default False.

    Returns:
        The outcome of each request, and their sums.

    Raises:
        ValidationError: An argument or a request is invalid; all errors are in `findings`. Nothing has been sent.
        ConflictError: Another run is using the journal.
        CostLimitError: The estimates exceed `max_cost`; raised once the running projects have finished.
        InsufficientBalanceError: The balance does not suffice; raised once the running projects have finished.
        SogniError: No more projects can be created; raised once the running projects have finished.
        OSError: A file cannot be read or written.
        ImportError: A YAML file needs ruamel.yaml, which is not installed.

    Example:
        >>> from sogni_async import batch
        >>> animals = [{"positive_prompt": "a fox"}, {"positive_prompt": "an owl", "width": 512, "height": 512}]
        >>> common = {"model_id": "flux1-schnell-fp8", "steps": 4}
        >>> report = await batch.run(animals, "out", client=client, defaults=common)
        >>> (report.done, report.failed, report.kept)
        (2, 0, 0)
    """
    integer("concurrency", concurrency, low=1)
    integer("retry_failed", retry_failed, low=0)
    report_path = None if report is None else check_report(report)
    rows, name = await in_thread(partial(source_rows, source))
    requests, findings = await in_thread(partial(batch_requests, rows, defaults or {}, common={}))
    if not skip_bad_rows:
        refuse_lines(findings)
    target = only_directory(directory)
    journal_path = target / f"{name}.journal.jsonl" if journal is None else Path(journal)
    items: list[BatchItem] = []
    started = time.monotonic()
    used = SogniClient() if client is None else client
    try:
        with BatchJournal(journal_path, service=service_of(used)) as notes:
            work = Batch(
                used,
                requests,
                notes,
                directory=target,
                concurrency=concurrency,
                max_cost=max_cost,
                retry_failed=retry_failed,
                bad_rows=findings,
                skip_bad_rows=skip_bad_rows,
            )
            try:
                with show_count(work.total, enabled=progress) as show:
                    failed = 0
                    async for item in work.run():
                        items.append(item)
                        failed += item.status == "failed"
                        show(len(items), failed)
            finally:
                outcome = BatchReport.of(items, time.monotonic() - started)
                if report_path is not None:
                    await in_thread(partial(write_report, report_path, outcome))
    finally:
        if client is None:
            await used.close()
    return outcome


def service_of(client: SogniClient) -> str:
    """Return the service of a journal. The URL of an emulator that a client started differs in every run.

    Args:
        client: Client that creates the projects.

    Returns:
        The URL of the service, or "local".
    """
    return "local" if client._supernet is not None else client._engine.settings.rest_endpoint


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
        retry_failed: How often to repeat a request that failed for a reason that may pass. Default 0.
        bad_rows: Rows that are skipped; they count as failed. Default: none.
        skip_bad_rows: Skip requests whose media are unusable, too, instead of refusing all. Default False.
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
        retry_failed: int = 0,
        bad_rows: Sequence[LineFinding] = (),
        skip_bad_rows: bool = False,
    ) -> None:
        self.total: int = len(requests) + len(bad_rows)
        self.running: dict[Project, BatchRequest] = {}
        self.unsaved: list[str] = []
        """Ids of finished projects whose results could not be saved."""
        self._client = client
        self._journal = journal
        self._requests = requests
        self._directory, self._name, self._overwrite = directory, name, overwrite
        self._concurrency = concurrency
        self._budget = Budget(max_cost)
        self._retry_failed = retry_failed
        self._attempts: Counter[str] = Counter()
        self._bad_rows, self._skip_bad_rows = list(bad_rows), skip_bad_rows
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

    async def run(self, timeout: float | None = None) -> AsyncIterator[BatchItem]:
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
        async for item in self._items(Deadline(timeout), timeout):
            self._remaining -= 1
            yield item
        if self._stopped is not None and self._remaining:
            self._stopped.add_note(f"{self._remaining} of {self.total} requests were not started")
            raise self._stopped

    async def estimate(self) -> tuple[int, int, dict[str, Decimal]]:
        """Return what `run` would create, without creating it.

        Returns:
            The number of projects, the number of requests that an earlier run completed, and the estimated cost by the
            token that pays.

        Raises:
            ValidationError: Media of a request are unusable.
            SogniError: An estimate is unavailable.
        """
        kept = await self._completed_earlier()
        known: dict[str, Decimal] = {}
        costs: dict[str, Decimal] = {}
        new = [it for it in self._waiting if self._journal[it.key].project is None]
        for request in new:
            # The prompts and the seed are no part of the price.
            priced = {name: value for name, value in request.fields.items() if name not in _UNPRICED}
            same = json.dumps(priced, sort_keys=True, default=repr)
            if same not in known:
                checked = checked_params(request.params, {}, "estimate")
                estimate = await self._client._engine.run(estimate_params(checked))
                known[same] = estimate.token or Decimal()
            token = paying_token(request.params, self._client._engine.settings)
            costs[token] = costs.get(token, Decimal()) + known[same]
        return len(new), sum(it.status == "kept" for it in kept), costs

    async def _items(self, deadline: Deadline, timeout: float | None) -> AsyncIterator[BatchItem]:
        for item in await self._completed_earlier():
            yield item
        while True:
            while self._waiting and not self._stopped and len(self.running) < self._concurrency:
                rejected = await self._start(self._waiting.popleft())
                if rejected is not None:
                    yield rejected
            if not self.running:
                return
            done, _ = await wait(self.running, deadline.left(), "FIRST_COMPLETED")
            if not done:
                message = f"{self._remaining} of {self.total} requests did not finish within {timeout:g} seconds"
                raise SogniTimeoutError(message, phase="total", timeout=timeout)
            for project in sorted(done, key=lambda it: self.running[it].line):
                settled = await self._settled(project)
                if settled is not None:
                    yield settled

    async def _completed_earlier(self) -> list[BatchItem]:
        """Return what earlier runs completed and queue the rest, starting with projects that were already sent."""
        items: list[BatchItem] = []
        sent: list[BatchRequest] = []
        new: list[BatchRequest] = []
        for request in self._requests:
            entry = self._journal[request.key]
            if entry.files and all(path.exists() for path in entry.files):
                items.append(_item(request, "kept", project_id=entry.project, paths=list(entry.files)))
            else:
                (sent if entry.project else new).append(request)
        bad = await self._bad_files(new)
        if not self._skip_bad_rows:
            refuse_lines(list(bad.values()))
        items += [
            BatchItem(request=it.fields, status="failed", error=it.error, line=it.line)
            for it in (*self._bad_rows, *bad.values())
        ]
        self._waiting.extend((*sent, *(it for it in new if it.key not in bad)))
        return items

    async def _bad_files(self, requests: Sequence[BatchRequest]) -> dict[str, LineFinding]:
        findings: dict[str, LineFinding] = {}
        for request in requests:
            try:
                await self._client._engine.run(check_media(request.params))
            except ValidationError as error:
                findings[request.key] = LineFinding.of(request, error, request.fields)
        return findings

    async def _start(self, request: BatchRequest) -> BatchItem | None:
        """Resume or start a request; return its item if it is rejected."""
        try:
            project = await self._project_of_earlier_run(request)
            if project is None:
                project = self._client._engine.present(await self._client._engine.run(self._create(request)))
        except _OF_ONE_REQUEST as error:
            return _item(request, "failed", error=error)
        except SogniError as error:
            if not self._repeat(request, error):
                self._stopped = error
            return None
        self.running[project] = request
        return None

    def _repeat(self, request: BatchRequest, error: SogniError) -> bool:
        """Queue a request once more if its error may pass; returns whether it was queued."""
        if self._attempts[request.key] >= self._retry_failed or not may_succeed_again(error):
            return False
        self._attempts[request.key] += 1
        self._waiting.append(request)
        return True

    async def _project_of_earlier_run(self, request: BatchRequest) -> Project | None:
        """Return the project of an earlier run, or None if the service does not know it or it failed."""
        known = self._journal[request.key].project
        if known is None:
            return None
        try:
            project = await self._client.projects.attach(known)
        except NotFoundError:
            return None
        if project.status in ("failed", "canceled"):
            # Repeated with another idempotency key, unless the line names one: this one belongs to the failed project.
            self._journal.forget(request.key)
            return None
        return project

    def _create(self, request: BatchRequest) -> Flow[ProjectState]:
        yield from self._budget.spend(request.params)

        known = request.idempotency_key or self._journal[request.key].idempotency_key
        key = known or self._journal.new_key(request.key)

        def announce(project_id: str) -> None:
            self._journal.begins(request.key, project_id, key)
            self._sent.add(project_id)

        return (yield from create_once(key, request.params, {}, announce=announce))

    async def _settled(self, project: Project) -> BatchItem | None:
        """Save the results of a finished project and return its item, or None if the request is repeated."""
        request = self.running.pop(project)
        files: list[Path] = []
        error: SogniError | None = None
        try:
            await project.wait(strict=True)
        except ProjectError as failure:
            error = failure
        if project.status == "completed":
            try:
                files = await project.save(self._directory, name=self._name, overwrite=self._overwrite)
            except SogniError as failure:
                self.unsaved.append(project.id)
                error = failure
            except OSError as failure:
                self.unsaved.append(project.id)
                failure.filename = failure.filename or str(self._directory)
                failure.add_note(f"{request.place}: project {project.id} has finished, but its results were not saved")
                raise
            else:
                await in_thread(partial(self._journal.saved, request.key, files))
        else:
            await in_thread(partial(self._journal.forget, request.key))
        if isinstance(error, InsufficientBalanceError):
            self._stopped = error
        elif error is not None and self._repeat(request, error):
            if project.id in self.unsaved:
                self.unsaved.remove(project.id)
            return None
        return _item(
            request,
            "failed" if error else "done",
            project_id=project.id,
            paths=files,
            error=error,
            cost=project.cost,
            token_type=project.token_type,
        )


def _item(request: BatchRequest, status: BatchStatus, **what: Any) -> BatchItem:
    return BatchItem(line=request.line, request=request.fields, status=status, **what)
