"""Direct access to REST, socket and credentials: `client.api_client`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, overload

from sogni.core.account.sign_in import authenticate
from sogni.core.connection.flows import send_frame
from sogni.core.connection.messages import FRAME_TYPES, FrameType
from sogni.core.http import HttpCall, query
from sogni.core.outbox import CONNECTION_EVENTS, Listeners
from sogni.core.requests import get_json
from sogni.core.time_limit import limited
from sogni.emitter import Decorator, EventEmitter, Remover
from sogni.keywords import suggest_keywords
from sogni.models.account import TokenPair
from sogni.models.connection import Connected, Disconnected, Reconnecting
from sogni.settings import check_seconds
from sogni_async.transport.engine import Engine


@suggest_keywords
class RestClient:
    """REST requests with the credentials, retries and errors of the client."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, host: Literal["rest", "socket"] = "rest"
    ) -> Any:
        """Send a GET request.

        Args:
            path: Path of the request, for example `"/v1/account/me"`.
            params: Query parameters; those that are None are omitted.
            host: `"rest"` (default) or `"socket"`, the HTTP endpoint of the socket host.

        Returns:
            The decoded JSON body; None if it is empty.

        Raises:
            ApiError: The service refused the request.
            ProtocolError: The body is not JSON.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> (await client.api_client.rest.get("/v1/account/me"))["status"]
            'success'
        """
        return await self.request("GET", path, params=params, host=host)

    async def post(self, path: str, body: Any = None, *, host: Literal["rest", "socket"] = "rest") -> Any:
        """Send a POST request. It is not repeated automatically.

        Args:
            path: Path of the request.
            body: JSON-ready body. Default `{}`.
            host: `"rest"` (default) or `"socket"`, the HTTP endpoint of the socket host.

        Returns:
            The decoded JSON body; None if it is empty.

        Raises:
            ApiError: The service refused the request.
            ProtocolError: The body of the response is not JSON.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> answer = await client.api_client.rest.post("/v1/account/username/validate", {"username": "hopper"})
            >>> answer["status"]
            'success'
        """
        return await self.request("POST", path, body={} if body is None else body, host=host)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        host: Literal["rest", "socket"] = "rest",
        timeout: float | None = None,
    ) -> Any:
        """Send a request with any method. Only GET requests are repeated after a failure.

        Args:
            method: HTTP method, in any case.
            path: Path of the request.
            params: Query parameters; those that are None are omitted.
            body: JSON-ready body. Default: none.
            headers: Additional headers.
            host: `"rest"` (default) or `"socket"`, the HTTP endpoint of the socket host.
            timeout: Seconds for the whole call, retries included. Default: the `request` timeout of the client, per
                attempt.

        Returns:
            The decoded JSON body; None if it is empty.

        Raises:
            ApiError: The service refused the request.
            ProtocolError: The body of the response is not JSON.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The service did not answer in time.

        Example:
            >>> (await client.api_client.rest.request("GET", "/v1/account/me", timeout=10))["status"]
            'success'
        """
        call = HttpCall(
            method=method.upper(),
            path=path,
            host=host,
            query=query(**dict(params or {})),
            body=body,
            headers=dict(headers or {}),
            repeatable=method.upper() == "GET",
            timeout=check_seconds("timeout", timeout),
        )
        return await self._engine.run(limited(get_json(call), call.timeout))


