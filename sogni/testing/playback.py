"""Servers between a client and the service: one records the traffic, the other replays it without the service.

Both listen on loopback, each in its own thread, and work with any client, because they do not interpret messages.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import aiohttp
from aiohttp import WSMsgType, hdrs, web
from yarl import URL

from sogni.emulator.connections import FrameError, decode, encode
from sogni.emulator.responses import error as error_response
from sogni.emulator.server import stop_accepting, turns
from sogni.testing.cassettes import (
    MEDIA_PATH,
    CassetteError,
    Entry,
    MediaNames,
    Player,
    Tape,
    event_lines,
    without_secrets,
)

if TYPE_CHECKING:
    import sogni_async
    from sogni.client import SogniClient

T = TypeVar("T")
Host = Literal["rest", "socket"]
LOCAL_KEY = "recorded-by-sogni-testing"
"""The API key that clients use with these servers."""
_KEPT = ("content-type", "content-range", "accept-ranges", "retry-after")
"""Headers of responses that are recorded."""
_NOT_FORWARDED = {
    "host", "connection", "content-length", "transfer-encoding", "accept-encoding", "api-key", "upgrade",
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
}  # fmt: skip
_CREDENTIALS = {"authorization", "cookie"}
_JSON = "application/json"
_EVENTS = "text/event-stream"
_UNMATCHED = 400
_LIMIT = 1024**3
_TIMEOUT = 30.0


class _Servers(ABC):
    """Two listeners, of the REST and of the socket host, in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sogni-cassette", daemon=True)
        self._runners: list[web.AppRunner] = []
        self._listening: list[socket.socket] = []
        self._media = MediaNames()
        self.rest_endpoint: str = ""
        self.socket_endpoint: str = ""

    def start(self) -> None:
        self._thread.start()
        try:
            rest, socket_host = self._call(self._listen())
        except BaseException:
            self.close()
            raise
        self.rest_endpoint, self.socket_endpoint = f"http://{rest}", f"ws://{socket_host}"
        self._media.base = self.rest_endpoint

    def close(self) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT)

    async def _listen(self) -> list[str]:
        addresses = []
        for host in ("rest", "socket"):
            app = web.Application(client_max_size=_LIMIT)
            app.router.add_route("*", "/{path:.*}", self._handler(host))
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.2)
            self._runners.append(runner)
            await runner.setup()
            listening = socket.create_server(("127.0.0.1", 0), backlog=512)
            self._listening.append(listening)
            await web.SockSite(runner, listening).start()
            addresses.append(f"127.0.0.1:{listening.getsockname()[1]}")
        return addresses

    def _handler(self, host: Host) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await self.upgrade(request)
            return await self.exchange(host, request)

        return handle

    async def _shut(self) -> None:
        await stop_accepting(self._listening)
        servers = [runner.server for runner in self._runners if runner.server is not None]
        transports = [connection.transport for server in servers for connection in server.connections]
        for runner in self._runners:
            await runner.cleanup()
        for transport in transports:
            # One with unsent data would not close.
            if transport is not None:
                transport.abort()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await turns()

    @abstractmethod
    async def exchange(self, host: Host, request: web.Request) -> web.StreamResponse:
        """Answer an HTTP request."""

    @abstractmethod
    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        """Answer a WebSocket upgrade, and pass frames until the connection ends."""


async def _request_fields(host: Host, request: web.Request) -> tuple[dict[str, Any], bytes]:
    """Return what identifies a request, and its body."""
    media = request.path.startswith(MEDIA_PATH)
    body = await request.read()
    content: Any = None
    if body and not media:
        try:
            content = json.loads(body)
        except ValueError:
            content = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    fields = {"host": host, "method": request.method, "path": request.path, "query": dict(request.query)}
    return {**fields, "range": request.headers.get(hdrs.RANGE), "body": content}, body


