"""Runs flows: performs each step and sends its result into the flow; also concurrent flows, and user code."""

from __future__ import annotations

import inspect
import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sogni.core.failures import with_resources_named
from sogni.core.flow import Change, Flow, Pause, Step, UserCode, WriteFrame
from sogni.errors import SogniError, unchained
from sogni.transport.threads import DaemonThread

logger: logging.Logger = logging.getLogger("sogni")

R = TypeVar("R")


def drive(flow: Flow[R], perform: Callable[[Step], Any]) -> R:
    """Run a flow to its end and return its result.

    Errors of a step are thrown into the flow. Errors raised by the flow lose the context that contains sent data.
    Ctrl-C propagates at once; the flow's `finally` blocks run, and it may respond with state changes and one frame.
    """
    try:
        step = next(flow)
        while True:
            try:
                outcome = perform(step)
            except Exception as error:
                step = flow.throw(with_resources_named(error))
            else:
                step = flow.send(outcome)
    except StopIteration as end:
        result: R = end.value
        return result
    except SogniError as error:
        unchained(error)
        raise
    except Exception as error:
        named = with_resources_named(error)
        if named is error:
            raise
        raise named from error
    except BaseException as interruption:
        # Ctrl-C can occur in a step or between two of them.
        _interrupt(flow, interruption, perform)
        raise
    finally:
        flow.close()


def _interrupt(flow: Flow[Any], interruption: BaseException, perform: Callable[[Step], Any]) -> None:
    """Throw an interruption into a flow, which may respond with state changes and one frame; nothing else is done."""
    try:
        step = flow.throw(interruption)
        while isinstance(step, Change):
            step = flow.send(perform(step))
    except BaseException:
        return  # usually the interruption itself: the flow does not respond
    if isinstance(step, WriteFrame):
        with suppress(SogniError):
            perform(step)


MAX_CONCURRENT = 4
"""Maximum number of concurrent flows of one `Together`."""


def drive_together(flows: Sequence[Flow[Any]], perform: Callable[[Step], Any]) -> list[Any]:
    """Run flows concurrently in threads of their own and return their results in order.

    The first error is raised once the others have stopped at their next step. An interruption propagates at once, and
    the flows stop at their next step.
    """
    race = _Race(list(flows), perform)
    try:
        threads = (DaemonThread(race.work, name="sogni-transfer") for _ in race.flows[:MAX_CONCURRENT])
        if race.flows and not [thread for thread in threads if thread.start_if_possible()]:
            race.work()
        race.finished.wait()
    finally:
        race.stopped = True
    if race.error is not None:
        raise race.error
    return race.results


class _Stopped(Exception):  # noqa: N818  not an error: a sibling failed
    pass


class _Race:
    """Concurrent flows, which stop when one of them fails."""

    def __init__(self, flows: list[Flow[Any]], perform: Callable[[Step], Any]) -> None:
        self.flows = flows
        self.results: list[Any] = [None] * len(flows)
        self.error: BaseException | None = None
        self.stopped = False
        self.finished = threading.Event()
        self._perform = perform
        self._lock = threading.Lock()
        self._next = 0
        self._left = len(flows)
        if not flows:
            self.finished.set()

    def work(self) -> None:
        while True:
            with self._lock:
                place = self._next
                self._next += 1
            if place >= len(self.flows):
                return
            self._one(place)

    def _one(self, place: int) -> None:
        error: BaseException | None = None
        try:
            self.results[place] = drive(self.flows[place], self._checked)
        except _Stopped:
            pass
        except BaseException as raised:
            error = raised
        with self._lock:
            if error is not None:
                self.error = self.error or error
                self.stopped = True
            self._left -= 1
            if not self._left:
                self.finished.set()

    def _checked(self, step: Step) -> Any:
        if self.stopped and not isinstance(step, Change):
            raise _Stopped
        return self._perform(step)


def check_callbacks(**functions: object) -> None:
    """Raise `TypeError` for async functions, which only `sogni_async` can await."""
    for name, function in functions.items():
        for one in function if isinstance(function, list | tuple) else (function,):
            if callable(one) and not isinstance(one, Mapping) and _is_async(one):
                label = getattr(one, "__name__", type(one).__name__)
                raise TypeError(f"{name}: {label} is an async function; use sogni_async, or an ordinary function")


def _is_async(function: Callable[..., object]) -> bool:
    """Whether calling a function returns an awaitable."""
    target = function.func if isinstance(function, partial) else function
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004


def in_thread(function: Callable[[], R]) -> R:
    """Call a function that blocks. The asyncio package does so in another thread."""
    return function()


def call_user_code(step: UserCode) -> Any:
    """Call a function of the user in this thread and return its result. Raises `TypeError` for a coroutine.

    Its errors are logged, because a flow may ignore them.
    """
    try:
        outcome = step.function(*step.arguments, **step.named)
        if inspect.isawaitable(outcome):
            if inspect.iscoroutine(outcome):
                outcome.close()
            raise TypeError(f"{step.what} returned {type(outcome).__name__}, which only sogni_async can await")
    except Exception:
        logger.exception("%s raised an error", step.what)
        raise
    return outcome


def jittered(step: Pause) -> float:
    """Return the seconds of a pause, including its random jitter."""
    return step.seconds * random.uniform(1 - step.jitter, 1 + step.jitter)
