"""`wait` and `as_completed`: many projects at once, also of several clients."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Literal

from ..errors import ClientClosedError, SogniError, SogniTimeoutError, ValidationError
from ..flows.waiting import check_news, have_connection
from ..protocol.client_state import CLOSED, CONNECTION
from ..protocol.field_checks import without_gaps
from ..settings import check_seconds
from ..transport.waiting import Deadline, wait_turn
from .project import Project

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
RETURN_WHEN: tuple[ReturnWhen, ...] = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")


def wait(
    projects: Iterable[Project], timeout: float | None = None, return_when: ReturnWhen = "ALL_COMPLETED"
) -> tuple[set[Project], set[Project]]:
    """Wait for several projects; returns the sets `(done, not_done)`, as `concurrent.futures.wait` does.

    Failed and canceled projects are done, too. `return_when` is `ALL_COMPLETED`, `FIRST_COMPLETED` or
    `FIRST_EXCEPTION`; `timeout` is in seconds and running out raises nothing.
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
    lost = _without_connection(wanted)
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
            watch.sleep(deadline.left())


def as_completed(projects: Iterable[Project], timeout: float | None = None) -> Iterator[Project]:
    """Yield projects as they finish, failed ones too, as `concurrent.futures.as_completed` does.

    Raises `SogniTimeoutError` when not all are done within `timeout` seconds.
    """
    wanted = set(without_gaps("projects", list(projects)))
    return _as_completed(wanted, check_seconds("timeout", timeout))


def _as_completed(left: set[Project], timeout: float | None) -> Iterator[Project]:
    deadline = Deadline(timeout)
    total = len(left)
    lost = _without_connection(left)
    while left:
        with _Watch(left, lost) as watch:
            while not (done := watch.done()):
                watch.check()
                if deadline.over:
                    raise SogniTimeoutError(
                        f"{len(left)} of {total} projects are not finished", phase="total", timeout=timeout
                    )
                watch.sleep(deadline.left())
        left -= done
        yield from done


def _without_connection(projects: Iterable[Project]) -> dict[Project, SogniError]:
    """Open the sockets that bring the news; the projects that will have none, and why."""
    lost: dict[Project, SogniError] = {}
    for project in projects:
        try:
            if not project.finished:
                project._host().run(have_connection(project._state))
        except SogniError as error:
            lost[project] = error
    return lost


class _Watch:
    """One signal for the ends of several projects."""

    def __init__(self, projects: set[Project], lost: dict[Project, SogniError]) -> None:
        self._projects = list(projects)
        self._lost = lost
        self._signal = threading.Event()
        self._watched: list[tuple[object, list[object]]] = []

    def __enter__(self) -> _Watch:
        for project in self._projects:
            if project.finished or project in self._lost:
                continue
            engine = project._host()
            topics = [project._state, CONNECTION, CLOSED]
            with engine.lock:
                for topic in topics:
                    engine.state.wakers.add(topic, self._signal)
            self._watched.append((engine, topics))
        return self

    def __exit__(self, *_: object) -> None:
        for engine, topics in self._watched:
            with engine.lock:  # type: ignore[attr-defined]
                for topic in topics:
                    engine.state.wakers.remove(topic, self._signal)  # type: ignore[attr-defined]

    def sleep(self, seconds: float | None) -> None:
        wait_turn(self._signal, seconds)

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
