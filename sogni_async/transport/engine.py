"""The engine of an asyncio client: its state, the resources of its event loop, and the steps of its operations.

The API runs flows through the engine, which performs their steps. The state is changed only in the loop and between two
awaits, so that it needs no lock; what a change asks for is begun before anything else runs. No user code runs while the
state is changed. Loop resources (tasks, connections, the app id) are made anew for each loop and in a forked child.
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
from sogni.core.background import flow_of
from sogni.core.client_state import ClientState
from sogni.core.connection.messages import encode_frame
from sogni.core.connection.state import Closed, ReaderMove
from sogni.core.flow import Flow, Pause, Step, Until, evaluate, timeout_error, topics_of
from sogni.core.outbox import CLOSED, SOCKET, WaiterRegistry
from sogni.errors import ClientClosedError, SogniConnectionError
from sogni.live import Live
from sogni.local.app_ids import AppSlot, acquire_app_id
from sogni.local.cookies import Cookies
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
    """The belongings of one client in one loop; `loop` is None until something is awaited."""

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
        """Whether the loop is closed, so that nothing here can be used any more."""
        return self.loop is not None and self.loop.is_closed()

    def let_go(self) -> None:
        """End what is left of a client that was dropped, or whose loop was closed, without `close`.

        May be called in any thread, by the garbage collector. The loop may have no other round.
        """
        self._release_slot()
        if self.loop is None:
            return
        call_in_loop(self.loop, self._end_at_once)
        forget_closed_loops()

    def _end_at_once(self) -> None:
        if not self.orphaned:
            self._end_tasks()
        self.http.end()
        for task in (*(() if self.reader is None else (self.reader,)), *self.background.tasks):
            end_task(task)

    def abandon_after_fork(self) -> None:
        """Let go of what belongs to the parent, without disturbing it."""
        self.http.abandon_after_fork()
        if self.slot is not None:
            self.slot.release_after_fork()
        _abandoned.append(self)

    async def close(self, deadline: Deadline) -> None:
        """End everything in order: the socket, background work, callbacks, connections; bounded in time."""
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
"""Of the process this one was forked from; kept, because their finalizers would touch its loop."""


async def _ended(task: asyncio.Task[None], deadline: Deadline) -> None:
    """Wait for a task to end, then end it."""
    await asyncio.wait([task], timeout=deadline.left())
    if not task.done():
        task.cancel()
        await asyncio.wait([task])


# Two hooks for all clients, for the exit of the process and for a forked child. At exit no loop runs any more, so that
# connections are only closed.


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def register(engine: Engine) -> None:
    """Have an engine looked after until it is collected."""
    _engines.add(engine)


def _renew_all() -> None:
    for engine in list(_engines):
        engine.renew_after_fork()


def _let_go_all() -> None:
    for engine in list(_engines):
        engine.let_go()


atexit.register(_let_go_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


R = TypeVar("R")


class Engine(Live):
    """The state of one client and the tasks that serve it.

    It needs no loop and opens nothing before the first step. From then on it belongs to that loop; once the loop
    is closed it is as if newly constructed, but still signed in.
    """

    _public_name = "SogniClient"

    def __init__(self, settings: Settings, present: Callable[[Engine, Any], Any]) -> None:
        self.settings = settings
        self._present = present
        self._closing = False
        self._begin()
        register(self)

    def _begin(self) -> None:
        """Everything that another loop and a forked child replace."""
        self._state = ClientState(self.settings, self.settings.app_id or "")
        self._state.closed = self._closing
        reference = weakref.ref(self)
        dispatcher = Dispatcher(lambda value: _presented(reference, value))
        background = BackgroundTasks(lambda: _performer(reference), _jittered)
        # Through the reference: what is held must not keep the client, or it could never be dropped.
        self.cookies: Cookies = Cookies(self.settings.auth_type == "cookies")
        http = Http(self.settings, lambda: _auth_headers(reference), self.cookies)
        self._held = LoopResources(background, dispatcher, http)
        self._state.waiter_registry.add(SOCKET, self._held.waker)
        self._socket: Socket | None = None
        self._finalizer = weakref.finalize(self, self._held.let_go)
        self._finalizer.atexit = False

    def _begin_in_another_loop(self) -> None:
        self._finalizer()
        self._begin_anew(forked=False)

    def _begin_anew(self, *, forked: bool) -> None:
        """Begin as if newly constructed, but with who was signed in."""
        state, cookies = self._state, self.cookies
        self._begin()
        self._state.session.take_over(state.session, forked=forked)
        self.cookies.copy_from(cookies)

    @property
    def state(self) -> ClientState:
        """What the client knows; a new state once its loop is closed."""
        if self._held.orphaned:
            self._begin_in_another_loop()
        return self._state

    @property
    def http(self) -> Http:
        """The HTTP side."""
        return self._held.http

    def enter(self) -> asyncio.AbstractEventLoop:
        """Belong to the running loop. RuntimeError when this client belongs to another that is not closed."""
        running = asyncio.get_running_loop()
        if self._held.orphaned:
            self._begin_in_another_loop()
        if self._held.loop is None:
            install_filter()
            self._held.loop = running
        if self._held.loop is not running:
            raise RuntimeError(
                "this client belongs to another event loop, the one that first awaited it; "
                "make a client per loop, or close that loop first"
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

    async def perform(self, step: Step) -> Any:
        """Perform one step."""
        if self._closing and not isinstance(step, steps.Change):
            raise ClientClosedError("the client is closed")
        at_once = _AT_ONCE.get(type(step))
        if at_once is not None:
            return at_once(self, step)
        return await _AWAITED[type(step)](self, step)

    def begin(self, step: Step) -> Awaitable[Any]:
        """Begin a step of background work; what is awaited does not keep the client while it waits."""
        if type(step) in _AT_ONCE or type(step) not in _ELSEWHERE:
            return self.perform(step)
        if self._closing:
            raise ClientClosedError("the client is closed")
        return _AWAITED[type(step)](self, step)

    def changed(self, function: Callable[[ClientState, float], R]) -> R:
        """Read or change the state; what that asks for is begun before it returns."""
        state = self.state
        try:
            return function(state, state.at(time.monotonic(), time.time()))
        finally:
            self._flush()

    def _flush(self) -> None:
        """Wake, deliver and begin what the outbox holds."""
        state, out, loop = self._state, self._state.out, self._held.loop
        if out.woken:
            for topic in out.woken:
                state.waiter_registry.wake(topic)
            out.woken.clear()
        if out.deliveries:
            if loop is not None:
                for delivery in out.deliveries:
                    self._held.dispatcher.put(delivery, loop)
            out.deliveries.clear()
        if out.tasks:
            if loop is not None:
                for task in out.tasks:
                    self._held.background.begin(flow_of(task), loop, urgent=getattr(task, "urgent", False))
            out.tasks.clear()

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
        await socket.send_text(frame, self.settings.timeouts.request)

    def _connect(self, _: steps.Connect) -> None:
        self._have_app_id()

        def wanted(state: ClientState, _: float) -> bool:
            return state.request_connection()

        if self.changed(wanted):
            self._start_reader()

    def _have_app_id(self) -> None:
        """Take an app id of this installation that no other open client has (transport §1)."""
        if not self._state.app_id:
            self._held.slot = acquire_app_id()
            self._state.app_id = self._held.slot.app_id

    def _app_id(self, _: steps.AppId) -> str:
        self._have_app_id()
        return self._state.app_id

    def _start_reader(self) -> None:
        held = self._held
        if held.reader is not None and not held.reader.done():
            held.waker.set()
            return
        assert held.loop is not None
        held.reader = held.loop.create_task(
            Endable(partial(read_loop, weakref.ref(self), held.waker)), name="sogni-reader"
        )
        quiet_when_dropped(held.reader)

    def _change(self, step: steps.Change) -> Any:
        return self.changed(step.function)

    async def _together(self, step: steps.Together) -> Any:
        return await drive_together(step.flows, self.perform)

    # -- what the reader asks and tells ----------------------------------------

    def next_move(self) -> tuple[ReaderMove, float]:
        """What the reader is to do now, and until when."""
        move, until = self._state.connection.next_move(time.monotonic())
        if move != "read":
            self._socket = None
        return move, until

    def reader_ends(self) -> None:
        """The reader has nothing left to do; the next connection has another one."""
        self._held.reader = None

    def socket_opened(self, socket: Socket) -> bool:
        """A socket is open; False when nobody wants it any more."""

        def opened(state: ClientState, now: float) -> bool:
            wanted = state.opened(now)
            self._socket = socket if wanted else self._socket
            return wanted

        return self.changed(opened)

    def pong_received(self) -> None:
        """The server has given a sign of life."""
        self._state.connection.pong_received()

    def received(self, kind: str, payload: Any) -> None:
        """Apply one frame."""
        state = self._state
        state.connection.pong_received()
        try:
            state.receive(kind, payload, state.at(time.monotonic(), time.time()))
        except Exception as error:
            logger.warning("a %s frame was ignored: %s", kind, error)
        out = state.out
        if out.woken or out.deliveries or out.tasks:
            self._flush()

    def tick(self) -> str | None:
        """Ask what the time demands."""
        return self.changed(lambda state, now: state.tick(now))

    def socket_lost(self, closed: Closed) -> None:
        """A socket closed, or could not be opened."""

        def lost(state: ClientState, now: float) -> None:
            self._socket = None
            state.lost(closed, now=now, jitter=random.uniform(0.8, 1.2))

        self.changed(lost)

    def reader_failed(self, error: Exception) -> None:
        """The reader broke down: no waiter may hang for ever."""

        def failed(state: ClientState, now: float) -> None:
            self._held.reader = None
            self._socket = None
            state.crashed(error)

        self.changed(failed)

    # -- the end ---------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._closing

    async def close(self) -> None:
        """Close the socket, run the callbacks that are queued, end the tasks; bounded in time."""
        self.enter()
        if not self._closing:
            self._closing = True
            self.changed(_stop)
            self._state.waiter_registry.wake_all()
        await self._held.close(Deadline(self.settings.timeouts.close))

    def let_go(self) -> None:
        """End what the client holds, at the end of the process."""
        self._finalizer()

    def renew_after_fork(self) -> None:
        """In a forked child: a client as if newly constructed, signed in; the parent's is not disturbed."""
        self._finalizer.detach()
        self._held.abandon_after_fork()
        self._begin_anew(forked=True)

    def own(self, state: Any, cure: str = "projects.attach(project) tracks it here") -> None:
        """Check that a handle belongs to the running loop and this process.

        RuntimeError in another loop; ClientClosedError for a handle of a closed one, or of the process this one
        was forked from.
        """
        self.enter()
        if state.out is not self._state.out:
            raise ClientClosedError(
                "this handle belongs to an event loop that is closed, or to the process that this one was forked "
                f"from; {cure}"
            )

    def present(self, value: Any) -> Any:
        """What users get to see of a state: its handle."""
        return self._present(self, value)


