"""``LocalSupernet``: start an embedded emulator, connect clients to it, inspect what happened, close it.

The only module of the package that applications and tests need. Emulators that are never closed are closed when the
interpreter exits.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread
import importlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from attrs import frozen

from sogni.core.checks import did_you_mean
from sogni.emulator.account.accounts import Account, Balance, Token, check_amounts, load_account, new_api_key
from sogni.emulator.account.memberships import Membership, UnlockPath
from sogni.emulator.account.sessions import Accounts, Sessions
from sogni.emulator.account.wallets import address_of
from sogni.emulator.announcements import Announcement
from sogni.emulator.assertions import Expected, failure, missing, surprises, unwanted
from sogni.emulator.chat.script import ChatScript
from sogni.emulator.clock import Clock, Setting, make_pace
from sogni.emulator.control import Control
from sogni.emulator.declarations import COUNT, PORT, RATE, check_value
from sogni.emulator.faults import CloseCode, Faults
from sogni.emulator.projects.personal_loras import Status
from sogni.emulator.projects.projects import ProjectRecord, live_record
from sogni.emulator.projects.saved_uploads import UploadLimits
from sogni.emulator.recorder import Arrival, Recorder, Violation
from sogni.emulator.server import Server, Setup
from sogni.emulator.state import State
from sogni.live import Live

if TYPE_CHECKING:
    import sogni_async
    from sogni.client import SogniClient
    from sogni.emulator.workflows.runs import WorkflowRecord


_UNCLOSED: weakref.WeakSet[LocalSupernet] = weakref.WeakSet()


def _close_all() -> None:
    for supernet in list(_UNCLOSED):
        supernet.close()


# Before the executors of `concurrent.futures` shut down: without them, the server cannot finish its responses and would
# leave files open. Hooks run in reverse order of registration, and the executors' hook is registered by this import.
assert concurrent.futures.thread.__name__
# The early hook has no public name; without it, the late one at least removes the files.
getattr(threading, "_register_atexit", atexit.register)(_close_all)


T = TypeVar("T")
Self = TypeVar("Self", bound="LocalSupernet")
Severity = Literal["info", "warning", "error"]
_TOKEN_RATE = 60.0
_BANNER_LIFETIME = 3600.0
_BALANCE_KEYS: tuple[Token | Literal["free_spark"], ...] = ("spark", "sogni", "free_spark")
_DEFAULT_BALANCE = Balance(spark=Decimal(10_000), sogni=Decimal(10_000))


def _read_balance(given: Any) -> Balance:
    if isinstance(given, Balance):
        check_amounts(spark=given.spark, sogni=given.sogni, free_spark=given.free_spark)
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"balance must be a Balance or a mapping, got {given!r}")
    for name in given:
        if name not in _BALANCE_KEYS:
            hint = did_you_mean(name, _BALANCE_KEYS, 1)
            raise ValueError(f"balance must have the keys {', '.join(_BALANCE_KEYS)}, got {name!r}{hint}")
    check_amounts(**given)
    return Balance(**given)


def _raise_failure(message: str | None) -> None:
    __tracebackhide__ = True
    if message is not None:
        raise AssertionError(message)


@frozen
class _Running:
    server: Server
    state: State


class LocalSupernet(Live):
    """A local Supernet: the real protocol over HTTP and WebSocket on loopback, served by its own thread.

    Use it as a context manager, or call `start` and `close`. All methods may be called from any thread.

    Args:
        host: Address to listen on.
        rest_port: Port of the REST host; 0 selects a free one.
        socket_port: Port of the socket host; 0 selects a free one.
        api_key: API key that clients must present; random by default.
        balance: Initial balance of the account: a `Balance`, or a mapping with the keys "spark", "sogni" and
            "free_spark"; missing ones are 0. `{"free_spark": 400}` is a new account, which has only the free monthly
            credits.
        workers: Number of results rendered at the same time.
        clock: How long work takes, and how fast time passes. "realistic": work takes as long as with the service.
            "instant": it takes no time. "manual": time is frozen, and only `clock.advance` lets it pass. A number:
            realistic, and time passes that many times faster. By default, every step takes `step_time`.
        step_time: Seconds per rendering step; 0 is as fast as possible. The default is 0.2; with `clock`, it is what
            the service takes for the model.
        load_time: Seconds a worker takes to load a model that it did not use last, or to download a LoRA that it lacks.
            With 0, both take no time and are not reported.
        token_rate: Tokens per second of the language models; 0 is as fast as possible. The default is 60, or 0 if
            work takes no time.
        seed: Makes IDs, and the seeds drawn by the service, repeatable. Results depend on request and seed alone.
        faults: A prepared fault plan; available as `faults`. Empty by default.
        binary_frames: Send WebSocket messages as binary frames, which clients must also accept.
        access_lifetime: Seconds an access token is valid.
        refresh_lifetime: Seconds a refresh token is valid.
        testnet: Accept signatures for the test network instead of the main network.
        data: Directory in which workflows, templates, records, files, the balance and the key outlive the emulator,
            even if it is killed. An emulator started on the same directory resumes unfinished work. By default,
            nothing is saved.
        workflow_limit: Number of workflows per account that may be queued or running at the same time.
        saved_uploads: Whether accounts can save uploads, or the `UploadLimits` that apply to them.
        control: Serve the control API on the loopback interface, through which test suites in other languages use
            faults and scripted answers; see `control_endpoint` and `control_token`.
        control_port: Port of the control API and the inspector; 0 selects a free one.
        inspector: Serve the inspector on the loopback interface, a page that shows everything live; see
            `inspector_url`.

    Attributes:
        chat: Scripts the language models: answers, rates and failures.
        clock: The time of the emulator, which tests can stop and advance.
        faults: The fault plan.

    Raises:
        ValueError: A value is out of range or of the wrong type, or a key of `balance` is unknown.
        TypeError: `balance`, `faults` or `saved_uploads` has the wrong type.

    Example:
        >>> with LocalSupernet(step_time=0) as supernet, supernet.client() as client:
        ...     client.account.me().username == supernet.account.username
        True
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        socket_port: int = 0,
        api_key: str | None = None,
        balance: Balance | Mapping[Token | Literal["free_spark"], Decimal | int | str] = _DEFAULT_BALANCE,
        workers: int = 4,
        clock: Setting | float | None = None,
        step_time: float | None = None,
        load_time: float = 0.0,
        token_rate: float | None = None,
        seed: int | None = None,
        faults: Faults | None = None,
        binary_frames: bool = False,
        access_lifetime: float = 24 * 3600,
        refresh_lifetime: float = 30 * 24 * 3600,
        testnet: bool = False,
        data: str | os.PathLike[str] | None = None,
        workflow_limit: int = 20,
        saved_uploads: bool | UploadLimits = True,
        control: bool = False,
        control_port: int = 0,
        inspector: bool = False,
    ) -> None:
        for name, count in (("workers", workers), ("workflow_limit", workflow_limit)):
            check_value(name, Annotated[int, COUNT], count)
        for name, rate in (("step_time", step_time), ("load_time", load_time), ("token_rate", token_rate)):
            check_value(name, Annotated[float, RATE] | None, rate)
        for name, port in (("rest_port", rest_port), ("socket_port", socket_port), ("control_port", control_port)):
            check_value(name, Annotated[int, PORT], port)
        check_value("seed", int | None, seed)
        if not isinstance(faults, Faults | None):
            raise TypeError(f"faults must be a Faults, got {faults!r}")
        if not isinstance(saved_uploads, bool | UploadLimits):
            raise TypeError(f"saved_uploads must be True, False or an UploadLimits, got {saved_uploads!r}")
        self._owned = owned = _read_balance(balance)
        pace = make_pace(clock, step_time, load_time)
        self.clock: Clock = Clock(pace)
        """The time of the emulator, which tests can stop and advance."""
        self.faults: Faults = Faults() if faults is None else faults
        self.chat: ChatScript = ChatScript()
        """Scripts the language models: answers, rates and failures."""
        self._recorder = Recorder()
        directory = None if data is None else Path(data)
        self._account = load_account(directory, api_key, owned, pace)
        sessions: Sessions[Account] = Sessions(
            clock=pace,
            access_lifetime=access_lifetime,
            refresh_lifetime=refresh_lifetime,
            environment="staging" if testnet else "production",
        )
        self._lifetimes = access_lifetime, refresh_lifetime
        # The key of a data directory outlives the emulator.
        self._fixed_key = api_key is not None or directory is not None
        self._accounts = Accounts(testnet=testnet, sessions=sessions)
        self._accounts.add(self._account)
        self._control = Control(self) if control or inspector else None
        self._setup = Setup(
            host=host,
            rest_port=rest_port,
            socket_port=socket_port,
            workers=workers,
            pace=pace,
            token_rate=(0.0 if pace.step_time == 0 else _TOKEN_RATE) if token_rate is None else token_rate,
            seed=seed,
            binary_frames=binary_frames,
            accounts=self._accounts,
            faults=self.faults,
            chat=self.chat,
            recorder=self._recorder,
            data=directory,
            workflow_limit=workflow_limit,
            upload_limits=(UploadLimits() if saved_uploads is True else saved_uploads) or None,
            control=self._control,
            control_port=control_port,
            serve_control=control,
            serve_inspector=inspector,
        )
        self._running: _Running | None = None
        self._finalizer: weakref.finalize[..., LocalSupernet] | None = None

    def start(self: Self) -> Self:
        """Start the server, and return once both hosts accept connections.

        Returns:
            The emulator itself.

        Raises:
            RuntimeError: The emulator has already been started; it can only be started once.
            OSError: A port is in use.

        Example:
            >>> supernet = LocalSupernet(step_time=0).start()
            >>> supernet.close()
        """
        if self._finalizer is not None:
            raise RuntimeError("the emulator has already been started")
        server = Server(self._setup)
        self._running = _Running(server, server.start())
        # Also runs when the object is collected or the interpreter exits, so that no temporary files remain.
        self._finalizer = weakref.finalize(self, server.close)
        _UNCLOSED.add(self)
        return self

    def close(self) -> None:
        """Stop the server, close connections with code 1001, and delete files unless `data` is set.

        May be called more than once.
        """
        if self._finalizer is not None:
            self._finalizer()
        self._running = None

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the emulator is closed, by another thread or a signal handler.

        Args:
            timeout: Seconds to wait; None waits indefinitely.

        Returns:
            True once it is closed, False after `timeout`.

        Example:
            >>> supernet.wait_closed(timeout=0)
            False
        """
        return self._running is None or self._running.server.join(timeout)

    def __enter__(self: Self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """True before `start` and after `close`."""
        return self._running is None

    @property
    def rest_endpoint(self) -> str:
        """Base URL of the REST host, ``http://…``."""
        return self._now.server.rest_endpoint

    @property
    def socket_endpoint(self) -> str:
        """Base URL of the socket host, ``ws://…``; its HTTP routes are on the same port."""
        return self._now.server.socket_endpoint

    @property
    def control_endpoint(self) -> str:
        """Base URL of the control API, with ``control=True``."""
        return self._required_control.endpoint(self._now.server.control_address)

    @property
    def control_token(self) -> str:
        """Token that requests to the control API send as ``Authorization: Bearer``, with ``control=True``."""
        return self._required_control.token

    @property
    def inspector_url(self) -> str:
        """URL of the inspector, with its token, with ``inspector=True``. Open it in a browser."""
        server = self._now.server
        if server.inspector is None:
            raise RuntimeError("the inspector is off; start the emulator with inspector=True")
        return server.inspector.url(server.control_address)

    @property
    def api_key(self) -> str:
        """The API key that clients must present."""
        return self._account.api_key or ""

    @property
    def account(self) -> Account:
        """The account of the API key. Clients can also sign in with its `username` and `password`."""
        return self._account

    @property
    def accounts(self) -> list[Account]:
        """Every account, oldest first; the first is that of the API key."""
        return self._accounts.all()

    @property
    def requests(self) -> list[Arrival]:
        """Everything received so far, oldest first: `RecordedRequest`, `RecordedUpgrade` or `RecordedFrame`."""
        return self._recorder.arrivals()

    @property
    def violations(self) -> list[Violation]:
        """Protocol violations by clients, whether tolerated or refused."""
        return self._recorder.violations()

    def assert_requested(
        self, what: str, /, *, times: int | None = None, timeout: float = 5.0, **fields: Any
    ) -> list[Arrival]:
        """Assert that a request has arrived; the error shows the nearest one, and the fields that differ.

        Args:
            what: Type of the frame, such as "jobRequest" or "llmJobRequest"; or method and path of the HTTP request,
                such as "POST /v1/chat/completions", in which ``*`` stands for anything and the method may be missing.
            times: How often it has arrived; None means at least once.
            timeout: Seconds to wait for what is still on its way. Default 5.
            **fields: Fields that it must have, at any depth of the payload, body or query; names may be written as on
                the wire (`modelID`) or in snake case (`model_id`). Mappings may have further keys; a compiled regular
                expression is searched in the value.

        Returns:
            The requests that match, oldest first.

        Raises:
            AssertionError: It has not arrived, or not as often.
            ValueError: There is no such frame. The message suggests the nearest one.

        Example:
            >>> client.account.me().username
            'local-artist'
            >>> [request.status for request in supernet.assert_requested("GET /v1/account/me", times=1)]
            [200]
        """
        __tracebackhide__ = True
        expected = Expected(what, fields, times)
        with suppress(TimeoutError):
            self.wait_for(lambda: not missing([expected], self.requests), timeout)
        _raise_failure(failure(expected, arrivals := self.requests))
        return expected.matching(arrivals)

    def assert_not_requested(self, what: str, /, **fields: Any) -> None:
        """Assert that a request has not arrived so far. See `assert_requested`.

        Args:
            what: Type of the frame, or method and path of the HTTP request.
            **fields: Fields that it must not have all at once.

        Raises:
            AssertionError: It has arrived.
            ValueError: There is no such frame. The message suggests the nearest one.

        Example:
            >>> supernet.assert_not_requested("jobRequest")
        """
        __tracebackhide__ = True
        _raise_failure(unwanted(Expected(what, fields), self.requests))

    def assert_only_requested(self, *expected: str | tuple[str, Mapping[str, Any]], timeout: float = 5.0) -> None:
        """Assert that these requests have arrived, and no others that change or cost anything.

        Reading, signing in, uploading files and preparing the socket need not be listed.

        Args:
            timeout: Seconds to wait for what is still on its way. Default 5.
            *expected: What each is, as for `assert_requested`; or a pair of that and its fields, of which `times` says
                how often it has arrived. Without it, at least once.

        Raises:
            AssertionError: Something else has arrived, or something is missing.
            ValueError: There is no such frame. The message suggests the nearest one.

        Example:
            >>> project = client.projects.create(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
            >>> supernet.assert_only_requested(("jobRequest", {"positivePrompt": "a lighthouse", "times": 1}))
        """
        __tracebackhide__ = True
        entries = [Expected.of(entry) for entry in expected]
        with suppress(TimeoutError):
            self.wait_for(lambda: not missing(entries, self.requests), timeout)
        _raise_failure(surprises(entries, self.requests))

    @property
    def projects(self) -> list[ProjectRecord]:
        """The projects known to the service, oldest first, in the form of ``GET /v2/projects/{id}``."""
        state = self._now.state
        return self._now.server.call(lambda: [live_record(project) for project in state.projects])

    @property
    def workflows(self) -> list[WorkflowRecord]:
        """The durable workflows known to the service, oldest first, in the form of their REST records."""
        server, state = self._now.server, self._now.state

        def records() -> list[WorkflowRecord]:
            runs = () if server.services is None else server.services.workflows.runs.values()
            return [run.wire(lambda media: media.wire(state.artifact_url(media.key))) for run in runs]

        return server.call(records)

    @property
    def connection_count(self) -> int:
        """The number of open WebSockets."""
        return len(self._now.state.connections)

    if TYPE_CHECKING:
        # Type checkers see the parameters of the constructors.
        client: type[SogniClient]
        async_client: type[sogni_async.SogniClient]
    else:

        def client(self, **options: Any) -> SogniClient:
            """Create a client for this emulator.

            Args:
                **options: Arguments of `sogni.SogniClient`; they override the key and the endpoints of the emulator.

            Returns:
                The client. Close it when done.

            Example:
                >>> with supernet.client(network="relaxed") as client:
                ...     client.account.me().username
                'local-artist'
            """
            made: SogniClient = importlib.import_module("sogni").SogniClient(**(self._connection_options() | options))
            return made

        def async_client(self, **options: Any) -> sogni_async.SogniClient:
            """Create an asyncio client for this emulator.

            Args:
                **options: Arguments of `sogni_async.SogniClient`; they override the key and the endpoints of the
                    emulator.

            Returns:
                The client. Close it when done.

            Example:
                >>> async with supernet.async_client() as client:
                ...     (await client.account.me()).username
                'local-artist'
            """
            made: sogni_async.SogniClient = importlib.import_module("sogni_async").SogniClient(
                **(self._connection_options() | options)
            )
            return made

    def add_account(
        self,
        username: str,
        password: str,
        *,
        email: str | None = None,
        api_key: str | None = None,
        spark: Decimal | int | str = 10_000,
        sogni: Decimal | int | str = 10_000,
        free_spark: Decimal | int | str = 0,
    ) -> Account:
        """Add an account that can sign in with a user name and a password. Requires the extra ``wallet``.

        Args:
            username: User name, unique regardless of case.
            password: Password; the wallet of the account is derived from both.
            email: Email address; derived from the user name by default.
            api_key: An API key for the account; none by default.
            spark: Initial balance in Spark. Default 10,000.
            sogni: Initial balance in Sogni. Default 10,000.
            free_spark: Free monthly credits, which pay for ``krea2_turbo_fp8_scaled`` only. Default 0.

        Returns:
            The account.

        Raises:
            NotFreeError: Another account has the user name, the email address, the wallet or the key.
            ValueError: An amount is not a number, or negative.

        Example:
            >>> supernet.add_account("grace", "a good password", spark=50).balance.spark
            Decimal('50')
        """
        check_amounts(spark=spark, sogni=sogni, free_spark=free_spark)
        return self._accounts.create(
            username=username,
            email=email or f"{username}@example.test",
            wallet_address=address_of(username, password),
            api_key=api_key,
            password=password,
            spark=spark,
            sogni=sogni,
            free_spark=free_spark,
        )

    def expire_access_tokens(self) -> None:
        """Reject every access token issued so far with 401, whatever its claims. Clients can refresh.

        Example:
            >>> supernet.expire_access_tokens()
        """
        self._in_server(lambda _: self._accounts.sessions.expire("access"))

    def revoke_refresh_tokens(self) -> None:
        """Reject every refresh token issued so far with 401. Access tokens stay valid until they expire."""
        self._in_server(lambda _: self._accounts.sessions.expire("refresh"))

    def end_sessions(self) -> None:
        """End every session: tokens and cookies become invalid. API keys stay valid."""
        self._in_server(lambda _: self._accounts.sessions.clear())

    def set_token_lifetimes(self, *, access: float | None = None, refresh: float | None = None) -> None:
        """Change the lifetimes of tokens issued from now on.

        Args:
            access: Seconds an access token is valid; unchanged if None.
            refresh: Seconds a refresh token is valid; unchanged if None.

        Example:
            >>> supernet.set_token_lifetimes(access=60)
        """

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
        """Set or remove the subscription of an account. Clients receive ``subscriptionEntitlementUpdated``.

        Args:
            membership: The subscription; None removes it.
            account: The account; by default that of the API key.
            free_spark_locked: Whether free Spark is locked; unchanged, and not sent, if None.
            free_spark_unlock_path: How free Spark can be unlocked. Used only with `free_spark_locked`.

        Raises:
            TypeError: `membership` is neither a `Membership` nor None.

        Example:
            >>> supernet.set_subscription(Membership(tier="unlimited_pro"))
            >>> client.account.refresh_subscription().is_unlimited
            True
        """
        if not isinstance(membership, Membership | None):
            raise TypeError(f"membership must be a Membership or None, got {membership!r}")
        owner = account or self._account

        def change(state: State) -> None:
            owner.membership = membership
            if free_spark_locked is not None:
                owner.free_spark_lock = (free_spark_locked, free_spark_unlock_path)
            state.publish_entitlement(owner)

        self._in_server(change)

    def announce(
        self,
        title: str,
        body: str = "",
        *,
        kind: Literal["toast", "banner"] = "toast",
        severity: Literal["info", "success", "warn", "danger"] = "info",
        icon: str | None = None,
        accent: str | None = None,
        pinned: bool = False,
        dismissible: bool = True,
        auto_close_ms: int | None = None,
        actions: Sequence[Mapping[str, Any]] = (),
        platforms: Sequence[str] = (),
        lifetime: float | None = None,
    ) -> str:
        """Publish an announcement to all accounts.

        Connected clients receive it as `appAlert` if they subscribe to that, else as `toastMessage`.

        Args:
            title: Title.
            body: Text in restricted Markdown. Default: none.
            kind: "toast" (default) or "banner".
            severity: "info" (default), "success", "warn" or "danger".
            icon: Name of an icon. Default: none.
            accent: Color as "#RRGGBB". Default: none.
            pinned: Send it again at every connection of an account that has not dismissed it. Default False.
            dismissible: Whether accounts can dismiss it. Default True.
            auto_close_ms: Milliseconds after which to hide it. Default: none.
            actions: Links, as mappings with the keys "label", "href" and perhaps "external". Default: none.
            platforms: Applications it is limited to; it is then listed for them only, and not sent to the socket.
                Default: all.
            lifetime: Seconds until it ends; unlimited by default, one hour for a banner.

        Returns:
            The ID of the announcement.

        Raises:
            ValueError: A value is not allowed.

        Example:
            >>> supernet.announce("Maintenance", kind="banner", severity="warn", pinned=True, lifetime=600)
            '...'
        """
        state = self._now.state
        now = state.clock()
        seconds = _BANNER_LIFETIME if lifetime is None and kind == "banner" else lifetime
        announcement = Announcement(
            id=state.ids.uuid().lower(),
            title=title,
            body=body,
            kind=kind,
            severity=severity,
            icon=cast(Any, icon),
            accent=accent,
            pinned=pinned,
            dismissible=dismissible,
            auto_close_ms=auto_close_ms,
            actions=actions,
            platforms=tuple(platforms),
            starts=now,
            ends=None if seconds is None else now + seconds,
        )
        self._in_server(lambda state: state.publish_announcement(announcement))
        return announcement.id

    def send_limit_notice(
        self,
        message: str,
        *,
        code: int | str = 4079,
        reason: str = "queue_limit",
        severity: Severity = "warning",
        required_plans: Sequence[str] = (),
        account: Account | None = None,
    ) -> None:
        """Send a notice about a limit of the subscription to the clients that subscribe to `subscriptionLimitNotice`.

        It contains the plan and the monthly limit of the account's subscription, if there is one.

        Args:
            message: The message.
            code: Code of the notice. Default 4079.
            reason: Reason. Default "queue_limit".
            severity: "info", "warning" (default) or "error".
            required_plans: Plans without the limit, the cheapest first. Default: none.
            account: The account; by default that of the API key.

        Raises:
            ValueError: `severity` is unknown.

        Example:
            >>> supernet.set_subscription(Membership(tier="unlimited"))
            >>> supernet.send_limit_notice("Your queue is full", required_plans=["unlimited_pro"])
        """
        check_value("severity", Severity, severity)
        owner = account or self._account
        notice: dict[str, object] = {
            "version": 1,
            "reason": reason,
            "severity": severity,
            "code": code,
            "message": message,
            **({} if owner.membership is None else owner.membership.limits()),
            **({"requiredPlans": list(required_plans)} if required_plans else {}),
        }

        def send(state: State) -> None:
            for connection in state.connections.of(owner):
                connection.send("subscriptionLimitNotice", notice)
            state.recorder.notify()

        self._in_server(send)

    def set_personal_lora(
        self, id: str, status: Status, *, failure_code: str | None = None, reason: str | None = None
    ) -> None:
        """Set the status of the import of a personal LoRA, for example to end a review or to revoke it.

        Args:
            id: ID of the import.
            status: ``"queued"``, ``"validating"``, ``"review"``, ``"ready"``, ``"rejected"`` or ``"revoked"``.
            failure_code: Why it is rejected, for programs. Default: none.
            reason: Why it is rejected or revoked, for display. Default: none.

        Raises:
            KeyError: There is no such import.
            ValueError: `status` is unknown.

        Example:
            >>> supernet.set_subscription(Membership())
            >>> lora = client.projects.personal_loras.add(
            ...     url="https://civitai.com/models/1",
            ...     name="Ink",
            ...     model_id="krea2_turbo_fp8_scaled",
            ...     rights_confirmed=True,
            ... )
            >>> supernet.set_personal_lora(lora.id, "revoked", reason="withdrawn by its author")
            >>> client.projects.personal_loras.get(lora.id).status
            'revoked'
        """
        check_value("status", Status, status)
        self._in_server(lambda state: state.personal_loras.set_status(id, status, failure_code, reason))

    def drop_connections(self, code: CloseCode | None = None, reason: str = "") -> None:
        """Cut every WebSocket, or close it with a code. Projects continue.

        Args:
            code: Close code; None cuts the TCP connection without a close frame.
            reason: Reason of the close frame. Default: none.

        Raises:
            ValueError: No close frame can have the code.

        Example:
            >>> supernet.drop_connections(code=4001, reason="maintenance")
        """
        check_value("code", CloseCode | None, code)
        self._in_server(lambda state: state.connections.end_all(code, reason))

    def withdraw_model(self, model_id: str) -> None:
        """Take all workers from a model: its projects are refused with 4104. `reset` undoes it.

        Args:
            model_id: ID of the model.

        Raises:
            ValueError: There is no such model.

        Example:
            >>> supernet.withdraw_model("flux1-schnell-fp8")
        """

        def withdraw(state: State) -> None:
            if model_id not in state.catalogue.models:
                raise ValueError(f"unknown model {model_id!r}{did_you_mean(model_id, state.catalogue.models, 1)}")
            state.catalogue.withdrawn.add(model_id)
            for connection in state.connections.all():
                connection.send("swarmModels", state.catalogue.swarm_models(connection.network))

        self._in_server(withdraw)

    def pause_workers(self) -> None:
        """Pause every worker before its next step.

        Example:
            >>> supernet.pause_workers()
            >>> project = client.projects.create(
            ...     type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            ... )
            >>> project.finished
            False
            >>> supernet.resume_workers()
        """
        self._in_server(lambda state: state.clock.running.clear())

    def resume_workers(self) -> None:
        """Resume paused workers."""
        self._in_server(lambda state: state.clock.running.set())

    def reset(self) -> None:
        """Reset the emulator, for tests that share one. Connections stay open; see also `renew`.

        Removes faults, scripted answers, recorded requests, projects, files and URLs, saved uploads, completions,
        workflows and their saved data, world builds, announcements, sessions, and every account except that of the API
        key, whose history is cleared and whose initial balance is restored. Token lifetimes are those of the start.
        Work in progress is canceled, workers are resumed, the clock shows the real time again, and IDs start over if
        there is a `seed`. Takes a few milliseconds.

        Example:
            >>> supernet.reset()
            >>> supernet.projects
            []
        """
        running = self._now
        self.faults.clear()
        self.chat.clear()

        def clean() -> None:
            if running.server.services is not None:
                running.server.services.clear()
            running.state.reset()
            self._accounts.keep_only(self._account)

        running.server.call(clean)
        self._accounts.sessions.access_lifetime, self._accounts.sessions.refresh_lifetime = self._lifetimes
        self.account.forget_past()
        owned = self._owned
        self.account.set_balance(spark=owned.spark, sogni=owned.sogni, free_spark=owned.free_spark)
        self._recorder.clear()
        if running.server.inspector is not None:
            running.server.inspector.traffic.clear()

    def renew(self) -> None:
        """Reset the emulator, close all connections, and change the API key and the ports unless they were given.

        Clients that were not closed cannot reconnect, so that every test finds a new emulator.

        Example:
            >>> with LocalSupernet(step_time=0) as shared:
            ...     key = shared.api_key
            ...     shared.renew()
            ...     shared.api_key == key
            False
        """
        self._now.server.disconnect()
        if not self._fixed_key:
            self._account.api_key = new_api_key()
        self.reset()

    def freeze_connections(self) -> None:
        """Freeze every open WebSocket: nothing is read, written or answered, not even a ping."""
        self._in_server(lambda state: state.connections.freeze_all())

    def expire_urls(self) -> None:
        """Expire every signed URL issued so far; storage answers them with 403."""
        self._in_server(lambda state: state.signer.expire_all())

    def forget_requests(self) -> None:
        """Clear `requests` and `violations`."""
        self._recorder.clear()

    def wait_for(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """Wait until a predicate returns a true value.

        Args:
            predicate: Called in this thread, at once and whenever something arrives or a project changes.
            timeout: Seconds to wait. Default 10.

        Returns:
            The value of the predicate.

        Raises:
            TimeoutError: The predicate was not true within `timeout`.

        Example:
            >>> client.connect()
            >>> supernet.wait_for(lambda: supernet.connection_count > 0)
            True
        """
        deadline = time.monotonic() + timeout
        while True:
            # Outside the lock: the predicate may call into the server's thread, which also takes it.
            value = predicate()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the predicate was not true within {timeout} seconds")
            with self._recorder.changed:
                # Limited, because a change may have happened since the predicate was called, or not be announced.
                self._recorder.changed.wait(min(left, 0.02))

    def _connection_options(self) -> dict[str, object]:
        return {
            "api_key": self.api_key,
            "rest_endpoint": self.rest_endpoint,
            "socket_endpoint": self.socket_endpoint,
        }

    def _in_server(self, change: Callable[[State], object]) -> None:
        running = self._now
        running.server.call(lambda: change(running.state))

    @property
    def _required_control(self) -> Control:
        if self._control is None or not self._setup.serve_control:
            raise RuntimeError("the control API is off; start the emulator with control=True")
        return self._control

    @property
    def _now(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the emulator is not running")
        return self._running
