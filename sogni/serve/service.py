"""The ASGI application: authentication, limits, routing, logging and shutdown."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.routing import Match, Route

from sogni.errors import SogniError
from sogni.redaction import redact
from sogni.serve.chat import chat_completions
from sogni.serve.costs import Costs
from sogni.serve.errors import RequestError, reported, stopping, unexpected
from sogni.serve.fields import shown
from sogni.serve.images import edit_images, generate_images
from sogni.serve.models import Models, get_model, list_models
from sogni.serve.requests import (
    Call,
    DisconnectedError,
    JsonResponse,
    Message,
    Receive,
    Response,
    Scope,
    Send,
    send_whole,
)
from sogni.serve.speech import create_speech
from sogni.serve.videos import Videos, create_video, delete_video, get_video, get_video_content, list_videos

if TYPE_CHECKING:
    from sogni_async import SogniClient

logger: logging.Logger = logging.getLogger("sogni.serve")

MAX_REQUESTS = 256
MAX_BODY = 50 * 1024 * 1024
CLIENT_CLOSED = 499
"""The status in the log of a request whose client has disconnected."""

Handler = Callable[[Call], Awaitable[Response]]


async def health(call: Call) -> Response:
    """Report whether the server can reach the service. Needs no key."""
    return call.service.health()


class Service:
    """The server as an ASGI application.

    Args:
        client: Client of the account that pays.
        key: Key that requests must have.
        costs: Limits on the cost of requests. Default: none.
        aliases: Model ids by alias.
        voices: Voices of Sogni by alias.
        loopback: Whether the server listens on loopback only. If so, it checks the `Host` of requests to prevent DNS
            rebinding by web pages.
        hosts: Additional values of `Host` to accept.
        origins: Origins of web pages that may send requests, in addition to those on loopback.
        max_requests: Maximum number of concurrent requests.
        max_body: Maximum size of a request body, in bytes.
        videos: Keeps track of videos. Default: one that forgets them when the server ends.
    """

    def __init__(
        self,
        client: SogniClient,
        key: str,
        *,
        costs: Costs | None = None,
        aliases: Mapping[str, str] | None = None,
        voices: Mapping[str, str] | None = None,
        loopback: bool = True,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        max_requests: int = MAX_REQUESTS,
        max_body: int = MAX_BODY,
        videos: Videos | None = None,
    ) -> None:
        self.client: SogniClient = client
        self.costs: Costs = costs or Costs(client)
        self.models: Models = Models(client, dict(aliases or {}))
        self.voices: dict[str, str] = dict(voices or {})
        self.videos: Videos = videos or Videos(client)
        self.max_requests: int = max_requests
        self.max_body: int = max_body
        self._key = key.encode()
        self._loopback = loopback
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._running: dict[asyncio.Task[Any], Call] = {}
        self.stopping: bool = False
        self.held: int = 0
        """Bytes of the bodies of running requests."""
        self._routes = _routes(
            ("GET", "/health", health),
            ("GET", "/v1/models", list_models),
            ("GET", "/v1/models/{model:path}", get_model),
            ("POST", "/v1/chat/completions", chat_completions),
            ("POST", "/v1/images/generations", generate_images),
            ("POST", "/v1/images/edits", edit_images),
            ("POST", "/v1/audio/speech", create_speech),
            ("POST", "/v1/videos", create_video),
            ("GET", "/v1/videos", list_videos),
            ("GET", "/v1/videos/{video}", get_video),
            ("DELETE", "/v1/videos/{video}", delete_video),
            ("GET", "/v1/videos/{video}/content", get_video_content),
        )

    def health(self) -> Response:
        """Return the state of the server."""
        state = "stopping" if self.stopping else "ok" if self.client.is_connected else "disconnected"
        return JsonResponse({"status": state, "requests": len(self._running)}, status=200 if state == "ok" else 503)

    def stop(self) -> None:
        """End all requests cleanly, because the server shuts down."""
        self.stopping = True
        for task, call in list(self._running.items()):
            call.shutting_down = True
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        assert scope["type"] == "http"
        call = Call(self, scope, receive)
        sent = _Sent(send, call, self._cors(call))
        began = time.monotonic()
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._answer(call, sent, task)
        except asyncio.CancelledError:
            if not call.disconnected and not call.shutting_down:
                raise
            task.uncancel()
            if call.shutting_down and not sent.status:
                await self._send_error(call, sent, stopping())
        except DisconnectedError:
            pass
        finally:
            await call.close()
            self._log(call, sent, time.monotonic() - began)

    async def _answer(self, call: Call, sent: _Sent, task: asyncio.Task[Any]) -> None:
        try:
            self._check_origin(call)
            if call.method == "OPTIONS":
                await send_whole(sent, 204, {}, b"")
                return
            route = self._route(call)
            if route.path != "/health":
                self._check_key(call)
                self._check_room()
            self._running[task] = call
            if call.method in ("GET", "HEAD", "DELETE"):
                call.watch()
            response = await route.endpoint(call)
            await response.send(sent)
        except RequestError as error:
            await self._send_error(call, sent, error)
        except SogniError as error:
            if error.__cause__ is not None or not isinstance(error, ValueError):
                logger.debug("refused id=%s error=%r", call.id, error)
            await self._send_error(call, sent, reported(error, call.names))
        except DisconnectedError:
            raise
        except Exception:
            logger.exception("failed id=%s", call.id)
            await self._send_error(call, sent, unexpected())
        finally:
            self._running.pop(task, None)

    async def _send_error(self, call: Call, sent: _Sent, error: RequestError) -> None:
        call.note(error=error.code or error.type)
        if sent.status:
            # In the middle of a file, only a connection that breaks tells that the rest is missing. The server closes
            # that of a response without an end.
            return
        await call.drain()
        await send_whole(sent, error.status, error.all_headers(), error.body())

    # Who may send requests

    def _check_origin(self, call: Call) -> None:
        if self._loopback:
            host = _host_name(call.headers.get("host", ""))
            if not _is_loopback(host) and host not in self._hosts:
                raise RequestError(
                    "This server answers to the names of this host only; 'sogni serve --allow-host NAME' adds a name.",
                    status=403,
                    code="host_not_allowed",
                )
        origin = call.headers.get("origin")
        if origin is not None and not self._allows(origin):
            raise RequestError(
                "Web pages of this origin may not use this server; 'sogni serve --allow-origin ORIGIN' lets them.",
                status=403,
                code="origin_not_allowed",
            )

    def _allows(self, origin: str) -> bool:
        if origin.lower() in self._origins or "*" in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # malformed brackets
            return False
        return self._loopback and parts.scheme in ("http", "https") and _is_loopback(parts.hostname or "")

    def _cors(self, call: Call) -> list[tuple[bytes, bytes]]:
        origin = call.headers.get("origin")
        if origin is None or not self._allows(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", b"*, authorization"),
            (b"access-control-expose-headers", b"x-request-id, x-sogni-cost, x-sogni-project-id"),
            (b"vary", b"origin"),
        ]

    def _check_key(self, call: Call) -> None:
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        headers = {"www-authenticate": "Bearer"}
        if scheme.lower() != "bearer" or not given.strip():
            raise RequestError(
                "You did not provide the key of this server. Send it in the header Authorization, after 'Bearer '. "
                "It is the one that 'sogni serve' has printed, or SOGNI_SERVE_KEY.",
                status=401,
                code="missing_api_key",
                headers=headers,
            )
        if not hmac.compare_digest(given.strip().encode(), self._key):
            raise RequestError(
                "Incorrect API key provided. The key of this server is the one that 'sogni serve' has printed, or "
                "SOGNI_SERVE_KEY; it is not the key of a Sogni account.",
                status=401,
                code="invalid_api_key",
                headers=headers,
            )

    def _check_room(self) -> None:
        if self.stopping:
            raise stopping()
        if len(self._running) >= self.max_requests:
            raise RequestError(
                f"This server answers at most {self.max_requests} requests at the same time.",
                status=429,
                type="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=1,
            )

    def _route(self, call: Call) -> Route:
        partial = None
        for route in self._routes:
            match, child = route.matches(call.scope)
            if match == Match.FULL:
                call.scope.update(child)
                return route
            partial = partial or (route if match == Match.PARTIAL else None)
        method, path = call.method, shown(call.scope["path"])
        if partial is None:
            raise RequestError(f"Unknown URL ({method} {path}).", status=404, code="unknown_url")
        raise RequestError(
            f"Not allowed to {method} on {path}.",
            status=405,
            code="method_not_supported",
            headers={"allow": ", ".join(sorted(partial.methods or ()))},
        )

    def _log(self, call: Call, sent: _Sent, seconds: float) -> None:
        notes = "".join(f" {name}={_logged(value)}" for name, value in call.notes.items())
        logger.info(
            "request id=%s method=%s path=%s status=%d seconds=%.3f%s",
            call.id,
            _logged(call.method),
            _logged(call.scope["path"]),
            sent.status or CLIENT_CLOSED,
            seconds,
            f"{notes} disconnected=true" if call.disconnected else notes,
        )


def _routes(*rows: tuple[str, str, Handler]) -> list[Route]:
    return [Route(path, handler, methods=[method]) for method, path, handler in rows]


class _Sent:
    """Sends a response with the common headers, and records its status."""

    def __init__(self, send: Send, call: Call, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._call = call
        self._headers = [(b"x-request-id", call.id.encode()), *headers]
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if not self.status:
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
        elif not message.get("more_body"):
            self._call.complete = True
        await self._send(message)


def _host_name(host: str) -> str:
    """Return the name in a `Host` header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _logged(value: Any) -> str:
    """Return a value for a log line, escaped so that it cannot end the line or start another field."""
    if isinstance(value, bool):
        return str(value).lower()
    text = redact(str(value))[:200]
    return text if re.fullmatch(r"[\w./:{}*+@-]+", text, re.ASCII) else json.dumps(text)
