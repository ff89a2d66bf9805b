"""The server for benchmarks, in a separate process, so that it does not share the interpreter lock.

It answers the few requests a client makes, discards uploads, and writes frames that were encoded beforehand.
As a script it reads commands as lines of JSON from standard input. Benchmarks control it with `Peer`. It checks
nothing, unlike the emulator.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

STEPS = 100
"""Steps of a job: every frame of progress moves the percentage, which is the dearest case."""
MODEL = "flux1-schnell-fp8"
TRANSFER = 500 * 1000 * 1000
"""Bytes of a large file."""
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0"
WALLET = "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E"
CHAT = "00000000-0000-4000-8000-00000000000C"
MARKER = "changeNetwork"
"""The frame that ends a block of progress; it changes no project."""


def project_id(index: int) -> str:
    """The id of a project."""
    return f"{index:08X}-0000-4000-8000-000000000000"


def job_id(index: int) -> str:
    """The id of its job."""
    return f"{index:08X}-0000-4000-8000-00000000000A"


def message(kind: str, payload: Any) -> bytes:
    """A frame of the service in a WebSocket frame."""
    data = b64encode(json.dumps(payload, separators=(",", ":")).encode()).decode()
    text = json.dumps({"type": kind, "data": data}, separators=(",", ":")).encode()
    if len(text) < 126:
        return bytes([0x81, len(text)]) + text
    return bytes([0x81, 126]) + len(text).to_bytes(2, "big") + text


class Progress:
    """Frames of progress of so many projects in turn; a job that is through is queued again and goes on."""

    def __init__(self, projects: int) -> None:
        self.steps = [1] * projects
        self._next = 0

    def block(self, count: int) -> bytes:
        """The next frames, `count` with the marker."""
        return b"".join(self._one() for _ in range(count - 1)) + message(MARKER, {"network": "fast"})

    def _one(self) -> bytes:
        index = self._next
        self._next = (index + 1) % len(self.steps)
        ids = {"jobID": project_id(index), "imgID": job_id(index)}
        if self.steps[index] == STEPS:
            self.steps[index] = 0
            return message("jobRetry", {**ids, "jobIndex": 0, "attempt": 1, "maxAttempts": 3})
        self.steps[index] += 1
        return message("jobProgress", {**ids, "hasImage": False, "step": self.steps[index], "stepCount": STEPS})


def tokens(count: int) -> bytes:
    """A streamed answer of `count` frames, the last of which ends it."""
    frames = [message("jobTokens", {"jobID": CHAT, "content": f" word{number}"}) for number in range(count - 1)]
    return b"".join(frames) + answered()


def answered() -> bytes:
    """The end of an answer."""
    usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
    return message("llmJobResult", {"jobID": CHAT, "usage": usage, "timeTaken": 1.5})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Headers and body are separate writes; the client delays its ACK of the first.
    server: PeerServer

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do_PUT(self) -> None:
        """Take an upload."""
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self._answer(b"")

    def do_GET(self) -> None:
        """Upgrade, send a large file, or answer with what is known."""
        path = self.path.partition("?")[0]
        if "upgrade" in self.headers.get("Connection", "").lower():
            self._upgrade()
        elif path.startswith("/down/"):
            self._send_file(int(path.rpartition("/")[2]))
        elif path.startswith("/v2/projects/"):
            self._answer(b'{"status":"error","errorCode":102,"message":"Project not found"}', 404)
        else:
            self._answer(json.dumps(self.server.known(path)).encode())

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(PNG)
        left, piece = size - len(PNG), bytes(1 << 20)
        while left:
            left -= self.wfile.write(piece[:left])

    def _upgrade(self) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", b64encode(sha1(key).digest()).decode())
        self.end_headers()
        name = next(it for it in self.path.partition("?")[2].split("&") if it.startswith("appId=")).partition("=")[2]
        # Before the client knows that it is connected: then it may want its frames.
        self.server.connections[name] = self.connection
        self.wfile.write(message("authenticated", {"clientType": "artist", "username": "bench"}) + self.server.greeting)
        self.close_connection = True
        while (text := self._read_message()) is not None:
            self.server.heard(self.connection, text)

    def _read_message(self) -> bytes | None:
        """The next message of the client; None at the end. A ping has none, and is answered."""
        head = self.rfile.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self.rfile.read(2), "big")
        mask = self.rfile.read(4)
        body = bytes(byte ^ mask[place & 3] for place, byte in enumerate(self.rfile.read(size)))
        if head[0] & 0x0F == 9:
            self.connection.sendall(bytes([0x8A, len(body)]) + body)
            return self._read_message()
        return body


class PeerServer(ThreadingHTTPServer):
    """The server, in its process."""

    daemon_threads = True
    greeting = b""
    """What follows the frame that tells a client that it is connected."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.connections: dict[str, socket.socket] = {}
        self.block = b""
        self.progress = Progress(1)

    def known(self, path: str) -> Any:
        """What a GET answers."""
        if path.endswith("/models/list"):
            return [{"id": MODEL, "name": "Flux", "SID": 1, "tier": "flux", "media": "image"}]
        if path.endswith("/models/tiers"):
            steps = {"min": 1, "max": 100, "default": 4}
            guidance = {"min": 0.1, "max": 1, "default": 1, "decimals": 1}
            return {"flux": {"steps": steps, "guidance": guidance}}
        if path.endswith("/uploadUrl"):
            return {"status": "success", "data": {"uploadUrl": f"{self.base}/up"}}
        if path == "/v1/account/me":
            return {"status": "success", "data": {"username": "bench", "walletAddress": WALLET}}
        if path.startswith("/v1/projects/"):
            record = {"id": path.rpartition("/")[2], "status": "completed", "imageCount": 1}
            return {"status": "success", "data": {"project": record}}
        return {"status": "success", "data": {}}

    def heard(self, connection: socket.socket, text: bytes) -> None:
        """A request whose prompt begins with a size is answered at once: its result is a file of that size."""
        frame = json.loads(text)
        if frame["type"] != "jobRequest":
            return
        request = json.loads(b64decode(frame["data"]))
        size, *_ = request["keyFrames"][0]["positivePrompt"].split()
        if not size.isdigit():
            return
        ids = {"jobID": request["jobID"], "imgID": job_id(0)}
        result = {**ids, "performedStepCount": 4, "lastSeed": "1", "resultUrl": f"{self.base}/down/{size}"}
        connection.sendall(
            message("jobState", {**ids, "type": "jobStarted", "jobIndex": 0})
            + message("jobResult", result)
            + message("jobState", {"jobID": ids["jobID"], "type": "jobCompleted"})
        )

    def obey(self, order: dict[str, Any]) -> None:
        """Do what the process that measures wants."""
        if "projects" in order:
            self.progress = Progress(order["projects"])
        elif "progress" in order:
            self.block = self.progress.block(order["progress"])
        elif "tokens" in order:
            self.block = tokens(order["tokens"])
        elif "send" in order:
            self.connections[order["send"]].sendall(self.block)
            return
        elif "pace" in order:
            self._pace(self.connections[order["pace"]], order["count"], order["interval"])
            return
        print("done", flush=True)

    def _pace(self, connection: socket.socket, count: int, interval: float) -> None:
        """Tokens one by one; each says when it was sent."""
        due = time.monotonic()
        for _ in range(count - 1):
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))
            connection.sendall(message("jobTokens", {"jobID": CHAT, "content": repr(time.monotonic())}))
        connection.sendall(answered())


class Peer:
    """The server, from the outside."""

    script = __file__

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(self.script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.http = self._line()
        self.websocket = self.http.replace("http", "ws")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def begin(self, projects: int) -> None:
        """Have a new round of progress for so many projects."""
        self._order(projects=projects)
        self._line()

    def prepare(self, kind: str, count: int) -> None:
        """Have a block of frames encoded; returns when it is ready to be sent, as often as wanted."""
        self._order(**{kind: count})
        self._line()

    def send(self, app_id: str) -> None:
        """Send the block to a client."""
        self._order(send=app_id)

    def pace(self, app_id: str, count: int, interval: float) -> None:
        """Send tokens one by one, `interval` seconds apart."""
        self._order(pace=app_id, count=count, interval=interval)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def main(kind: type[PeerServer] = PeerServer) -> None:
    """Serve until the standard input ends."""
    with kind() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.base, flush=True)
        for line in sys.stdin:
            server.obey(json.loads(line))
        server.shutdown()


if __name__ == "__main__":
    main()
