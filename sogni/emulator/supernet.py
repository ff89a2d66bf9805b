"""What tests do to the accounts of an emulator: add some, let tokens expire, give and take subscriptions.

A part of ``LocalSupernet``, which says how its own thread and the server's come together.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread
import importlib
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import frozen

from sogni.emulator.account.accounts import Account, Balance, Token, kept_account
from sogni.emulator.account.memberships import Membership, UnlockPath
from sogni.emulator.account.sessions import Accounts, make_sessions
from sogni.emulator.account.wallets import address_of
from sogni.emulator.chat.script import ChatScript
from sogni.emulator.faults import Faults
from sogni.emulator.projects.projects import live_record
from sogni.emulator.recorder import Arrival, Recorder, Violation
from sogni.emulator.server import Server, Setup
from sogni.emulator.state import State
from sogni.live import Live

if TYPE_CHECKING:
    from sogni.client import SogniClient


class AccountHelpers(ABC):
    """The methods of ``LocalSupernet`` about accounts. Those about sessions and subscriptions need a running
    emulator."""

    _accounts: Accounts
    _account: Account

    @property
    def accounts(self) -> list[Account]:
        """Every account, oldest first; the first is the one behind the key."""
        return self._accounts.all()

    def add_account(
        self,
        username: str,
        password: str,
        *,
        email: str | None = None,
        api_key: str | None = None,
        spark: Decimal | int | str = 10_000,
        sogni: Decimal | int | str = 10_000,
    ) -> Account:
        """Add an account that can sign in with a user name and a password. Needs the extra ``wallet``.

        Raises ``NotFreeError`` when another account has the name, the email address or the key."""
        return self._accounts.create(
            username=username,
            email=email or f"{username}@example.test",
            wallet_address=address_of(username, password),
            api_key=api_key,
            password=password,
            spark=spark,
            sogni=sogni,
        )

    def expire_access_tokens(self) -> None:
        """Answer 401 to every access token handed out so far, whatever its claims say. Refreshing helps."""
        self._in_server(lambda _: self._accounts.sessions.expire("access"))

    def revoke_refresh_tokens(self) -> None:
        """Answer 401 to every refresh token handed out so far. Access tokens stay good until they expire."""
        self._in_server(lambda _: self._accounts.sessions.expire("refresh"))

    def end_sessions(self) -> None:
        """Forget every sign-in: tokens and cookies. API keys stay good."""
        self._in_server(lambda _: self._accounts.sessions.clear())

    def set_token_lifetimes(self, *, access: float | None = None, refresh: float | None = None) -> None:
        """Change how many seconds the tokens last that are handed out from now on."""

        def change(_: State) -> None:
            sessions = self._accounts.sessions
            sessions.access_lifetime = sessions.access_lifetime if access is None else access
            sessions.refresh_lifetime = sessions.refresh_lifetime if refresh is None else refresh

        self._in_server(change)

    def set_subscription(
        self,
        membership: Membership | None,
        *,
        account: Account | None = None,
        free_spark_locked: bool | None = None,
        free_spark_unlock_path: UnlockPath | None = None,
    ) -> None:
        """Give an account (by default the one behind the key) a subscription, or take it away (None). Clients
        get ``subscriptionEntitlementUpdated``; ``free_spark_locked`` is told when it is given."""
        owner = account or self._account

        def change(state: State) -> None:
            owner.membership = membership
            if free_spark_locked is not None:
                owner.free_spark_lock = (free_spark_locked, free_spark_unlock_path)
            state.publish_entitlement(owner)

        self._in_server(change)

    @abstractmethod
    def _in_server(self, change: Callable[[State], Any]) -> None:
        """Run `change` where the server's state may be touched."""


# The end of the process: decides when emulators that nobody closed are closed.
#
# Called once, by the interpreter. Before the executors of `concurrent.futures` are shut down: without them the
# server cannot finish the answers it is giving, and would leave files open.


class Running(Protocol):
    """What is closed."""

    def close(self) -> None:
        """Stop and clean up; repeatable."""


_RUNNING: weakref.WeakSet[Running] = weakref.WeakSet()


def close_at_exit(running: Running) -> None:
    """Have something closed when the interpreter ends, unless it is collected before."""
    _RUNNING.add(running)


def _close_all() -> None:
    for running in list(_RUNNING):
        running.close()


# Hooks run in the reverse order of their registration, and that of the executors is registered by this import.
assert concurrent.futures.thread.__name__
# The early hook has no public name; without it the late one at least removes the files.
getattr(threading, "_register_atexit", atexit.register)(_close_all)


# The embedded emulator as a program sees it: start it, point a client at it, see what happened, close it.
#
# The only module of the package that applications and tests need. Its methods may be called from any thread.


