"""Durable chat runs, played over both packages: no socket, no event twice, no run twice, no cost without a yes."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.emulator.recorder import RecordedRequest, RecordedUpgrade
from sogni.errors import ApiError, ClientClosedError, NotFoundError, ValidationError
from tests.scenarios.conftest import SOON, Sdk, until

STREAM = "*/events/stream"
PICTURE = "Create an image of a red kite, width=256 height=256"


def of_kind(supernet: LocalSupernet, kind: type) -> list[Any]:
    return [it for it in supernet.requests if isinstance(it, kind)]


@pytest.fixture
async def client(sdk: Sdk, supernet: LocalSupernet) -> AsyncIterator[Any]:
    """A client that may not open a socket."""
    async with sdk.client(supernet, disable_socket=True, app_source="scenario") as opened:
        yield opened
    assert not of_kind(supernet, RecordedUpgrade)


async def create(sdk: Sdk, client: Any, words: str = "Say one word", **given: Any) -> Any:
    return await sdk.call(client.chat.runs.create, messages=[{"role": "user", "content": words}], **given)


async def test_a_run_answers(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client, session_id="s", client_message_id="m", sampling={"temperature": 0})
    assert (run.request.session_id, run.request.client_message_id) == ("s", "m")
    run = await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
    assert (run.status, run.ended, bool(run.content)) == ("completed", True, True)
    assert run.timestamps.completed_at >= run.timestamps.created_at
    assert run.extra == {}


async def test_every_event_comes_once_until_the_end(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client)
    events = await sdk.collect(client.chat.runs.stream_events(run.run_id))
    assert [it.sequence for it in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "run_completed"
    assert all(it.at is not None for it in events)
    rest = await sdk.collect(client.chat.runs.stream_events(run.run_id, last_event_id=events[0].sequence))
    assert rest == events[1:]
    assert await sdk.collect(client.chat.runs.stream_events(run.run_id, last_event_id=len(events))) == []
    assert (await sdk.call(client.chat.runs.get, run.run_id)).events == events


@pytest.mark.parametrize("seed", range(2))
async def test_a_stream_that_is_cut_again_and_again_tells_everything_once(
    sdk: Sdk, client: Any, supernet: LocalSupernet, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(5):
        supernet.faults.cut_stream(STREAM, after_events=1, truncate=chance.random() < 0.5)
    supernet.faults.repeat_events(STREAM, count=3)
    run = await create(sdk, client, PICTURE)
    events = await sdk.collect(client.chat.runs.stream_events(run.run_id))
    assert [it.sequence for it in events] == list(range(1, len(events) + 1))
    assert (await sdk.call(client.chat.runs.get, run.run_id)).events == events
    assert len([it for it in of_kind(supernet, RecordedRequest) if it.path.endswith("/events/stream")]) == 6


async def test_a_run_whose_first_answer_was_lost_runs_once(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/chat/runs", method="POST", truncate=True)
    run = await create(sdk, client)
    keys = {it.headers["idempotency-key"] for it in of_kind(supernet, RecordedRequest) if it.method == "POST"}
    assert len(keys) == 1
    assert (await create(sdk, client, idempotency_key=keys.pop())).run_id == run.run_id


async def test_a_cost_is_spent_only_with_the_preview_that_was_seen(sdk: Sdk, client: Any) -> None:
    config = sdk.RunRuntimeConfig(require_job_confirmation=True)
    run = await create(sdk, client, PICTURE, runtime_config=config)
    run = await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
    assert (run.status, run.waiting.reason) == ("waiting_for_user", "cost_approval_required")
    details = run.waiting.details
    assert details.cost_approval_preview.total_estimated_capacity_units > 0
    given = {"tool_call_id": details.tool_call_id, "decision": "confirm"}
    with pytest.raises(ValidationError, match="preview"):
        await sdk.call(client.chat.runs.confirm_cost, run.run_id, **given)
    preview = details.cost_approval_preview
    run = await sdk.call(client.chat.runs.confirm_cost, run.run_id, accepted_cost_preview=preview, **given)
    run = await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
    assert (run.status, [it.type for it in run.artifacts]) == ("completed", ["image"])
    assert [it.function.name for it in run.tool_calls] == [it.tool_name for it in run.tool_results]
    with pytest.raises(ApiError):
        await sdk.call(client.chat.runs.confirm_cost, run.run_id, accepted_cost_preview=preview, **given)


async def test_a_stream_goes_through_a_pause(sdk: Sdk, client: Any) -> None:
    config = {"requireJobConfirmation": True}
    run = await create(sdk, client, PICTURE, runtime_config=config)
    types: list[str] = []
    async for event in sdk.iterate(client.chat.runs.stream_events(run.run_id)):
        types.append(event.type)
        if event.type == "run_waiting_for_user":
            waiting = await sdk.call(client.chat.runs.get, run.run_id)
            call = waiting.waiting.details.tool_call_id
            await sdk.call(client.chat.runs.confirm_cost, run.run_id, tool_call_id=call, decision="cancel")
    assert types[-1].startswith("run_")
    assert (await sdk.call(client.chat.runs.get, run.run_id)).ended


async def test_a_run_is_canceled(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client, PICTURE, runtime_config={"require_job_confirmation": True})
    await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
    run = await sdk.call(client.chat.runs.cancel, run.run_id, "enough")
    assert (run.status, run.cancellation_reason) == ("cancelled", "enough")
    events = await sdk.collect(client.chat.runs.stream_events(run.run_id))
    assert events[-1].type == "run_cancelled"


async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    with pytest.raises(
        ValidationError, match=r"messages\[0\]\.content\[0\]\.image_url\.url, media_references\[0\]\.url"
    ):
        await sdk.call(
            client.chat.runs.create,
            messages=[{"role": "user", "content": [part]}],
            media_references=[{"url": "file:///a.png"}],
        )
    with pytest.raises(TypeError):
        await create(sdk, client, temperature=1)
    with pytest.raises(ValidationError):
        client.chat.runs.stream_events("r", last_event_id=float("nan"))
    assert not of_kind(supernet, RecordedRequest)


async def test_a_stream_is_left_by_a_with_statement(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client)
    stream = client.chat.runs.stream_events(run.run_id)
    assert (stream.closed, stream.last_event_id, run.run_id in repr(stream)) == (False, None, True)
    if sdk.blocking:
        with stream as events:
            await sdk.call(next, events)
    else:
        async with stream as events:
            await anext(events)
    assert (stream.closed, stream.last_event_id, repr(stream).endswith(" closed>")) == (True, "1", True)


async def test_leaving_a_stream_closes_its_connection(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client, PICTURE, runtime_config={"require_job_confirmation": True})
    stream = client.chat.runs.stream_events(run.run_id)
    async for event in sdk.iterate(stream):
        assert event.sequence == 1
        break
    await sdk.call(stream.close)
    assert stream.closed
    assert await sdk.collect(stream) == []
    assert stream.last_event_id is not None


async def test_a_stream_that_is_dropped_closes_its_connection(sdk: Sdk, client: Any) -> None:
    run = await create(sdk, client, PICTURE, runtime_config={"require_job_confirmation": True})
    stream = client.chat.runs.stream_events(run.run_id)
    first = await (sdk.call(next, stream) if sdk.blocking else anext(stream))
    assert first.sequence == 1
    del stream
    gc.collect()
    await until(lambda: not [it for it in threading.enumerate() if it.name == "sogni-events"])


async def test_closing_the_client_ends_what_waits(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, disable_socket=True) as client:
        run = await create(sdk, client, PICTURE, runtime_config={"require_job_confirmation": True})
        await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
        waiting = asyncio.create_task(sdk.collect(client.chat.runs.stream_events(run.run_id)))
        await asyncio.sleep(0.1)
        await sdk.call(client.close)
        with pytest.raises(ClientClosedError):
            await asyncio.wait_for(waiting, SOON)


async def test_a_wait_has_a_limit_and_an_unknown_run_is_not_found(sdk: Sdk, client: Any) -> None:
    with pytest.raises(NotFoundError):
        await sdk.call(client.chat.runs.wait, "nothing", timeout=SOON)
    with pytest.raises(ValidationError):
        await sdk.call(client.chat.runs.wait, "nothing", timeout=-1)
