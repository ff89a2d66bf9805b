"""Background tasks and the dispatcher of callbacks, each with its own threads.

Background tasks are flows that no caller waits for; one that pauses occupies no thread. A few threads at most start
when there is work, and end after a while without work.
"""

from __future__ import annotations

import heapq
import inspect
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from sogni.core.failures import with_resources_named
from sogni.core.flow import Flow, Pause, Step
from sogni.core.outbox import Delivery
from sogni.errors import ClientClosedError, SogniError
from sogni.transport.threads import DaemonThread

logger: logging.Logger = logging.getLogger("sogni")

MAX_THREADS = 8
IDLE_SECONDS = 2.0

Perform = Callable[[Step], Any]


class BackgroundTasks:
    """Flows that run in the background.

    `performer` returns the function that performs a step, None if the client no longer exists.
    """

    def __init__(self, performer: Callable[[], Perform | None], jittered: Callable[[Pause], float]) -> None:
        self._performer = performer
        self._jittered = jittered
        self._changed = threading.Condition()
        self._ready: deque[Flow[None]] = deque()
        self._paused: list[tuple[float, int, Flow[None]]] = []
        self._order = itertools.count()
        self._threads: set[threading.Thread] = set()
        self._urgent: set[Flow[None]] = set()
        self._free = 0
        self._ended = False
        self.stuck: bool = False
        """Whether tasks wait for a thread that could not be started, until `retry` is called."""

    def begin(self, flow: Flow[None], *, urgent: bool = False) -> None:
        """Run a flow as soon as a thread is free; an urgent one gets a new thread if none is.

        Other tasks wait for urgent ones, and may occupy all threads.
        """
        with self._changed:
            if self._ended:
                flow.close()
                return
            if urgent:
                self._urgent.add(flow)
                self._ready.appendleft(flow)
            else:
                self._ready.append(flow)
            if self._free >= len(self._ready):
                self._changed.notify()
            elif urgent or len(self._threads) < MAX_THREADS:
                self._start_thread()

    def _start_thread(self) -> None:
        thread = DaemonThread(self._work, name="sogni-background")
        self._threads.add(thread)
        try:
            self.stuck = not thread.start_if_possible()
        finally:
            if thread.called_off:
                self._threads.discard(thread)

    def retry(self) -> None:
        """Start a thread for waiting tasks."""
        with self._changed:
            if self.stuck:
                self.stuck = False
                if (self._ready or self._paused) and not self._ended:
                    self._start_thread()

    def end(self) -> None:
        """Drop all tasks that have not begun. Never blocks, idempotent."""
        with self._changed:
            self._ended = True
            dropped = [*self._ready, *(flow for _, _, flow in self._paused)]
            self._ready.clear()
            self._paused.clear()
            self._urgent.difference_update(dropped)
            self._changed.notify_all()
        for flow in dropped:
            flow.close()

    def join_urgent(self, timeout: float) -> bool:
        """Wait until no urgent task is running; True if none is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._urgent, timeout)

    def join(self, timeout: float) -> bool:
        """Wait for the threads to end; True if they have."""
        deadline = time.monotonic() + timeout
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(t.is_alive() for t in list(self._threads) if t is not threading.current_thread())

    def _work(self) -> None:
        try:
            while (flow := self._next()) is not None:
                self._advance(flow)
                if flow in self._urgent:
                    with self._changed:
                        self._urgent.discard(flow)
                        self._changed.notify_all()
                del flow
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Flow[None] | None:
        """Return the next flow to continue, None if this thread should end."""
        idle_until = time.monotonic() + IDLE_SECONDS
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                if self._ready:
                    return self._with_watcher(self._ready.popleft())
                if self._paused and self._paused[0][0] <= now:
                    return self._with_watcher(heapq.heappop(self._paused)[2])
                # One thread stays while flows are paused, because the others may be busy for long.
                needed = self._paused and not self._free
                if now >= idle_until and not needed:
                    self._threads.discard(threading.current_thread())
                    return None
                until = self._paused[0][0] if self._paused else idle_until
                self._free += 1
                self._changed.wait(max(0.0, until - now) if self._paused else idle_until - now)
                self._free -= 1
        return None

    def _with_watcher(self, flow: Flow[None]) -> Flow[None]:
        """Ensure that a thread waits for paused flows while this one runs `flow`."""
        if self._paused and not self._free and len(self._threads) < MAX_THREADS:
            self._start_thread()
        return flow

    def _advance(self, flow: Flow[None]) -> None:
        """Run a flow until it pauses or ends."""
        try:
            step = next(flow)
            while not isinstance(step, Pause):
                perform = self._performer()
                if perform is None:
                    flow.close()
                    return
                try:
                    outcome = perform(step)
                except Exception as error:
                    step = flow.throw(with_resources_named(error))
                else:
                    step = flow.send(outcome)
        except StopIteration:
            return
        except ClientClosedError:
            return
        except SogniError as error:
            logger.warning("background task failed: %s", error)
            return
        except Exception:
            logger.exception("background task failed")
            return
        with self._changed:
            if self._ended:
                flow.close()
                return
            due = time.monotonic() + self._jittered(step)
            heapq.heappush(self._paused, (due, next(self._order), flow))
            self._changed.notify()


# The dispatcher is filled under the state lock, so that callbacks run in the order of events, one at a time. A
# callback that blocks delays other callbacks, never a wait; one that fails is logged, and the next one runs.


Present = Callable[[Any], Any]
_NO_VALUE = frozenset({"canceled"})
"""Events without a value."""


class _Newest:
    """The newest delivery of each kind that may replace an older one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[Any, Delivery] = {}

    def put(self, key: Any, delivery: Delivery) -> bool:
        """Store a delivery; True if it replaces a waiting one."""
        with self._lock:
            waiting = key in self._by_key
            self._by_key[key] = delivery
            return waiting

    def take(self, key: Any) -> Delivery:
        """Return and remove the newest delivery."""
        with self._lock:
            return self._by_key.pop(key)


