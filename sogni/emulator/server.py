"""The server: its thread, event loop and two listeners, the services it wires together, and their shutdown.

Used by ``LocalSupernet``.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from aiohttp import hdrs, web, web_app
from aiohttp.http_exceptions import HttpProcessingError
from attrs import define, frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.account.sessions import Accounts
from sogni.emulator.catalogue.models import Catalogue, Media
from sogni.emulator.chat.agent import Agent
from sogni.emulator.chat.completions import Completer
from sogni.emulator.chat.runs import ChatRuns
from sogni.emulator.chat.script import ChatScript
from sogni.emulator.chat.socket_jobs import SocketJobs
from sogni.emulator.clock import Pace
from sogni.emulator.control import LOOPBACK, Control, loopback_only
from sogni.emulator.faults import Faults, LoraImportFault
from sogni.emulator.inspector.service import Inspector
from sogni.emulator.media.audio_kind import AudioKind
from sogni.emulator.media.image_kind import ImageKind
from sogni.emulator.media.model_kind import ModelKind
from sogni.emulator.media.video_kind import VideoKind
from sogni.emulator.middleware import make_middleware
from sogni.emulator.persistence import Archive
from sogni.emulator.projects.personal_loras import PersonalLoras
from sogni.emulator.projects.projects import Projects
from sogni.emulator.projects.saved_uploads import SavedUploads, UploadLimits
from sogni.emulator.projects.storage import Signer, Store
from sogni.emulator.recorder import Recorder
from sogni.emulator.rendering.service import ProjectService
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.replays import Replays
from sogni.emulator.routes import account, chat, projects, sign_in, workflows, worlds
from sogni.emulator.socket import SocketEndpoint
from sogni.emulator.state import URL_LIFETIME, IdSource, State
from sogni.emulator.tools.runner import ToolRunner
from sogni.emulator.workflows.engine import Workflows
from sogni.emulator.workflows.templates import Templates
from sogni.emulator.worlds import WorldBuilds


@define(eq=False)
class Services:
    """The services of an emulator. They belong to the server's event loop."""

    state: State
    pool: WorkerPool
    tools: ToolRunner
    workflows: Workflows
    templates: Templates
    replays: Replays
    agent: Agent
    chats: SocketJobs
    runs: ChatRuns
    worlds: WorldBuilds

    @classmethod
    def of(cls, state: State, completer: Completer, workers: int, workflow_limit: int) -> Services:
        """Create the services with the data saved by an earlier emulator; unfinished work does not resume yet."""
        pool = WorkerPool(state, workers, state.clock)
        tools = ToolRunner(state, pool)
        workflows = Workflows(state, tools, workflow_limit)
        agent = Agent(completer, tools, workflows)
        services = cls(
            state=state,
            pool=pool,
            tools=tools,
            workflows=workflows,
            templates=Templates(state, state.archive),
            replays=Replays(state.clock, state.archive),
            agent=agent,
            chats=SocketJobs(state, agent, workers, state.clock),
            runs=ChatRuns(state, agent),
            worlds=WorldBuilds(state),
        )
        for part in (workflows, services.templates, services.replays, services.runs):
            part.restore()
        return services

    def resume(self) -> None:
        """Resume the unfinished work of an earlier emulator; it needs the URLs of the listeners."""
        self.workflows.resume_all()
        self.runs.resume_all()

    def clear(self) -> None:
        """Cancel and remove everything, including saved data."""
        for part in (self.runs, self.workflows, self.templates, self.replays, self.state.archive, self.worlds):
            part.clear()
        self.chats.cancel_all()
        self.pool.cancel_all()

    async def stop(self) -> None:
        for part in (self.workflows, self.runs, self.chats, self.worlds, self.pool):
            await part.stop()


T = TypeVar("T")
_TURNS = 3
"""Loop iterations within which an accepted connection gets its transport and handler, and a closed one its end."""
_PATIENCE = 0.5
_IMPORT_SECONDS = 20.0
_IMPORT_STEPS = 5
"""Duration of each stage of an import, in seconds and in rendering steps."""
_JSON_LIMIT = 64 * 1024**2
"""Size limit in bytes of a body that is read as a whole; uploads are streamed and have their own limit."""


@frozen(kw_only=True)
class Setup:
    """Settings of a server; see ``LocalSupernet``."""

    host: str
    rest_port: int
    socket_port: int
    workers: int
    pace: Pace
    token_rate: float
    seed: int | None
    binary_frames: bool
    accounts: Accounts
    faults: Faults
    chat: ChatScript
    recorder: Recorder
    data: Path | None
    workflow_limit: int
    upload_limits: UploadLimits | None
    control: Control | None = None
    control_port: int = 0
    serve_control: bool = False
    serve_inspector: bool = False


