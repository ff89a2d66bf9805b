"""Client settings: endpoints, timeouts, retries, attribution and their defaults.

`resolve` turns the arguments of a client and the environment variables passed to it into checked `Settings`. It never
reads the process environment itself and opens no connection.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from attrs import field, fields, frozen

from sogni.errors import ValidationError
from sogni.redaction import Secret, redact, secret, secret_url

VERSION = "0.1.0"
PROTOCOL_VERSION = "3.0.0"
"""Protocol version sent in the handshake."""  # transport §6

DEFAULT_REST_ENDPOINT = "https://api.sogni.ai"
DEFAULT_SOCKET_ENDPOINT = "wss://socket.sogni.ai"

MAX_MESSAGE_SIZE = 64 * 1024 * 1024
"""Maximum size of a WebSocket message in bytes."""  # large frames must be accepted (transport §6)
MAX_CONNECTIONS = 20
"""Default number of concurrent HTTP connections per client."""
MAX_REPLY_SIZE = 64 * 1024 * 1024
"""Maximum size of a REST response in bytes, after decompression."""
MAX_REFUSAL_SIZE = 8 * 1024 * 1024
"""Maximum number of bytes read from an error response; the rest is discarded."""
TRANSFER_CHUNK = 256 * 1024
"""Bytes held in memory at a time during uploads and downloads."""

AuthType = Literal["token", "cookies", "api_key"]
InteractionKind = Literal["human_ui", "external_agent", "service", "unknown"]
WorkloadKind = Literal["direct", "agent_mediated", "service", "unknown"]
OperationScope = Literal["top_level", "child", "unknown"]
ExecutionMode = Literal["browser", "durable", "server", "unknown"]
AgentSurface = Literal[
    "native_web", "native_mobile", "native_desktop", "plugin", "personal_skill", "mcp", "cli", "sdk",
    "openai_compatible", "direct_api", "unknown",
]  # fmt: skip
Network = Literal["fast", "relaxed"]
TokenType = Literal["sogni", "spark"]
AUTH_TYPES: tuple[AuthType, ...] = ("token", "cookies", "api_key")
NETWORKS: tuple[Network, ...] = ("fast", "relaxed")
TOKENS: tuple[TokenType, ...] = ("sogni", "spark")


def check_seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds as a float, or None if `value` is None.

    Raises:
        ValidationError: The value is negative, not finite or not a number.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < sys.float_info.max:
        raise ValidationError(
            f"{name} must be a number of seconds, 0 or more, or None, got {value!r}",
            field=name,
            value=value,
            allowed="0 or more, or None",
        )
    return float(value)


def _seconds(instance: Any, attribute: Any, value: Any) -> None:
    if value is None:
        raise ValidationError(f"{attribute.name} must be a number of seconds, got None", field=attribute.name)
    check_seconds(attribute.name, value)


@frozen(kw_only=True)
class Timeouts:
    """Time limits for individual steps, in seconds (0 or more).

    Args:
        connect: Opening a connection. Default 10.
        request: Receiving a complete REST response. Default 30.
        transfer: Sending or receiving each piece of an upload or download. Default 300.
        ready: Waiting until the socket is ready to send. Default 30.
        cancel: Waiting for the service to confirm a cancellation. Default 120.
        idle: Silence on an event stream before it is reopened. Default 90.
        close: Closing the client cleanly. Default 5.

    Raises:
        ValidationError: A value is negative, not finite or not a number.

    Example:
        >>> sogni.Timeouts(connect=5, request=60).request
        60
    """

    # Defaults: request transport §3, ready transport §6.1, cancel projects-5x §10.
    connect: float = field(default=10.0, validator=_seconds)
    request: float = field(default=30.0, validator=_seconds)
    transfer: float = field(default=300.0, validator=_seconds)
    ready: float = field(default=30.0, validator=_seconds)
    cancel: float = field(default=120.0, validator=_seconds)
    idle: float = field(default=90.0, validator=_seconds)
    close: float = field(default=5.0, validator=_seconds)


@frozen(kw_only=True)
class RetryPolicy:
    """Retries of requests that are safe to repeat, with exponential backoff.

    The delay before attempt n is `base * 2**(n - 2)` seconds, at most `cap`, with up to 20 % jitter. A `Retry-After`
    header from the service takes precedence.

    Args:
        attempts: Number of attempts in total, 1 or more; 1 disables retries. Default 4.
        base: Delay before the second attempt, in seconds. Default 0.25.
        cap: Longest computed delay, in seconds. Default 8.
        longest: Longest `Retry-After` to wait for, in seconds; a longer one ends the attempts. Default 10.

    Raises:
        ValidationError: A value is out of range.

    Example:
        >>> sogni.RetryPolicy(attempts=1).attempts
        1
    """

    attempts: int = field(default=4)
    base: float = field(default=0.25, validator=_seconds)
    cap: float = field(default=8.0, validator=_seconds)
    longest: float = field(default=10.0, validator=_seconds)

    @attempts.validator
    def _at_least_one(self, attribute: Any, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValidationError(
                f"attempts must be an integer of 1 or more, got {value!r}",
                field="attempts",
                value=value,
                allowed="1 or more",
            )


@frozen(kw_only=True)
class Attribution:
    """Origin of requests, for the statistics of the service. Fields that are None are not sent.

    Args:
        interaction_kind: Who uses the client; sent once per connection.
        workload_kind: Whether requests are made directly or by an agent on a user's behalf.
        agent_framework: Name of the agent framework, 1 to 128 characters; only with
            `workload_kind="agent_mediated"`.
        agent_framework_version: Version of the framework, 1 to 128 characters.
        agent_surface: Where the agent runs.
        agent_surface_version: Version of the surface.
        execution_mode: How the work is executed.
        operation_scope: Whether the operation is top level or part of another one.
        operation_id: ID of the operation, 1 to 128 letters, digits and `._:-`. Defaults to the ID of the project, chat
            or run.
        root_operation_id: ID of the outermost operation, in the same format.
        parent_operation_id: ID of the enclosing operation, in the same format.

    Example:
        >>> sogni.Attribution(workload_kind="agent_mediated", agent_framework="langchain").agent_framework
        'langchain'
    """

    interaction_kind: InteractionKind | None = None
    workload_kind: WorkloadKind | None = None
    agent_framework: str | None = None
    agent_framework_version: str | None = None
    agent_surface: AgentSurface | None = None
    agent_surface_version: str | None = None
    execution_mode: ExecutionMode | None = None
    operation_scope: OperationScope | None = None
    operation_id: str | None = None
    root_operation_id: str | None = None
    parent_operation_id: str | None = None


@frozen(kw_only=True)
class Settings:
    """Checked configuration of a client, as returned by `resolve`.

    Args:
        api_key: API key; None with the other authentication types.
        app_id: ID of this installation; None to choose one.
        auth_type: How requests are authenticated: `"token"` (default), `"cookies"` or `"api_key"`.
        app_source: Name of the application, for the statistics of the service.
        attribution: Origin of requests, for the statistics of the service.
        network: Network to use: `"fast"` (default) or `"relaxed"`.
        token_type: Token that pays if a call does not name one; None for the default of the service.
        rest_endpoint: Base URL of the REST API.
        socket_endpoint: Base URL of the socket host.
        socket_event_subscriptions: Socket events to subscribe to or unsubscribe from, by name.
        disable_socket: Never open the socket. Default False.
        testnet: Use the test network. Default False.
        proxy: Proxy URL for all hosts; None to use the environment.
        ca_bundle: File or directory of trusted certificate authorities; None to use the environment.
        timeouts: Time limits for individual steps.
        retry: Retries of requests that are safe to repeat.
        saved_uploads: Whether uploaded files that the service still has are reused. Default True.
        max_connections: Maximum number of concurrent HTTP connections, 1 or more. Default 20.
    """

    api_key: str | None = field(default=None, repr=lambda key: "None" if key is None else "'***'")
    app_id: str | None = None
    auth_type: AuthType = "token"
    app_source: str | None = None
    attribution: Attribution | None = None
    network: Network = "fast"
    token_type: TokenType | None = None
    rest_endpoint: str = field(default=DEFAULT_REST_ENDPOINT, repr=lambda url: repr(redact(url)))
    socket_endpoint: str = field(default=DEFAULT_SOCKET_ENDPOINT, repr=lambda url: repr(redact(url)))
    socket_event_subscriptions: Mapping[str, bool] = field(factory=dict)
    disable_socket: bool = False
    testnet: bool = False
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    timeouts: Timeouts = field(factory=Timeouts)
    retry: RetryPolicy = field(factory=RetryPolicy)
    saved_uploads: bool = True
    max_connections: int = MAX_CONNECTIONS

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a client with these settings, which gets an app ID of its own.

        The service closes the older of two connections with the same app ID.
        """
        names = (it.name for it in fields(type(self)) if it.name != "app_id")
        return {"timeout" if name == "timeouts" else name: getattr(self, name) for name in names}

    def with_token(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the options of a call, with the `token_type` of the client if they do not name a token."""
        if self.token_type is None or given.get("token_type") is not None:
            return given
        return {**given, "token_type": self.token_type}

    @property
    def socket_http(self) -> str:
        """HTTP URL of the socket host."""  # transport §1
        return _with_scheme(self.socket_endpoint, "http")

    @property
    def socket_url(self) -> str:
        """WebSocket URL of the socket host."""  # transport §1
        return _with_scheme(self.socket_endpoint, "ws")


def _with_scheme(endpoint: str, scheme: Literal["http", "ws"]) -> str:
    parts = urlsplit(endpoint)
    secure = "" if parts.scheme in ("http", "ws") else "s"
    return urlunsplit((scheme + secure, parts.netloc, parts.path.rstrip("/"), parts.query, ""))


def _endpoint(name: str, value: Any, schemes: tuple[str, ...]) -> str:
    parts = _split_url(value)
    if parts is None or parts.scheme not in schemes or not parts.hostname:
        allowed = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ValidationError(
            f"{name} must be a URL that starts with {allowed}, got {value!r}",
            field=name,
            value=value,
            allowed=allowed,
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), parts.query, ""))


def _split_url(value: Any) -> SplitResult | None:
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value.strip())
        _ = parts.port  # raises ValueError if the port is invalid
    except ValueError:
        return None
    return parts


def _connections(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValidationError(
            f"max_connections must be an integer of 1 or more, got {value!r}",
            field="max_connections",
            value=value,
            allowed="1 or more",
        )
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValidationError(
            f"{name} must be True or False, got {value!r}", field=name, value=value, allowed="True or False"
        )
    return value


def _choice(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValidationError(
            f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}",
            field=name,
            value=value,
            allowed=allowed,
        )
    return value


def _text(name: str, value: Any) -> str | None:
    """Return a stripped string, or None if it is empty."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string, got {value!r}", field=name, value=value)
    return value.strip() or None


