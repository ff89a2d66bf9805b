"""Requests to the server without a socket between: what ASGI passes, and no more."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sogni.serve.service import Service

KEY = "the-key-of-the-tests"


class Reply:
    """A response."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.complete = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        assert list(self.json) == ["error"], self.json
        assert list(self.json["error"]) == ["message", "type", "param", "code"]
        return self.json["error"]

    @property
    def refusal(self) -> tuple[int, str | None, str | None]:
        """Status, code and field of an error."""
        return self.status, self.error["code"], self.error["param"]

    @property
    def events(self) -> list[Any]:
        """The events of a stream, without the last one, which says that there are no more."""
        *events, done = self.body.decode().removesuffix("\n\n").split("\n\n")
        assert done == "data: [DONE]"
        return [json.loads(event.removeprefix("data: ")) for event in events]


class Exchange:
    """A request that is being answered. `leave` closes the connection."""

    def __init__(self, service: Service, method: str, path: str, parts: list[bytes], headers: dict[str, str]) -> None:
        self.reply = Reply()
        self.received = asyncio.Event()
        self.stalled = False
        """Whether the body never ends."""
        self._parts = parts
        self._gone = asyncio.Event()
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.task = asyncio.ensure_future(service(scope, self._receive, self._send))

    def leave(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or self.stalled}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not self.reply.status
            self.reply.status = message["status"]
            self.reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.reply.parts.append(message["body"])
        self.received.set()
        if not message.get("more_body"):
            self.reply.complete = True
            self.leave()
        # As a server that has written to its socket does.
        await asyncio.sleep(0)


class Caller:
    """Sends requests to one server."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def begin(self, method: str, path: str, body: Any = None, *, key: str | None = KEY, **headers: str) -> Exchange:
        """Begin a request."""
        given = {"host": "localhost:8481", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        parts = body if isinstance(body, list) else [body if isinstance(body, bytes) else json.dumps(body).encode()]
        if method == "POST":
            given.setdefault("content-type", "application/json")
        return Exchange(self.service, method, path, parts if method == "POST" else [b""], given)

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """Send a request, and return its response."""
        exchange = self.begin(method, path, body, **options)
        await exchange.task
        return exchange.reply

    async def chat(self, text: str = "hi", **fields: Any) -> Reply:
        """Send a chat."""
        message = {"role": "user", "content": text}
        body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [message], **fields}
        return await self("POST", "/v1/chat/completions", body)
