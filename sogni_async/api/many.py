"""`wait` and `as_completed`: many projects at once, also of several clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from typing import Literal

from sogni.errors import ClientClosedError, SogniError, SogniTimeoutError, ValidationError
from sogni.flows.waiting import check_news, have_connection
from sogni.protocol.client_state import CLOSED, CONNECTION
from sogni.protocol.field_checks import without_gaps
from sogni.protocol.outbox import Wakers
from sogni.settings import check_seconds

from ..transport.waiting import Deadline, sleep_until_set
from .project import Project

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
RETURN_WHEN: tuple[ReturnWhen, ...] = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")


async def wait(
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
    """Yield projects as they finish, failed ones too, as `concurrent.futures.as_completed` does.

    Raises `SogniTimeoutError` when not all are done within `timeout` seconds.
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
    """One signal for the ends of several projects."""

    def __init__(self, projects: set[Project], lost: dict[Project, SogniError]) -> None:
        self._projects = list(projects)
        self._lost = lost
        self._signal = asyncio.Event()
        self._watched: list[tuple[Wakers, tuple[Hashable, ...]]] = []

    def __enter__(self) -> _Watch:
        for project in self._projects:
            if project.finished or project in self._lost:
                continue
            wakers: Wakers = project._host().state.wakers
            topics: tuple[Hashable, ...] = (project._state, CONNECTION, CLOSED)
            for topic in topics:
                wakers.add(topic, self._signal)
            self._watched.append((wakers, topics))
        return self

    def __exit__(self, *_: object) -> None:
        for wakers, topics in self._watched:
            for topic in topics:
                wakers.remove(topic, self._signal)

    async def sleep(self, seconds: float | None) -> None:
        await sleep_until_set(self._signal, seconds)

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