def _not_caused_by_peer(record: logging.LogRecord) -> bool:
    """Keep tracebacks for our own errors: clients may disconnect at any time and may send invalid HTTP."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not isinstance(error, ConnectionError | HttpProcessingError | web.RequestPayloadError)


_LOG = logging.getLogger("sogni.emulator.http")
_LOG.addFilter(_not_caused_by_peer)


_CLOSING_TIME = 0.01
"""Seconds that handlers get to end once their connection is gone, before they are canceled."""


@define(eq=False)
class _Listener:
    runner: web.AppRunner
    host: str
    port: int
    site: web.SockSite
    listening: socket.socket
    address: str


class Server:
    """One running emulator. Methods may be called from any thread except the server's own."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready: Future[State] = Future()
        self._thread = threading.Thread(target=self._run, name="sogni-emulator", daemon=True)
        # Not Thread.is_alive: after an interrupted join, Python reports a running thread as ended.
        self._ended = threading.Event()
        self._listeners: list[_Listener] = []
        self.pace: Pace = setup.pace
        self.services: Services | None = None
        self.rest_endpoint: str = ""
        self.socket_endpoint: str = ""
        self.control_address: str = ""
        self.inspector: Inspector | None = None

    def start(self) -> State:
        """Start the thread and return the state once both listeners accept connections."""
        try:
            self._thread.start()
        except RuntimeError:
            if self._thread.ident is None:
                self._loop.close()
            raise
        try:
            return self._ready.result()
        except BaseException:
            self._thread.join()
            raise

    def close(self) -> None:
        """Stop the server and wait for its thread. May be called again; in a forked child, which has no thread, too."""
        if self._thread.is_alive() and not self._ended.is_set():
            self.post(self._stop.set)
            # Garbage collection runs in any thread: an unreferenced emulator may be closed by its own server.
            if threading.current_thread() is not self._thread:
                self._ended.wait()
                self._thread.join()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the thread; True once it has ended."""
        return self._ended.wait(timeout)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the server's thread and return its result."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

        self.post(run)
        return self._result(done)

    def disconnect(self) -> None:
        """Close all connections, stop all work, and listen on other ports, unless they are fixed."""
        self._result(asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop))

    def _result(self, done: Future[T]) -> T:
        while not done.done() and self._thread.is_alive():
            # A server that is being closed may never run the function.
            wait([done], timeout=_PATIENCE)
        if not done.done():
            raise RuntimeError("the emulator is not running")
        return done.result()

    def post(self, function: Callable[[], object]) -> None:
        """Run a function in the server's thread soon; does nothing if the server is closed."""
        if threading.current_thread() is self._thread:
            function()
        elif not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(function)
            except RuntimeError:
                # The loop was closed between the test and the call.
                return

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            else:
                raise
        finally:
            self._loop.run_until_complete(self._end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._ended.set()

    async def _serve(self) -> None:
        listeners = self._listeners
        executor = ThreadPoolExecutor(2, "sogni-emulator-render")
        thinkers = ThreadPoolExecutor(4, "sogni-emulator-llm")
        archive = Archive(self._setup.data)
        store: Store | None = None
        try:
            archive.open()
            self.pace.loop = self._loop
            store = Store(executor, self.pace, archive)
            state = self._make_state(store, archive)
            setup = self._setup
            completer = Completer(setup.chat, thinkers, setup.token_rate)
            services = self.services = Services.of(state, completer, setup.workers, setup.workflow_limit)
            orders = ProjectService(state, services.pool)
            endpoint = SocketEndpoint(state, setup.binary_frames, services.chats, orders)
            listeners.append(await self._listen(_rest_app(state, services), setup.rest_port, setup.host))
            listeners.append(await self._listen(_socket_app(state, services, endpoint), setup.socket_port, setup.host))
            self._publish_addresses(state)
            if setup.control is not None:
                app = self._control_app(setup.control, state, services)
                listeners.append(await self._listen(app, setup.control_port, LOOPBACK))
                self.control_address = listeners[-1].address
            self.pace.running.set()
            services.pool.start()
            services.resume()
            self._ready.set_result(state)
            await self._stop.wait()
            state.connections.end_all(1001, "The server is going away")
        finally:
            if self.services is not None:
                await self.services.stop()
            await stop_accepting(it.listening for it in listeners)
            for listener in listeners:
                await listener.runner.cleanup()
            await turns()
            executor.shutdown()
            thinkers.shutdown(cancel_futures=True)
            if store is not None:
                store.close()
            archive.close()
            _clear_handler_cache()

    async def _disconnect(self) -> None:
        state = self._ready.result()
        # Not that of the control API, whose clients steer the emulator.
        listeners = self._listeners[:2]
        servers = [server for listener in listeners if (server := listener.runner.server) is not None]
        await stop_accepting(it.listening for it in listeners)
        for listener in listeners:
            await listener.site.stop()
        # First of all: a handler that waits for frames ends with its WebSocket.
        state.connections.abort_all()
        for server in servers:
            server.pre_shutdown()
        await asyncio.sleep(0)
        for server in servers:
            await server.shutdown(_CLOSING_TIME)
        if self.services is not None:
            await self.services.stop()
        for listener in listeners:
            opened = await self._open_site(listener.runner, listener.port, listener.host)
            listener.site, listener.listening, listener.address = opened
        self._publish_addresses(state)
        if self.services is not None:
            self.services.pool.start()

    def _publish_addresses(self, state: State) -> None:
        rest, socket_host = self._listeners[:2]
        self.rest_endpoint = state.rest_endpoint = f"http://{rest.address}"
        self.socket_endpoint = f"ws://{socket_host.address}"

    async def _end_tasks(self) -> None:
        """Cancel the tasks that the listeners have left running: the handlers of frozen connections."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _make_state(self, store: Store, archive: Archive) -> State:
        setup = self._setup
        served: tuple[Media, ...] = ("image", "video", "audio", "model")
        serving: dict[Media, int] = dict.fromkeys(served, setup.workers)
        catalogue = Catalogue(serving)
        ids = IdSource(_next_seed(setup.seed, archive))
        state = State(
            clock=setup.pace,
            ids=ids,
            catalogue=catalogue,
            accounts=setup.accounts,
            faults=setup.faults,
            recorder=setup.recorder,
            store=store,
            archive=archive,
            signer=Signer(setup.pace, archive),
            projects=Projects(setup.pace),
            saved_uploads=SavedUploads(setup.upload_limits, store, archive, setup.pace, ids.uuid, URL_LIFETIME),
            kinds={
                "image": ImageKind(),
                "video": VideoKind(),
                "audio": AudioKind(),
                "model": ModelKind(),
            },
            personal_loras=PersonalLoras(
                setup.pace,
                ids.uuid,
                setup.pace.job_seconds(_IMPORT_SECONDS, _IMPORT_STEPS - 1),
                lambda: setup.faults.take(LoraImportFault),
            ),
        )

        def changed(account: Account) -> None:
            archive.set_fact(f"balance {account.wallet_address}", account.funds.settled())
            state.publish_balance(account)

        setup.accounts.on_balance_change(lambda owner: self.post(lambda: changed(owner)))
        return state

    def _control_app(self, control: Control, state: State, services: Services) -> web.Application:
        app = web.Application(middlewares=[loopback_only])
        if self._setup.serve_control:
            control.add_to(app)
        if self._setup.serve_inspector:
            self.inspector = Inspector(control, state, services.workflows, self._setup.workers)
            self.inspector.add_to(app)
        return app

    async def _listen(self, app: web.Application, port: int, host: str) -> _Listener:
        runner = web.AppRunner(app, access_log=None, logger=_LOG, handle_signals=False, shutdown_timeout=0.2)
        await runner.setup()
        return _Listener(runner, host, port, *await self._open_site(runner, port, host))

    async def _open_site(self, runner: web.AppRunner, port: int, host: str) -> tuple[web.SockSite, socket.socket, str]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        try:
            site = web.SockSite(runner, listening)
            await site.start()
        except BaseException:
            listening.close()
            raise
        name = f"[{host}]" if family == socket.AF_INET6 else host
        return site, listening, f"{name}:{listening.getsockname()[1]}"


def _rest_app(state: State, services: Services) -> web.Application:
    app = web.Application(middlewares=[make_middleware(state, "rest")], client_max_size=_JSON_LIMIT)
    for subject in (account, sign_in, projects, chat, workflows, worlds):
        subject.ROUTES.add_to(app, state, services)
    return app


def _socket_app(state: State, services: Services, endpoint: SocketEndpoint) -> web.Application:
    app = web.Application(middlewares=[make_middleware(state, "socket")], client_max_size=_JSON_LIMIT)
    projects.SOCKET_HOST_ROUTES.add_to(app, state, services)
    chat.SOCKET_HOST_ROUTES.add_to(app, state, services)

    async def upgrade(request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
            raise web.HTTPNotFound
        return await endpoint.handle(request)

    app.router.add_get("/{path:.*}", upgrade, allow_head=False)
    return app


async def stop_accepting(listening: Iterable[socket.socket]) -> None:
    """Accept no more connections, and let those that have been accepted register.

    A closed asyncio server loses the connections it has accepted and not yet given a transport, and a runner's
    ``cleanup`` those that are registered while it runs.
    """
    with suppress(NotImplementedError):  # Windows' loop has no readers.
        for it in listening:
            asyncio.get_running_loop().remove_reader(it)
    await turns()


async def turns() -> None:
    """Let accepted connections get their transports, and closed ones close their sockets."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _clear_handler_cache() -> None:
    """Release the routes of a closed server, and with them its whole state."""
    # aiohttp caches the handlers of the last 1,024 routes of the process; the cache has no public name.
    cached = getattr(web_app, "_cached_build_middleware", None)
    if cached is not None:
        cached.cache_clear()


def _next_seed(seed: int | None, archive: Archive) -> int | None:
    """Return the seed of this start: a restarted emulator must not produce the same IDs again."""
    starts = archive.fact("starts") or 0
    archive.set_fact("starts", starts + 1)
    return seed if seed is None or not starts else seed + starts * 1_000_003