class Dispatcher:
    """A queue of deliveries and the daemon thread that makes them; the thread starts with the first."""

    def __init__(self, present: Present) -> None:
        """`present` returns the public object of a state; it must not keep the client alive."""
        self._present = present
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._newest = _Newest()
        self._thread: threading.Thread | None = None
        self._ended = False
        self.stuck: bool = False
        """Whether deliveries wait for a thread that could not be started, until `retry` is called."""

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery; progress replaces queued progress. The caller holds the state lock."""
        if self._ended:
            return
        item: Any = delivery
        if delivery.coalesce is not None:
            item = (delivery.listeners, delivery.event)
            if self._newest.put(item, delivery):
                return
        self._queue.put(item)
        if self._thread is None:
            self.retry()

    def retry(self) -> None:
        """Start the thread that could not be started. The caller holds the state lock."""
        self.stuck = False
        if self._queue.empty():
            return
        thread = DaemonThread(_deliver_all, self._queue, self._newest, self._present, name="sogni-callbacks")
        self._thread = thread
        try:
            self.stuck = not thread.start_if_possible()
        finally:
            if thread.called_off:
                self._thread = None

    def end(self) -> None:
        """Accept no more deliveries; the thread ends after the queued ones. Never blocks, idempotent."""
        if not self._ended:
            self._ended = True
            self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait until all callbacks have run; True if they have. Returns at once within a callback."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()


def _deliver_all(queue: SimpleQueue[Any], newest: _Newest, present: Present) -> None:
    """Make deliveries, in the thread; it only refers to the queue, so that the client can be collected."""
    while (item := queue.get()) is not None:
        delivery = item if isinstance(item, Delivery) else newest.take(item)
        del item
        for function in delivery.listeners.take(delivery.event, delivery.number):
            try:
                if delivery.event in _NO_VALUE:
                    _call(function)
                else:
                    _call(function, present(delivery.value))
            except BaseException:  # sys.exit() in a callback ends neither the program nor the other callbacks
                logger.exception("a callback for %r failed", delivery.event)
            del function  # it may refer to the client
        del delivery


def _call(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a callback. Raises `TypeError` for an async function, whose coroutine nobody would run."""
    outcome = function(*arguments)
    if inspect.iscoroutine(outcome):
        outcome.close()
        raise TypeError("the callback is an async function; use sogni_async, or an ordinary function")
