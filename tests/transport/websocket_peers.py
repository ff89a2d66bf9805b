"""Servers for the tests of the WebSocket transport, on bare sockets, so that every byte is the test's."""

from __future__ import annotations

import base64
import hashlib
import os
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

GUARD = 60.0
"""Seconds after which a test that hangs fails instead."""


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, mask: bytes = b"") -> bytes:
    """Encode a frame, unmasked unless a mask is given; an implementation of its own."""
    masked = 0x80 if mask else 0
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 65536:
        head = bytes([first, masked | 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, masked | 127]) + struct.pack("!Q", size)
    return head + mask + (_xor(payload, mask) if mask else payload)


def _xor(payload: bytes, mask: bytes) -> bytes:
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


class ClientFrames:
    """Decode what a client sends; fails when a frame is not masked, as a server has to."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self._data += data
        frames = []
        while (one := self._take()) is not None:
            frames.append(one)
        return frames

    def _take(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        assert data[1] & 0x80, "a client must mask"
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        stop = start + 4 + size
        if len(data) < stop:
            return None
        taken = data[0] & 0x0F, _xor(bytes(data[start + 4 : stop]), bytes(data[start : start + 4]))
        del data[:stop]
        return taken


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.request = b""
        self._frames = ClientFrames()
        self._ready: list[tuple[int, bytes]] = []

    def read_request(self) -> bytes:
        while b"\r\n\r\n" not in self.request:
            data = self.sock.recv(1)
            assert data, "the client left before its request was complete"
            self.request += data
        return self.request

    def upgrade(self, extra: bytes = b"") -> None:
        """Accept the upgrade; `extra` leaves in the same packet as the answer."""
        request = self.read_request()
        lines = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
        key = lines[b"Sec-WebSocket-Key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest())
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.sock.sendall(answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + extra)

    def send(self, payload: bytes, opcode: int = 1) -> None:
        self.sock.sendall(frame(payload, opcode))

    def receive(self) -> tuple[int, bytes]:
        while not self._ready:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    def until_closed(self) -> None:
        with suppress(OSError):
            while self.sock.recv(65536):
                pass


@contextmanager
def serving(
    handle: Callable[[Connection], None], *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1"
) -> Iterator[str]:
    """Run `handle` for each connection in a thread; yields the URL. What a handler raises fails the test."""
    listener = socket.create_server(("127.0.0.1", 0))
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []

    def run(sock: socket.socket) -> None:
        with suppress(ssl.SSLError, ConnectionError):
            sock.settimeout(GUARD)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            try:
                handle(Connection(sock))
            except (ConnectionError, ssl.SSLError):
                raise
            except BaseException as error:
                failures.append(error)
        sock.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if closing.is_set():
                sock.close()
                return
            threads.append(threading.Thread(target=run, args=(sock,)))
            threads[-1].start()

    closing = threading.Event()
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    port = listener.getsockname()[1]
    try:
        yield f"{'ws' if tls is None else 'wss'}://{name}:{port}/"
    finally:
        closing.set()
        socket.create_connection(("127.0.0.1", port)).close()
        acceptor.join(GUARD)
        listener.close()
        for thread in threads:
            thread.join(GUARD)
        assert not any(thread.is_alive() for thread in [acceptor, *threads])
    assert not failures, failures


class ConnectProxy:
    """An HTTP proxy that knows CONNECT only; `authorization` is the header it insists on."""

    def __init__(self, authorization: str | None = None) -> None:
        self.authorization = authorization
        self.asked: list[str] = []

    @contextmanager
    def running(self) -> Iterator[str]:
        with serving(self._handle) as url:
            yield url.removeprefix("ws://").rstrip("/")

    def _handle(self, client: Connection) -> None:
        lines = client.read_request().decode().split("\r\n")
        verb, target, _ = lines[0].split(" ")
        assert verb == "CONNECT"
        self.asked.append(target)
        if self.authorization is not None and f"Proxy-Authorization: {self.authorization}" not in lines:
            client.sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=GUARD) as upstream:
            client.sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(client.sock, upstream)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select(GUARD):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/dev/fd"))
