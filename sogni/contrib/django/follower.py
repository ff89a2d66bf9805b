"""Update the rows of the projects that this process started, and store their results.

One thread reads the state of all followed projects, which never blocks, and writes what has changed. Other threads
store the results, a few at a time. The threads end when there is nothing to do. If the process ends earlier, the rows
remain unfinished until `manage.py sogni_sync` or the progress view resumes them.
"""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.files import File
from django.db import DatabaseError, IntegrityError, close_old_connections, connections, transaction
from django.utils import timezone

from sogni.api.project import Job, Project
from sogni.contrib.django.signals import project_completed, project_failed
from sogni.redaction import redact

logger: logging.Logger = logging.getLogger("sogni.contrib.django")

INTERVAL: float = 0.25
"""Seconds between two checks of the projects."""
HEARTBEAT: float = 10.0
"""Seconds after which an unchanged row is written, so that other processes know that it is followed."""
COST_SECONDS: float = 2.0
"""How long to wait for the record of a finished project, which has the cost."""
CONCURRENT: int = 4
"""Projects whose results are stored at the same time."""
ATTEMPTS: int = 5
RETRY_SECONDS: float = 5.0
"""Pause after the database refused an update."""
EXIT_SECONDS: float = 2.0


class Followed:
    """A project and the contents of its row."""

    def __init__(self, project: Project, using: str) -> None:
        self.project: Project = project
        self.using: str = using
        self.written: dict[str, Any] = {}
        self.written_at: float = 0.0
        self.ended_at: float | None = None
        self.attempts: int = 0
        self.retry_at: float = 0.0
        self.settling: threading.Thread | None = None
        self.settled: bool = False


class Follower:
    """The projects that this process follows."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything. Also called in a forked child, whose parent continues to follow its projects."""
        self._lock = threading.Lock()
        self._followed: dict[Any, Followed] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._exits = False

    def follows(self, pk: Any) -> bool:
        """Whether this process follows a project."""
        return pk in self._followed

    def follow(self, pk: Any, project: Project, using: str) -> None:
        """Keep the row of a project up to date until it is finished."""
        with self._lock:
            self._followed.setdefault(pk, Followed(project, using))
            if not self._exits:
                self._exits = True
                # After that of the client, and so called before it.
                atexit.register(self.stop, EXIT_SECONDS)
            if self._thread is None:
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopping,), name="sogni-django", daemon=True
                )
                self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Stop following after pending results have been stored, and leave the rest to other processes."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            thread, self._thread = self._thread, None
            followed, self._followed = self._followed, {}
            self._stopping.set()
        for each in (thread, *(it.settling for it in followed.values())):
            if each is not None and each is not threading.current_thread():
                each.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if followed:
            release(followed)

    def _run(self, stopping: threading.Event) -> None:
        try:
            while not stopping.wait(INTERVAL):
                close_old_connections()
                for pk, followed in list(self._followed.items()):
                    try:
                        self._look(pk, followed)
                    except Exception as error:
                        # The thread continues with the others; a database may be back in a moment.
                        followed.retry_at = time.monotonic() + RETRY_SECONDS
                        logger.warning("a project could not be updated pk=%s error=%s", pk, redact(repr(error)))
                with self._lock:
                    if stopping.is_set():
                        return
                    if not self._followed:
                        self._thread = None
                        return
        finally:
            connections.close_all()

    def _look(self, pk: Any, followed: Followed) -> None:
        project, now = followed.project, time.monotonic()
        if now < followed.retry_at or (followed.settling is not None and followed.settling.is_alive()):
            return
        if followed.settled or followed.attempts >= ATTEMPTS:
            with self._lock:
                self._followed.pop(pk, None)
            return
        if project.finished and followed.ended_at is None:
            followed.ended_at = now
        write(pk, followed, now)
        if followed.ended_at is None:
            return
        if project.cost is None and project.status == "completed" and now - followed.ended_at < COST_SECONDS:
            return
        if sum(it.settling is not None and it.settling.is_alive() for it in self._followed.values()) < CONCURRENT:
            followed.settling = threading.Thread(
                target=self._settle, args=(pk, followed), name="sogni-django-results", daemon=True
            )
            followed.settling.start()

    def _settle(self, pk: Any, followed: Followed) -> None:
        try:
            settle(pk, followed.project, followed.using)
            followed.settled = True
        except Exception as error:
            followed.attempts += 1
            followed.retry_at = time.monotonic() + 2.0**followed.attempts
            left = "giving up; run sogni_sync" if followed.attempts >= ATTEMPTS else "trying again"
            # Without a traceback, whose lines may contain signed URLs.
            logger.error(
                "results could not be stored pk=%s error=%s (%s)", pk, redact(f"{type(error).__name__}: {error}"), left
            )
        finally:
            connections.close_all()


