"""The engine of a blocking client: its state, its threads, and the steps of its operations.

The API runs flows through the engine, which performs their steps. It holds the client state behind one lock; locks are
taken in the order state, send, TLS. The effects of a state change (waking waiters, callbacks, background tasks) are
queued while the lock is held, so that they happen in that order, and I/O is done after its release. No user code runs
under a lock.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sogni.core import flow as steps
from sogni.core import tracing
from sogni.core.background import traced_flow_of
from sogni.core.client_state import ClientState
from sogni.core.connection.messages import encode_frame
from sogni.core.connection.state import Closed, ReaderMove
from sogni.core.failures import with_resources_named
from sogni.core.flow import Flow, Pause, Step, Until, evaluate, timeout_error, topics_of
from sogni.core.http import HttpCall
from sogni.core.outbox import CLOSED, SOCKET, BackgroundTask
from sogni.errors import ClientClosedError, SogniConnectionError, SogniError
from sogni.live import Live, importing
from sogni.local.app_ids import AppSlot, acquire_app_id
from sogni.local.cookies import Cookies
from sogni.local.key_notes import KeyNotes
from sogni.local.media import open_source
from sogni.redaction import install_filter
from sogni.settings import Settings
from sogni.transport.background import BackgroundTasks, Dispatcher
from sogni.transport.connection_limit import ConnectionLimit
from sogni.transport.driver import call_user_code, drive, drive_together, jittered
from sogni.transport.threads import RETRY_SECONDS, DaemonThread
from sogni.transport.waiting import Deadline, ReaderWakeup, wait_turn
from sogni.transport.writer import Writer

if TYPE_CHECKING:
    from sogni.transport.http import Http
    from sogni.transport.websocket import SerialSocket


def load_libraries() -> None:
    """Import the modules that the reader, transfers and background tasks need; fast if called again.

    Nothing is imported for the first time on a background thread: the process may fork at any time.
    """
    with importing:
        import encodings.idna  # noqa: F401  needed to resolve host names

        from sogni.transport import http, reader  # noqa: F401


# Two hooks for all clients, set once, for the exit of the process and for a forked child. The exit hook is bounded in
# time; the fork hook takes no lock of the parent.

EXIT_SECONDS = 1.5
"""Time limit in seconds for closing all clients at exit."""


_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Close an engine at exit, and renew it in forked children."""
    _ENGINES.add(engine)


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_SECONDS
    for engine in list(_ENGINES):
        engine.close(max(0.1, deadline - time.monotonic()))


def _renew_all() -> None:
    for engine in list(_ENGINES):
        engine.renew_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def pause(engine: Engine, step: Pause) -> None:
    """Wait in this thread, until the client is closed at the latest."""
    signal = threading.Event()
    with engine.lock:
        engine.state.waiter_registry.add(CLOSED, signal)
        if engine.closed:
            # Closed since the step began: all waiters have been woken already.
            signal.set()
    try:
        deadline = Deadline(jittered(step))
        while not deadline.over and not signal.is_set():
            wait_turn(signal, deadline.left())
    finally:
        with engine.lock:
            engine.state.waiter_registry.remove(CLOSED, signal)


logger: logging.Logger = logging.getLogger("sogni")

R = TypeVar("R")
CONNECTING_SECONDS = 0.5
"""Seconds that `close` waits for a reader that is still connecting."""


