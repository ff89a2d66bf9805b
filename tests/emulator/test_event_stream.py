"""Event streams: every event once and in order, from the reader's starting point to the end of the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sogni.emulator.faults import Faults
from sogni.emulator.persistence import Event, EventLog, iso
from sogni.emulator.sse import Frame, stream


class Reading:
    """A log behind a route, and a reader of it."""

    def __init__(self, *, keep_alive: float = 15.0) -> None:
        self.log, self.faults, self.keep_alive = EventLog(lambda: 12.5), Faults(), keep_alive
        self.opening: list[Frame] = []
        self.got = b""
        self.server: TestServer | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        return await stream(
            request, self.log, encode, faults=self.faults, opening=self.opening, keep_alive=self.keep_alive
        )

    async def read(self, query: str = "", **headers: str) -> str:
        """Return what arrives until the connection ends."""
        assert self.server is not None
        self.got = b""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.server.make_url("/thing/stream" + query)
        async with aiohttp.ClientSession() as session, session.get(url, headers=names) as reply:
            try:
                async for part in reply.content.iter_any():
                    self.got += part
            except aiohttp.ClientPayloadError:
                self.got += b"<cut>"
        return self.got.decode()

    def play(self, script: Callable[[Reading], Awaitable[None]]) -> None:
        async def run() -> None:
            app = web.Application()
            app.router.add_get("/thing/stream", self.answer)
            async with TestServer(app) as self.server:
                await asyncio.wait_for(script(self), 30)

        asyncio.run(run())


def encode(event: Event) -> Frame:
    return Frame({"sequence": event.sequence, **event.payload}, event=event.type, id=event.sequence)


def ids(text: str) -> list[int]:
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


def filled(reading: Reading, count: int = 4) -> Reading:
    for number in range(1, count + 1):
        reading.log.append("step", {"number": number}, ends=number == count)
    return reading


def test_frames_carry_id_name_and_data_and_the_stream_ends_with_the_log() -> None:
    async def script(reading: Reading) -> None:
        reading.log.append("begun", {"text": "é\nb"})
        task = asyncio.create_task(reading.read())
        await asyncio.sleep(0.05)
        reading.log.append("done", ends=True)
        begun, done, rest = (await task).split("\n\n")
        assert begun.splitlines()[:2] == ["id: 1", "event: begun"]
        assert json.loads(begun.splitlines()[2][6:]) == {"sequence": 1, "text": "é\nb"}
        assert (done.splitlines()[:2], rest) == (["id: 2", "event: done"], "")

    Reading().play(script)


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {}, [1, 2, 3, 4]),
        ("", {"Last_Event_ID": "2"}, [3, 4]),
        ("?after=3", {}, [4]),
        ("?after=0", {"Last_Event_ID": "3"}, [1, 2, 3, 4]),
        ("?after=4", {}, []),
        ("?after=9", {}, []),
    ],
)
def test_a_reader_chooses_its_starting_point(query: str, headers: dict[str, str], expected: list[int]) -> None:
    async def script(reading: Reading) -> None:
        assert ids(await reading.read(query, **headers)) == expected

    filled(Reading()).play(script)


def test_an_invalid_starting_point_is_refused() -> None:
    async def script(reading: Reading) -> None:
        assert json.loads(await reading.read("?after=x")) == {
            "status": "error",
            "message": "'x' is not an event ID",
            "errorCode": 0,
        }

    filled(Reading()).play(script)


def test_the_opening_comes_first_and_without_an_id() -> None:
    async def script(reading: Reading) -> None:
        text = await reading.read("?after=3")
        assert text.startswith('event: run_status\ndata: {"status":"running"}\n\nid: 4\n')

    reading = filled(Reading())
    reading.opening = [Frame({"status": "running"}, event="run_status")]
    reading.play(script)


def test_silence_is_broken_by_comments() -> None:
    async def script(reading: Reading) -> None:
        task = asyncio.create_task(reading.read())
        while not reading.got:
            await asyncio.sleep(0.005)
        reading.log.append("done", ends=True)
        assert (await task).startswith(": keep-alive\n\n")

    Reading(keep_alive=0.1).play(script)


def cut(faults: Faults, **options: Any) -> None:
    faults.cut_stream("/thing/*", **options)


def test_a_cut_stream_resumes_without_loss() -> None:
    async def script(reading: Reading) -> None:
        seen: list[int] = []
        while len(seen) < 4:
            text = await reading.read(f"?after={seen[-1] if seen else 0}")
            whole = text.removesuffix("<cut>").rpartition("\n\n")[0]
            seen += ids(whole)
        assert seen == [1, 2, 3, 4]

    reading = filled(Reading())
    cut(reading.faults, after_events=1, truncate=True, times=2)
    cut(reading.faults, after_events=1)
    reading.play(script)
    assert reading.faults.pending == ()


def test_events_may_be_repeated_after_a_resumption_only() -> None:
    async def script(reading: Reading) -> None:
        assert ids(await reading.read()) == [1, 2, 3, 4]
        assert ids(await reading.read("?after=3")) == [2, 3, 4]
        assert ids(await reading.read("?after=3")) == [4]

    reading = filled(Reading())
    reading.faults.repeat_events(count=2)
    reading.play(script)


def test_delays_and_comments_lose_nothing() -> None:
    async def script(reading: Reading) -> None:
        assert ids(await reading.read()) == [1, 2, 3, 4]
        text = await reading.read()
        assert (ids(text), text.count(": keep-alive")) == ([1, 2, 3, 4], 1)

    reading = filled(Reading())
    reading.faults.delay_stream(seconds=0.05, after_events=2)
    reading.faults.comment_stream(after_events=3)
    reading.play(script)


def test_a_hanging_stream_stays_silent() -> None:
    async def script(reading: Reading) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reading.read(), 0.2)

    reading = filled(Reading())
    reading.faults.hang_stream(after_events=1)
    reading.play(script)


def test_an_event_is_saved_before_it_is_published() -> None:
    kept: list[tuple[int, bool]] = []
    log = EventLog(lambda: 12.5, keep=lambda event, ends: kept.append((event.sequence, ends)))
    log.append("begun")
    log.append("done", ends=True)
    assert kept == [(1, False), (2, True)]
    with pytest.raises(RuntimeError, match="cannot be added"):
        log.append("more")


def test_a_restored_log_continues_its_sequence() -> None:
    log = EventLog(lambda: 12.5)
    log.restore(Event(1, "begun", 3.0), ended=False)
    assert log.append("done").sequence == 2
    assert [event.sequence for event in log.since(1)] == [2]


def test_times_are_formatted_in_utc() -> None:
    assert iso(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
