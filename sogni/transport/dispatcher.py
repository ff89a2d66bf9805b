"""The dispatcher thread: decides when a user's callback runs, one at a time and in order.

Filled under the state lock, so that events are delivered in the order they happened. A callback that
blocks delays other callbacks, never a wait; one that fails is logged and the next one runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from ..protocol.outbox import Delivery
from .threads import DaemonThread

logger = logging.getLogger("sogni")

Present = Callable[[Any], Any]
_NO_VALUE = frozenset({"canceled"})
"""Events that carry nothing."""


class _Newest:
    """The newest delivery of each kind that may replace an older one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[Any, Delivery] = {}

    def put(self, key: Any, delivery: Delivery) -> bool:
        """Keep a delivery; True when an older one was waiting in its place."""
        with self._lock:
            waiting = key in self._by_key
            self._by_key[key] = delivery
            return waiting

    def take(self, key: Any) -> Delivery:
        """The newest delivery; it is not kept any longer."""
        with self._lock:
            return self._by_key.pop(key)


class Dispatcher:
    """A queue of deliveries and the daemon thread that makes them; the thread starts with the first."""

    def __init__(self, present: Present) -> None:
        """`present` turns a state into the handle that users know; it must not keep the client alive."""
        self._present = present
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._newest = _Newest()
        self._thread: threading.Thread | None = None
        self._ended = False
        self.stuck = False
        """Whether deliveries wait for a thread that could not be started; somebody has to call `retry`."""

    def put(self, delivery: Delivery) -> None:
        """Queue one delivery; newer progress takes the place of queued progress. Under the state lock."""
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
        """Start the thread that could not be started. Under the state lock."""
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
        """Take nothing more; the thread ends after what is queued. Never blocks, repeatable."""
        if not self._ended:
            self._ended = True
            self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait until all callbacks have run; True when they have. Not from within a callback."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()


def _deliver_all(queue: SimpleQueue[Any], newest: _Newest, present: Present) -> None:
    """The thread. It holds the queue only, so that a client nobody refers to can go."""
    while (item := queue.get()) is not None:
        delivery = item if isinstance(item, Delivery) else newest.take(item)
        del item
        for function in delivery.listeners.take(delivery.event, delivery.number):
            try:
                if delivery.event in _NO_VALUE:
                    function()
                else:
                    function(present(delivery.value))
            except BaseException:  # sys.exit() in a callback ends neither the program nor the other callbacks
                logger.exception("a callback for %r failed", delivery.event)
            del function  # it may refer to the client
        del delivery