class Engine(Live):
    """The state of one client and the threads that serve it.

    Nothing is opened and no thread started before the first step that needs it.
    """

    _public_name = "SogniClient namespace"
    _instead = "pickle the client"

    def __init__(self, settings: Settings, present: Callable[[Engine, Any], Any]) -> None:
        self.settings = settings
        self._present = present
        self._slots: list[AppSlot] = []
        self._set_up()
        register(self)

    def _set_up(self) -> None:
        """Set up everything that a forked child replaces."""
        self.pid: int = os.getpid()
        self.lock: threading.Lock = threading.Lock()
        self._connecting = threading.Lock()
        self.state: ClientState = ClientState(self.settings, self.settings.app_id or "")
        self.state.key_notes = KeyNotes()
        reference = weakref.ref(self)
        self._dispatcher = Dispatcher(lambda value: _presented(reference, value))
        self._background = BackgroundTasks(lambda: _performer(reference), jittered)
        self.cookies: Cookies = Cookies(self.settings.auth_type == "cookies")
        self._http: Http | None = None
        self._connections = ConnectionLimit(self.settings)
        self._writer = Writer()
        self._waker = ReaderWakeup()
        self.state.waiter_registry.add(SOCKET, self._waker)
        self._reader: threading.Thread | None = None
        self._socket: SerialSocket | None = None
        self._closing = False
        parts = (self._background, self._dispatcher, self._writer, self._waker, self._slots)
        self._finalizer = weakref.finalize(self, _release_resources, *parts)
        self._finalizer.atexit = False

    @property
    def http(self) -> Http:
        """The HTTP client; created, and its library imported, with the first request."""
        if self._http is None:
            from sogni.transport.http import Http

            install_filter()
            with self._connecting:
                self._http = self._http or Http(self.settings, self.state.session.auth_headers, self.cookies)
        return self._http

    # -- running flows ---------------------------------------------------------

    def run(self, flow: Flow[R]) -> R:
        """Run a flow in this thread."""
        return drive(flow, self.perform)

    def run_apart(self, flow: Flow[R]) -> R:
        """Run a flow that downloads, in a thread of the caller; the same as `run`."""
        return self.run(flow)

    def perform(self, step: Step) -> Any:
        """Perform one step."""
        if isinstance(step, steps.Change):
            return self.changed(step.function)
        if self._closing:
            raise ClientClosedError("the client is closed")
        return _PERFORMERS[type(step)](self, step)

    def changed(self, function: Callable[[ClientState, float], R]) -> R:
        """Read or change the state; the effects are queued before the lock is released."""
        state = self.state
        out = state.out
        try:
            with self.lock:
                try:
                    return function(state, state.at(time.monotonic(), time.time()))
                finally:
                    if out.woken or out.deliveries or out.tasks or self._stuck:
                        self._retry_threads()
                        tasks = self._flush()
                        if tasks:
                            self._start_tasks(tasks)
                        if self._stuck:
                            self._waker.set()
        finally:
            if out.calls:
                out.make_calls()

    @property
    def _stuck(self) -> bool:
        """Whether callbacks or background tasks wait for a thread that could not be started."""
        return self._background.stuck or self._dispatcher.stuck

    def _retry_threads(self) -> None:
        """Start the threads that could not be started; the caller holds the lock."""
        if self._background.stuck:
            self._background.retry()
        if self._dispatcher.stuck:
            self._dispatcher.retry()

    def _flush(self) -> list[BackgroundTask]:
        """Wake waiters and queue deliveries; returns the tasks to start. The caller holds the lock."""
        out = self.state.out
        if out.woken:
            for topic in out.woken:
                self.state.waiter_registry.wake(topic)
            out.woken.clear()
        if out.deliveries:
            for delivery in out.deliveries:
                self._dispatcher.put(delivery)
            out.deliveries.clear()
        if not out.tasks:
            return []
        tasks = list(out.tasks)
        out.tasks.clear()
        return tasks

    def _start_tasks(self, tasks: list[BackgroundTask]) -> None:
        load_libraries()
        for task in tasks:
            self._background.begin(traced_flow_of(task, self.state), urgent=getattr(task, "urgent", False))

    # -- steps -----------------------------------------------------------------

    def _until(self, step: Until) -> Any:
        deadline = Deadline(step.timeout)
        signal = threading.Event()
        topics = topics_of(step)
        with self.lock:
            waiter_registry = self.state.waiter_registry
            for topic in topics:
                waiter_registry.add(topic, signal)
        try:
            while True:
                # Cleared before the check, so that a wake-up during the check is not lost.
                signal.clear()
                found = self.changed(lambda state, _: evaluate(step, state))
                if found is not None:
                    return found
                if deadline.over:
                    raise timeout_error(step)
                left = deadline.left()
                if self._stuck:
                    left = RETRY_SECONDS if left is None else min(left, RETRY_SECONDS)
                wait_turn(signal, left)
        finally:
            with self.lock:
                for topic in topics:
                    waiter_registry.remove(topic, signal)

    def _write_frame(self, step: steps.WriteFrame) -> None:
        text = encode_frame(step.kind, step.payload)

        def socket_for(state: ClientState, now: float) -> SerialSocket:
            if self._socket is None or state.connection.phase != "ready":
                raise SogniConnectionError("the connection was lost before the frame was sent")
            if step.sending is not None:
                step.sending(state, now)
            return self._socket

        socket = self.changed(socket_for)
        logger.debug("sending %s", step.kind)
        frame = socket.text_frame(text)
        # Frames of interrupted calls that the writer still has to send come first.
        sent = socket.send_at_once(frame) if self._writer.idle else 0
        if sent < len(frame):
            timeout = self.settings.timeouts.request
            self._writer.uninterrupted(lambda: socket.send_frame(frame, timeout, begun=sent > 0))

    def _connect(self, _: steps.Connect) -> None:
        load_libraries()
        self._ensure_app_id()

        def wanted(state: ClientState, _: float) -> bool:
            return state.request_connection()

        def unattended() -> bool:
            return self._reader is None and self.state.connection.phase == "connecting"

        try:
            # Unattended: another call was interrupted between requesting a connection and starting the reader.
            if self.changed(wanted) or unattended():
                self._start_reader()
        except BaseException as error:
            interrupted = SogniConnectionError("connecting was interrupted")
            cause = with_resources_named(error) if isinstance(error, Exception) else interrupted

            def abandoned(state: ClientState, _: float) -> None:
                # Checked under the lock, because another call may have started a reader since.
                if unattended():
                    state.crashed(cause)

            self.changed(abandoned)
            raise

    def _ensure_app_id(self) -> None:
        """Acquire an app id of this installation that no other open client uses."""
        # transport §1
        with self._connecting:
            if not self.state.app_id:
                slot = acquire_app_id()
                self._slots.append(slot)
                self.state.app_id = slot.app_id

    def _app_id(self, _: steps.AppId) -> str:
        self._ensure_app_id()
        return self.state.app_id

    def _start_reader(self) -> None:
        with self.lock:
            if self._closing:
                return
            if self._reader is not None:
                self._waker.set()
                return
            from sogni.transport.reader import read_loop

            self._reader = reader = DaemonThread(read_loop, weakref.ref(self), self._waker, name="sogni-reader")
            try:
                reader.start()
            finally:
                if reader.called_off:
                    self._reader = None

    def _limited(self, step: Any, send: Callable[[HttpCall], Any]) -> Any:
        """Send a call as soon as one of the client's connections is free."""
        with self._connections.slot(step.call) as granted:
            return self._exchange(step, granted, send)

    def _exchange(self, step: Any, call: HttpCall, send: Callable[[HttpCall], Any]) -> Any:
        observer = tracing.observer
        if observer is None:
            return send(call)
        with observer.exchange(step, call, self.settings) as exchange:
            return exchange.answered(send(exchange.call))

    def _together(self, step: steps.Together) -> Any:
        load_libraries()
        return drive_together(tracing.carried(step.flows), self.perform)

    # -- calls by the reader ---------------------------------------------------

    def next_move(self) -> tuple[ReaderMove, float]:
        """Return the reader's next action and its deadline."""
        with self.lock:
            self._retry_threads()
            now = time.monotonic()
            move, until = self.state.connection.next_move(now)
            if move != "read":
                self._socket = None
            return move, min(until, now + RETRY_SECONDS) if self._stuck else until

    def reader_may_end(self) -> bool:
        """Whether the reader may end; if so, it counts as ended from now on."""
        with self.lock:
            if self._waker.socket is not None or self.state.connection.phase not in ("idle", "ended"):
                return False
            self._reader = None
            return True

    def socket_opened(self, socket: SerialSocket) -> bool:
        """Handle an opened socket; False if it is no longer needed."""

        def opened(state: ClientState, now: float) -> bool:
            wanted = state.opened(now)
            self._socket = socket if wanted else self._socket
            return wanted

        return self.changed(opened)

    def received(self, frames: list[tuple[str, Any]], *, alive: bool) -> str | None:
        """Apply frames in order, and return the next action that is due; `alive`: the server has sent anything."""
        with self.lock:
            state, now = self.state, self.state.at(time.monotonic(), time.time())
            if alive:
                state.connection.pong_received()
            for kind, payload in frames:
                try:
                    state.receive(kind, payload, now)
                except SogniError as error:
                    logger.warning("a %s frame was ignored: %s", kind, error)
                except Exception:
                    # An unexpected frame must not end the connection.
                    logger.exception("a %s frame was ignored", kind)
            move = state.tick(now)
            tasks = self._flush()
        if frames and logger.isEnabledFor(logging.DEBUG):
            logger.debug("received %s", ", ".join(kind for kind, _ in frames))
        if tasks:
            self._start_tasks(tasks)
        if state.out.calls:
            state.out.make_calls()
        return move

    def socket_lost(self, closed: Closed) -> None:
        """Handle a socket that closed or could not be opened."""

        def lost(state: ClientState, now: float) -> None:
            self._socket = None
            state.lost(closed, now=now, jitter=random.uniform(0.8, 1.2))

        self.changed(lost)

    def reader_failed(self, error: Exception) -> None:
        """Handle a failed reader: no waiter may hang forever."""

        def failed(state: ClientState, now: float) -> None:
            self._reader = None
            self._socket = None
            state.crashed(error)

        self.changed(failed)

    # -- the end ---------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._closing

    def close(self, timeout: float | None = None) -> None:
        """Close the socket, run queued callbacks and end the threads, within `timeout` seconds."""
        deadline = Deadline(self.settings.timeouts.close if timeout is None else timeout)
        with self.lock:
            reader = self._reader
            if not self._closing:
                self._closing = True
                self.state.closed = True
                self.state.stop_connection()
                self._flush()
                self.state.waiter_registry.wake_all()
        self.state.out.make_calls()
        if self._http is not None:
            self._http.end_streams()
        self._background.end()
        self._writer.end()
        if reader is not None and reader is not threading.current_thread():
            self._waker.set()
            # A hanging handshake cannot be interrupted; its thread ends later and holds no resources.
            connecting = self._waker.socket is None
            reader.join(min(CONNECTING_SECONDS, deadline.left() or 0.0) if connecting else deadline.left())
        # Urgent tasks may complete; everything else ends now, in whichever thread it runs.
        self._background.join_urgent(deadline.left() or 0.0)
        self._connections.end()
        if self._http is not None:
            self._http.end_requests()
        self._background.join(deadline.left() or 0.0)
        self._writer.join(deadline.left() or 0.0)
        with self.lock:
            self._retry_threads()
        self._dispatcher.end()
        if not self._dispatcher.join(deadline.left() or 0.0):
            logger.warning("a callback is still running; the client was closed without waiting for it")
        if self._http is not None:
            self._http.close()
        self.state.end_traces()
        _release(self._slots)

    def renew_after_fork(self) -> None:
        """Reset a client in a forked child; it stays signed in, and the parent's connection is not disturbed."""
        self._finalizer.detach()
        socket, http, slots, closed = self._waker.socket, self._http, self._slots, self._closing
        state, cookies = self.state, self.cookies
        self._slots = []
        self._set_up()
        self.state.session.take_over(state.session, forked=True)
        self.cookies.copy_from(cookies)
        self._closing = self.state.closed = closed
        if socket is not None:
            socket.abandon_after_fork()
        if http is not None:
            http.abandon_after_fork()
        for slot in slots:
            slot.release_after_fork()

    def check_owner(self, state: Any, hint: str = "projects.attach(project) tracks it here") -> None:
        """Raise `ClientClosedError` if a state belongs to the parent of this forked process."""
        if state.out is not self.state.out:
            raise ClientClosedError(f"this object belongs to the process that this one was forked from; {hint}")

    def present(self, value: Any) -> Any:
        """Return the public object of a state."""
        return self._present(self, value)


