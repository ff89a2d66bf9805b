"""None inside of a list is refused by its place, before anything is sent: what follows must not quietly move up."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import picture
from tests.scenarios.conftest import Sdk

FACE = picture("darkred")
HELLO = {"role": "user", "content": "hello"}
STEP = {"id": "a", "tool_name": "generate_image", "arguments": {"prompt": "x"}}
EDIT: dict[str, Any] = {"type": "image", "model_id": "qwen_image_edit_2511_fp8_lightning", "positive_prompt": "x"}
SAM: dict[str, Any] = {"type": "image", "model_id": "sam3_image_segment_bf16", "starting_image": FACE}
FILM: dict[str, Any] = {"type": "video", "model_id": "seedance-2-0", "positive_prompt": "x", "duration": 4}
ANIMATE: dict[str, Any] = {"type": "video", "model_id": "wan_v2.2-14b-fp8_animate-replace_lightx2v"}

Call = tuple[Callable[[Any, Any], Any], str]
CASES: list[Call] = [
    (lambda sdk, client: client.projects.create(**EDIT, context_images=[FACE, None, FACE]), "context_images[1]"),
    (lambda sdk, client: client.projects.estimate(**EDIT, context_images=[None]), "context_images[0]"),
    (lambda sdk, client: client.projects.create(**EDIT, loras=["a", None]), "loras[1]"),
    (lambda sdk, client: client.projects.create(**EDIT, loras=["a"], lora_strengths=[None]), "lora_strengths[0]"),
    (lambda sdk, client: client.projects.create(**SAM, sam3_prompt={"points": [None]}), "sam3_prompt.points[0]"),
    (lambda sdk, client: client.projects.create(**SAM, sam3_prompt={"boxes": [None]}), "sam3_prompt.boxes[0]"),
    *[
        (lambda sdk, client, given={name: [first, None]}: client.projects.create(**FILM, **given), f"{name}[1]")
        for name, first in [
            ("context_images", FACE),
            ("reference_videos", FACE),
            ("reference_audios", FACE),
            ("reference_image_urls", "https://host/a.png"),
            ("reference_video_urls", "https://host/a.mp4"),
            ("reference_audio_urls", "https://host/a.mp3"),
            ("reference_video_durations", 3),
        ]
    ],
    (lambda sdk, client: client.projects.create(**FILM, keyframes=[None]), "keyframes[0]"),
    (lambda sdk, client: client.projects.create(**ANIMATE, sam2_coordinates=[None]), "sam2_coordinates[0]"),
    (lambda sdk, client: sdk.collect(client.projects.map([None])), "requests[0]"),
    (lambda sdk, client: sdk.collect(client.projects.map(iter([None]))), "requests[0]"),
    (lambda sdk, client: sdk.collect(client.projects.map([EDIT, None])), "requests[1]"),
    (lambda sdk, client: sdk.wait([None]), "projects[0]"),
    (lambda sdk, client: sdk.collect(sdk.as_completed([None])), "projects[0]"),
    (lambda sdk, client: client.chat.completions.create(messages=[HELLO, None]), "messages[1]"),
    (
        lambda sdk, client: client.chat.completions.create(messages=[{"role": "user", "content": [None]}]),
        "messages[0].content[0]",
    ),
    (
        lambda sdk, client: client.chat.completions.create(messages=[{"role": "assistant", "tool_calls": [None]}]),
        "messages[0].tool_calls[0]",
    ),
    (lambda sdk, client: client.chat.completions.create(messages=[HELLO], stop=["a", None]), "stop[1]"),
    (lambda sdk, client: client.chat.completions.create(messages=[HELLO], tools=[None]), "tools[0]"),
    (lambda sdk, client: client.chat.estimate_cost(messages=[None]), "messages[0]"),
    (lambda sdk, client: client.chat.conversation().ask("x", images=[FACE, None]), "images[1]"),
    (lambda sdk, client: client.chat.hosted.create(messages=[None]), "messages[0]"),
    (lambda sdk, client: client.chat.hosted.create(messages=[HELLO], stop=[None]), "stop[0]"),
    (lambda sdk, client: client.chat.hosted.create(messages=[HELLO], tools=[None]), "tools[0]"),
    (
        lambda sdk, client: client.chat.hosted.create(messages=[HELLO], media_references=[None]),
        "media_references[0]",
    ),
    (lambda sdk, client: client.chat.runs.create(messages=[HELLO, None]), "messages[1]"),
    (
        lambda sdk, client: client.chat.runs.create(messages=[{"role": "user", "content": [None]}]),
        "messages[0].content[0]",
    ),
    (lambda sdk, client: client.chat.runs.create(messages=[HELLO], tools=[None]), "tools[0]"),
    (lambda sdk, client: client.chat.runs.create(messages=[HELLO], media_references=[None]), "media_references[0]"),
    (
        lambda sdk, client: client.chat.runs.create(messages=[HELLO], media_context={"images": [None]}),
        "media_context.images[0]",
    ),
    (lambda sdk, client: client.chat.tools.execute_all([None]), "tool_calls[0]"),
    (
        lambda sdk, client: client.chat.tools.execute_all([], media_context={"videos": [None]}),
        "media_context.videos[0]",
    ),
    (lambda sdk, client: client.chat.tools.save([None], "out"), "results[0]"),
    (lambda sdk, client: client.workflows.start(input={"title": "t", "steps": [None]}), "steps[0]"),
    (
        lambda sdk, client: client.workflows.start(input={"title": "t", "steps": [{**STEP, "depends_on": [None]}]}),
        "depends_on[0]",
    ),
    (
        lambda sdk, client: client.workflows.start(input={"title": "t", "steps": [STEP]}, media_references=[None]),
        "media_references[0]",
    ),
    (lambda sdk, client: client.workflows.templates.create({"name": "n", "inputs": [None]}), "template.inputs[0]"),
    (lambda sdk, client: client.workflows.templates.create({"name": "n", "stages": [None]}), "template.stages[0]"),
    (lambda sdk, client: client.workflows.templates.update("id", {"tags": ["a", None]}), "changes.tags[1]"),
    (lambda sdk, client: client.replay.write({"run_id": "r", "rounds": [None]}), "record.rounds[0]"),
    (lambda sdk, client: client.account.claim_rewards(["a", None]), "ids[1]"),
    (lambda sdk, client: sdk.build_sogni_tools([None]), "models[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "field"), CASES, ids=[f"{place}-{field}" for place, (_, field) in enumerate(CASES)])
async def test_none_in_a_list_is_refused_by_its_place(
    sdk: Sdk, client: Any, supernet: LocalSupernet, call: Callable[[Any, Any], Any], field: str
) -> None:
    with pytest.raises(sdk.ValidationError) as caught:
        await outcome(sdk, lambda: call(sdk, client))
    assert (str(caught.value.field).endswith(field), field in str(caught.value)) == (True, True)
    assert [it for it in supernet.requests if _matters(it)] == []


async def outcome(sdk: Sdk, call: Callable[[], Any]) -> Any:
    found = await sdk.call(call) if sdk.blocking else call()
    return await found if inspect.isawaitable(found) else found


def _matters(request: Any) -> bool:
    return getattr(request, "method", "") in ("POST", "PUT", "PATCH") or getattr(request, "type", "") in (
        "jobRequest", "llmJobRequest",
    )  # fmt: skip
