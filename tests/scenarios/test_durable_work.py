"""Durable workflows, templates and records through both packages: what was started is finished, whatever happens to
connections and to the service itself."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.process import EmulatorProcess
from tests.forkserver import Process
from tests.scenarios.conftest import SOON, Sdk

pytestmark = pytest.mark.integration


LONG = 90.0
"""Seconds a film takes at the very most."""


def film_plan(sdk: Sdk) -> Any:
    """A still, two clips that start from it, a song, and all of it as one film."""

    def takes(source: str, target: str, transform: str) -> Any:
        return sdk.WorkflowDependency(source_step_id=source, target_argument=target, transform=transform)

    def step(id: str, tool: str, *depends_on: Any, **arguments: Any) -> Any:
        return sdk.WorkflowStep(id=id, tool_name=tool, arguments=arguments, depends_on=list(depends_on) or None)

    still = takes("still", "sourceImageIndex", "image_index")
    return sdk.WorkflowInput(
        title="Kite",
        steps=[
            step("still", "generate_image", prompt="a red kite", width=256, height=256),
            step("clip", "animate_photo", still, prompt="it sways", duration=2),
            step("more", "animate_photo", still, prompt="it dips", duration=2),
            step("song", "generate_music", prompt="a calm song", duration=10),
            step(
                "film",
                "stitch_video",
                takes("clip", "videoIndices", "video_index"),
                takes("more", "videoIndices", "video_index"),
                takes("song", "audioIndex", "audio_index"),
            ),
        ],
    )


def playable(path: Path) -> tuple[int, float]:
    """The number of pictures of a film, and the seconds of its sound."""
    with av.open(str(path)) as container:
        pictures = sum(isinstance(frame, av.VideoFrame) for frame in container.decode(video=0))
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return pictures, samples / container.streams.audio[0].rate


async def saved(sdk: Sdk, client: Any, workflow_id: str, directory: Path) -> Path:
    paths = await sdk.call(client.workflows.save_artifacts, workflow_id, directory)
    return Path(paths[-1])


async def test_a_film_is_made_though_the_stream_is_cut_five_times(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    for number in range(5):
        supernet.faults.cut_stream("*/events/stream", after_events=1 + number % 2, truncate=number % 2 == 0)
    record = await sdk.call(client.workflows.start, input=film_plan(sdk), confirm_cost=True)
    frames = await asyncio.wait_for(sdk.collect(client.workflows.stream_events(record.workflow_id)), LONG)
    assert supernet.faults.pending == ()
    assert [int(frame.id) for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[-1].status == "completed"
    pictures, seconds = playable(await saved(sdk, client, record.workflow_id, tmp_path))
    assert pictures > 90
    assert seconds == pytest.approx(pictures / 24, abs=0.2)


@pytest.mark.skipif(os.name != "posix", reason="needs a kill that nobody can catch")
async def test_a_film_is_made_though_the_service_is_killed(
    sdk: Sdk, tmp_path: Path, start_process: Callable[..., Process]
) -> None:
    emulator = partial(EmulatorProcess, start_process, tmp_path / "data")
    first = await asyncio.to_thread(emulator, 0.05, cuts=(1, 2))
    second = None
    places: Any = first
    try:
        async with sdk.client(places) as client:
            record = await sdk.call(client.workflows.start, input=film_plan(sdk), confirm_cost=True)
            stream = client.workflows.stream_events(record.workflow_id)
            seen = []
            async for frame in sdk.iterate(stream):
                seen.append(frame)
                if second is None and frame.event == "step_completed":
                    first.kill()
                    second = await asyncio.to_thread(emulator, 0, first.port, cuts=(1, 1, 2))
            ended = await sdk.call(client.workflows.wait, record.workflow_id, timeout=LONG)
            film = await saved(sdk, client, record.workflow_id, tmp_path)
    finally:
        for process in (first, second):
            if process is not None:
                await asyncio.to_thread(process.kill)
    assert ended.status == seen[-1].status == "completed"
    assert [int(frame.id) for frame in seen] == list(range(1, len(seen) + 1))
    done = [frame.data["step"]["id"] for frame in seen if frame.event == "step_completed"]
    assert sorted(done) == ["clip", "film", "more", "song", "still"]
    assert playable(film)[0] > 90


async def test_who_waits_no_time_at_all_is_told_how_it_is(sdk: Sdk) -> None:
    image = {"toolName": "generate_image", "arguments": {"prompt": "a kite", "width": 256, "height": 256}}
    with LocalSupernet(step_time=60, token_rate=0) as supernet:
        async with sdk.client(supernet) as client:
            record = await sdk.call(client.workflows.start, input={"steps": [image]})
            with pytest.raises(sdk.SogniTimeoutError, match="has not finished in time"):
                await sdk.call(client.workflows.wait, record.workflow_id, timeout=0)
            await sdk.call(client.workflows.cancel, record.workflow_id)
            ended = await sdk.call(client.workflows.wait, record.workflow_id, timeout=0)
            run = await sdk.call(client.chat.runs.create, messages=[{"role": "user", "content": "hello"}])
            await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
            run = await sdk.call(client.chat.runs.wait, run.run_id, timeout=0)
    assert (ended.status, run.status) == ("cancelled", "completed")


async def test_uploads_are_worked_on(sdk: Sdk, client: Any) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), "teal").save(buffer, "PNG")
    reference = await sdk.call(client.workflows.upload, buffer.getvalue())
    bound = {"sourceStepId": "$input_media", "targetArgument": "source_image_url", "transform": "image_url"}
    step = {"id": "edit", "toolName": "edit_image", "arguments": {"prompt": "brighter"}, "dependsOn": [bound]}
    record = await sdk.call(client.workflows.start, input={"steps": [step]}, media_references=[reference])
    ended = await sdk.call(client.workflows.wait, record.workflow_id, timeout=SOON)
    assert (ended.status, ended.artifacts[0].media_type) == ("completed", "image")


async def test_a_question_is_waited_for_and_answered(sdk: Sdk, client: Any) -> None:
    step = {"id": "ask", "toolName": "ask_clarifying_question", "arguments": {"question": "Which colour?"}}
    record = await sdk.call(client.workflows.start, input={"steps": [step]})
    waiting = await sdk.call(client.workflows.wait, record.workflow_id, timeout=SOON)
    assert (waiting.status, waiting.waiting_reason) == ("waiting_for_user", "ask_clarifying_question")
    assert (await sdk.call(client.workflows.resume, record.workflow_id)).resumed
    assert (await sdk.call(client.workflows.wait, record.workflow_id, timeout=SOON)).status == "completed"
    assert not (await sdk.call(client.workflows.resume, record.workflow_id)).resumed


async def test_another_take_has_other_seeds_and_happens_once(sdk: Sdk, client: Any) -> None:
    still = {
        "id": "still",
        "toolName": "generate_image",
        "arguments": {"prompt": "a kite", "width": 256, "height": 256},
    }
    record = await sdk.call(client.workflows.start, input={"steps": [still]})
    await sdk.call(client.workflows.wait, record.workflow_id, timeout=SOON)
    options = {"seed_overrides": {"still": 5}, "idempotency_key": "take two"}
    take = await sdk.call(client.workflows.reseed, record.workflow_id, **options)
    again = await sdk.call(client.workflows.reseed, record.workflow_id, **options)
    assert take.cloned_from_run_id == record.workflow_id
    assert (take.idempotent, again.idempotent) == (False, True)
    assert again.workflow.workflow_id == take.workflow.workflow_id
    ended = await sdk.call(client.workflows.wait, take.workflow.workflow_id, timeout=SOON)
    assert ended.artifacts[0].extra["seed"] == 5


async def test_too_many_at_once_are_a_conflict_with_numbers(sdk: Sdk) -> None:
    still = {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "a kite"}}
    with LocalSupernet(step_time=0, workflow_limit=1) as supernet:
        supernet.pause_workers()
        async with sdk.client(supernet) as client:
            first = await sdk.call(client.workflows.start, input={"steps": [still]})
            with pytest.raises(sdk.ConflictError) as refused:
                await sdk.call(client.workflows.start, input={"steps": [still]})
            assert refused.value.payload["details"] == {"activeWorkflows": 1, "activeWorkflowLimit": 1}
            cancelled = await sdk.call(client.workflows.cancel, first.workflow_id)
            assert cancelled.status == "cancelled"


async def test_templates_are_saved_changed_forked_and_run(sdk: Sdk, client: Any) -> None:
    stage = {
        "id": "s",
        "toolName": "generate_image",
        "arguments": {"prompt": "$inputs.what", "width": 256, "height": 256},
    }
    declared = {"name": "what", "type": "text", "required": True}
    templates = client.workflows.templates
    made = await sdk.call(templates.create, {"name": "Oil", "inputs": [declared], "stages": [stage]})
    changed = await sdk.call(templates.update, made.id, {"description": "in oil"})
    assert (changed.id, changed.description) == (made.id, "in oil")
    fork = await sdk.call(templates.fork, made.id, new_name="Chalk")
    page = await sdk.call(templates.list, visibility="own", limit=1)
    assert ([entry.name for entry in page.templates], page.next_cursor) == (["Oil"], 1)
    record = await sdk.call(client.workflows.start, workflow_id=fork.id, inputs={"what": "a kite"})
    assert (await sdk.call(client.workflows.wait, record.workflow_id, timeout=SOON)).status == "completed"
    await sdk.call(templates.delete, made.id)
    with pytest.raises(sdk.NotFoundError):
        await sdk.call(templates.get, made.id)
    with pytest.raises(sdk.ValidationError, match=r"inputs\.what is required"):
        await sdk.call(client.workflows.start, workflow_id=fork.id)


async def test_run_records_are_kept_without_secrets(sdk: Sdk, client: Any) -> None:
    written = await sdk.call(client.replay.write, sdk.RunRecord(run_id="r 1", user_request="a kite", rounds=[{}]))
    assert written.run_id == "r 1"
    summary = (await sdk.call(client.replay.list, limit=1)).records[0]
    assert (summary.run_id, summary.rounds) == ("r 1", 1)
    assert (await sdk.call(client.replay.get, "r 1")).record.user_request == "a kite"
