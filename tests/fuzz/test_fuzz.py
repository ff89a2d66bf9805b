"""Nothing the service sends may hang a client, end its reader, or raise what is not documented.

Not part of the ordinary run: `pytest -m fuzz`. Both packages receive mutated frames and answers, from fixed seeds. What
is mutated stands in `corpus.json`, which `python -m tests.fuzz.record` makes from the emulator.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sogni.core.connection.state as connection
from sogni.errors import SogniError
from tests.fuzz.calls import CALLS, IDS, MODEL, needs_session
from tests.fuzz.mutations import encoded, mutated, mutated_bytes, odd_value
from tests.fuzz.service import Answer, Service, message, serving, wrapped
from tests.scenarios.conftest import Sdk

pytestmark = pytest.mark.fuzz

CORPUS = json.loads(Path(__file__).with_name("corpus.json").read_text(encoding="utf-8"))
FRAMES: list[tuple[str, Any]] = [(kind, payload) for kind, payload in CORPUS["frames"]]
ANSWERS: dict[str, list[list[Any]]] = {name: exchanges for name, exchanges in CORPUS["answers"].items() if exchanges}
KINDS = sorted({kind for kind, _ in FRAMES})

SESSIONS, FRAMES_OF_SESSION, BLOCK = 10, 19_000, 500
CONNECTIONS, FRAMES_OF_CONNECTION = 500, 20
BODIES = 12_000
PATIENCE = 30.0
"""Seconds that nothing here takes; what runs out of them hangs."""


@pytest.fixture(params=["sogni", "sogni_async"])
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return Sdk(request.param)


@pytest.fixture(autouse=True)
def _nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Errors that are only logged are failures, too; reconnecting takes no time."""
    monkeypatch.setattr(connection, "MIN_DELAY", 0.001)
    monkeypatch.setattr(connection, "MAX_DELAY", 0.01)
    # A record for each refused frame would fill the memory, and cost most of the time.
    broken: list[str] = []
    handler = _Errors(broken)
    logger = logging.getLogger("sogni")
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    yield
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    assert not broken, "\n\n".join(broken)


class _Errors(logging.Handler):
    def __init__(self, broken: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.broken = broken
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.broken) < 5:
            self.broken.append(self.format(record))