def _path(name: str, value: Any) -> str | None:
    return _text(name, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _key(value: Any) -> str | None:
    """Return the checked API key. Errors do not show an invalid one: it may be almost the real key."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        given = "an empty string" if isinstance(value, str) else f"a value of type {type(value).__name__}"
        raise ValidationError(
            f"api_key must be a non-empty string or None, got {given}", field="api_key", allowed="a key, or None"
        )
    return _sendable_key(Secret(value.strip()))


def _sendable_key(key: str | None) -> str | None:
    if key is not None and not is_sendable(key):
        raise ValidationError(
            "api_key must be printable ASCII, got a line break or another character that no key contains",
            field="api_key",
            allowed="a key, or None",
        )
    return key


def is_sendable(secret: str) -> bool:
    """Return whether a key or token can be sent in a header."""
    # Checked here because the HTTP libraries quote an invalid header value in their errors.
    return secret.isascii() and secret.isprintable()


def _subscriptions(value: Any) -> dict[str, bool]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValidationError(
            f"socket_event_subscriptions must be a mapping of names to booleans, got {value!r}",
            field="socket_event_subscriptions",
            value=value,
            allowed="a mapping of names to booleans",
        )
    # Values that are not booleans are never sent (transport §6), so there is no need to reject them.
    return {name: flag for name, flag in value.items() if isinstance(flag, bool)}


def check_timeouts(value: Any) -> Timeouts:
    """Return time limits from `Timeouts`, seconds per request, or None for the defaults."""
    if value is None:
        return Timeouts()
    if isinstance(value, Timeouts):
        return value
    seconds = check_seconds("timeout", value)
    assert seconds is not None
    return Timeouts(connect=min(seconds, Timeouts().connect), request=seconds)


def check_retry(value: Any) -> RetryPolicy:
    """Return a policy; None is the default one."""
    if value is None:
        return RetryPolicy()
    if not isinstance(value, RetryPolicy):
        raise ValidationError(f"retry must be a RetryPolicy or None, got {value!r}", field="retry", value=value)
    return value


def resolve(environ: Mapping[str, str], **given: Any) -> Settings:
    """Return the checked settings of a client.

    Args:
        environ: Environment variables: `SOGNI_API_KEY`, `SOGNI_APP_ID`, `SOGNI_TOKEN_TYPE`, `SOGNI_REST_ENDPOINT` and
            `SOGNI_SOCKET_ENDPOINT` replace arguments that are None.
        **given: The arguments of the client. None means the environment variable, then the default.

    Raises:
        ValidationError: An argument is invalid; `field` is its name.
    """

    def from_argument_or_environment(name: str, variable: str) -> Any:
        return given[name] if given.get(name) is not None else environ.get(variable) or None

    kind = given.get("auth_type")
    _choice("auth_type", kind, (None, *AUTH_TYPES))
    key = _key(given.get("api_key"))
    if key is not None:
        kind = "api_key"  # an explicit key takes precedence (transport §1)
    elif kind in (None, "api_key"):
        key = _sendable_key(secret(_text("api_key", environ.get("SOGNI_API_KEY"))))
        kind = "api_key" if key or kind else "token"
    if kind == "api_key" and key is None:
        raise ValidationError(
            "auth_type='api_key' requires an api_key or the environment variable SOGNI_API_KEY",
            field="api_key",
            allowed="a key",
        )
    app_id = from_argument_or_environment("app_id", "SOGNI_APP_ID")
    if app_id is not None and _text("app_id", app_id) is None:
        raise ValidationError("app_id must not be empty", field="app_id", value=app_id, allowed="a string, or None")
    rest = from_argument_or_environment("rest_endpoint", "SOGNI_REST_ENDPOINT") or DEFAULT_REST_ENDPOINT
    token = from_argument_or_environment("token_type", "SOGNI_TOKEN_TYPE")
    socket = from_argument_or_environment("socket_endpoint", "SOGNI_SOCKET_ENDPOINT") or DEFAULT_SOCKET_ENDPOINT
    return Settings(
        api_key=key,
        app_id=_text("app_id", app_id),
        auth_type=_choice("auth_type", kind, AUTH_TYPES),
        app_source=_text("app_source", given.get("app_source")),
        attribution=given.get("attribution"),
        network=_choice("network", given.get("network", "fast"), NETWORKS),
        token_type=_choice("token_type", token, (None, *TOKENS)),
        rest_endpoint=_endpoint("rest_endpoint", rest, ("https", "http")),
        socket_endpoint=_endpoint("socket_endpoint", socket, ("wss", "ws", "https", "http")),
        socket_event_subscriptions=_subscriptions(given.get("socket_event_subscriptions")),
        disable_socket=bool(given.get("disable_socket", False)),
        testnet=bool(given.get("testnet", False)),
        proxy=secret_url(_text("proxy", given.get("proxy"))),
        ca_bundle=_path("ca_bundle", given.get("ca_bundle")),
        timeouts=check_timeouts(given.get("timeout")),
        retry=check_retry(given.get("retry")),
        saved_uploads=_flag("saved_uploads", given.get("saved_uploads", True)),
        max_connections=_connections(given.get("max_connections", MAX_CONNECTIONS)),
    )


def check_network(network: str) -> None:
    """Raise ValidationError if `network` is not a known network."""
    _choice("network", network, NETWORKS)
