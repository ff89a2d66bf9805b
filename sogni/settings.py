"""Where the service is and how long to wait for it: decides every default of a client.

Called by the two `client` modules, which pass their arguments and the environment.
It reads no environment of its own and opens nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from attrs import field, frozen

from sogni.errors import ValidationError
from sogni.redaction import Secret, redact, secret, secret_url

VERSION = "0.1.0"
PROTOCOL_VERSION = "3.0.0"
"""Protocol version named in the handshake (transport §6)."""

DEFAULT_REST_ENDPOINT = "https://api.sogni.ai"
DEFAULT_SOCKET_ENDPOINT = "wss://socket.sogni.ai"

MAX_MESSAGE_SIZE = 64 * 1024 * 1024
"""Bytes of one WebSocket message, for both shells; large frames must be accepted (transport §6)."""
MAX_CONNECTIONS = 20
"""Concurrent HTTP connections of one client, unless it says otherwise."""
MAX_REPLY_SIZE = 64 * 1024 * 1024
"""Bytes of one REST reply once decompressed, for both packages."""
MAX_REFUSAL_SIZE = 8 * 1024 * 1024
"""Bytes that are read of a reply that reports an error; the rest is dropped."""
TRANSFER_CHUNK = 256 * 1024
"""Bytes held in memory at once while a file goes up or down."""

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
AUTH_TYPES: tuple[AuthType, ...] = ("token", "cookies", "api_key")
NETWORKS: tuple[Network, ...] = ("fast", "relaxed")


def check_seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds; None stays None. ValidationError for anything below 0 or not finite."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < sys.float_info.max:
        raise ValidationError(
            f"{name} must be a number of seconds, 0 or more, or None, not {value!r}",
            field=name,
            value=value,
            allowed="0 or more, or None",
        )
    return float(value)


def _seconds(instance: Any, attribute: Any, value: Any) -> None:
    if value is None:
        raise ValidationError(f"{attribute.name} must be a number of seconds", field=attribute.name)
    check_seconds(attribute.name, value)


@frozen(kw_only=True)
class Timeouts:
    """How long single steps may take, in seconds.

    `connect` is for opening a connection, `request` for a whole REST answer (transport §3: 30 s),
    `transfer` for each piece of an upload or download, `ready` for a socket to become ready to send
    (transport §6.1: 30 s), `cancel` for the confirmation of a cancellation (projects-5x §10: 120 s),
    `idle` for a sign of life of an event stream, which is opened again without one, `close` for an orderly
    `close()`.
    """

    connect: float = field(default=10.0, validator=_seconds)
    request: float = field(default=30.0, validator=_seconds)
    transfer: float = field(default=300.0, validator=_seconds)
    ready: float = field(default=30.0, validator=_seconds)
    cancel: float = field(default=120.0, validator=_seconds)
    idle: float = field(default=90.0, validator=_seconds)
    close: float = field(default=5.0, validator=_seconds)


@frozen(kw_only=True)
class RetryPolicy:
    """How often a request that is safe to repeat is sent again.

    `attempts` counts all tries; the pause before try n is `base * 2**(n-2)` seconds, at most `cap`,
    with up to 20 % jitter. A `Retry-After` of the service outranks it; one above `longest` seconds ends the tries.
    """

    attempts: int = field(default=4)
    base: float = field(default=0.25, validator=_seconds)
    cap: float = field(default=8.0, validator=_seconds)
    longest: float = field(default=10.0, validator=_seconds)

    @attempts.validator
    def _at_least_one(self, attribute: Any, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValidationError(
                f"attempts must be an integer of 1 or more, not {value!r}",
                field="attempts",
                value=value,
                allowed="1 or more",
            )


@frozen(kw_only=True)
class Attribution:
    """Where requests come from, for the statistics of the service. Without one nothing is told; None is not told.

    - `interaction_kind`: who sits in front, told once for the connection.
    - `workload_kind`: whether an agent asks on somebody's behalf. `agent_framework`, 1 to 128 characters, and its
      version go with `agent_mediated` only. `agent_surface`: where it runs. `execution_mode`: how the work is done.
    - `operation_id`, `root_operation_id`, `parent_operation_id`: how operations belong together, 1 to 128 letters,
      digits and `._:-`; an operation is known by the id of the project, chat or run when it has none of its own.
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
    """Everything a client is configured with, checked."""

    api_key: str | None = field(default=None, repr=lambda key: "None" if key is None else "'***'")
    app_id: str | None = None
    auth_type: AuthType = "token"
    app_source: str | None = None
    attribution: Attribution | None = None
    network: Network = "fast"
    rest_endpoint: str = field(default=DEFAULT_REST_ENDPOINT, repr=lambda url: repr(redact(url)))
    socket_endpoint: str = field(default=DEFAULT_SOCKET_ENDPOINT, repr=lambda url: repr(redact(url)))
    socket_event_subscriptions: Mapping[str, bool] = field(factory=dict)
    disable_socket: bool = False
    testnet: bool = False
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    timeouts: Timeouts = field(factory=Timeouts)
    retry: RetryPolicy = field(factory=RetryPolicy)
    max_connections: int = MAX_CONNECTIONS

    @property
    def socket_http(self) -> str:
        """The HTTP side of the socket host (transport §1)."""
        return _with_scheme(self.socket_endpoint, "http")

    @property
    def socket_url(self) -> str:
        """The WebSocket side of the socket host (transport §1)."""
        return _with_scheme(self.socket_endpoint, "ws")


def _with_scheme(endpoint: str, scheme: Literal["http", "ws"]) -> str:
    parts = urlsplit(endpoint)
    secure = "" if parts.scheme in ("http", "ws") else "s"
    return urlunsplit((scheme + secure, parts.netloc, parts.path.rstrip("/"), parts.query, ""))


