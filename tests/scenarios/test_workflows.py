"""Workflows, templates and replay records, played over both packages: no socket, no event twice, no start twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.emulator.recorder import RecordedRequest, RecordedUpgrade
from sogni.errors import ClientClosedError, NotFoundError, SogniTimeoutError, ValidationError
from tests.scenarios.conftest import SOON, Sdk

STREAM = "*/events/stream"


def still(id: str = "still", **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "tool_name": "generate_image",
        "arguments": {"prompt": "a red kite", "width": 256, "height": 256},
        **fields,
    }


def of_kind(supernet: LocalSupernet, kind: type) -> list[Any]:
    return [it for it in supernet.requests if isinstance(it, kind)]


QUESTION = {"id": "ask", "tool_name": "ask_clarifying_question", "arguments": {"question": "Which color?"}}


@pytest.fixture
async def client(sdk: Sdk, supernet: LocalSupernet) -> AsyncIterator[Any]:
    """A client that may not open a socket."""
    async with sdk.client(supernet, disable_socket=True) as opened:
        yield opened
    assert not of_kind(supernet, RecordedUpgrade)


async def start(sdk: Sdk, client: Any, *steps: dict[str, Any], **given: Any) -> Any:
    return await sdk.call(client.workflows.start, input={"title": "Kites", "steps": list(steps)}, **given)


async def test_a_workflow_runs_and_what_it_made_is_saved(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    animated = {
        "id": "clip",
        "tool_name": "animate_photo",
        "arguments": {"prompt": "it sways", "duration": 2},
        "depends_on": [{"source_step_id": "still", "target_argument": "sourceImageIndex", "transform": "image_index"}],
    }
    started = await start(sdk, client, still(), animated)
    record = await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    assert (record.status, record.ended, record.title) == ("completed", True, "Kites")
    assert [it.media_type or it.type for it in record.artifacts] == ["image", "video"]
    assert [(it.tool_name, it.status) for it in record.steps] == [
        ("generate_image", "completed"), ("animate_photo", "completed"),
    ]  # fmt: skip
    saved = await sdk.call(client.workflows.save_artifacts, record.workflow_id, tmp_path)
    assert [path.suffix for path in saved] == [".png", ".mp4"]
    assert sorted(tmp_path.iterdir()) == sorted(saved)
    picture, content = saved[0], saved[0].read_bytes()
    picture.write_bytes(b"precious")
    again = await sdk.call(client.workflows.save_artifacts, record.workflow_id, tmp_path)
    assert [path.name for path in again] == [f"{picture.stem}-1.png", saved[1].name]
    assert [picture.read_bytes(), again[0].read_bytes()] == [b"precious", content]
    assert await sdk.call(client.workflows.save_artifacts, record.workflow_id, tmp_path, overwrite=True) == saved
    assert picture.read_bytes() == content
    assert [it.workflow_id for it in await sdk.call(client.workflows.list, limit=5)] == [started.workflow_id]


async def test_every_event_comes_once_until_the_end(sdk: Sdk, client: Any) -> None:
    started = await start(sdk, client, still("a"), still("b"))
    frames = await sdk.collect(client.workflows.stream_events(started.workflow_id))
    assert [int(it.id) for it in frames] == list(range(1, len(frames) + 1))
    assert frames[-1].status == "completed"
    events = await sdk.call(client.workflows.events, started.workflow_id)
    assert len(events) == len(frames)
    rest = await sdk.collect(client.workflows.stream_events(started.workflow_id, last_event_id=frames[2].id))
    assert [it.id for it in rest] == [it.id for it in frames[3:]]
    assert await sdk.collect(client.workflows.stream_events(started.workflow_id, after=len(frames))) == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_stream_that_is_cut_again_and_again_tells_everything_once(
    sdk: Sdk, client: Any, supernet: LocalSupernet, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(5):
        supernet.faults.cut_stream(STREAM, after_events=chance.randrange(1, 4), truncate=chance.random() < 0.5)
    started = await start(sdk, client, *(still(f"s{number}") for number in range(6)))
    frames = await sdk.collect(client.workflows.stream_events(started.workflow_id))
    assert [int(it.id) for it in frames] == list(range(1, len(frames) + 1))
    assert frames[-1].status == "completed"
    assert len(await sdk.call(client.workflows.events, started.workflow_id)) == len(frames)
    streams = [it for it in of_kind(supernet, RecordedRequest) if it.path.endswith("/events/stream")]
    assert len(streams) == 6


async def test_events_that_are_sent_again_come_once(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.cut_stream(STREAM, after_events=3)
    supernet.faults.repeat_events(STREAM, count=2)
    started = await start(sdk, client, still())
    frames = await sdk.collect(client.workflows.stream_events(started.workflow_id))
    assert [int(it.id) for it in frames] == list(range(1, len(frames) + 1))


async def test_a_silent_stream_is_opened_again(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.faults.hang_stream(STREAM, after_events=2)
    timeouts = sdk.Timeouts(idle=0.2)
    async with sdk.client(supernet, disable_socket=True, timeout=timeouts) as client:
        started = await start(sdk, client, still())
        frames = await sdk.collect(client.workflows.stream_events(started.workflow_id))
    assert [int(it.id) for it in frames] == list(range(1, len(frames) + 1))


async def test_a_start_whose_answer_was_lost_runs_once(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/creative-agent/workflows", method="POST", truncate=True)
    started = await start(sdk, client, still())
    assert [it.workflow_id for it in await sdk.call(client.workflows.list)] == [started.workflow_id]
    supernet.faults.http("*/reseed", method="POST", truncate=True)
    await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    take = await sdk.call(client.workflows.reseed, started.workflow_id, seed_overrides={"still": 7})
    assert (take.cloned_from_run_id, take.idempotent) == (started.workflow_id, True)
    assert len(await sdk.call(client.workflows.list)) == 2


async def test_a_key_of_ones_own_makes_one_workflow_and_no_key_makes_two(sdk: Sdk, client: Any) -> None:
    same = [await start(sdk, client, still(), idempotency_key="mine") for _ in range(2)]
    other = [await start(sdk, client, still()) for _ in range(2)]
    assert same[0].workflow_id == same[1].workflow_id
    assert other[0].workflow_id != other[1].workflow_id


async def test_a_question_waits_for_its_answer(sdk: Sdk, client: Any) -> None:
    started = await start(sdk, client, QUESTION)
    waiting = await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    assert (waiting.status, waiting.waiting_reason) == ("waiting_for_user", "ask_clarifying_question")
    resumption = await sdk.call(client.workflows.resume, started.workflow_id)
    assert resumption.resumed is True
    ended = await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    assert ended.ended


async def test_a_workflow_is_canceled(sdk: Sdk, client: Any) -> None:
    started = await start(sdk, client, QUESTION)
    await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    await sdk.call(client.workflows.cancel, started.workflow_id)
    assert (await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)).status == "cancelled"


async def test_a_wait_that_runs_out_of_time_leaves_the_workflow_alone(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet, disable_socket=True) as client:
        started = await start(sdk, client, still())
        with pytest.raises(SogniTimeoutError):
            await sdk.call(client.workflows.wait, started.workflow_id, timeout=0.01)
        assert not (await sdk.call(client.workflows.get, started.workflow_id)).ended
        await sdk.call(client.workflows.cancel, started.workflow_id)


async def test_closing_the_client_ends_a_stream_somebody_waits_for(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, disable_socket=True) as client:
        started = await start(sdk, client, QUESTION)
        await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
        waiting = asyncio.create_task(sdk.collect(client.workflows.stream_events(started.workflow_id)))
        await asyncio.sleep(0.1)
        await sdk.call(client.close)
        with pytest.raises(ClientClosedError):
            await asyncio.wait_for(waiting, SOON)


async def test_a_file_of_ones_own_is_used(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    started = await start(sdk, client, still())
    record = await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    [picture] = await sdk.call(client.workflows.save_artifacts, record.workflow_id, tmp_path)
    reference = await sdk.call(client.workflows.upload, picture)
    assert (reference.media_type, reference.mime_type) == ("image", "image/png")
    edited = {
        "id": "new",
        "tool_name": "edit_image",
        "arguments": {"prompt": "make it blue"},
        "depends_on": [
            {"source_step_id": "$input_media", "target_argument": "source_image_url", "transform": "image_url"}
        ],
    }
    used = await start(sdk, client, edited, media_references=[reference])
    assert (await sdk.call(client.workflows.wait, used.workflow_id, timeout=SOON)).status == "completed"


async def test_what_nobody_can_run_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    loose = {"source_step_id": "nobody", "target_argument": "sourceImageIndex", "transform": "image_index"}
    for given in (
        {"input": {"steps": [still(depends_on=[loose])]}},
        {"input": {"steps": [still()]}, "media_references": [{"url": "data:image/png;base64,AA"}]},
        {"input": {"steps": [still(tool_name="generate_imagee")]}, "strict": True},
        {},
    ):
        with pytest.raises(ValidationError):
            await sdk.call(client.workflows.start, **given)
    with pytest.raises(ValidationError):
        client.workflows.stream_events("")
    assert not of_kind(supernet, RecordedRequest)


async def test_what_is_not_there_is_not_found(sdk: Sdk, client: Any) -> None:
    for call in (client.workflows.get, client.workflows.wait, client.workflows.events, client.workflows.templates.get):
        with pytest.raises(NotFoundError):
            await sdk.call(call, "nothing")
    with pytest.raises(NotFoundError):
        await sdk.collect(client.workflows.stream_events("nothing"))
    with pytest.raises(NotFoundError):
        await sdk.call(client.replay.get, "nothing")


# -- templates -----------------------------------------------------------------


def template(name: str) -> dict[str, Any]:
    step = {
        "id": "still",
        "toolName": "generate_image",
        "arguments": {"prompt": "$inputs.what", "width": 256, "height": 256},
    }
    return {"name": name, "inputs": [{"name": "what", "type": "text", "required": True}], "stages": [step]}


async def test_a_template_is_saved_changed_copied_run_and_deleted(sdk: Sdk, client: Any) -> None:
    templates = client.workflows.templates
    made = await sdk.call(templates.create, template("Mine"))
    assert (made.name, made.inputs[0].name) == ("Mine", "what")
    changed = await sdk.call(templates.update, made.id, {"description": "kites"})
    assert (await sdk.call(templates.get, made.id)).description == changed.description == "kites"
    copy = await sdk.call(templates.fork, made.id, "Copy")
    assert (copy.name, copy.id != made.id) == ("Copy", True)
    started = await sdk.call(client.workflows.start, workflow_id=made.id, inputs={"what": "a kite"})
    assert (await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)).status == "completed"
    await sdk.call(templates.delete, made.id)
    with pytest.raises(NotFoundError):
        await sdk.call(templates.get, made.id)


async def test_all_templates_come_page_by_page(sdk: Sdk, client: Any) -> None:
    templates = client.workflows.templates
    for number in range(5):
        await sdk.call(templates.create, template(f"T{number}"))
    page = await sdk.call(templates.list, visibility="own", limit=2)
    assert (len(page.templates), page.next_cursor) == (2, 2)
    names = [it.name for it in await sdk.collect(templates.iterate(visibility="own", limit=2))]
    assert sorted(names) == [f"T{number}" for number in range(5)]


async def test_all_workflows_come_page_by_page(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    question = QUESTION
    ids = [(await start(sdk, client, question)).workflow_id for _ in range(3)]
    found = []
    async for record in sdk.iterate(client.workflows.iterate(limit=2)):
        found.append(record.workflow_id)
        if len(found) == 1:
            await start(sdk, client, question)  # moves the others by one
    assert found == ids[::-1]
    pages = [it.query["offset"] for it in of_kind(supernet, RecordedRequest) if "offset" in it.query]
    assert pages == ["0", "2", "4"]
    with pytest.raises(ValidationError, match="limit must be"):
        await sdk.collect(client.workflows.iterate(limit=0))


# -- replay --------------------------------------------------------------------


async def test_records_are_written_and_read(sdk: Sdk, client: Any) -> None:
    typed = sdk.RunRecord(run_id="one", user_request="a kite", rounds=[{"n": 1}], extra={"own_key": [1]})
    written = await sdk.call(client.replay.write, typed)
    assert (written.run_id, written.create_time is not None) == ("one", True)
    await sdk.call(client.replay.write, {"run_id": "two", "rounds": [], "schema_version": 2})
    listed = await sdk.call(client.replay.list)
    assert {it.run_id: it.rounds for it in listed.records} == {"one": 1, "two": 0}
    assert len((await sdk.call(client.replay.list, limit=1)).records) == 1
    found = await sdk.call(client.replay.get, "one")
    assert (found.record.user_request, found.record.rounds, found.record.extra["own_key"]) == (
        "a kite",
        [{"n": 1}],
        [1],
    )
