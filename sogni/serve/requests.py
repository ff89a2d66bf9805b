"""Requests and responses of the endpoints."""

from __future__ import annotations

import asyncio
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from starlette.datastructures import Headers, QueryParams, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from sogni.serve.errors import FIELDS, RequestError
from sogni.serve.fields import Fields, parsed, shown

if TYPE_CHECKING:
    from sogni.serve.costs import Charge, Costs
    from sogni.serve.models import Models
    from sogni.serve.service import Service
    from sogni.serve.videos import Videos
    from sogni_async import SogniClient

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_SECONDS = 60.0
"""How long a client may take to send the body of a request."""
HELD_BODIES = 8
"""How many bodies of the largest size the server keeps in memory; of smaller ones accordingly more."""
MAX_FILES = 17
"""Files in a form: 16 images and a mask."""
MAX_FIELDS = 100


class Call:
    """One request, with everything that the endpoints need to answer it.

    Args:
        service: The server.
        scope: The ASGI scope of the request.
        receive: Returns the next part of its body.
    """

    def __init__(self, service: Service, scope: Scope, receive: Receive) -> None:
        self.service = service
        self._receive = receive
        self.scope = scope
        self.headers: Headers = Headers(scope=scope)
        self.client: SogniClient = service.client
        self.costs: Costs = service.costs
        self.models: Models = service.models
        self.videos: Videos = service.videos
        self.voices: Mapping[str, str] = service.voices
        self.id: str = f"req_{secrets.token_hex(8)}"
        self.method: str = scope["method"]
        self.names: Mapping[str, str] = FIELDS
        """Names of request fields by client parameter."""
        self.disconnected: bool = False
        """Whether the client has disconnected."""
        self.complete: bool = False
        """Whether the whole response has been sent, after which the client is expected to disconnect."""
        self.notes: dict[str, Any] = {}
        """Values for the log line of the request."""
        self.shutting_down: bool = False
        """Whether the request ends early because the server shuts down."""
        self._forms: list[Any] = []
        self._held = 0
        self._watch: asyncio.Task[None] | None = None
        self._unread = scope["method"] not in ("GET", "HEAD", "DELETE")

    def note(self, **values: Any) -> None:
        """Add values to the log line; those that are None are omitted."""
        self.notes |= {name: value for name, value in values.items() if value is not None}

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.scope["path_params"][name])

    @property
    def query(self) -> QueryParams:
        """The query of the URL."""
        return QueryParams(self.scope["query_string"])

    async def json(self) -> Fields:
        """Return the fields of a JSON body."""
        kind = self._content_type()
        if kind != "application/json":
            raise _unsupported_type(kind, "application/json")
        return Fields(parsed(b"".join([part async for part in self.body()])))

    async def form_or_json(self) -> Fields:
        """Return the fields of a form, files included, or of a JSON body."""
        kind = self._content_type()
        if kind == "application/json":
            return await self.json()
        if kind != "multipart/form-data":
            raise _unsupported_type(kind, "multipart/form-data and application/json")
        parser = MultiPartParser(self.headers, self.body(), max_files=MAX_FILES, max_fields=MAX_FIELDS)
        try:
            form = await parser.parse()
        except (MultiPartException, FormParserError, KeyError) as error:
            # Old versions of Starlette pass on the others: what is malformed, and that there is no boundary.
            message = getattr(error, "message", "Invalid multipart data.")
            raise RequestError(f"Could not parse the form: {message}", code="invalid_form") from None
        self._forms.append(form)
        fields: dict[str, Any] = {}
        for key, value in form.multi_items():
            # Clients write lists as "image[]", or repeat the field.
            name = key.removesuffix("[]")
            if name in fields or name != key or isinstance(value, UploadFile):
                known = fields.setdefault(name, [])
                fields[name] = [*(known if isinstance(known, list) else [known]), value]
            else:
                fields[name] = value
        return Fields(fields, form=True)

    def _content_type(self) -> str:
        return self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()

    async def body(self) -> AsyncGenerator[bytes, None]:
        """Yield the body. Raises `RequestError` if it is too large, or takes too long."""
        limit = self.service.max_body
        announced = self.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise self._too_large()
        size, more, deadline = 0, True, asyncio.get_running_loop().time() + BODY_SECONDS
        while more:
            message = await self._next_part(deadline)
            if message["type"] == "http.disconnect":
                self.disconnected = True
                raise DisconnectedError
            more = self._unread = message.get("more_body", False)
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise self._too_large()
            self._hold(len(part))
            yield part
        self.watch()

    async def _next_part(self, deadline: float) -> Message:
        # The limit must not enclose the `yield` above: it would cancel whatever the caller does there.
        try:
            async with asyncio.timeout_at(deadline):
                return await self._receive()
        except TimeoutError:
            self._unread = False  # no use waiting for the rest
            raise RequestError(
                f"The body of the request did not arrive within {BODY_SECONDS:g} seconds.",
                status=408,
                code="request_timeout",
            ) from None

    def _hold(self, size: int) -> None:
        """Count the bytes of a body. Raises `RequestError` if all requests together hold too many."""
        self._held += size
        self.service.held += size
        if self.service.held > HELD_BODIES * self.service.max_body:
            raise RequestError(
                "This server has too many large requests at the same time.",
                status=429,
                type="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=1,
            )

    def watch(self) -> None:
        """End the request as soon as the client disconnects. Call it only after the body has been read."""
        task = asyncio.current_task()
        assert task is not None
        self._watch = asyncio.ensure_future(self._until_gone(task))

    async def _until_gone(self, task: asyncio.Task[Any]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.complete:
            self.disconnected = True
            task.cancel()

    def _too_large(self) -> RequestError:
        return RequestError(
            f"The body of the request must have at most {self.service.max_body} bytes.",
            status=413,
            code="request_too_large",
            retry=False,
        )

    async def drain(self) -> None:
        """Read and discard the rest of the body: a client that is still sending does not read the response."""
        if not self._unread:
            return
        left = 2 * self.service.max_body
        try:
            async with asyncio.timeout(5):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b"")) + 1
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
        except TimeoutError:
            return

    async def close(self) -> None:
        """Release the resources of the request: the task that watches for a disconnect, and the files of forms."""
        self.service.held -= self._held
        self._held = 0
        if self._watch is not None:
            self._watch.cancel()
        for form in self._forms:
            await form.close()


def _unsupported_type(given: str, allowed: str) -> RequestError:
    return RequestError(
        f"Unsupported content type: {shown(given)}. This endpoint takes {allowed}.", code="unsupported_content_type"
    )


class DisconnectedError(Exception):
    """The client has closed the connection."""


class Response(ABC):
    """The response of an endpoint."""

    status = 200

    @abstractmethod
    async def send(self, send: Send) -> None:
        """Send the whole response."""


class JsonResponse(Response):
    """A JSON document.

    Args:
        document: The document.
        status: HTTP status.
        cost: Cost of the request, for a header.
        headers: Further headers.
    """

    def __init__(
        self,
        document: Any,
        *,
        status: int = 200,
        cost: Charge | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self._document = document
        self._headers = {**(headers or {}), **cost_headers(cost)}

    async def send(self, send: Send) -> None:
        """Send the document."""
        body = json.dumps(self._document).encode()
        await send_whole(send, self.status, {"content-type": "application/json", **self._headers}, body)


def cost_headers(cost: Charge | None) -> dict[str, str]:
    """Return the header with the cost of a request, if it is known."""
    if cost is None or cost.cost is None:
        return {}
    return {"x-sogni-cost": f"{cost.cost:f} {cost.token or ''}".strip()}


async def send_whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send a response whose body is complete."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
