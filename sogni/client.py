# Generated from sogni_async/client.py by tools/unasync.py. Do not edit.
"""The blocking client: its settings, its connection, and the namespaces it offers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, SupportsIndex, TypeVar, cast, overload

from attrs import evolve

import sogni.transport  # noqa: F401  reports a missing library at once
from sogni.core.outbox import CLIENT_EVENTS, Listeners
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.keywords import suggest_keywords
from sogni.live import importing
from sogni.logs import configure
from sogni.redaction import Environment, redact, secret, secret_url
from sogni.settings import (
    NETWORKS,
    Attribution,
    AuthType,
    Network,
    RetryPolicy,
    Settings,
    Timeouts,
    TokenType,
    check_seconds,
    resolve,
)

if TYPE_CHECKING:
    from sogni.api.account import Account, CurrentAccount, Stats
    from sogni.api.announcements import Announcements
    from sogni.api.api_client import ApiClient
    from sogni.api.chat import Chat
    from sogni.api.projects import Projects
    from sogni.api.replay import Replay
    from sogni.api.workflows import Workflows
    from sogni.api.worlds import Worlds
    from sogni.models.account import SubscriptionLimitNotice
    from sogni.models.announcements import Announcement
    from sogni.models.connection import Connected, Disconnected, HealthReport, RawReply, Reconnecting, ToastMessage
    from sogni.transport.engine import Engine

N = TypeVar("N")


class OnClientEvent(Protocol):
    """`SogniClient.on` and `SogniClient.once`."""

    @overload
    def __call__(self, event: Literal["connected"], function: Callable[[Connected], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["connected"]) -> Decorator[Connected]: ...
    @overload
    def __call__(self, event: Literal["disconnected"], function: Callable[[Disconnected], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["disconnected"]) -> Decorator[Disconnected]: ...
    @overload
    def __call__(
        self, event: Literal["reconnecting", "connecting"], function: Callable[[Reconnecting], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["reconnecting", "connecting"]) -> Decorator[Reconnecting]: ...
    @overload
    def __call__(self, event: Literal["toast_message"], function: Callable[[ToastMessage], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["toast_message"]) -> Decorator[ToastMessage]: ...
    @overload
    def __call__(self, event: Literal["app_alert"], function: Callable[[Announcement], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["app_alert"]) -> Decorator[Announcement]: ...
    @overload
    def __call__(
        self, event: Literal["subscription_limit_notice"], function: Callable[[SubscriptionLimitNotice], Any]
    ) -> Remover: ...
    @overload
    def __call__(self, event: Literal["subscription_limit_notice"]) -> Decorator[SubscriptionLimitNotice]: ...


@suggest_keywords
class SogniClient(EventEmitter[OnClientEvent]):
    """A client of the Sogni Supernet. Thread-safe; constructing one does no I/O and starts no thread.

    Pickling keeps the settings of a client, but not its connection, app ID or session. The pickle contains the API key,
    unless the key comes from the environment.

    Events: `connected` (`.network`), `disconnected` (`.code`, `.reason`), `reconnecting` (`.network`; `connecting` is
    an alias), `toast_message`; and, if the client subscribes to them, `app_alert` (`Announcement`) and
    `subscription_limit_notice` (`SubscriptionLimitNotice`).

    Example:
        >>> from sogni import SogniClient
        >>> with SogniClient.local() as client:
        ...     client.is_connected
        False
    """

    _events = CLIENT_EVENTS

    def __init__(
        self,
        *,
        api_key: str | None = None,
        app_id: str | None = None,
        auth_type: AuthType | None = None,
        app_source: str | None = None,
        network: Network = "fast",
        token_type: TokenType | None = None,
        rest_endpoint: str | None = None,
        socket_endpoint: str | None = None,
        socket_event_subscriptions: Mapping[str, bool] | None = None,
        disable_socket: bool = False,
        testnet: bool = False,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = None,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
        saved_uploads: bool = True,
        max_connections: int = 20,
    ) -> None:
        """Configure a client. Nothing is opened or started yet.

        Args:
            api_key: API key of the account; `SOGNI_API_KEY` by default.
            app_id: Identifies this client to the service; `SOGNI_APP_ID` by default, else an ID that is stable per
                installation and distinct per open client.
            auth_type: `"api_key"`, `"token"` or `"cookies"`. By default `"api_key"` if there is a key, else `"token"`.
            app_source: Name of the application, as the service records it.
            network: `"fast"` or `"relaxed"`.
            token_type: Token that pays if a call does not name one, `"sogni"` or `"spark"`; `SOGNI_TOKEN_TYPE` by
                default, else the service decides. Models that can only be paid for in Spark use Spark.
            rest_endpoint: URL of the REST API; `SOGNI_REST_ENDPOINT` by default.
            socket_endpoint: URL of the socket; `SOGNI_SOCKET_ENDPOINT` by default.
            socket_event_subscriptions: Which events the service sends, by name. `appAlert` and
                `subscriptionLimitNotice` are sent only to clients that subscribe to them.
            disable_socket: Never open the socket.
            testnet: Use the test network.
            timeout: `Timeouts`, or seconds per request.
            retry: How failed requests are retried.
            proxy: URL of a proxy for REST and socket. By default the proxy of the environment (`HTTPS_PROXY`,
                `NO_PROXY`), which is not used for a service on this host.
            ca_bundle: Path of a file or directory with certificates. By default that of the environment
                (`REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`, `SSL_CERT_DIR`).
            attribution: Origin of the requests, for the statistics of the service.
            saved_uploads: Reuse uploaded files that the service still has. If False, each project uploads all of its
                files.
            max_connections: HTTP connections in use at the same time. Further requests wait for a free one.

        Raises:
            ValidationError: A setting is invalid.
        """
        api_key, proxy = secret(api_key), secret_url(proxy)
        if attribution is not None:
            from sogni.core.attribution import check_attribution

            attribution = check_attribution(attribution)
        configure(os.environ.get("SOGNI_LOG"))
        self._settings: Settings = resolve(
            Environment(os.environ),
            api_key=api_key,
            app_id=app_id,
            auth_type=auth_type,
            app_source=app_source,
            network=network,
            token_type=token_type,
            rest_endpoint=rest_endpoint,
            socket_endpoint=socket_endpoint,
            socket_event_subscriptions=socket_event_subscriptions,
            disable_socket=disable_socket,
            testnet=testnet,
            timeout=timeout,
            retry=retry,
            proxy=proxy,
            ca_bundle=ca_bundle,
            attribution=attribution,
            saved_uploads=saved_uploads,
            max_connections=max_connections,
        )
        self._has_own_key = api_key is not None
        self._started: Engine | None = None
        self._namespaces: dict[Any, Any] = {}
        self._supernet: Any = None

    @property
    def _engine(self) -> Engine:
        """The engine. It and its imports are loaded when the client is first used, not when it is constructed."""
        if self._started is None:
            with importing:
                from sogni.api.project import handle_of
                from sogni.transport.engine import Engine

                self._started = self._started or Engine(self._settings, handle_of)
        return self._started

    def _namespace(self, kind: Callable[[Engine], N]) -> N:
        """The one object of a class, made on first use."""
        found: N | None = self._namespaces.get(kind)
        return found or self._namespaces.setdefault(kind, kind(self._engine))

    @classmethod
    def local(cls, **options: Any) -> SogniClient:
        """Start the embedded emulator and return a client that is bound to it. Closing the client stops both.

        Needs no account and no network, but the extra `sogni[emulator]`.

        Args:
            **options: Options of `sogni.emulator.LocalSupernet`, and settings of the client. Those that both have, such
                as `saved_uploads`, are options of the emulator.

        Returns:
            The client.

        Raises:
            ModuleNotFoundError: The extra is not installed.
            TypeError: An option is unknown. The message suggests the closest one.

        Example:
            >>> with SogniClient.local(step_time=0) as client:
            ...     client.account.me().username
            'local-artist'
        """
        import inspect

        from sogni.core.checks import refuse_unknown
        from sogni.emulator import LocalSupernet

        of_emulator, of_client = inspect.signature(LocalSupernet).parameters, inspect.signature(cls).parameters
        refuse_unknown(options, {*of_emulator, *of_client}, "SogniClient.local() has no option")
        supernet = LocalSupernet(**{name: value for name, value in options.items() if name in of_emulator})
        supernet.start()
        try:
            settings = {
                "api_key": supernet.api_key,
                "rest_endpoint": supernet.rest_endpoint,
                "socket_endpoint": supernet.socket_endpoint,
            }
            client = cls(**settings | {name: value for name, value in options.items() if name not in of_emulator})
        except BaseException:
            supernet.close()
            raise
        client._supernet = supernet
        return client

    def with_options(
        self,
        *,
        timeout: Timeouts | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        on_reply: Callable[[RawReply], Any] | None = None,
    ) -> SogniClient:
        """Return a view of this client whose calls use different options.

        The view shares the connection, account, projects and listeners of the client, and closing one closes both.
        Projects and jobs that a call returns use the options of the client again. Frames of the WebSocket have no
        headers.

        Args:
            timeout: Seconds per request, or `Timeouts`, of which `request` and `transfer` apply. Default: that of the
                client.
            headers: HTTP headers to send with every request to the service, for example `{"traceparent": ...}`; not to
                the storage that media are uploaded to. Default: none.
            retry: Retries of requests that are safe to repeat. Default: those of the client.
            on_reply: Called with every response of the service, before the call returns or raises, including responses
                to attempts that are retried. Responses of the storage are not passed. Its errors are logged. Default:
                none.

        Returns:
            The view.

        Raises:
            ValidationError: An option is invalid, or a header is one that the client sets itself.

        Example:
            >>> patient = client.with_options(timeout=120, headers={"X-Request-ID": "8f3a"})
            >>> patient.account.me().username
            'local-artist'
            >>> replies = []
            >>> account = client.with_options(on_reply=replies.append).account.me()
            >>> (replies[0].status, replies[0].headers["content-type"])
            (200, 'application/json; charset=utf-8')
        """
        from sogni.core.call_options import OptionedEngine, check_call_options
        from sogni.transport.driver import check_callbacks

        check_callbacks(on_reply=on_reply)
        options = check_call_options(timeout, headers, retry, on_reply)
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._started = cast("Engine", OptionedEngine(self._engine, options))
        view._namespaces = {}
        return view

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of a client with the same settings; a key of the environment stays there."""
        arguments = self._settings.arguments()
        if not self._has_own_key:
            arguments["api_key"] = None
        # It may have been switched, also to one that this version does not know.
        if self._started is not None and self._started.state.network in NETWORKS:
            arguments["network"] = self._started.state.network
        return arguments

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        from sogni.core.call_options import OptionedEngine

        if isinstance(self._started, OptionedEngine):
            raise TypeError("what with_options returns cannot be pickled; pickle the client, and call it there")
        return unpickled_client, (type(self), self._arguments())

    def __copy__(self) -> NoReturn:
        raise TypeError(
            "SogniClient objects cannot be copied, because they hold connections or threads; create a new one with the "
            "same arguments"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__copy__()

    def _listeners(self) -> Listeners:
        return self._engine.state.listeners

    def _on_listener_added(self) -> None:
        self._engine.state.listen()

    # -- lifecycle -------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Open the socket and wait until the service accepts requests.

        Not required: the first call that needs the socket opens it.

        Args:
            timeout: Seconds to wait. Default: the `ready` timeout of the client, 30.

        Raises:
            SogniTimeoutError: The service was not ready in time.
            SogniConnectionError: The service cannot be reached.
            AuthenticationError: The service does not accept the credentials.
            ConnectionRejectedError: The service refuses the connection for another reason.

        Example:
            >>> client.connect()
            >>> client.is_connected
            True
        """
        from sogni.core.connection.flows import open_connection

        self._engine.run(open_connection(check_seconds("timeout", timeout)))

    def check(self, timeout: float | None = None) -> HealthReport:
        """Check key, REST host, socket and balance without spending anything. Failures are part of the report.

        Args:
            timeout: Seconds for all checks together; None for no limit. Checks that are unfinished by then count as
                failed.

        Returns:
            The result of each check.

        Example:
            >>> report = client.check(timeout=30)
            >>> [(check.name, check.ok) for check in report.checks]
            [('credentials', True), ('balance', True), ('socket', True)]
        """
        from sogni.core.account.flows import check_health

        return self._engine.run(check_health(check_seconds("timeout", timeout)))

    def close(self) -> None:
        """Release threads, sockets and files. May be called repeatedly.

        Queued callbacks run first, within a time limit. Running projects are not canceled; they can be attached to
        later.

        Example:
            >>> client.close()
            >>> client.closed
            True
        """
        from sogni.transport.driver import in_thread

        self._engine.close()
        if self._supernet is not None:
            in_thread(self._supernet.close)

    def dispose(self) -> None:
        """Alias of `close`."""
        self.close()

    @property
    def closed(self) -> bool:
        """True once the client is closed."""
        return self._started is not None and self._started.closed

    @property
    def is_connected(self) -> bool:
        """True while the socket is open and the service answers on it."""
        return self._started is not None and self._started.state.connection.is_open

    @property
    def is_authenticated(self) -> bool:
        """True if there are credentials that the service has not rejected. False once the client is closed."""
        return self._engine.state.authenticated(time.monotonic(), time.time())

    def set_tokens(self, token: str | None = None, refresh_token: str | None = None) -> None:
        """Continue a session with its tokens; for clients with `auth_type="token"`.

        Args:
            token: The access token. If it is missing or has expired, the refresh token is exchanged for new tokens at
                once.
            refresh_token: Without it, the client is signed in for as long as the access token is valid.

        Raises:
            ValidationError: Both are missing, one is malformed, or the client has another `auth_type`.
            AuthenticationError: They have expired or been revoked.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     session = client.account.login("ada", "correct horse battery")
            >>> with SogniClient(auth_type="token") as client:
            ...     client.set_tokens(session.tokens.token, session.tokens.refresh_token)
            ...     client.current_account.username
            'ada'
        """
        from sogni.core.account.sign_in import set_tokens

        token, refresh_token = secret(token), secret(refresh_token)
        self._engine.run(set_tokens(token, refresh_token))

    def check_auth(self) -> bool:
        """Check whether the stored cookies are valid and, if so, sign in; for clients with `auth_type="cookies"`.

        Returns:
            True if the client is signed in.

        Raises:
            ValidationError: The client has another `auth_type`.

        Example:
            >>> with SogniClient(auth_type="cookies") as client:
            ...     client.check_auth()
            False
        """
        from sogni.core.account.sign_in import check_auth

        return self._engine.run(check_auth())

    @property
    def app_id(self) -> str | None:
        """App ID of the connection; None until one is chosen."""
        return self._engine.state.app_id or None

    def __enter__(self) -> SogniClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- namespaces ------------------------------------------------------------

    @property
    def projects(self) -> Projects:
        """Media projects: creating, tracking and estimating them."""
        from sogni.api.projects import Projects

        return self._namespace(Projects)

    @property
    def chat(self) -> Chat:
        """Language models: completions, conversations, durable runs and tools."""
        from sogni.api.chat import Chat

        return self._namespace(Chat)

    @property
    def account(self) -> Account:
        """Authentication, balances, transactions, rewards and subscriptions."""
        from sogni.api.account import Account

        return self._namespace(Account)

    @property
    def workflows(self) -> Workflows:
        """Durable workflows and their templates."""
        from sogni.api.workflows import Workflows

        return self._namespace(Workflows)

    @property
    def replay(self) -> Replay:
        """Replay records of chats."""
        from sogni.api.replay import Replay

        return self._namespace(Replay)

    @property
    def worlds(self) -> Worlds:
        """Hosted world builds."""
        from sogni.api.worlds import Worlds

        return self._namespace(Worlds)

    @property
    def announcements(self) -> Announcements:
        """Announcements of the service."""
        from sogni.api.announcements import Announcements

        return self._namespace(Announcements)

    @property
    def stats(self) -> Stats:
        """Statistics of the service."""
        from sogni.api.account import Stats

        return self._namespace(Stats)

    @property
    def current_account(self) -> CurrentAccount:
        """The signed-in account, kept up to date."""
        return self.account.current_account

    @property
    def api_client(self) -> ApiClient:
        """Direct access to REST, socket and credentials, for requests without a method of their own."""
        from sogni.api.api_client import ApiClient

        return self._namespace(ApiClient)

    def set_socket_event_subscriptions(self, update: Mapping[str, Any]) -> None:
        """Change which events the service sends. Returns as soon as the request has been written.

        Args:
            update: Booleans by event name, or any of the keys `subscriptions`, `subscribe`, `unsubscribe`, `reset`,
                `event` and `enabled`.

        Raises:
            ValidationError: The update is malformed.

        Example:
            >>> client.set_socket_event_subscriptions({"subscriptionLimitNotice": True})
        """
        from sogni.core.account.flows import subscribe

        self._engine.run(subscribe(update))

    def __repr__(self) -> str:
        if not hasattr(self, "_settings"):
            # An error tracker shows the `self` of a constructor that has refused its arguments.
            return "<SogniClient without valid settings>"
        state = "closed" if self.closed else "connected" if self.is_connected else "not connected"
        return f"<SogniClient {redact(self._settings.rest_endpoint)} {state}>"


def unpickled_client(kind: type[SogniClient], arguments: dict[str, Any]) -> SogniClient:
    """Return a client with these arguments. It gets an app ID of its own, even if the environment has one.

    Args:
        kind: The class of the client.
        arguments: Its arguments.

    Returns:
        The client. Nothing is opened or started yet.
    """
    client = kind(**arguments)
    client._settings = evolve(client._settings, app_id=None)
    return client
