# Generated from sogni_async/api/api_client.py by tools/unasync.py. Do not edit.
"""`client.api_client`: the escape hatch to what has no method of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, overload

from sogni.base import Decorator, EventEmitter, Remover
from sogni.core.account.sign_in import authenticate
from sogni.core.client_state import CONNECTION_EVENTS
from sogni.core.connection.flows import send_frame
from sogni.core.connection.messages import FRAME_TYPES, FrameType
from sogni.core.http import HttpCall, query
from sogni.core.outbox import Listeners
from sogni.core.requests import get_json
from sogni.core.time_limit import limited
from sogni.models.account import TokenPair
from sogni.models.connection import Connected, Disconnected, Reconnecting
from sogni.settings import check_seconds
from sogni.transport.engine import Engine


class RestClient:
    """REST calls with this client's credentials, retries and errors."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, host: Literal["rest", "socket"] = "rest"
    ) -> Any:
        """The JSON of a GET, None for an empty answer. Raises `ApiError`."""
        return self.request("GET", path, params=params, host=host)

    def post(self, path: str, body: Any = None, *, host: Literal["rest", "socket"] = "rest") -> Any:
        """The JSON of a POST; the body is `{}` when None. Raises `ApiError`; is never sent twice."""
        return self.request("POST", path, body={} if body is None else body, host=host)

    def request(
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
        """The JSON of any request, None for an empty answer. Only a GET is sent again after a failure."""
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
        return self._engine.run(limited(get_json(call), call.timeout))


class SocketClient:
    """Frames to the service, and from it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def send(self, type: str, data: Any) -> None:
        """Write a frame once the socket is ready; connects when needed."""
        self._engine.run(send_frame(type, data))

    def on(self, type: str, function: Callable[[Any], Any]) -> Remover:
        """Call `function` with the payload of every frame of a type, known or not; returns what removes it again."""
        return self._frames.add(type, function)

    def once(self, type: str, function: Callable[[Any], Any]) -> Remover:
        """Call `function` with the payload of the next frame of a type only; returns what removes it."""
        return self._frames.add(type, function, once=True)

    def off(self, type: str, function: Callable[[Any], Any]) -> None:
        """Stop calling `function`; nothing happens when it was not registered."""
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


class AuthState(EventEmitter[OnAuthEvent]):
    """The credentials of this client. Event: `updated` (bool): signed in, with new tokens too, or signed out."""

    _events = frozenset({"updated"})

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.session.listeners

    @property
    def is_authenticated(self) -> bool:
        """Whether there are credentials that the service has not refused; False once the client is closed."""
        return bool(self._engine.state.authenticated(time.monotonic(), time.time()))

    def backup(self) -> str | TokenPair | None:
        """The credentials, to go on with later or elsewhere: the API key, a `TokenPair`, or None.

        Secret: store it where only its owner reads. A refresh replaces both tokens, so take a new backup at every
        `updated`; `TokenStore.follow` does. Raises `ValidationError` for cookies.
        """
        return self._engine.state.session.credentials.backup()

    def authenticate(self, credentials: str | TokenPair | Mapping[str, str] | None = None) -> None:
        """Go on with what `backup` gave: a key, a `TokenPair` or its stored form; nothing for cookies.

        A pair whose access token has expired is exchanged at once. Raises `AuthenticationError` when that is refused,
        `ValidationError` for what are no credentials of this client's kind.
        """
        self._engine.run(authenticate(credentials))


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


class ApiClient(EventEmitter[OnConnectionEvent]):
    """`.rest`, `.socket` and `.auth`, and the events of the connection.

    Events: `connected`, `disconnected` and `reconnecting`, as on the client, and every frame type that the service is
    known to send, with the payload of the frame; `.socket.on` takes any type.
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
