"""The engine of an asyncio client: its state, the resources of its event loop, and the steps of its operations.

The API runs flows through the engine, which performs their steps. The state is changed only in the loop and between two
awaits, so that it needs no lock; the effects of a change are started before anything else runs. No user code runs while
the state is changed. Loop resources (tasks, connections, the app id) are created again for each loop and in a forked
child.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from sogni.core import flow as steps
from sogni.core import tracing
from sogni.core.background import traced_flow_of
from sogni.core.client_state import ClientState
from sogni.core.connection.messages import decode_frame, encode_frame
from sogni.core.connection.state import Closed, ReaderMove
from sogni.core.flow import Flow, Pause, Step, Until, evaluate, timeout_error, topics_of
from sogni.core.http import HttpCall
from sogni.core.outbox import CLOSED, SOCKET, WaiterRegistry
from sogni.errors import ClientClosedError, SogniConnectionError
from sogni.live import Live
from sogni.local.app_ids import AppSlot, acquire_app_id
from sogni.local.cookies import Cookies
from sogni.local.key_notes import KeyNotes
from sogni.local.media import load_image_formats, open_source
from sogni.redaction import install_filter
from sogni.settings import Settings
from sogni_async.transport.background import BackgroundTasks, Dispatcher, forget_closed_loops
from sogni_async.transport.closing import Endable, call_in_loop, end_task, quiet_when_dropped
from sogni_async.transport.driver import Perform, call_user_code, drive, drive_together
from sogni_async.transport.http import Http
from sogni_async.transport.reader import read_loop
from sogni_async.transport.waiting import Deadline, ReaderWakeup, let_catch_up, sleep_until_set
from sogni_async.transport.websocket import Socket

logger: logging.Logger = logging.getLogger("sogni")


class LoopResources:
    """The resources of one client in one loop; `loop` is None until something is awaited."""

    def __init__(self, background: BackgroundTasks, dispatcher: Dispatcher, http: Http) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waker: ReaderWakeup = ReaderWakeup()
        self.background = background
        self.dispatcher = dispatcher
        self.http = http
        self.slot: AppSlot | None = None
        self.reader: asyncio.Task[None] | None = None

    @property
    def orphaned(self) -> bool:
        """Whether the loop is closed, so that these resources are unusable."""
        return self.loop is not None and self.loop.is_closed()

    def release(self) -> None:
        """Release the resources of a client that was garbage-collected, or whose loop was closed, without `close`.

        The garbage collector may call this in any thread. The loop may not run again.
        """
        self._release_slot()
        if self.loop is None:
            return
        call_in_loop(self.loop, self._end_now)
        forget_closed_loops()

    def _end_now(self) -> None:
        if not self.orphaned:
            self._end_tasks()
        self.http.end()
        for task in (*(() if self.reader is None else (self.reader,)), *self.background.tasks):
            end_task(task)

    def abandon_after_fork(self) -> None:
        """Drop the resources of the parent process, without disturbing it."""
        self.http.abandon_after_fork()
        if self.slot is not None:
            self.slot.release_after_fork()
        _abandoned.append(self)

    async def close(self, deadline: Deadline) -> None:
        """Close the socket, background tasks, callbacks and connections, in this order, before the deadline."""
        try:
            self.http.end_streams()
            self._end_tasks()
            if self.reader is not None:
                await _ended(self.reader, deadline)
            await self.background.join(deadline.left())
            self.dispatcher.end()
            if not await self.dispatcher.join(deadline.left()):
                logger.warning("a callback is still running; the client was closed without waiting for it")
            await self.http.close()
        finally:
            self._release_slot()

    def _end_tasks(self) -> None:
        self.background.end()
        self.waker.set()

    def _release_slot(self) -> None:
        if self.slot is not None:
            self.slot.release()


_abandoned: list[LoopResources] = []
"""Resources of the parent process; kept alive, because their finalizers would touch its loop."""


async def _ended(task: asyncio.Task[None], deadline: Deadline) -> None:
    """Wait for a task to end, then end it."""
    await asyncio.wait([task], timeout=deadline.left())
    if not task.done():
        task.cancel()
        await asyncio.wait([task])


# Two hooks for all clients, for the exit of the process and for a forked child. At exit no loop runs, so connections
# are closed without a closing handshake.


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Close an engine at exit, and renew it in forked children."""
    _engines.add(engine)


