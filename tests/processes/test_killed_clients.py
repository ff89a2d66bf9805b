"""A durable run belongs to the service: a client that is killed loses nothing of it."""

from __future__ import annotations

import os
from ast import literal_eval
from collections.abc import Callable, Iterable

import pytest

from sogni import ChatRunEvent, SogniClient
from sogni.emulator import LocalSupernet
from tests.forkserver import Process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.name != "posix", reason="needs a kill that nobody can catch"),
]

MESSAGES = [{"role": "user", "content": "Tell me a story"}]
BLOCKING = """
    from sogni import SogniClient
    with SogniClient({place}) as client:
        run = client.chat.runs.create(messages={messages})
        print(run.run_id, flush=True)
        for event in client.chat.runs.stream_events(run.run_id):
            print(event.sequence, event.type, repr(event.payload), flush=True)
"""
ASYNC = """
    import asyncio
    from sogni_async import SogniClient
    async def main():
        async with SogniClient({place}) as client:
            run = await client.chat.runs.create(messages={messages})
            print(run.run_id, flush=True)
            async for event in client.chat.runs.stream_events(run.run_id):
                print(event.sequence, event.type, repr(event.payload), flush=True)
    asyncio.run(main())
"""


def said(events: Iterable[ChatRunEvent]) -> str:
    """What the deltas of a run add up to."""
    return "".join((event.payload or {}).get("content", "") for event in events if event.type == "assistant_delta")


@pytest.mark.parametrize("code", [BLOCKING, ASYNC], ids=["sogni", "sogni_async"])
def test_another_process_continues_the_stream_of_a_killed_one(run: Callable[[str], Process], code: str) -> None:
    with LocalSupernet(step_time=0) as supernet, supernet.client() as client:
        supernet.chat.reply("sea " * 60, times=None)
        undisturbed = client.chat.runs.wait(client.chat.runs.create(messages=MESSAGES).run_id, timeout=60)
        supernet.chat.rate(20)  # three seconds, so that it still runs when the process has been killed
        place = f"api_key={supernet.api_key!r}, rest_endpoint={supernet.rest_endpoint!r}, disable_socket=True"
        process = run(code.format(place=place, messages=MESSAGES))
        assert process.stdout is not None
        run_id, last, before = process.stdout.readline().strip(), 0, ""
        while not before:
            number, kind, payload = process.stdout.readline().split(" ", 2)
            last = int(number)
            before = literal_eval(payload)["content"] if kind == "assistant_delta" else ""
        process.kill()
        process.communicate()
        assert client.chat.runs.get(run_id).status == "running"
        rest = list(going_on(client, run_id, last))
        ended = client.chat.runs.get(run_id)
    assert rest[0].sequence == last + 1
    assert rest[-1].type == "run_completed"
    assert before + said(rest) == ended.content == undisturbed.content


def going_on(client: SogniClient, run_id: str, last: int) -> Iterable[ChatRunEvent]:
    """The events that a process has not seen."""
    with client.chat.runs.stream_events(run_id, last_event_id=last) as events:
        yield from events
