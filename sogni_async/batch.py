"""Batches of projects from requests to saved files, resumable across runs.

Every project is recorded in a journal with an idempotency key before it is sent, so the next run neither loses it nor
pays for it again. A batch never cancels projects: the next run collects those that are left running.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from sogni.core.account.flows import wallet_address
from sogni.core.checks import integer, short_repr
from sogni.core.flow import Flow, compute
from sogni.core.projects.batch_requests import (
    BatchRequest,
    LineFinding,
    batch_requests,
    may_succeed_again,
    refuse_lines,
)
from sogni.core.projects.create import Budget, check_media, create_once, estimate_params, paying_token
from sogni.core.projects.file_names import DEFAULT
from sogni.core.projects.idempotency import id_of_key
from sogni.core.projects.kinds import checked_params
from sogni.core.projects.results import any_record
from sogni.display import show_count
from sogni.errors import (
    InsufficientBalanceError,
    NotFoundError,
    ProjectError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
    WorkerError,
)
from sogni.keywords import suggest_keywords
from sogni.local.batch_files import source_rows
from sogni.local.batch_journal import BatchJournal
from sogni.local.batch_reports import check_report, write_report
from sogni.local.batch_worker import (
    Assignment,
    Outcome,
    Sealed,
    absolute_media,
    close_idle_clients,
    run_assignment,
)
from sogni.local.storage import batch_directory
from sogni.models.batches import BatchItem, BatchReport, BatchStatus
from sogni.redaction import secret_url
from sogni_async.api.projects import wait
from sogni_async.client import SogniClient
from sogni_async.transport.driver import in_thread
from sogni_async.transport.waiting import Deadline, FutureSignal

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
    executor: Executor | None = None,
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
        directory: Directory for the results, created if missing; or, with a `journal`, a storage URL such as
            ``s3://bucket/prefix`` (extra ``sogni[fsspec]``).
        client: Client that creates the projects. Default: a new one with the settings of the environment.
        concurrency: Maximum number of projects that run at once, at least 1. With an executor, this limits the requests
            submitted to it. Default 8.
        max_cost: Maximum cost of this run, in the token that pays, for all workers together. Default: no limit.
        retry_failed: How often to retry a request that failed for a temporary reason, such as a lost worker.
            Requests that the service refuses are not retried. Default 0.
        executor: Where the projects are created and their results saved, for example a `ProcessPoolExecutor`, or
            `get_executor()` of a Dask client. Workers need `sogni`, the directory and the files of the requests. The
            client must have an API key. Default: in this process.
        journal: Path of the journal, which lets the next run continue. Default: named after the file, in `directory`.
        report: Path of a report to write, whose name ends with `.csv`, `.json` or `.html` (with thumbnails). It is
            written even if an error ends the run. Default: none.
        defaults: Fields of all requests; those with a `type` only of requests of that type, which is also the default
            type. The fields of a request take precedence. Default: none.
        progress: Show how many requests are done, if standard error is a terminal. Default False.
        skip_bad_rows: Run the other requests if some are invalid, which count as failed. Default False.

    Returns:
        The outcome of each request, and totals.

    Raises:
        ValidationError: An argument or a request is invalid; all errors are in `findings`. Nothing has been sent.
        ConflictError: Another run is using the journal.
        CostLimitError: The estimates exceed `max_cost`; raised once the running projects have finished.
        InsufficientBalanceError: The balance does not suffice; raised once the running projects have finished.
        WorkerError: The executor is broken, for example because a process of its pool was killed.
        TypeError: An argument has the wrong type. Nothing has been sent.
        SogniError: No more projects can be created; raised once the running projects have finished.
        OSError: A file cannot be read or written.
        ImportError: ruamel.yaml is not installed and the file is YAML, or a URL is given, and fsspec or the library for
            its protocol is not installed.

    Example:
        >>> from sogni_async import batch
        >>> animals = [{"positive_prompt": "a fox"}, {"positive_prompt": "an owl", "width": 512, "height": 512}]
        >>> common = {"model_id": "flux1-schnell-fp8", "steps": 4}
        >>> report = await batch.run(animals, "out", client=client, defaults=common)
        >>> (report.done, report.failed, report.kept)
        (2, 0, 0)
    """
    directory = secret_url(directory)
    _check_executor(executor)
    integer("concurrency", concurrency, low=1)
    integer("retry_failed", retry_failed, low=0)
    report_path = None if report is None else check_report(report)
    rows, name = await in_thread(partial(source_rows, source))
    requests, findings = await in_thread(partial(batch_requests, rows, defaults or {}, common={}))
    if not skip_bad_rows:
        refuse_lines(findings)
    target = batch_directory(directory, journal)
    journal_path = Path(target, f"{name}.journal.jsonl") if journal is None else Path(journal)
    items: list[BatchItem] = []
    started = time.monotonic()
    used = SogniClient() if client is None else client
    try:
        if executor is not None:
            _check_key(used)
        with BatchJournal(journal_path, service=service_of(used)) as notes:
            work = Batch(
                used,
                requests,
                notes,
                directory=target,
                concurrency=concurrency,
                max_cost=max_cost,
                retry_failed=retry_failed,
                executor=executor,
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
        if executor is not None:
            await in_thread(close_idle_clients)
        if client is None:
            await used.close()
    return outcome


def _check_executor(executor: Any) -> None:
    if executor is not None and not isinstance(executor, Executor):
        hint = "; pass its get_executor()" if hasattr(executor, "get_executor") else ""
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {short_repr(executor)}{hint}")


def _check_key(client: SogniClient) -> None:
    """Refuse a client whose session cannot be passed on."""
    auth_type = client._engine.settings.auth_type
    if auth_type != "api_key":
        raise ValidationError(
            f"client must have an api_key if there is an executor, whose workers sign in, too; got {auth_type!r}",
            field="client",
            value=auth_type,
            allowed="a client with an api_key",
        )


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
        directory: Directory for the results, or a storage URL.
        name: Pattern of the file names, see `Project.save`.
        overwrite: Replace existing files. Default False.
        concurrency: Maximum number of projects that run at once. Default 8.
        max_cost: Maximum cost of this run, in the token that pays. Default: no limit.
        retry_failed: How often to retry a request that failed for a temporary reason. Default 0.
        executor: Where the projects are created and their results saved. Default: in this process.
        bad_rows: Rows that are skipped; they count as failed. Default: none.
        skip_bad_rows: Skip requests whose media are unusable, too, instead of refusing all. Default False.

    Attributes:
        total: Number of requests, rows that are skipped included.
        running: The requests of projects that are running.
        unsaved: IDs of finished projects whose results could not be saved.
    """

    def __init__(
        self,
        client: SogniClient,
        requests: Sequence[BatchRequest],
        journal: BatchJournal,
        *,
        directory: Path | str,
        name: str = DEFAULT,
        overwrite: bool = False,
        concurrency: int = 8,
        max_cost: Any = None,
        retry_failed: int = 0,
        executor: Executor | None = None,
        bad_rows: Sequence[LineFinding] = (),
        skip_bad_rows: bool = False,
    ) -> None:
        self.total: int = len(requests) + len(bad_rows)
        self.running: dict[Project, BatchRequest] = {}
        self.unsaved: list[str] = []
        """IDs of finished projects whose results could not be saved."""
        self._client = client
        self._journal = journal
        self._requests = requests
        self._directory, self._name, self._overwrite = directory, name, overwrite
        self._concurrency = concurrency
        self._budget = Budget(max_cost)
        self._estimates: dict[str, Decimal] = {}
        """What has been subtracted from the budget, by the key of the request, until its cost is known."""
        self._executor = executor
        self._assigned: dict[Future[Sealed], BatchRequest] = {}
        self._client_arguments = b""
        self._retry_failed = retry_failed
        self._attempts: Counter[str] = Counter()
        self._bad_rows, self._skip_bad_rows = list(bad_rows), skip_bad_rows
        self._waiting: deque[BatchRequest] = deque()
        self._sent: set[str] = set()
        self._remaining = self.total
        self._stopped: SogniError | None = None

    @property
    def uncollected(self) -> set[str]:
        """IDs of the projects that would continue if the batch ended now, including one that is being sent.

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
        start: Any = self._start
        first_done: Any = self._first_projects
        settle: Any = self._settled
        if self._executor is not None:
            start, first_done, settle = self._assign, self._first_futures, self._received
            self._arrivals = FutureSignal()
            self._client_arguments = pickle.dumps(self._client._arguments())
        try:
            while True:
                while self._waiting and not self._stopped and self._running < self._concurrency:
                    if self._journal.sync_is_due:
                        await in_thread(self._journal.sync)
                    rejected = await start(self._waiting.popleft())
                    if rejected is not None:
                        yield rejected
                if not self._running:
                    return
                done = await first_done(deadline)
                if not done:
                    message = f"{self._remaining} of {self.total} requests did not finish within {timeout:g} seconds"
                    raise SogniTimeoutError(message, phase="total", timeout=timeout)
                for one in done:
                    settled = await settle(one)
                    if settled is not None:
                        yield settled
        finally:
            for future in self._assigned:
                future.cancel()

    @property
    def _running(self) -> int:
        return len(self.running) + len(self._assigned)

    async def _first_projects(self, deadline: Deadline) -> list[Project]:
        """Return the projects that have ended, in order, once there is one; none after the deadline."""
        done, _ = await wait(self.running, deadline.left(), "FIRST_COMPLETED")
        return sorted(done, key=lambda it: self.running[it].line)

    async def _completed_earlier(self) -> list[BatchItem]:
        """Return what earlier runs completed and queue the rest, starting with projects that were already sent."""
        items: list[BatchItem] = []
        sent: list[BatchRequest] = []
        new: list[BatchRequest] = []
        for request in self._requests:
            entry = self._journal[request.key]
            # Objects of a storage are not looked up.
            if entry.files and all(isinstance(it, str) or it.exists() for it in entry.files):
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
        except SogniError as error:
            return self._not_created(request, error)
        self.running[project] = request
        return None

    def _not_created(self, request: BatchRequest, error: SogniError) -> BatchItem | None:
        """Handle a request that was refused: return its item, queue it again, or stop the batch."""
        if isinstance(error, _OF_ONE_REQUEST):
            self._settle_cost(request, Decimal())
            return _item(request, "failed", error=error)
        if not self._repeat(request, error):
            self._stopped = error
        return None

    def _reserve(self, request: BatchRequest) -> Flow[None]:
        """Subtract the estimate of a request from the budget, once for all its attempts."""
        if request.key not in self._estimates:
            self._estimates[request.key] = yield from self._budget.spend(request.params)

    def _settle_cost(self, request: BatchRequest, cost: Decimal | None) -> None:
        """Replace the estimate of a request by its cost; if that is unknown, the estimate counts."""
        estimate = self._estimates.pop(request.key, None)
        if estimate is not None and cost is not None:
            self._budget.settle(estimate, cost)

    def _repeat(self, request: BatchRequest, error: SogniError) -> bool:
        """Queue a request again if its error is temporary. Return whether it was queued."""
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
        yield from self._reserve(request)

        known = request.idempotency_key or self._journal[request.key].idempotency_key
        key = known or self._journal.new_key(request.key)

        def announce(project_id: str) -> None:
            self._journal.begins(request.key, project_id, key)
            self._sent.add(project_id)

        is_new = known is None and self._journal.has_new_keys
        return (yield from create_once(key, request.params, {}, announce=announce, is_new=is_new))

    async def _settled(self, project: Project) -> BatchItem | None:
        """Save the results of a finished project and return its item, or None if the request is repeated."""
        request = self.running.pop(project)
        files: list[Any] = []
        error: SogniError | OSError | None = None
        try:
            await project.wait(strict=True)
        except ProjectError as failure:
            error = failure
        if project.status == "completed":
            try:
                files = await project.save(self._directory, name=self._name, overwrite=self._overwrite)
            except (SogniError, OSError) as failure:
                error = failure
        return await self._concluded(
            request,
            Outcome(
                error=error,
                status=project.status,
                project_id=project.id,
                files=files,
                cost=project.cost,
                token_type=project.token_type,
            ),
        )

    async def _concluded(self, request: BatchRequest, outcome: Outcome) -> BatchItem | None:
        """Record the outcome of a request and return its item, or None if the request is repeated."""
        error, project_id = outcome.error, str(outcome.project_id)
        self._settle_cost(request, outcome.cost)
        if outcome.status != "completed":
            self._journal.forget(request.key)
        elif error is None or isinstance(error, ProjectError):
            self._journal.saved(request.key, outcome.files)
        else:
            self.unsaved.append(project_id)
        if isinstance(error, OSError) and not isinstance(error, SogniError):
            error.filename = error.filename or str(self._directory)
            error.add_note(f"{request.place}: project {project_id} has finished, but its results were not saved")
            raise error
        if isinstance(error, InsufficientBalanceError):
            self._stopped = error
        elif error is not None and self._repeat(request, error):
            if project_id in self.unsaved:
                self.unsaved.remove(project_id)
            return None
        return _item(
            request,
            "failed" if error else "done",
            project_id=project_id,
            paths=outcome.files,
            error=error,
            cost=outcome.cost,
            token_type=outcome.token_type,
        )

    # -- with an executor

    async def _assign(self, request: BatchRequest) -> BatchItem | None:
        """Give a request to a worker; return its item if it is rejected."""
        assert self._executor is not None
        try:
            sealed = await in_thread(partial(Sealed, await self._client._engine.run(self._assignment(request))))
        except SogniError as error:
            return self._not_created(request, error)
        try:
            future = await in_thread(partial(self._executor.submit, run_assignment, sealed))
        except (BrokenExecutor, RuntimeError) as error:  # RuntimeError: it was shut down
            self._stopped = _broken(error)
            return None
        self._arrivals.watch(future)
        self._assigned[future] = request
        return None

    def _assignment(self, request: BatchRequest) -> Flow[Assignment]:
        """Select the project of a request, reserve its cost in the budget, and record it."""
        project_id, key = yield from self._known_project(request)
        if project_id is None:
            yield from self._reserve(request)
            key = key or self._journal.new_key(request.key)
            # The worker derives the same id from the key, and so does one that repeats its work.
            project_id = id_of_key((yield from wallet_address()), key)
            yield from compute("noting a project", partial(self._journal.begins, request.key, project_id, key))
        return Assignment(
            client=self._client_arguments,
            params=absolute_media(request.params),
            project_id=project_id,
            idempotency_key=key,
            directory=self._directory if isinstance(self._directory, str) else os.path.abspath(self._directory),
            name=self._name,
            overwrite=self._overwrite,
        )

    def _known_project(self, request: BatchRequest) -> Flow[tuple[str | None, str | None]]:
        """Return the project of an earlier attempt, if the service knows it and it has not failed, and its key."""
        entry = self._journal[request.key]
        key = request.idempotency_key or entry.idempotency_key
        if entry.project is None:
            return None, key
        try:
            record = yield from any_record(entry.project)
        except NotFoundError:
            return None, key
        if record.status not in ("errored", "cancelled"):
            return entry.project, key
        self._journal.forget(request.key)
        return None, request.idempotency_key

    async def _first_futures(self, deadline: Deadline) -> list[Future[Sealed]]:
        """Return the futures that are done, in order, once there is one; none after the deadline."""
        while True:
            self._arrivals.clear()
            done = [it for it in self._assigned if it.done()]
            if done or deadline.over:
                return sorted(done, key=lambda it: self._assigned[it].line)
            await self._arrivals.sleep(deadline.left())

    async def _received(self, future: Future[Sealed]) -> BatchItem | None:
        """Return the item of a request whose worker is done, or None if the request is repeated."""
        request = self._assigned.pop(future)
        try:
            outcome: Outcome = future.result().open()
        except BrokenExecutor as error:
            self._stopped = self._stopped or _broken(error)
            outcome = Outcome(error=_broken(error))
        except Exception as error:
            lost = WorkerError(f"the executor did not run the request: {type(error).__name__}: {error}")
            lost.__cause__ = error
            outcome = Outcome(error=lost)
        if outcome.project_id is not None:
            if isinstance(self._directory, Path):  # workers get an absolute one
                outcome = evolve(outcome, files=[self._directory / path.name for path in outcome.files])
            return await self._concluded(request, outcome)
        assert isinstance(outcome.error, SogniError)
        if not isinstance(outcome.error, WorkerError):
            return self._not_created(request, outcome.error)
        if not self._stopped and self._repeat(request, outcome.error):
            return None
        # The project may exist. The journal keeps it for the next run, and the budget its estimate.
        return _item(request, "failed", error=outcome.error, project_id=self._journal[request.key].project)


def _broken(error: Exception) -> WorkerError:
    broken = WorkerError(f"the executor is broken: {error}; run the batch again with a new one to continue")
    broken.__cause__ = error
    return broken


def _item(request: BatchRequest, status: BatchStatus, **what: Any) -> BatchItem:
    return BatchItem(line=request.line, request=request.fields, status=status, **what)
