"""A service that sends what a test tells it to: HTTP answers from a function, and the bytes of one WebSocket."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.transport.websocket_peers import ClientFrames, frame

Answer = tuple[int, str, bytes]
"""Status, content type and body of an HTTP answer."""
Responder = Callable[[str, str, dict[str, str], bytes], Answer | None]
"""Method, path, headers and body of a request to its answer; None cuts the connection."""
CLIENT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def message(kind: str, content: bytes) -> bytes:
    """The text of a frame of the service, with a payload that is encoded already."""
    return json.dumps({"type": kind, "data": base64.b64encode(content).decode()}).encode()


def wrapped(text: bytes, opcode: int = 1) -> bytes:
    """A message in one WebSocket frame."""
    return frame(text, opcode)


class Service(ThreadingHTTPServer):
    """One REST and socket host; `connection` is the newest WebSocket."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, answer: Responder) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.connection: socket.socket | None = None
        self.opened = 0
        self.requested: list[tuple[str, Any]] = []
        """Type and payload of every frame that a client has sent."""
        self.greeting = wrapped(message("authenticated", b'{"clientType":"artist","username":"fuzz"}'))

    def send(self, data: bytes) -> None:
        """Write to the newest WebSocket; a connection that has ended takes it silently."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.sendall(data)

    def shutdown_socket(self) -> None:
        """End the newest WebSocket without a goodbye."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do_any(self) -> None:
        if "upgrade" in self.headers.get("Connection", "").lower():
            self._upgrade()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.answer(self.command, self.path, dict(self.headers), body)
        if answer is None:
            self.close_connection = True
            return
        status, kind, body = answer
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    def _upgrade(self) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode() + CLIENT_GUID
        accept = base64.b64encode(hashlib.sha1(key).digest())
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + self.server.greeting
        )
        self.server.connection = self.connection
        self.server.opened += 1
        self.close_connection = True
        frames = ClientFrames()
        with suppress(OSError, AssertionError):
            while data := self.connection.recv(65536):
                for opcode, payload in frames.feed(data):
                    if opcode == 8:
                        return
                    if opcode == 9:
                        self.connection.sendall(frame(payload, 10))
                    if opcode in (1, 2):
                        envelope = json.loads(payload)
                        content = json.loads(base64.b64decode(envelope["data"]))
                        self.server.requested.append((envelope["type"], content))


@contextmanager
def serving(answer: Responder) -> Iterator[Service]:
    """Run a service in a thread."""
    service = Service(answer)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.shutdown_socket()
        service.shutdown()
        service.server_close()
        thread.join()