async def _wait_until(reference: weakref.ref[Engine], waiter_registry: WaiterRegistry, step: Until) -> Any:
    """Wait in this task, without keeping the client."""
    deadline = Deadline(step.timeout)
    signal = asyncio.Event()
    topics = topics_of(step)
    for topic in topics:
        waiter_registry.add(topic, signal)
    try:
        while True:
            # Cleared before asking: what asking changes may wake it again.
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


async def _pause(engine: Engine, step: Pause) -> None:
    """Wait in this task; the end of the client ends it."""
    signal, waiter_registry = asyncio.Event(), engine.state.waiter_registry
    waiter_registry.add(CLOSED, signal)
    try:
        await sleep_until_set(signal, _jittered(step))
    finally:
        waiter_registry.remove(CLOSED, signal)


async def _open_media(_: Engine, step: steps.OpenMedia) -> Any:
    """Look at a media input; in a thread what may take its time: images are encoded, streams read to their end."""
    if hasattr(step.value, "read") or hasattr(step.value, "save"):
        load_image_formats()
        return await asyncio.to_thread(open_source, step.name, step.value)
    return open_source(step.name, step.value)


_AT_ONCE: dict[type, Callable[[Engine, Any], Any]] = {
    steps.Change: Engine._change,
    steps.Connect: Engine._connect,
    steps.AppId: Engine._app_id,
    steps.NewId: lambda engine, step: str(uuid.uuid4()).upper(),
    steps.Clock: lambda engine, step: time.monotonic(),
}
_AWAITED: dict[type, Callable[[Engine, Any], Awaitable[Any]]] = {
    steps.Http: lambda engine, step: engine.http.limited(step.call, engine.http.send),
    steps.WriteFrame: Engine._write_frame,
    steps.Upload: lambda engine, step: engine.http.limited(step.call, engine.http.upload, step.source),
    steps.Download: lambda engine, step: engine.http.limited(
        step.call, engine.http.download, step.path_for, overwrite=step.overwrite
    ),
    steps.Spool: lambda engine, step: engine.http.limited(step.call, engine.http.spool, step.name),
    steps.OpenStream: lambda engine, step: engine.http.open_stream(step.call),
    steps.OpenEvents: lambda engine, step: engine.http.open_events(step.call),
    steps.ReadPiece: lambda engine, step: step.body.read(step.timeout),
    steps.OpenMedia: _open_media,
    steps.Pause: _pause,
    steps.Until: Engine._until,
    steps.CatchUp: lambda engine, step: let_catch_up(),
    steps.Compute: lambda engine, step: asyncio.to_thread(step.function),
    steps.UserCode: lambda engine, step: call_user_code(step),
    steps.Together: Engine._together,
}
_ELSEWHERE = frozenset({steps.Http, steps.Until, steps.CatchUp, steps.Compute})
"""Steps of background work whose performing does not need the engine once it has begun."""