T = TypeVar("T")
Self = TypeVar("Self", bound="LocalSupernet")
_TOKEN_RATE = 60.0
_DEFAULT_BALANCE = Balance(spark=Decimal(10_000), sogni=Decimal(10_000))


@frozen
class _Running:
    server: Server
    state: State


class LocalSupernet(Live, AccountHelpers):
    """A local Supernet: the real protocol over real HTTP and WebSocket, on loopback, in a thread of its own.

    Use it as a context manager, or call ``start`` and ``close``.

    host: the address to listen on.
    rest_port, socket_port: the ports of the two hosts; 0 takes free ones.
    api_key: the key clients must present; by default a random one.
    balance: what the account owns at the start: a ``Balance``, or a mapping with "spark" and "sogni".
    workers: how many results are rendered at the same time.
    step_time: seconds a rendering step takes; 0 is as fast as possible.
    token_rate: tokens per second of a language model; 0 is as fast as possible. By default 60, and 0 when
        ``step_time`` is 0.
    seed: makes ids and the seeds the service draws repeatable. Results depend on request and seed alone.
    faults: a prepared fault plan; an empty one by default, reachable as ``faults``.
    binary_frames: send WebSocket messages as binary frames, which clients must also accept.
    access_lifetime, refresh_lifetime: seconds the tokens of a sign-in last.
    testnet: take signatures for the test network, not for the main one.
    data: a directory in which workflows, templates, records, files, the balance and the key outlive the emulator, also
        one that is killed; an emulator started on it goes on with unfinished work. By default nothing is kept.
    workflow_limit: how many workflows of an account may be queued or running at the same time.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        socket_port: int = 0,
        api_key: str | None = None,
        balance: Balance | Mapping[Token, Decimal | int | str] = _DEFAULT_BALANCE,
        workers: int = 4,
        step_time: float = 0.2,
        token_rate: float | None = None,
        seed: int | None = None,
        faults: Faults | None = None,
        binary_frames: bool = False,
        access_lifetime: float = 24 * 3600,
        refresh_lifetime: float = 30 * 24 * 3600,
        testnet: bool = False,
        data: str | os.PathLike[str] | None = None,
        workflow_limit: int = 20,
    ) -> None:
        for name, count in (("workers", workers), ("workflow_limit", workflow_limit)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1")
        for name, rate in (("step_time", step_time), ("token_rate", token_rate)):
            if rate is not None and rate < 0:
                raise ValueError(f"{name} must not be negative")
        owned = balance
        if not isinstance(owned, Balance):
            owned = Balance(spark=owned.get("spark", 0), sogni=owned.get("sogni", 0))
        self._owned = owned
        self.faults: Faults = Faults() if faults is None else faults
        self.chat: ChatScript = ChatScript()
        """What its language models say, how fast, and how they fail."""
        self._journal = Recorder()
        directory = None if data is None else Path(data)
        self._account = kept_account(directory, api_key, owned)
        sessions = make_sessions(time.time, access_lifetime, refresh_lifetime, testnet=testnet)
        self._accounts = Accounts(testnet=testnet, sessions=sessions)
        self._accounts.add(self._account)
        self._setup = Setup(
            host=host,
            rest_port=rest_port,
            socket_port=socket_port,
            workers=workers,
            step_time=step_time,
            token_rate=(_TOKEN_RATE if step_time else 0.0) if token_rate is None else token_rate,
            seed=seed,
            binary_frames=binary_frames,
            accounts=self._accounts,
            faults=self.faults,
            chat=self.chat,
            journal=self._journal,
            data=directory,
            workflow_limit=workflow_limit,
        )
        self._running: _Running | None = None
        self._finalizer: weakref.finalize[..., LocalSupernet] | None = None

    def start(self: Self) -> Self:
        """Start the server; returns when both hosts accept connections. An emulator starts once."""
        if self._finalizer is not None:
            raise RuntimeError("the emulator was started before")
        server = Server(self._setup)
        self._running = _Running(server, server.start())
        # Also runs when the object is forgotten or the interpreter ends: no temporary files stay behind.
        self._finalizer = weakref.finalize(self, server.close)
        close_at_exit(self)
        return self

    def close(self) -> None:
        """Stop the server, close its connections with 1001, delete its files unless they are kept. May be called
        again."""
        if self._finalizer is not None:
            self._finalizer()
        self._running = None

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the emulator was closed, by another thread or a signal handler; True when it is."""
        return self._running is None or self._running.server.join(timeout)

    def __enter__(self: Self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._running is None

    @property
    def rest_endpoint(self) -> str:
        """The base URL of the REST host, ``http://…``."""
        return self._now.server.rest_endpoint

    @property
    def socket_endpoint(self) -> str:
        """The base URL of the socket host, ``ws://…``; its HTTP side listens on the same port."""
        return self._now.server.socket_endpoint

    @property
    def api_key(self) -> str:
        return self._account.api_key or ""

    @property
    def account(self) -> Account:
        """The account behind the key: ``account.balance``, ``account.set_balance(spark=…, sogni=…)``. It can
        also be signed in to, with ``account.username`` and ``account.password``."""
        return self._account

    @property
    def requests(self) -> list[Arrival]:
        """Everything that arrived so far, oldest first: ``RecordedRequest``, ``RecordedUpgrade``,
        ``RecordedFrame``."""
        return self._journal.arrivals()

    @property
    def violations(self) -> list[Violation]:
        """What clients sent against the protocol, tolerated or refused."""
        return self._journal.violations()

    @property
    def projects(self) -> list[dict[str, Any]]:
        """The projects the service knows, oldest first, in the form of ``GET /v2/projects/{id}``."""
        state = self._now.state
        return self._now.server.call(lambda: [live_record(project) for project in state.projects])

    @property
    def workflows(self) -> list[dict[str, Any]]:
        """The durable workflows the service knows, oldest first, in the form of their REST records."""
        server, state = self._now.server, self._now.state

        def records() -> list[dict[str, Any]]:
            runs = () if server.durables is None else server.durables.engine.runs.values()
            return [run.wire(lambda media: media.wire(state.artifact_url(media.key))) for run in runs]

        return server.call(records)

    @property
    def connection_count(self) -> int:
        """The number of WebSockets open now."""
        return len(self._now.state.connections)

    def client(self, **options: Any) -> SogniClient:
        """Return a blocking ``sogni.SogniClient`` for this emulator; options go to its constructor."""
        made: SogniClient = self._client("sogni", options)
        return made

    def async_client(self, **options: Any) -> Any:
        """Return an asyncio ``sogni_async.SogniClient`` for this emulator; options go to its constructor."""
        return self._client("sogni_async", options)

    def _client(self, package: str, options: dict[str, Any]) -> Any:
        bound = {
            "api_key": self.api_key,
            "rest_endpoint": self.rest_endpoint,
            "socket_endpoint": self.socket_endpoint,
        }
        return importlib.import_module(package).SogniClient(**{**bound, **options})

    def drop_connections(self, code: int | None = None, reason: str = "") -> None:
        """Cut every WebSocket, or close it with a code. Projects go on."""
        state = self._now.state
        self._now.server.call(lambda: state.connections.end_all(code, reason))

    def pause_workers(self) -> None:
        """Let every worker stop before its next step."""
        server = self._now.server
        server.call(server.pace.running.clear)

    def resume_workers(self) -> None:
        server = self._now.server
        server.call(server.pace.running.set)

    def reset(self) -> None:
        """Forget faults, scripted answers, arrivals, projects, completions and workflows (cancels running ones) and
        what was kept of them, sessions and every other account than the one behind the key, whose past is forgotten
        and whose balance restored; resume workers.

        Connections stay open: for tests that share an emulator."""
        running = self._now
        self.faults.clear()
        self.chat.clear()

        def clean() -> None:
            if running.server.language is not None:
                running.server.language.clear()
            if running.server.durables is not None:
                running.server.durables.clear()
            if running.server.pool is not None:
                running.server.pool.cancel_all()
            running.state.projects.clear()
            self._accounts.keep_only(self._account)
            running.server.pace.running.set()

        running.server.call(clean)
        self.account.forget_past()
        self.account.set_balance(spark=self._owned.spark, sogni=self._owned.sogni)
        self._journal.clear()

    def freeze_connections(self) -> None:
        """Let every WebSocket that is open now fall silent: nothing is read, written or answered, not even a
        ping."""
        state = self._now.state
        self._now.server.call(state.connections.freeze_all)

    def expire_urls(self) -> None:
        """Make every signed URL handed out so far too old; storage answers them with 403."""
        self._now.server.call(self._now.state.signer.expire_all)

    def forget_requests(self) -> None:
        """Empty ``requests`` and ``violations``."""
        self._journal.clear()

    def wait_for(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """Wait until a predicate is true, and return its value; ``TimeoutError`` after ``timeout`` seconds.

        It is called in this thread, now and whenever something arrives or a project moves on."""
        deadline = time.monotonic() + timeout
        while True:
            # Outside the lock: the predicate may ask the server's thread, which takes it as well.
            value = predicate()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the emulator did not get there within {timeout} seconds")
            with self._journal.changed:
                # The bound catches what happens between the predicate and here, and what nobody announces.
                self._journal.changed.wait(min(left, 0.02))

    def _in_server(self, change: Callable[[State], Any]) -> None:
        running = self._now
        running.server.call(lambda: change(running.state))

    @property
    def _now(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the emulator is not running")
        return self._running