@suggest_keywords
class SocketClient:
    """Frames to and from the service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def send(self, type: str, data: Any) -> None:
        """Send a frame as soon as the socket is ready. Connects if necessary.

        Args:
            type: Type of the frame.
            data: JSON-ready payload.

        Raises:
            TypeError: JSON cannot represent the payload.
            SogniConnectionError: The service cannot be reached.
            SogniTimeoutError: The socket was not ready in time.

        Example:
            >>> await client.api_client.socket.send("changeNetwork", "fast")
        """
        await self._engine.run(send_frame(type, data))

    def on(self, type: str, function: Callable[[Any], Any]) -> Remover:
        """Call a function with every frame of a type, including types that this version does not know.

        Args:
            type: Type of the frames.
            function: Receives the payload.

        Returns:
            A function that removes the registration again.

        Example:
            >>> remove = client.api_client.socket.on("balanceUpdate", print)
            >>> remove()
        """
        return self._frames.add(type, function)

    def once(self, type: str, function: Callable[[Any], Any]) -> Remover:
        """Call a function with the next frame of a type only.

        Args:
            type: Type of the frame.
            function: Receives the payload.

        Returns:
            A function that removes the registration again.

        Example:
            >>> remove = client.api_client.socket.once("balanceUpdate", print)
        """
        return self._frames.add(type, function, once=True)

    def off(self, type: str, function: Callable[[Any], Any]) -> None:
        """Stop calling a function. Does nothing if it is not registered.

        Args:
            type: Type of the frames.
            function: The function that was given to `on` or `once`.

        Example:
            >>> client.api_client.socket.off("balanceUpdate", print)
        """
        self._frames.remove(type, function)

    @property
    def _frames(self) -> Listeners:
        return self._engine.state.frame_listeners


class OnAuthEvent(Protocol):
    """`AuthState.on` and `AuthState.once`."""

    @overload
    def __call__(self, event: Literal["updated"], function: Callable[[bool], Any]) -> Remover: ...
    @overload
    def __call__(self, event: Literal["updated"]) -> Decorator[bool]: ...


@suggest_keywords
class AuthState(EventEmitter[OnAuthEvent]):
    """The credentials of the client.

    Event: `updated` (bool): True after signing in or receiving new tokens, False after signing out.
    """

    _events = frozenset({"updated"})

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.session.listeners

    @property
    def is_authenticated(self) -> bool:
        """True if there are credentials that the service has not rejected. False once the client is closed."""
        return bool(self._engine.state.authenticated(time.monotonic(), time.time()))

    def backup(self) -> str | TokenPair | None:
        """Return the credentials, for `authenticate` to restore later.

        They are secret: store them where only their owner can read them. Every refresh replaces both tokens, so take a
        new backup at each `updated` event, or use `TokenStore.follow`.

        Returns:
            The API key, or a `TokenPair`; None if there are no credentials.

        Raises:
            ValidationError: The session is kept in cookies, which cannot be exported.

        Example:
            >>> client.api_client.auth.backup() is not None
            True
        """
        return self._engine.state.session.credentials.backup()

    async def authenticate(self, credentials: str | TokenPair | Mapping[str, str] | None = None) -> None:
        """Restore the credentials of an earlier session.

        If the access token of a pair has expired, it is refreshed at once.

        Args:
            credentials: The result of `backup`, or a `TokenPair` as a mapping. None if the session is kept in cookies.

        Raises:
            ValidationError: The credentials are malformed or of a different kind than the client uses.
            AuthenticationError: The tokens have expired or been revoked.

        Example:
            >>> await client.api_client.auth.authenticate(client.api_client.auth.backup())
        """
        await self._engine.run(authenticate(credentials))


class OnConnectionEvent(Protocol):
    """`ApiClient.on` and `ApiClient.once`."""

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
    def __call__(self, event: FrameType, function: Callable[[Any], Any]) -> Remover: ...
    @overload
    def __call__(self, event: FrameType) -> Decorator[Any]: ...


@suggest_keywords
class ApiClient(EventEmitter[OnConnectionEvent]):
    """Direct access to REST (`.rest`), socket (`.socket`) and credentials (`.auth`).

    Events: `connected`, `disconnected` and `reconnecting`, as on the client, and every frame type that the service is
    known to send, with the payload of the frame. `.socket.on` accepts any type.

    Attributes:
        rest: Requests to the REST API.
        socket: Frames of the socket.
        auth: The credentials.
    """

    _events = CONNECTION_EVENTS | FRAME_TYPES

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.rest: RestClient = RestClient(engine)
        self.socket: SocketClient = SocketClient(engine)
        self.auth: AuthState = AuthState(engine)

    def _listeners(self) -> Listeners:
        return self._engine.state.frame_listeners

    def _listeners_of(self, event: str) -> Listeners:
        return self._engine.state.listeners if event in CONNECTION_EVENTS else self._listeners()