class Recorder(_Servers):
    """Forwards everything to the service, and records it."""

    def __init__(self, rest: str, socket_host: str, key: str) -> None:
        super().__init__()
        self._upstream: dict[Host, str] = {
            "rest": rest.rstrip("/"),
            "socket": re.sub("^ws", "http", socket_host.rstrip("/")),
        }
        self._key = key
        self._session: aiohttp.ClientSession | None = None
        self.tape: Tape = Tape()
        self._connections = 0

    @property
    def secrets(self) -> list[str]:
        """Values that must not appear in the file."""
        return [self._key]

    async def _listen(self) -> list[str]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT)
        self._session = aiohttp.ClientSession(trust_env=True, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return await super()._listen()

    async def _shut(self) -> None:
        await super()._shut()
        if self._session is not None:
            await self._session.close()

    def _headers(self, request: web.Request, *, media: bool) -> dict[str, str]:
        left_out = _NOT_FORWARDED | _CREDENTIALS if media else _NOT_FORWARDED
        headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
        if "api-key" in request.headers and not media:
            headers["api-key"] = self._key
        return headers

    def _add(self, entry: Entry) -> Entry:
        self.tape.entries.append(entry)
        return entry

    async def exchange(self, host: Host, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        fields, body = await _request_fields(host, request)
        media = request.path.startswith(MEDIA_PATH)
        if media:
            url = self._media.url_of(request.path.removeprefix(MEDIA_PATH))
            if url is None:
                return web.Response(status=404)
            fields["query"] = {}
        else:
            url = self._upstream[host] + request.raw_path
            fields["body"] = self._media.for_file(fields["body"])
            if body and b"http" in body:
                body = self._media.for_service(body.decode(errors="surrogateescape")).encode(errors="surrogateescape")
        entry = self._add({"kind": "http", **fields})
        try:
            async with self._session.request(
                request.method,
                URL(url, encoded=True),
                data=body or None,
                headers=self._headers(request, media=media),
                allow_redirects=media,
            ) as response:
                return await self._answer(request, response, entry, media=media)
        except aiohttp.ClientError as problem:
            return error_response(502, f"The service cannot be reached: {type(problem).__name__}")

    async def _answer(
        self, request: web.Request, response: aiohttp.ClientResponse, entry: Entry, *, media: bool
    ) -> web.StreamResponse:
        entry["status"] = response.status
        entry["headers"] = {name: response.headers[name] for name in _KEPT if name in response.headers}
        if response.content_type == _EVENTS:
            return await self._events(request, response, entry)
        content = await response.read()
        if not media and response.content_type == _JSON and content:
            answer = self._media.for_client(json.loads(content))
            entry["json"] = self._media.for_file(answer)
            content = json.dumps(answer).encode()
        elif content:
            entry["file"] = self.tape.add_file(content, response.content_type)
        return web.Response(status=response.status, body=content, headers=entry["headers"])

    async def _events(self, request: web.Request, response: aiohttp.ClientResponse, entry: Entry) -> web.StreamResponse:
        sent = web.StreamResponse(status=response.status, headers={"Content-Type": _EVENTS})
        await sent.prepare(request)
        entry["events"] = ""
        async for line in response.content:
            text = event_lines(self._media.for_client, line.decode(errors="replace"))
            stored = event_lines(self._media.for_file, text)
            entry["events"] += event_lines(lambda it: without_secrets(it, self.secrets), stored)
            await sent.write(text.encode())
        return sent

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        self._connections += 1
        number = self._connections
        entry = self._add({"kind": "open", "connection": number, "status": 101})
        try:
            upstream = await self._session.ws_connect(
                self._upstream["socket"] + request.raw_path,
                headers=self._headers(request, media=False),
                max_msg_size=0,
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError as refused:
            entry["status"] = refused.status
            return web.Response(status=refused.status)
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)

        async def forward() -> None:
            async for message in client:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await upstream.send_str(self._client_frame(number, message.data))
            await upstream.close()

        async def back() -> None:
            async for message in upstream:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await client.send_str(self._server_frame(number, message.data))
            code = upstream.close_code or 1006
            if not client.closed:
                self._add({"kind": "close", "connection": number, "code": code})
                await client.close(code=code if code != 1006 else 1011)

        tasks = [asyncio.create_task(forward()), asyncio.create_task(back())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await upstream.close()
        return client

    def _client_frame(self, connection: int, message: str | bytes) -> str:
        try:
            frame = decode(message)
        except FrameError:
            return message if isinstance(message, str) else message.decode(errors="replace")
        self._add(
            {"kind": "client", "connection": connection, "type": frame.type, "data": self._media.for_file(frame.data)}
        )
        return encode(frame.type, json.loads(self._media.for_service(json.dumps(frame.data))))

    def _server_frame(self, connection: int, message: str | bytes) -> str:
        try:
            frame = decode(message)
        except FrameError:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            self._add({"kind": "server", "connection": connection, "raw": text})
            return text
        data = self._media.for_client(frame.data)
        stored = self._media.for_file(data)
        self._add({"kind": "server", "connection": connection, "type": frame.type, "data": stored})
        return encode(frame.type, data)


class Replayer(_Servers):
    """Gives the responses that the service gave when the cassette was recorded."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.player: Player = Player(tape)
        self._changed = asyncio.Event()

    def _notice(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _now(self, content: Any) -> Any:
        return self._media.from_file(self.player.ids.now(content))

    async def exchange(self, host: Host, request: web.Request) -> web.StreamResponse:
        fields, _ = await _request_fields(host, request)
        if request.path.startswith(MEDIA_PATH):
            fields["query"] = {}
        fields = without_secrets(self._media.for_file(fields), [LOCAL_KEY])
        entry = self.player.find("http", fields)
        self._notice()
        if entry is None:
            reasons = self.player.unread if request.method in ("GET", "HEAD") else self.player.unmatched
            return error_response(_UNMATCHED, f"This is a replay. {reasons[-1]}")
        headers = dict(entry.get("headers", {}))
        status = entry.get("status", 500)
        if "events" in entry:
            text = event_lines(self._now, entry["events"])
            return web.Response(status=status, body=text.encode(), headers=headers)
        if "json" in entry:
            return web.Response(status=status, body=json.dumps(self._now(entry["json"])).encode(), headers=headers)
        body = self.player.tape.files.get(entry["file"]) if "file" in entry else b""
        if body is None:
            self.player.unmatched.append(f"the file {entry['file']} of the recording is missing")
            return error_response(_UNMATCHED, self.player.unmatched[-1])
        return web.Response(status=status, body=body, headers=headers)

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        opened = self.player.open()
        if opened is None:
            return error_response(_UNMATCHED, f"This is a replay. {self.player.unread[-1]}")
        number, status = opened
        if status != 101:
            return web.Response(status=status)
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        sending = asyncio.create_task(self._send(number, client))
        try:
            async for message in client:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._receive(number, client, message.data)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return client

    async def _send(self, connection: int, client: web.WebSocketResponse) -> None:
        for number, entry in self.player.sent_on(connection):
            while not self.player.due(number):
                await self._changed.wait()
            if entry["kind"] == "close":
                await client.close(code=entry["code"] if entry["code"] != 1006 else 1011)
            elif "raw" in entry:
                await client.send_str(entry["raw"])
            else:
                await client.send_str(encode(entry["type"], self._now(entry["data"])))

    async def _receive(self, connection: int, client: web.WebSocketResponse, message: str | bytes) -> None:
        try:
            frame = decode(message)
        except FrameError as error:
            self.player.unmatched.append(f"a malformed frame: {error}")
            return
        data = without_secrets(self._media.for_file(frame.data), [LOCAL_KEY])
        entry = self.player.find("client", {"connection": connection, "type": frame.type, "data": data})
        self._notice()
        if entry is None and isinstance(frame.data, dict) and frame.data.get("jobID"):
            # So that the test fails at once, and not when its timeout ends.
            reason = self.player.unmatched[-1]
            refusal = {"jobID": frame.data["jobID"], "error": 0, "error_message": f"This is a replay. {reason}"}
            await client.send_str(encode("llmJobError" if frame.type.startswith("llm") else "jobError", refusal))


class Cassette:
    """Traffic that is recorded, or replayed without the service. Created by the fixture `sogni_cassette`.

    Args:
        path: The file.
        servers: The servers between clients and the service.

    Attributes:
        path: The file.
        recording: True while it is recorded.
    """

    def __init__(self, path: Path, servers: Recorder | Replayer, /) -> None:
        self.path = path
        self.recording: bool = isinstance(servers, Recorder)
        self._servers = servers

    @property
    def rest_endpoint(self) -> str:
        """Base URL for clients, in place of the REST host."""
        return self._servers.rest_endpoint

    @property
    def socket_endpoint(self) -> str:
        """Base URL for clients, in place of the socket host."""
        return self._servers.socket_endpoint

    @property
    def api_key(self) -> str:
        """The key for clients. In a recording, the server replaces it with the real one."""
        return LOCAL_KEY

    def client(self, **options: Any) -> SogniClient:
        """Create a client whose traffic is recorded or replayed.

        Args:
            **options: Arguments of `sogni.SogniClient`.

        Returns:
            The client. Close it when done.
        """
        made: SogniClient = importlib.import_module("sogni").SogniClient(**(self._options() | options))
        return made

    def async_client(self, **options: Any) -> sogni_async.SogniClient:
        """Create an asyncio client whose traffic is recorded or replayed.

        Args:
            **options: Arguments of `sogni_async.SogniClient`.

        Returns:
            The client. Close it when done.
        """
        made: sogni_async.SogniClient = importlib.import_module("sogni_async").SogniClient(
            **(self._options() | options)
        )
        return made

    @property
    def unmatched(self) -> list[str]:
        """Requests of clients that were not recorded, with the reasons, except those that only read."""
        return list(self._servers.player.unmatched) if isinstance(self._servers, Replayer) else []

    @property
    def unread(self) -> list[str]:
        """Read requests of clients that were not recorded, with the reasons. They received an error."""
        return list(self._servers.player.unread) if isinstance(self._servers, Replayer) else []

    @property
    def missing(self) -> list[str]:
        """Requests of the recording that clients have not sent yet."""
        return self._servers.player.missing if isinstance(self._servers, Replayer) else []

    def save(self) -> None:
        """Write the recording.

        Raises:
            CassetteError: The recording would contain a secret.
        """
        saved = not isinstance(self._servers, Recorder) or self._servers.tape.save(self.path, self._servers.secrets)
        if not saved:
            raise CassetteError(f"{self.path} is not written, because it would contain the key")

    def close(self) -> None:
        """Stop the server."""
        self._servers.close()

    def _options(self) -> dict[str, Any]:
        return {
            "api_key": self.api_key,
            "rest_endpoint": self.rest_endpoint,
            "socket_endpoint": self.socket_endpoint,
        }


def record(path: Path, environment: Mapping[str, str]) -> Cassette:
    """Start recording the service that the environment configures.

    Raises:
        CassetteError: No API key is set.
    """
    from sogni.settings import DEFAULT_REST_ENDPOINT, DEFAULT_SOCKET_ENDPOINT

    key = environment.get("SOGNI_API_KEY", "")
    if not key:
        raise CassetteError("recording needs a key of the service: set SOGNI_API_KEY")
    rest = environment.get("SOGNI_REST_ENDPOINT") or DEFAULT_REST_ENDPOINT
    socket_host = environment.get("SOGNI_SOCKET_ENDPOINT") or DEFAULT_SOCKET_ENDPOINT
    servers = Recorder(rest, socket_host, key)
    servers.start()
    return Cassette(path, servers)


def replay(path: Path) -> Cassette:
    """Start replaying a recording.

    Raises:
        CassetteError: There is none, or it cannot be read.
    """
    servers = Replayer(Tape.load(path))
    servers.start()
    return Cassette(path, servers)
