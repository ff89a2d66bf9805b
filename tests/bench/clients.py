"""The subjects of the benchmarks: both clients and a lower bound, behind one interface.

All of them read the same bytes off sockets of the same server. The floor splits frames and decodes JSON and
base64, and nothing else; what a client costs beyond it is what it does with a frame.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable
from json import loads
from typing import Any

import sogni
import sogni_async
from sogni.api.streams import ChatStream
from sogni.core.chat.state import ChatState
from sogni.core.client_state import ClientState
from sogni.core.connection.websocket import FrameDecoder
from sogni.core.outbox import NETWORK
from sogni.core.projects.project import ProjectState
from sogni.models.params import ImageProjectParams
from sogni.settings import MAX_MESSAGE_SIZE
from sogni.transport.websocket import open_upgraded
from sogni_async.api.streams import ChatStream as AsyncChatStream
from tests.bench.peer import CHAT, MARKER, MODEL, STEPS, Peer, job_id, project_id

PATIENCE = 30.0
READ_SIZE = 65536
"""Bytes per read, as the blocking client reads."""


def tracked(state: ClientState, index: int) -> ProjectState:
    """A project that runs, as `projects.create` and the first frames leave it."""
    now = time.time()
    prompt = f"a lighthouse at dawn, number {index}, oil on canvas"
    params = ImageProjectParams(model_id=MODEL, positive_prompt=prompt, width=1024, height=1024)
    project = ProjectState(project_id(index), params, state.out, now=now, kind="image", listening=state.listening)
    state.projects.track(project, now)
    ids = {"jobID": project.id, "imgID": job_id(index)}
    state.receive("jobState", {**ids, "type": "jobStarted", "jobIndex": 0, "workerName": f"worker-{index}"}, now)
    state.receive("jobProgress", {**ids, "hasImage": False, "step": 1, "stepCount": STEPS}, now)
    return project


class Floor:
    """A bare socket."""

    name = "floor"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        url = f"{peer.websocket}/?appId={self.name}"
        self._socket = open_upgraded(url, {}, timeout=PATIENCE, proxy=None, no_proxy=None, ca_bundle=None)
        self._socket.settimeout(PATIENCE)
        self._decoder = FrameDecoder(MAX_MESSAGE_SIZE)
        self._until("authenticated")

    def _until(self, last: str, heard: Callable[[Any], None] | None = None) -> None:
        decoder, recv, kind = self._decoder, self._socket.recv, ""
        while kind != last:
            data = recv(READ_SIZE)
            assert data, "the server is gone"
            for _, payload in decoder.feed(data):
                envelope = loads(payload)
                kind = envelope["type"]
                content = loads(b64decode(envelope["data"]))
                if heard is not None:
                    heard(content)

    def block(self, last: str) -> float:
        """Seconds of processor time for the prepared block."""
        begun = time.process_time()
        self._peer.send(self.name)
        self._until(last)
        return time.process_time() - begun

    def delays(self, count: int, interval: float) -> list[float]:
        """Seconds from sending to having each token, at a pace."""
        found: list[float] = []

        def heard(payload: Any) -> None:
            if "content" in payload:
                found.append(time.monotonic() - float(payload["content"]))

        self._peer.pace(self.name, count, interval)
        self._until("llmJobResult", heard)
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Measured(ABC):
    """A connected client."""

    name: str
    client: Any
    state: ClientState

    def _options(self, peer: Peer) -> dict[str, Any]:
        self._peer = peer
        return {
            "api_key": "bench",
            "app_id": self.name,
            "rest_endpoint": peer.http,
            "socket_endpoint": peer.websocket,
        }

    def track(self, count: int, listener: Callable[[Any], Any] | None) -> None:
        """Track so many projects instead of those before; `listener` hears the progress of the first."""

        def begin(state: ClientState, _: float) -> list[ProjectState]:
            state.projects.by_id.clear()
            state.listening.clear()
            return [tracked(state, index) for index in range(count)]

        projects = self.client._engine.changed(begin)
        if listener is not None:
            self.client._engine.present(projects[0]).on("progress", listener)

    def steps(self) -> list[int]:
        """The step of every project."""
        return [job.step for project in self.state.projects.by_id.values() for job in project.jobs.values()]

    def _answer(self) -> ChatState:
        chat = ChatState(CHAT, self.state.out)
        self.state.chats.by_id[CHAT] = chat
        return chat

    def seconds_of(self, work: Callable[[], Any]) -> float:
        """Processor time of this process, all threads together."""
        begun = time.process_time()
        work()
        return time.process_time() - begun

    def progress(self) -> float:
        """Seconds of processor time until the prepared block is applied, and told to who listens."""
        return self.seconds_of(self._apply)

    def tokens(self) -> float:
        """Seconds of processor time until the prepared answer has gone through a `for`."""
        self._chat = self._answer()
        return self.seconds_of(lambda: self._consume(lambda: self._peer.send(self.name), None))

    def delays(self, count: int, interval: float) -> list[float]:
        """Seconds from sending to the body of the `for`, at a pace."""
        found: list[float] = []
        self._chat = self._answer()
        self._consume(
            lambda: self._peer.pace(self.name, count, interval),
            lambda chunk: found.append(time.monotonic() - float(chunk.content)),
        )
        return found

    @abstractmethod
    def _apply(self) -> None: ...

    @abstractmethod
    def _consume(self, begin: Callable[[], None], body: Callable[[Any], Any] | None) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close the client."""


class Blocking(Measured):
    """`sogni`."""

    name = "sogni"

    def __init__(self, peer: Peer) -> None:
        self.client = sogni.SogniClient(**self._options(peer))
        self.client.connect(PATIENCE)
        self.state = self.client._engine.state
        self._applied = threading.Event()
        self._told = threading.Event()
        self.state.waiter_registry.add(NETWORK, self._applied)
        self.state.frame_listeners.add(MARKER, lambda _: self._told.set())

    def _apply(self) -> None:
        self._applied.clear()
        self._told.clear()
        self._peer.send(self.name)
        assert self._applied.wait(PATIENCE)
        assert self._told.wait(PATIENCE)

    def _consume(self, begin: Callable[[], None], body: Callable[[Any], Any] | None) -> None:
        stream = ChatStream(self.client._engine, self._chat)
        begin()
        for chunk in stream:
            if body is not None:
                body(chunk)

    def close(self) -> None:
        self.client.close()


class Asynchronous(Measured):
    """`sogni_async`."""

    name = "sogni_async"

    def __init__(self, peer: Peer) -> None:
        self._runner = asyncio.Runner()
        self.client = sogni_async.SogniClient(**self._options(peer))
        self._runner.run(self.client.connect(PATIENCE))
        self.state = self.client._engine.state
        self._told = asyncio.Event()
        self.state.frame_listeners.add(MARKER, lambda _: self._told.set())

    def _apply(self) -> None:
        self._runner.run(self._applying())

    async def _applying(self) -> None:
        self._told.clear()
        self._peer.send(self.name)
        async with asyncio.timeout(PATIENCE):
            await self._told.wait()

    def _consume(self, begin: Callable[[], None], body: Callable[[Any], Any] | None) -> None:
        self._runner.run(self._consuming(begin, body))

    async def _consuming(self, begin: Callable[[], None], body: Callable[[Any], Any] | None) -> None:
        stream = AsyncChatStream(self.client._engine, self._chat)
        begin()
        async for chunk in stream:
            if body is not None:
                body(chunk)

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.close()


PACKAGES: dict[str, type[Blocking] | type[Asynchronous]] = {"sogni": Blocking, "sogni_async": Asynchronous}