def rows_of(using: str) -> Any:
    """Return all projects of a database. Models cannot be imported while the apps are loaded."""
    from sogni.contrib.django.models import SogniProject

    return SogniProject._base_manager.using(using)


def release(followed: dict[Any, Followed]) -> None:
    """Let other processes follow projects immediately, instead of after a period without updates."""
    from sogni.contrib.django.models import ORPHANED_SECONDS, UNFINISHED

    released_at = timezone.now() - timedelta(seconds=ORPHANED_SECONDS)
    try:
        for using in {it.using for it in followed.values()}:
            keys = [pk for pk, it in followed.items() if it.using == using and not it.settled]
            rows_of(using).filter(pk__in=keys, status__in=UNFINISHED).update(followed_at=released_at)
    except DatabaseError:
        logger.warning("projects could not be released", exc_info=True)


def write(pk: Any, followed: Followed, now: float) -> None:
    """Write the changes of a project that is not settled, and periodically the current time."""
    from sogni.contrib.django.models import UNFINISHED

    project = followed.project
    position = project.queue_position
    state = {
        # Final once the results are stored.
        "status": project.status if project.status in UNFINISHED else "processing",
        "progress": project.progress,
        "queue_position": position if position >= 0 else None,
    }
    if state != followed.written or now - followed.written_at >= HEARTBEAT:
        rows_of(followed.using).filter(pk=pk, status__in=UNFINISHED).update(**state, followed_at=timezone.now())
        followed.written, followed.written_at = state, now


def settle(pk: Any, project: Project | None, using: str) -> None:
    """Store the results of a finished project, write its final state, and send the signal.

    Several processes may do so at the same time: every result is stored once, and one of them sends the signal. The
    project is None if the service does not know it.
    """
    from sogni.contrib.django.models import UNFINISHED

    rows = rows_of(using)
    row = rows.filter(pk=pk, status__in=UNFINISHED).first()
    if row is None:
        return
    state: dict[str, Any]
    if project is None:
        state = {
            "status": "failed",
            "error": "The service does not know the project. It was interrupted before it was sent.",
            "error_code": "lost",
        }
    else:
        for index, job in enumerate(project.jobs):
            if job.has_result_media:
                store(row, index, job, using)
        error = project.error
        state = {
            "status": project.status,
            "progress": project.progress,
            "queue_position": None,
            "cost": project.cost,
            "token_type": project.token_type or "",
            "failed_jobs": len(project.failed_jobs),
            "error": redact(error.message or "") if error else "",
            "error_code": str(error.original_code or error.code or "")[:100] if error else "",
        }
    finished_at = (project and project.finished_at) or timezone.now()
    if rows.filter(pk=pk, status__in=UNFINISHED).update(**state, finished_at=finished_at, followed_at=timezone.now()):
        row = rows.get(pk=pk)
        signal = project_completed if row.status == "completed" else project_failed
        # Django logs what a receiver raises.
        signal.send_robust(sender=type(row), project=row)


def store(row: Any, index: int, job: Job, using: str) -> None:
    """Store one result, unless it is stored already."""
    from sogni.contrib.django.models import SogniResult

    if SogniResult._base_manager.using(using).filter(project=row, job_id=job.id).exists():
        return
    result = SogniResult(project=row, job_id=job.id, index=index, kind=job.type, seed=job.seed)
    # A file, because some storages read it twice, and its suffix is known once it is downloaded.
    with tempfile.TemporaryDirectory(prefix="sogni-") as directory:
        path = job.save(Path(directory) / str(index))
        with path.open("rb") as content:
            result.file.save(path.name, File(content), save=False)
    try:
        with transaction.atomic(using=using):
            result.save(using=using, force_insert=True)
    except BaseException as error:
        result.file.storage.delete(result.file.name)
        if not isinstance(error, IntegrityError):
            raise
        # Another process stored it meanwhile, or the project was deleted.


follower: Follower = Follower()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=follower.reset)