def _presented(reference: weakref.ref[Engine], value: Any) -> Any:
    engine = reference()
    return value if engine is None else engine.present(value)


def _performer(reference: weakref.ref[Engine]) -> Callable[[Step], Any] | None:
    engine = reference()
    return None if engine is None else engine.perform


def _release(slots: list[AppSlot]) -> None:
    for slot in slots:
        slot.release()


def _release_resources(
    background: BackgroundTasks, dispatcher: Dispatcher, writer: Writer, waker: ReaderWakeup, slots: list[AppSlot]
) -> None:
    """End the threads of a client that was garbage-collected without `close`."""
    background.end()
    dispatcher.end()
    writer.end()
    waker.set()
    _release(slots)


_PERFORMERS: dict[type, Callable[[Engine, Any], Any]] = {
    steps.Http: lambda engine, step: engine._limited(step, engine.http.send),
    steps.WriteFrame: Engine._write_frame,
    steps.Upload: lambda engine, step: engine._limited(step, lambda call: engine.http.upload(call, step.source)),
    steps.Download: lambda engine, step: engine._limited(
        step, lambda call: engine.http.download(call, step.path_for, overwrite=step.overwrite)
    ),
    steps.Spool: lambda engine, step: engine._limited(step, lambda call: engine.http.spool(call, step.name)),
    steps.OpenStream: lambda engine, step: engine._exchange(step, step.call, engine.http.open_stream),
    steps.OpenEvents: lambda engine, step: engine._exchange(step, step.call, engine.http.open_events),
    steps.ReadPiece: lambda engine, step: step.body.read(step.timeout),
    steps.OpenMedia: lambda engine, step: open_source(step.name, step.value),
    steps.Pause: pause,
    steps.Until: Engine._until,
    steps.Connect: Engine._connect,
    steps.CatchUp: lambda engine, step: engine._waker.catch_up(),
    steps.NewId: lambda engine, step: str(uuid.uuid4()).upper(),
    steps.Clock: lambda engine, step: time.monotonic(),
    steps.AppId: Engine._app_id,
    steps.RetriesOf: lambda engine, step: engine.settings.retry,
    steps.Compute: lambda engine, step: step.function(),
    steps.UserCode: lambda engine, step: call_user_code(step),
    steps.Together: Engine._together,
}
