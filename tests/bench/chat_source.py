"""A service that answers chats and does nothing else, in a process of its own: the source of the tokens that pass
through `sogni serve`.

As a script it reads commands as lines of JSON from standard input. Benchmarks control it with `ChatSource`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from base64 import b64decode
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.bench.peer import Peer, PeerServer, main, message

MODEL = "qwen3.6-35b-a3b-gguf-iq4xs"
AT_ONCE = 5
"""Tokens of an answer that is not paced."""
USAGE = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}


class _Server(PeerServer):
    greeting = message("swarmLLMModels", {MODEL: {"workers": 1}})

    def __init__(self) -> None:
        super().__init__()
        self.wanted = 0
        self.tokens = 0
        self.rate = 0.0
        self._waiting: list[tuple[socket.socket, str]] = []

    def heard(self, connection: socket.socket, text: bytes) -> None:
        """Answer a chat at once, or when as many as wanted wait for their answers."""
        frame = json.loads(text)
        if frame["type"] != "llmJobRequest":
            return
        job = json.loads(b64decode(frame["data"]))["jobID"]
        if not self.wanted:
            connection.sendall(b"".join(_token(job, "word ") for _ in range(AT_ONCE)) + _end(job))
            return
        self._waiting.append((connection, job))
        if len(self._waiting) == self.wanted:
            threading.Thread(target=self._pace, args=(self._waiting,), daemon=True).start()
            self._waiting = []

    def obey(self, order: dict[str, Any]) -> None:
        """Answer the next chats as the process that measures wants."""
        vars(self).update(order)
        print("done", flush=True)

    def _pace(self, chats: list[tuple[socket.socket, str]]) -> None:
        """Send the tokens of all answers in turn, evenly spaced; each token says when it was sent."""
        due = time.monotonic()
        for _ in range(self.tokens):
            for connection, job in chats:
                due += 1 / (self.rate * len(chats))
                time.sleep(max(0.0, due - time.monotonic()))
                connection.sendall(_token(job, f"{time.monotonic()!r} "))
        for connection, job in chats:
            connection.sendall(_end(job))


def _token(job: str, content: str) -> bytes:
    return message("jobTokens", {"jobID": job, "content": content})


def _end(job: str) -> bytes:
    return message("llmJobResult", {"jobID": job, "usage": USAGE, "timeTaken": 1.5})


class ChatSource(Peer):
    """The service, from the outside."""

    script = __file__

    def order(self, **order: Any) -> None:
        """Have the next `wanted` chats answered together, with so many `tokens` at a `rate` per second and chat."""
        self._order(**order)
        self._line()


if __name__ == "__main__":
    main(_Server)