def _endpoint(name: str, value: Any, schemes: tuple[str, ...]) -> str:
    parts = _address(value)
    if parts is None or parts.scheme not in schemes or not parts.hostname:
        allowed = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ValidationError(
            f"{name} must be an address that starts with {allowed}, not {value!r}",
            field=name,
            value=value,
            allowed=allowed,
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), parts.query, ""))


def _address(value: Any) -> SplitResult | None:
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value.strip())
        _ = parts.port  # a port that is none is found only here
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


def _choice(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ValidationError(
            f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}",
            field=name,
            value=value,
            allowed=allowed,
        )
    return value


def _text(name: str, value: Any) -> str | None:
    """A trimmed text, None when there is nothing in it."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a text, not {value!r}", field=name, value=value)
    return value.strip() or None


def _path(name: str, value: Any) -> str | None:
    return _text(name, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _key(value: Any) -> str | None:
    """The key that was given; one that is none is not shown, as it may be nearly one."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        what = "empty" if isinstance(value, str) else f"of type {type(value).__name__}"
        raise ValidationError(
            f"api_key must be a text, or None; this one is {what}", field="api_key", allowed="a key, or None"
        )
    return _sendable_key(Secret(value.strip()))


def _sendable_key(key: str | None) -> str | None:
    if key is not None and not is_sendable(key):
        raise ValidationError(
            "api_key holds a line break or another character that no key has", field="api_key", allowed="a key, or None"
        )
    return key


def is_sendable(secret: str) -> bool:
    """Whether a key or a token can stand in a header; one that cannot is quoted by the libraries that refuse it."""
    return secret.isascii() and secret.isprintable()


def _subscriptions(value: Any) -> dict[str, bool]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValidationError(
            f"socket_event_subscriptions must be a mapping of names to booleans, not {value!r}",
            field="socket_event_subscriptions",
            value=value,
            allowed="a mapping of names to booleans",
        )
    # Other values than booleans never reach the service (transport §6); refusing them would be no safer.
    return {name: flag for name, flag in value.items() if isinstance(flag, bool)}


def _timeouts(value: Any) -> Timeouts:
    if value is None:
        return Timeouts()
    if isinstance(value, Timeouts):
        return value
    seconds = check_seconds("timeout", value)
    assert seconds is not None
    return Timeouts(connect=min(seconds, Timeouts().connect), request=seconds)


def _retry(value: Any) -> RetryPolicy:
    if value is None:
        return RetryPolicy()
    if not isinstance(value, RetryPolicy):
        raise ValidationError(f"retry must be a RetryPolicy or None, not {value!r}", field="retry", value=value)
    return value


def resolve(environ: Mapping[str, str], **given: Any) -> Settings:
    """Check a client's arguments; what is None comes from the environment or is the default.

    Environment: SOGNI_API_KEY, SOGNI_APP_ID, SOGNI_REST_ENDPOINT, SOGNI_SOCKET_ENDPOINT.
    Raises ValidationError that names the argument.
    """

    def taken(name: str, variable: str) -> Any:
        return given[name] if given.get(name) is not None else environ.get(variable) or None

    kind = given.get("auth_type")
    _choice("auth_type", kind, (None, *AUTH_TYPES))
    key = _key(given.get("api_key"))
    if key is not None:
        kind = "api_key"  # a key decides (transport §1)
    elif kind in (None, "api_key"):
        key = _sendable_key(secret(_text("api_key", environ.get("SOGNI_API_KEY"))))
        kind = "api_key" if key or kind else "token"
    if kind == "api_key" and key is None:
        raise ValidationError(
            "auth_type 'api_key' needs an api_key (or the environment variable SOGNI_API_KEY)",
            field="api_key",
            allowed="a key",
        )
    app_id = taken("app_id", "SOGNI_APP_ID")
    if app_id is not None and _text("app_id", app_id) is None:
        raise ValidationError("app_id must not be empty", field="app_id", value=app_id, allowed="a text, or None")
    rest = taken("rest_endpoint", "SOGNI_REST_ENDPOINT") or DEFAULT_REST_ENDPOINT
    socket = taken("socket_endpoint", "SOGNI_SOCKET_ENDPOINT") or DEFAULT_SOCKET_ENDPOINT
    return Settings(
        api_key=key,
        app_id=_text("app_id", app_id),
        auth_type=_choice("auth_type", kind, AUTH_TYPES),
        app_source=_text("app_source", given.get("app_source")),
        attribution=given.get("attribution"),
        network=_choice("network", given.get("network", "fast"), NETWORKS),
        rest_endpoint=_endpoint("rest_endpoint", rest, ("https", "http")),
        socket_endpoint=_endpoint("socket_endpoint", socket, ("wss", "ws", "https", "http")),
        socket_event_subscriptions=_subscriptions(given.get("socket_event_subscriptions")),
        disable_socket=bool(given.get("disable_socket", False)),
        testnet=bool(given.get("testnet", False)),
        proxy=secret_url(_text("proxy", given.get("proxy"))),
        ca_bundle=_path("ca_bundle", given.get("ca_bundle")),
        timeouts=_timeouts(given.get("timeout")),
        retry=_retry(given.get("retry")),
        max_connections=_connections(given.get("max_connections", MAX_CONNECTIONS)),
    )


def check_network(network: str) -> None:
    """ValidationError for a network there is not."""
    if network not in NETWORKS:
        raise ValidationError(
            f"network must be one of {', '.join(map(repr, NETWORKS))}, not {network!r}",
            field="network",
            value=network,
            allowed=NETWORKS,
        )