def _renew_all() -> None:
    for engine in list(_engines):
        engine.renew_after_fork()


def _release_all() -> None:
    for engine in list(_engines):
        engine.release()


atexit.register(_release_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


R = TypeVar("R")


class Engine(Live):
    """The state of one client and the tasks that serve it.

    It needs no loop and opens nothing before the first step, and then belongs to that loop. Once the loop is closed, it
    is reset, but stays signed in.
    """

    _public_name = "SogniClient namespace"
    _instead = "pickle the client"

    def __init__(self, settings: Settings, present: Callable[[Engine, Any], Any]) -> None:
        self.settings = settings
        self._present = present
        self._closing = False
        self._set_up()
        register(self)

    def _set_up(self) -> None:
        """Set up everything that another loop and a forked child replace."""
        self._state = ClientState(self.settings, self.settings.app_id or "")
        self._state.key_notes = KeyNotes()
        self._state.closed = self._closing
        reference = weakref.ref(self)
        dispatcher = Dispatcher(lambda value: _presented(reference, value))
        background = BackgroundTasks(lambda: _performer(reference), _jittered)
        # Through a weak reference: the resources must not keep the client alive.
        self.cookies: Cookies = Cookies(self.settings.auth_type == "cookies")
        http = Http(self.settings, lambda: _auth_headers(reference), self.cookies)
        self._resources = LoopResources(background, dispatcher, http)
        self._state.waiter_registry.add(SOCKET, self._resources.waker)
        self._socket: Socket | None = None
        self._finalizer = weakref.finalize(self, self._resources.release)
        self._finalizer.atexit = False

    def _move_to_another_loop(self) -> None:
        self._finalizer()
        self._state.end_traces()
        self._reset(forked=False)

    def _reset(self, *, forked: bool) -> None:
        """Reset the client, which stays signed in."""
        state, cookies = self._state, self.cookies
        self._set_up()
        self._state.session.take_over(state.session, forked=forked)
        self.cookies.copy_from(cookies)

    @property
    def state(self) -> ClientState:
        """The state of the client; a new one once its loop is closed."""
        if self._resources.orphaned:
            self._move_to_another_loop()
        return self._state

    @property
    def http(self) -> Http:
        """The HTTP client."""
        return self._resources.http

    def enter(self) -> asyncio.AbstractEventLoop:
        """Bind the client to the running loop. Raises `RuntimeError` if it belongs to another open loop."""
        running = asyncio.get_running_loop()
        if self._resources.orphaned:
            self._move_to_another_loop()
        if self._resources.loop is None:
            install_filter()
            self._resources.loop = running
        if self._resources.loop is not running:
            raise RuntimeError(
                "this client belongs to another event loop, the first one that used it; "
                "create a client per loop, or close that loop first"
            )
        return running

    # -- running flows ---------------------------------------------------------

    async def run(self, flow: Flow[R]) -> R:
        """Run a flow in this task."""
        try:
            self.enter()
        except RuntimeError:
            flow.close()
            raise
        return await drive(flow, self.perform)

    def run_apart(self, flow: Flow[R]) -> R:
        """Run a flow that downloads, in a thread without an event loop; the loop of the client may be blocked.

        Downloads have connections of their own. Other steps wait for the loop of the client.
        """
        return asyncio.run(self._run_apart(flow))

    async def _run_apart(self, flow: Flow[R]) -> R:
        http, loop = Http(self.settings, dict), self._resources.loop

        async def perform(step: Step) -> Any:
            if self._closing or loop is None or loop.is_closed():
                raise ClientClosedError("the client is closed")
            if isinstance(step, steps.Download):
                send = _exchanging(self, step, http.download)
                return await http.limited(step.call, send, step.path_for, overwrite=step.overwrite)
            if isinstance(step, steps.Pause):
                return await asyncio.sleep(_jittered(step))
            if type(step) in _PURE:
                return _IMMEDIATE[type(step)](self, step)
            pending = asyncio.run_coroutine_threadsafe(self.perform(step), loop)
            async with asyncio.timeout(self.settings.timeouts.request):
                return await asyncio.wrap_future(pending)

        try:
            return await drive(flow, perform)
        finally:
            await http.close()

    async def perform(self, step: Step) -> Any:
        """Perform one step."""
        if self._closing and not isinstance(step, steps.Change):
            raise ClientClosedError("the client is closed")
        immediate = _IMMEDIATE.get(type(step))
        if immediate is not None:
            return immediate(self, step)
        return await _AWAITED[type(step)](self, step)

    def begin(self, step: Step) -> Awaitable[Any]:
        """Begin a step of a background task; the result does not keep the client alive while it is awaited."""
        if type(step) in _IMMEDIATE or type(step) not in _DETACHED:
            return self.perform(step)
        if self._closing:
            raise ClientClosedError("the client is closed")
        return _AWAITED[type(step)](self, step)

    def changed(self, function: Callable[[ClientState, float], R]) -> R:
        """Read or change the state; the effects are started before it returns."""
        state = self.state
        try:
            return function(state, state.at(time.monotonic(), time.time()))
        finally:
            self._flush()

    def _flush(self) -> None:
        """Wake waiters, queue deliveries and start tasks."""
        state, out, loop = self._state, self._state.out, self._resources.loop
        if out.woken:
            for topic in out.woken:
                state.waiter_registry.wake(topic)
            out.woken.clear()
        if out.deliveries:
            if loop is not None:
                for delivery in out.deliveries:
                    self._resources.dispatcher.put(delivery, loop)
            out.deliveries.clear()
        if out.tasks:
            if loop is not None:
                for task in out.tasks:
                    self._resources.background.begin(
                        traced_flow_of(task, state), loop, urgent=getattr(task, "urgent", False)
                    )
            out.tasks.clear()
        if out.calls:
            out.make_calls()

    # -- steps -----------------------------------------------------------------

    def _until(self, step: Until) -> Awaitable[Any]:
        return _wait_until(weakref.ref(self), self._state.waiter_registry, step)

    async def _write_frame(self, step: steps.WriteFrame) -> None:
        frame = encode_frame(step.kind, step.payload)

        def socket_for(state: ClientState, now: float) -> Socket:
            if self._socket is None or state.connection.phase != "ready":
                raise SogniConnectionError("the connection was lost before the frame was sent")
            if step.sending is not None:
                step.sending(state, now)
            return self._socket

        socket = self.changed(socket_for)
        logger.debug("sending %s", step.kind)
        await socket.send_text(frame, self.settings.timeouts.request)

    def _connect(self, _: steps.Connect) -> None:
        self._ensure_app_id()

        def wanted(state: ClientState, _: float) -> bool:
            return state.request_connection()

        if self.changed(wanted):
            self._start_reader()

    def _ensure_app_id(self) -> None:
        """Acquire an app id of this installation that no other open client uses."""
        # transport §1
        if not self._state.app_id:
            self._resources.slot = acquire_app_id()
            self._state.app_id = self._resources.slot.app_id

    def _app_id(self, _: steps.AppId) -> str:
        self._ensure_app_id()
        return self._state.app_id

    def _start_reader(self) -> None:
        resources = self._resources
        if resources.reader is not None and not resources.reader.done():
            resources.waker.set()
            return
        assert resources.loop is not None
        observer = tracing.observer
        resources.reader = resources.loop.create_task(
            Endable(partial(read_loop, weakref.ref(self), resources.waker)),
            name="sogni-reader",
            # Frames do not belong to the call that happened to connect.
            context=None if observer is None else observer.detached(),
        )
        quiet_when_dropped(resources.reader)

    def _change(self, step: steps.Change) -> Any:
        return self.changed(step.function)

    async def _together(self, step: steps.Together) -> Any:
        return await drive_together(step.flows, self.perform)

    # -- calls by the reader ---------------------------------------------------

    def next_move(self) -> tuple[ReaderMove, float]:
        """Return the reader's next action and its deadline."""
        move, until = self._state.connection.next_move(time.monotonic())
        if move != "read":
            self._socket = None
        return move, until

    def reader_ends(self) -> None:
        """Handle the end of the reader; the next connection starts another one."""
        self._resources.reader = None

    def socket_opened(self, socket: Socket) -> bool:
        """Handle an opened socket; False if it is no longer needed."""

        def opened(state: ClientState, now: float) -> bool:
            wanted = state.opened(now)
            self._socket = socket if wanted else self._socket
            return wanted

        return self.changed(opened)

    def pong_received(self) -> None:
        """Record that the server is alive."""
        self._state.connection.pong_received()

    def received(self, messages: list[bytes]) -> None:
        """Apply frames in order."""
        state = self._state
        state.connection.pong_received()
        now = state.at(time.monotonic(), time.time())
        is_logged = logger.isEnabledFor(logging.DEBUG)
        for message in messages:
            kind = ""
            try:
                kind, payload = decode_frame(message)
                state.receive(kind, payload, now)
                if is_logged:
                    logger.debug("received %s", kind)
            except Exception as error:
                logger.warning("a %sframe was ignored: %s", kind and f"{kind} ", error)
        out = state.out
        if out.woken or out.deliveries or out.tasks or out.calls:
            self._flush()

    def tick(self) -> str | None:
        """Return the next action that is due, if any."""
        return self.changed(lambda state, now: state.tick(now))

    def socket_lost(self, closed: Closed) -> None:
        """Handle a socket that closed or could not be opened."""

        def lost(state: ClientState, now: float) -> None:
            self._socket = None
            state.lost(closed, now=now, jitter=random.uniform(0.8, 1.2))

        self.changed(lost)

    def reader_failed(self, error: Exception) -> None:
        """Handle a failed reader: no waiter may hang forever."""

        def failed(state: ClientState, now: float) -> None:
            self._resources.reader = None
            self._socket = None
            state.crashed(error)

        self.changed(failed)

    # -- the end ---------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._closing

    async def close(self) -> None:
        """Close the socket, run queued callbacks and end the tasks, within `Timeouts.close`."""
        self.enter()
        if not self._closing:
            self._closing = True
            self.changed(_stop)
            self._state.waiter_registry.wake_all()
        await self._resources.close(Deadline(self.settings.timeouts.close))
        self._state.end_traces()

    def release(self) -> None:
        """Release the client's resources at exit."""
        self._finalizer()

    def renew_after_fork(self) -> None:
        """Reset a client in a forked child; it stays signed in, and the parent's connection is not disturbed."""
        self._finalizer.detach()
        self._resources.abandon_after_fork()
        self._reset(forked=True)

    def check_owner(self, state: Any, hint: str = "projects.attach(project) tracks it here") -> None:
        """Check that a state belongs to the running loop and this process.

        Raises `RuntimeError` if it belongs to another loop, `ClientClosedError` if its loop is closed or it belongs to
        the parent of this forked process.
        """
        self.enter()
        if state.out is not self._state.out:
            raise ClientClosedError(
                "this object belongs to an event loop that is closed, or to the process that this one was forked "
                f"from; {hint}"
            )

    def present(self, value: Any) -> Any:
        """Return the public object of a state."""
        return self._present(self, value)


async def _wait_until(reference: weakref.ref[Engine], waiter_registry: WaiterRegistry, step: Until) -> Any:
    """Wait in this task, without keeping the client alive."""
    deadline = Deadline(step.timeout)
    signal = asyncio.Event()
    topics = topics_of(step)
    for topic in topics:
        waiter_registry.add(topic, signal)
    try:
        while True:
            # Cleared before the check, because its changes may set it again.
            signal.clear()
            engine = reference()
            if engine is None:
                raise ClientClosedError("the client is gone")
            found = engine.changed(lambda state, _: evaluate(step, state))
            del engine
            if found is not None:
                return found
            if deadline.over:
                raise timeout_error(step)
            await sleep_until_set(signal, deadline.left())
    finally:
        for topic in topics:
            waiter_registry.remove(topic, signal)


def _stop(state: ClientState, _: float) -> None:
    state.closed = True
    state.stop_connection()


def _presented(reference: weakref.ref[Engine], value: Any) -> Any:
    engine = reference()
    return value if engine is None else engine.present(value)


def _performer(reference: weakref.ref[Engine]) -> Perform | None:
    engine = reference()
    return None if engine is None else engine.begin


def _auth_headers(reference: weakref.ref[Engine]) -> dict[str, str]:
    engine = reference()
    return {} if engine is None else engine.state.session.auth_headers()


def _jittered(step: Pause) -> float:
    return step.seconds * random.uniform(1 - step.jitter, 1 + step.jitter)


def _exchanging(engine: Engine, step: Any, send: Callable[..., Awaitable[R]]) -> Callable[..., Awaitable[R]]:
    """Return `send`, which sends the call of a step, observed if there is an observer."""
    observer, settings = tracing.observer, engine.settings
    if observer is None:
        return send

    async def observed(call: HttpCall, *arguments: Any, **options: Any) -> Any:
        with observer.exchange(step, call, settings) as exchange:
            return exchange.answered(await send(exchange.call, *arguments, **options))

    return observed


async def _pause(engine: Engine, step: Pause) -> None:
    """Wait in this task, until the client is closed at the latest."""
    signal, waiter_registry = asyncio.Event(), engine.state.waiter_registry
    waiter_registry.add(CLOSED, signal)
    try:
        await sleep_until_set(signal, _jittered(step))
    finally:
        waiter_registry.remove(CLOSED, signal)


async def _open_media(_: Engine, step: steps.OpenMedia) -> Any:
    """Open a media input; in a thread if it must be encoded or read completely."""
    if hasattr(step.value, "read") or hasattr(step.value, "save"):
        load_image_formats()
        return await asyncio.to_thread(open_source, step.name, step.value)
    return open_source(step.name, step.value)


_IMMEDIATE: dict[type, Callable[[Engine, Any], Any]] = {
    steps.Change: Engine._change,
    steps.Connect: Engine._connect,
    steps.AppId: Engine._app_id,
    steps.RetriesOf: lambda engine, step: engine.settings.retry,
    steps.NewId: lambda engine, step: str(uuid.uuid4()).upper(),
    steps.Clock: lambda engine, step: time.monotonic(),
}
_PURE = frozenset({steps.RetriesOf, steps.Clock})
"""Steps that neither read nor change the state."""
_AWAITED: dict[type, Callable[[Engine, Any], Awaitable[Any]]] = {
    steps.Http: lambda engine, step: engine.http.limited(step.call, _exchanging(engine, step, engine.http.send)),
    steps.WriteFrame: Engine._write_frame,
    steps.Upload: lambda engine, step: engine.http.limited(
        step.call, _exchanging(engine, step, engine.http.upload), step.source
    ),
    steps.Download: lambda engine, step: engine.http.limited(
        step.call, _exchanging(engine, step, engine.http.download), step.path_for, overwrite=step.overwrite
    ),
    steps.Spool: lambda engine, step: engine.http.limited(
        step.call, _exchanging(engine, step, engine.http.spool), step.name
    ),
    steps.OpenStream: lambda engine, step: _exchanging(engine, step, engine.http.open_stream)(step.call),
    steps.OpenEvents: lambda engine, step: _exchanging(engine, step, engine.http.open_events)(step.call),
    steps.ReadPiece: lambda engine, step: step.body.read(step.timeout),
    steps.OpenMedia: _open_media,
    steps.Pause: _pause,
    steps.Until: Engine._until,
    steps.CatchUp: lambda engine, step: let_catch_up(),
    steps.Compute: lambda engine, step: asyncio.to_thread(step.function),
    steps.UserCode: lambda engine, step: call_user_code(step),
    steps.Together: Engine._together,
}
_DETACHED = frozenset({steps.Http, steps.Until, steps.CatchUp, steps.Compute})
"""Steps of background tasks that do not need the engine once they have begun."""