# -- frames --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SESSIONS))
async def test_mutated_frames(sdk: Sdk, seed: int) -> None:
    rng = random.Random(seed)
    with serving(plain_answer) as service:
        async with opened(sdk, service) as client:
            session = await Session.begin(sdk, client, service, rng)
            for _ in range(FRAMES_OF_SESSION // BLOCK):
                service.send(b"".join(session.frame() for _ in range(BLOCK)))
                await session.alive()
            await session.end()


async def test_broken_framing(sdk: Sdk) -> None:
    rng = random.Random(7)
    with serving(plain_answer) as service:
        async with opened(sdk, service) as client:
            session = await Session.begin(sdk, client, service, rng)
            for _ in range(CONNECTIONS):
                before = service.opened
                frames = [session.frame(text=True) for _ in range(FRAMES_OF_CONNECTION)]
                service.send(mutated_bytes(b"".join(frames), rng))
                service.shutdown_socket()
                await until(lambda before=before: service.opened > before)
            await session.alive()
            await session.end()


class Session:
    """Projects and a chat of one client, and frames about them."""

    def __init__(self, sdk: Sdk, client: Any, service: Service, rng: random.Random) -> None:
        self.sdk, self.client, self.service, self.rng = sdk, client, service, rng
        self.projects: list[Any] = []
        self.chat: Any = None
        self.jobs = [f"{number:08X}-0000-4000-8000-00000000000A" for number in range(12)]
        self.heard = 0
        self.marks = 0
        self.seen = 0
        self.last: list[tuple[str, Any]] = []

    @classmethod
    async def begin(cls, sdk: Sdk, client: Any, service: Service, rng: random.Random) -> Session:
        self = cls(sdk, client, service, rng)
        listen(client, ("connected", "disconnected", "reconnecting"), self.look)
        client.on("toast_message", self.toast)
        listen(client, ("app_alert", "subscription_limit_notice"), self.look)
        listen(client.projects, ("project", "job", "available_models"), self.look)
        listen(client.chat, ("token", "completed", "error", "job_state", "models_updated"), self.look)
        listen(client.current_account, ("updated",), self.look)
        for kind in KINDS:
            client.api_client.on(kind, self.look)
        await sdk.call(client.connect, timeout=PATIENCE)
        for media in (1, 2, 4):
            given = {"width": 256, "height": 256, "number_of_media": media, "number_of_previews": 2}
            project = await sdk.create(client, network="fast", **given)
            self.projects.append(project)
            listen(project, ("progress", "updated", "completed", "failed", "job_started", "job_completed"), self.look)
        return self

    def look(self, *news: Any) -> None:
        """What listeners are given can be shown."""
        repr(news)
        self.seen += 1

    def toast(self, toast: Any) -> None:
        repr(toast)
        if toast.message == f"mark {self.marks}":
            self.heard = self.marks

    def frame(self, *, text: bool = False) -> bytes:
        """One frame: mostly a mutated payload, sometimes broken text, a repeat, or what came long before."""
        rng = self.rng
        if self.last and rng.random() < 0.05:
            kind, payload = rng.choice(self.last)
        else:
            kind, payload = rng.choice(FRAMES)
            payload = self.about_ours(payload)
            if rng.random() < 0.85:
                payload = mutated(payload, rng)
            if rng.random() < 0.03:
                kind = rng.choice((*KINDS, "", "x", "\ud800"))
            if rng.random() < 0.02:
                payload = odd_value(rng)
        self.last = [*self.last[-20:], (kind, payload)]
        content = encoded(payload)
        if rng.random() < 0.05:
            content = mutated_bytes(content, rng)
        envelope = message(kind, content)
        if rng.random() < 0.05:
            # Binary frames: text that is no UTF-8 ends the connection, which is another test.
            return wrapped(mutated_bytes(envelope, rng), 2)
        return wrapped(envelope, 1 if text or rng.random() < 0.5 else 2)

    def about_ours(self, payload: Any) -> Any:
        """The payload with ids that this client knows, most of the time."""
        if not isinstance(payload, dict):
            return payload
        changed = dict(payload)
        ids = [project.id for project in self.projects]
        if "jobID" in changed and self.rng.random() < 0.95:
            changed["jobID"] = self.rng.choice(ids)
        if changed.get("imgID"):
            changed["imgID"] = self.rng.choice(self.jobs)
        return changed

    async def alive(self) -> None:
        """Whether the reader still reads, and callbacks are still called."""
        self.marks += 1
        content = json.dumps({"type": "info", "message": f"mark {self.marks}"}).encode()
        self.service.send(wrapped(message("toastMessage", content)))
        await until(lambda: self.heard == self.marks)

    async def end(self) -> None:
        """Whatever came before, the records that come with a new connection end every project for its waiters."""
        records = [record_of(project.id) for project in self.projects]
        greeting = {"clientType": "artist", "activeProjects": [], "unclaimedCompletedProjects": records}
        self.service.greeting = wrapped(message("authenticated", encoded(greeting)))
        self.service.shutdown_socket()
        for project in self.projects:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.sdk.call(project.wait, timeout=PATIENCE / 2)
            except self.sdk.SogniTimeoutError as error:
                error.add_note(f"{project} with {project.jobs}")
                raise
            except SogniError:
                pass
            read_out(project)
        assert self.seen


def record_of(project_id: str) -> dict[str, Any]:
    """What the service's record says of a project in the end."""
    record: dict[str, Any] = json.loads(ANSWERS["record"][0][4])["data"]["project"]
    return {**record, "id": project_id}


def listen(emitter: Any, events: tuple[str, ...], function: Any) -> None:
    for event in events:
        emitter.on(event, function)


def read_out(thing: Any) -> None:
    """Every property can be read, shown and pickled."""
    for handle in (thing, *getattr(thing, "jobs", ())):
        for name in dir(type(handle)):
            if isinstance(getattr(type(handle), name, None), property):
                repr(getattr(handle, name))
        repr(handle)
        handle._repr_html_()
    pickle.dumps(thing)


def opened(sdk: Sdk, service: Service, **options: Any) -> Any:
    """A client of the service that tries everything once."""
    given = {
        "api_key": "fuzz-key-0123456789",
        "rest_endpoint": service.url,
        "socket_endpoint": service.url.replace("http", "ws", 1),
        "retry": sdk.RetryPolicy(attempts=1, base=0.001, cap=0.002, longest=0.01),
        **options,
    }
    return sdk.client(_NoSupernet(), **given)


class _NoSupernet:
    """Stands where the scenarios have an emulator."""

    api_key = rest_endpoint = socket_endpoint = ""


async def until(predicate: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not predicate():
            await asyncio.sleep(0.001)


PLAIN: dict[str, Any] = {
    "/api/v1/models/list": [{"id": MODEL, "name": "Flux", "SID": 1, "tier": "flux", "media": "image"}],
    "/api/v2/models/tiers": {
        "flux": {
            "steps": {"min": 1, "max": 100, "default": 4},
            "guidance": {"min": 0.1, "max": 1, "default": 1, "decimals": 1},
        }
    },
}
SIGNED = {"status": "success", "data": {"downloadUrl": "http://127.0.0.1:9/x?X-Amz-Signature=s", "uploadUrl": "x"}}


def plain_answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """What the client asks for by itself is answered in order."""
    path = path.partition("?")[0]
    found = PLAIN.get(path, SIGNED)
    if path.startswith("/v1/projects/"):
        found = {"status": "success", "data": {"project": record_of(path.rpartition("/")[2])}}
    return 200, "application/json", json.dumps(found).encode()


# -- answers -------------------------------------------------------------------


async def test_mutated_answers(sdk: Sdk) -> None:
    rng = random.Random(11)
    play = Play(rng)
    names = sorted(ANSWERS)
    with serving(play.answer) as service:
        timeouts = sdk.Timeouts(request=PATIENCE, idle=PATIENCE)
        number = 0
        while play.mutations < BODIES:
            options = {"app_id": "fuzz", "disable_socket": True, "timeout": timeouts}
            async with (
                opened(sdk, service, **options) as client,
                opened(sdk, service, **options, api_key=None, auth_type="cookies") as session,
            ):
                # A new client from time to time: what one remembers it does not ask for again.
                for _ in range(40):
                    name = names[number % len(names)]
                    number += 1
                    play.begin(ANSWERS[name])
                    try:
                        async with asyncio.timeout(PATIENCE):
                            outcome = await called(sdk, session if needs_session(name) else client, name)
                    except SogniError as error:
                        str(error), repr(error)
                        pickle.loads(pickle.dumps(error))
                    except Exception as error:
                        error.add_note(f"{name} answered with {play.sent!r:.2000}")
                        raise
                    else:
                        repr(outcome)


async def called(sdk: Sdk, client: Any, name: str) -> Any:
    """What a call returns; of what is iterated, all of it."""
    if name in ("transactions", "template_iterate", "workflow_stream", "run_stream", "world_stream"):
        outcome = CALLS[name](client, IDS)
        return await sdk.collect(outcome)
    return await sdk.call(lambda: CALLS[name](client, IDS))


class Play:
    """Answers the requests of a call with what was recorded, one of them mutated."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.mutations = 0
        self.sent: list[bytes] = []
        self._exchanges: list[list[Any]] = []
        self._next = 0
        self._target = 0

    def begin(self, exchanges: list[list[Any]]) -> None:
        """The next call."""
        self._exchanges, self._next, self.sent = exchanges, 0, []
        self._target = self.rng.randrange(len(exchanges))

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        place, self._next = self._next, self._next + 1
        if place >= len(self._exchanges) + 2:
            return 404, "application/json", b'{"status":"error","message":"No more","errorCode":102}'
        _, _, status, kind, text = self._exchanges[min(place, len(self._exchanges) - 1)]
        content = text.encode("utf-8", "surrogatepass")
        if place >= self._target:
            self.mutations += 1
            status, kind, content = self._mutated(status, kind, content)
            self.sent.append(content)
        return status, kind, content

    def _mutated(self, status: int, kind: str, content: bytes) -> Answer:
        rng = self.rng
        if kind.startswith("text/event-stream"):
            content = mutated_events(content, rng)
        elif rng.random() < 0.75:
            content = encoded(mutated(json.loads(content), rng))
        if rng.random() < 0.25:
            content = mutated_bytes(content, rng)
        if rng.random() < 0.1:
            status = rng.choice((200, 204, 400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 502, 503))
        if rng.random() < 0.05:
            kind = rng.choice(("text/html", "", "text/event-stream", "application/json; charset=utf-16", "image/png"))
        return status, kind, content


def mutated_events(content: bytes, rng: random.Random) -> bytes:
    """A stream with events that are changed, repeated, swapped, or left out."""
    blocks = content.split(b"\n\n")
    for _ in range(rng.randrange(3)):
        place = rng.randrange(len(blocks))
        action = rng.randrange(5)
        if action == 0:
            blocks.insert(place, blocks[place])
        elif action == 1:
            rng.shuffle(blocks)
        elif action == 2:
            del blocks[place]
            blocks = blocks or [b""]
        else:
            head, found, data = blocks[place].partition(b"data: ")
            if found:
                blocks[place] = head + found + encoded(mutated(json.loads(data.split(b"\ndata")[0]), rng))
    return b"\n\n".join(blocks)
