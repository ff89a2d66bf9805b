"""Everything the published Python client offers, step by step, against the Supernet that the environment names.

A black box: only public names of the published package are used. It is run by the interpreter of an environment that
has `sogni-client` and not this package. Every step prints one line of JSON, as in `steps.mjs`: the names of the steps
and their answers are the same.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

SogniClient = import_module("sogni_client").SogniClient

PICTURE, SONG, FILM = (Path(os.environ[name]).read_bytes() for name in ("PICTURE", "SONG", "FILM"))
MODEL = "krea2_turbo_fp8_scaled"
LORA_MODEL = MODEL
QWEN = "qwen3.6-35b-a3b-gguf-iq4xs"
KITE = {
    "title": "Kite",
    "steps": [
        {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "a red kite", "aspectRatio": "512x512"}}
    ],
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
NOTHING = dict.fromkeys(("guidance", "width", "height", "size_preset"))
"""The parameters of `make` that are for images only, left out."""
SPARK = {"token_type": "spark"}
MAGIC = {
    "89504e47": "png", "ffd8ff": "jpeg", "676c5446": "glb", "494433": "mp3", "fff": "mp3", "664c6143": "flac",
}  # fmt: skip


TYPES = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4", "mp3": "audio/mpeg",
    "wav": "audio/wav", "flac": "audio/flac", "glb": "model/gltf-binary",
}  # fmt: skip


def kind_of(content: bytes) -> str:
    head = content[:12].hex()
    if head[8:16] == "66747970":
        return "mp4"
    if head.startswith("52494646"):
        return "wav" if head.endswith("57415645") else "webp"
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), head)


async def fetched(url: str) -> str:
    """What a URL delivers: its content must be of the type that the response states."""

    def read() -> str:
        with urllib.request.urlopen(url, timeout=30) as response:
            kind = kind_of(response.read())
            stated = response.headers.get("Content-Type")
        if TYPES.get(kind) != stated:
            raise ValueError(f"download: {kind} as {stated}")
        return kind

    return await asyncio.to_thread(read)


async def stored(url: str, content_type: str, content: bytes) -> bool:
    """Send a file to a signed URL."""
    request = urllib.request.Request(url, content, {"Content-Type": content_type}, method="PUT")

    def send() -> bool:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status == 200

    return await asyncio.to_thread(send)


GROUPS = frozenset(
    [
        "account", "announcements", "chat", "chat.completions", "chat.hosted", "chat.runs", "chat.tools", "projects",
        "projects.assets", "projects.personal_loras", "replay", "stats", "workflows", "workflows.templates", "worlds",
        "worlds.builds",
    ]
)  # fmt: skip
offered: set[str] = set()
called: set[str] = set()


class Noted:
    """An object of the client, whose methods are noted when they are called from here. What it calls itself is not."""

    def __init__(self, target: Any, path: str) -> None:
        self._target, self._path = target, path
        methods = [name for name in dir(target) if not name.startswith("_") and callable(static(target, name))]
        offered.update(f"{path}.{name}" for name in methods)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        inner = name if self._path == "client" else f"{self._path}.{name}"
        if inner in GROUPS:
            return Noted(found, inner)
        if callable(found) and callable(static(self._target, name)):
            called.add(f"{self._path}.{name}")
        return found


def static(target: Any, name: str) -> Any:
    """An attribute, of which a property is not evaluated."""
    found = inspect.getattr_static(target, name)
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


class Steps:
    """One method per step; the methods of the published client are awaited."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.account, self.chat, self.projects = client.account, client.chat, client.projects
        self.workflows, self.replays, self.stats = client.workflows, client.replay, client.stats

    async def make(self, **params: Any) -> tuple[Any, list[str]]:
        image = {
            "type": "image", "model_id": MODEL, "positive_prompt": "a lighthouse", "number_of_media": 1, "steps": 8,
            "guidance": 1, "width": 512, "height": 512, "size_preset": "custom", "seed": 7,
        }  # fmt: skip
        asked = {name: value for name, value in (image | params).items() if value is not None}
        project = Noted(await self.projects.create(**asked), "project")
        urls = await project.wait_for_completion()
        return project, [await fetched(url) for url in urls]

    async def film(self, **params: Any) -> list[str]:
        common = {
            "type": "video", "model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "frames": 17, "fps": 16, "steps": 4,
            "guidance": None, "width": 480, "height": 480, "size_preset": None,
        }  # fmt: skip
        return (await self.make(**(common | params)))[1]

    async def ask(self, **params: Any) -> Any:
        asked = {"model": QWEN, "messages": [{"role": "user", "content": "Say hello"}], **params}
        return await self.chat.completions.create(asked)

    async def models(self) -> Any:
        return any(value(model, "id") == MODEL for model in await self.projects.wait_for_models(10))

    async def image(self) -> Any:
        return (await self.make(number_of_media=2))[1]

    async def image_formats(self) -> Any:
        return [(await self.make(output_format=form))[1] for form in ("jpg", "png")]

    async def starting_image(self) -> Any:
        return (await self.make(starting_image=PICTURE, starting_image_strength=0.5))[1]

    async def control_net(self) -> Any:
        net = {"name": "canny", "image": PICTURE}
        return (await self.make(model_id="flux1-schnell-fp8", steps=4, control_net=net))[1]

    async def context_images(self) -> Any:
        model = "qwen_image_edit_2511_fp8_lightning"
        return (await self.make(model_id=model, steps=4, context_images=[PICTURE, PICTURE]))[1]

    async def video(self) -> Any:
        return await self.film()

    async def video_from_an_image(self) -> Any:
        return await self.film(model_id="wan_v2.2-14b-fp8_i2v_lightx2v", reference_image=PICTURE)

    async def video_from_sound(self) -> Any:
        model = "wan_v2.2-14b-fp8_s2v_lightx2v"
        return await self.film(model_id=model, reference_image=PICTURE, reference_audio=SONG)

    async def video_from_a_video(self) -> Any:
        model = "wan_v2.2-14b-fp8_animate-move_lightx2v"
        return await self.film(model_id=model, reference_image=PICTURE, reference_video=FILM)

    async def music(self) -> Any:
        return (await self.make(type="audio", model_id="ace_step_1.5_turbo", duration=10, **NOTHING))[1]

    async def speech(self) -> Any:
        voice = {"type": "audio", "model_id": "qwen3_tts_1.7b_custom_voice_bf16", "steps": None}
        return (await self.make(**NOTHING, **voice, positive_prompt="Welcome aboard."))[1]

    async def upscaled_video(self) -> Any:
        video = {"type": "video", "model_id": "flashvsr_v1.1_tiny_long_bf16", "steps": None, "positive_prompt": ""}
        return (await self.make(**NOTHING, **video, upscale_resolution=1080, reference_video=FILM))[1]

    async def model_3d(self) -> Any:
        model = {"model_id": "pixal3d_int8_i23d", "steps": None, "positive_prompt": ""}
        return (await self.make(**NOTHING, **model, starting_image=PICTURE))[1]

    async def events(self) -> Any:
        seen = set()
        for name in ("project", "job"):
            self.projects.on(name, lambda event, name=name: seen.add(f"{name} {value(event, 'type')}"))
        await self.make()
        wanted = ["project queued", "project completed", "job started", "job progress", "job completed"]
        return [name for name in wanted if name not in seen]

    async def enhance(self) -> Any:
        project, _ = await self.make()
        return await fetched(await Noted(project.jobs[0], "job").enhance("medium"))

    async def cancel(self) -> Any:
        order = {
            "type": "image", "model_id": MODEL, "positive_prompt": "slow", "number_of_media": 16, "steps": 8,
            "guidance": 1, "width": 1024, "height": 1024, "size_preset": "custom",
        }  # fmt: skip
        first = Noted(await self.projects.create(**order), "project")
        await first.cancel()
        second = await self.projects.create(**order)
        await self.projects.cancel(second.id)
        return [first.status, second.status]

    async def project_record(self) -> Any:
        project, _ = await self.make()
        record = await self.projects.get(project.id)
        return [value(record, "id") == project.id, value(record, "status")]

    async def estimates(self) -> Any:
        film = "wan_v2.2-14b-fp8_t2v_lightx2v"
        size = {"width": 512, "height": 512}
        length = {"width": 480, "height": 480, "frames": 17, "fps": 16, "steps": 4, "number_of_media": 1}
        costs = [
            await self.projects.estimate_cost(
                model=MODEL, image_count=1, step_count=8, preview_count=0, network="fast", **SPARK, **size
            ),
            await self.projects.estimate_video_cost(model=film, **SPARK, **length),
            await self.projects.estimate_audio_cost(
                model="ace_step_1.5_turbo", duration=10, steps=8, number_of_media=1, **SPARK
            ),
            await self.projects.estimate_enhancement_cost("light", "spark"),
        ]
        return [float(value(cost, "token")) > 0 for cost in costs]

    async def options_and_sizes(self) -> Any:
        options = await self.projects.get_model_options(MODEL)
        sizes = await self.projects.get_size_presets("fast", MODEL)
        most = value(value(options, "steps"), "max")
        return ["number" if isinstance(most, int | float) else type(most).__name__, len(sizes) > 0]

    async def catalogue(self) -> Any:
        supported = await self.projects.get_supported_models()
        (available,) = [one for one in await self.projects.get_available_models("fast") if value(one, "id") == MODEL]
        languages = await self.chat.wait_for_models(10)
        return [
            any(value(model, "id") == MODEL for model in supported),
            value(available, "workerCount", "worker_count") > 0,
            value(languages[QWEN], "workers") > 0,
        ]

    async def charge(self) -> Any:
        cost = await self.projects.estimate_cost(
            model=MODEL, image_count=2, step_count=8, preview_count=0, guidance=1, network="fast", width=512,
            height=512, **SPARK,
        )  # fmt: skip
        project, _ = await self.make(number_of_media=2, **SPARK)
        return [project.id, float(value(cost, "token"))]

    async def video_between_two_frames(self) -> Any:
        ends = {"reference_image": PICTURE, "reference_image_end": PICTURE}
        return await self.film(model_id="wan_v2.2-14b-fp8_i2v_lightx2v", **ends)

    async def last_frame(self) -> Any:
        video = {"type": "video", "model_id": "seedance-2-5", "duration": 4, "width": 480, "height": 480}
        others = dict.fromkeys(("guidance", "size_preset", "steps", "seed"))
        project, _ = await self.make(**video, **others, **SPARK, return_last_frame=True)
        return await fetched(await Noted(project.jobs[0], "job").get_last_frame_url())

    async def result_again(self) -> Any:
        project, _ = await self.make()
        job = Noted(project.job(project.jobs[0].id), "job")
        return [await fetched(await job.get_result_url()), kind_of(await job.get_result_data())]

    async def url_helpers(self) -> Any:
        project, _ = await self.make(output_format="png")
        song, _ = await self.make(type="audio", model_id="ace_step_1.5_turbo", duration=10, **NOTHING)
        job = "0A0A0A0A-0000-4000-8000-00000000000A"
        image = {"image_id": "0A0A0A0A-0000-4000-8000-00000000000B", "job_id": job, "type": "startingImage"}
        audio = {"job_id": job, "type": "referenceAudio"}
        sent = [
            await stored(await self.projects.upload_url(content_type="image/png", **image), "image/png", PICTURE),
            await stored(await self.projects.media_upload_url(content_type="audio/mpeg", **audio), "audio/mpeg", SONG),
        ]
        picture = {"image_id": project.jobs[0].id, "job_id": project.id, "content_type": "image/png"}
        tune = {"id": song.jobs[0].id, "job_id": song.id, "content_type": "audio/mpeg"}
        return [
            sent,
            await fetched(await self.projects.download_url(type="complete", **picture)),
            await fetched(await self.projects.media_download_url(type="complete", **tune)),
        ]

    async def chat_plain(self) -> Any:
        result = await self.ask()
        return [value(result, "content"), value(result, "finish_reason", "finishReason")]

    async def chat_stream(self) -> Any:
        stream = await self.ask(stream=True)
        content = "".join([value(chunk, "content") or "" async for chunk in stream])
        return [content, value(stream.final_result, "content")]

    async def chat_tools(self) -> Any:
        question = [{"role": "user", "content": "What's the weather in Paris?"}]
        result = await self.ask(messages=question, tools=[WEATHER])
        function = value(result, "tool_calls")[0]["function"]
        return [function["name"], json.loads(function["arguments"])]

    async def chat_tool_result(self) -> Any:
        messages: list[Any] = [{"role": "user", "content": "What's the weather in Paris?"}]
        calls = value(await self.ask(messages=messages, tools=[WEATHER]), "tool_calls")
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        messages.append({"role": "tool", "tool_call_id": calls[0]["id"], "content": "It is snowing."})
        return value(await self.ask(messages=messages, tools=[WEATHER]), "content")

    async def tools_in_the_client(self) -> Any:
        asked = json.dumps({"prompt": "a red kite", "width": 512, "height": 512})
        call = {
            "id": "call-1", "type": "function", "function": {"name": "generate_image", "arguments": asked},
        }  # fmt: skip
        one = await self.chat.tools.execute(call, SPARK)
        both = await self.chat.tools.execute_all([call, call | {"id": "call-2"}], SPARK)
        (url,) = value(one, "resultUrls", "result_urls")
        results = [[value(one, "toolCallId", "tool_call_id"), value(one, "success")] for one in both]
        return [value(one, "success"), await fetched(url), results]

    async def chat_vision(self) -> Any:
        url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
        return value(await self.ask(messages=[{"role": "user", "content": parts}]), "content")

    async def chat_json(self) -> Any:
        schema = {
            "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"],
            "additionalProperties": False,
        }  # fmt: skip
        form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
        result = await self.ask(messages=[{"role": "user", "content": "My name is Ada."}], response_format=form)
        return list(json.loads(value(result, "content")))

    async def chat_estimate(self) -> Any:
        cost = await self.chat.estimate_cost(model=QWEN, messages=[{"role": "user", "content": "hello"}], **SPARK)
        return float(value(cost, "cost_in_spark", "costInSpark")) > 0

    async def hosted(self) -> Any:
        answer = await self.chat.hosted.create({"model": QWEN, "messages": [{"role": "user", "content": "Say hello"}]})
        return answer["choices"][0]["message"]["content"]

    async def hosted_tool(self) -> Any:
        return (await self.chat.hosted.execute_tool({"tool": "compose_script", "arguments": {"brief": "a kite"}}))[
            "status"
        ]

    async def run(self) -> Any:
        run = await self.chat.runs.create(
            {"messages": [{"role": "user", "content": "Create an image of a red kite"}], "tokenType": "spark"}
        )
        run_id = value(run, "run_id", "runId", "id")
        names = await end_of(
            self.chat.runs.stream_events(run_id), ["run_completed", "run.completed", "completed", "done"]
        )
        return [value(await self.chat.runs.get(run_id), "status"), len(names) > 2]

    async def waiting_run(self) -> tuple[str, Any]:
        run = await self.chat.runs.create(
            {
                "messages": [{"role": "user", "content": "Create an image of a red kite"}],
                "tokenType": "spark",
                "runtimeConfig": {"requireJobConfirmation": True},
            }
        )
        run_id = value(run, "run_id", "runId", "id")
        return run_id, await until(self.chat.runs.get, run_id, lambda one: value(one, "status") == "waiting_for_user")

    async def run_canceled(self) -> Any:
        run_id, _ = await self.waiting_run()
        await self.chat.runs.cancel(run_id, "enough")
        return value(await self.chat.runs.get(run_id), "status")

    async def run_cost(self) -> Any:
        run_id, run = await self.waiting_run()
        waiting = value(run, "waiting")
        details = value(waiting, "details")
        decision = {"toolCallId": value(details, "toolCallId", "tool_call_id"), "decision": "confirm"}
        preview = value(details, "costApprovalPreview", "cost_approval_preview")
        early = await refusal(self.chat.runs.confirm_cost(run_id, decision))
        await self.chat.runs.confirm_cost(run_id, decision | {"acceptedCostPreview": preview})
        ended = await until(self.chat.runs.get, run_id, lambda one: value(one, "status") not in ("queued", "running"))
        return [value(waiting, "reason"), early, value(ended, "status"), len(value(ended, "artifacts"))]

    async def started(self, **params: Any) -> str:
        return value(await self.workflows.start(input=KITE, **SPARK, **params), "workflow_id", "workflowId")

    async def workflow(self) -> Any:
        workflow = await self.started()
        names = await end_of(self.workflows.stream_events(workflow))
        record = await self.workflows.get(workflow)
        listed = any(value(one, "workflow_id", "workflowId") == workflow for one in await self.workflows.list(limit=5))
        return [value(record, "status"), len(names) > 2, listed, len(await self.workflows.events(workflow)) > 2]

    async def workflow_resumed(self) -> Any:
        steps = [{"id": "ask", "toolName": "ask_clarifying_question", "arguments": {"question": "Which color?"}}]
        record = await self.workflows.start(input={"title": "Question", "steps": steps}, **SPARK)
        workflow = value(record, "workflow_id", "workflowId")
        get = self.workflows.get
        waiting = await until(get, workflow, lambda one: value(one, "status") == "waiting_for_user")
        resumed = await self.workflows.resume(workflow)
        ended = await until(get, workflow, lambda one: value(one, "status") == "completed")
        return [value(waiting, "waitingReason", "waiting_reason"), value(resumed, "resumed"), value(ended, "status")]

    async def workflow_reseed(self) -> Any:
        first = await self.started()
        await end_of(self.workflows.stream_events(first))
        second = value(value(await self.workflows.reseed(first), "workflow"), "workflow_id", "workflowId")
        await end_of(self.workflows.stream_events(second))
        return value(await self.workflows.get(second), "status")

    async def workflow_cancel(self) -> Any:
        workflow = await self.started(confirm_cost=False)
        await self.workflows.cancel(workflow)
        return value(await self.workflows.get(workflow), "status")

    async def templates(self) -> Any:
        templates = self.workflows.templates
        template = await templates.create({"name": "Kite", "description": "A kite", "steps": KITE["steps"]})
        template_id = value(template, "id", "template_id", "templateId", "workflow_id", "workflowId")
        changed = await templates.update(template_id, {"name": "Dragon"})
        fork = await templates.fork(template_id, new_name="Copy")
        listed = value(await templates.list(), "templates")
        await templates.delete(template_id)
        return [
            value(changed, "name"),
            value(fork, "name"),
            len(listed) >= 2,
            await refusal(templates.get(template_id)),
        ]

    async def replay(self) -> Any:
        run_id = f"run-{time.time_ns()}"
        await self.replays.write({"run_id": run_id, "user_request": "a kite", "rounds": []})
        records = value(await self.replays.list(limit=5), "records")
        record = value(await self.replays.get(run_id), "record")
        return [any(value(one, "runId", "run_id") == run_id for one in records), value(record, "user_request")]

    async def loras(self) -> Any:
        catalog = await self.projects.available_loras(model_id=LORA_MODEL)
        unknown = await self.projects.available_loras(model_id="no_such_model")
        ids = sorted(value(lora, "loraId", "lora_id") for lora in value(catalog, "loras"))
        return [
            ids,
            value(value(catalog, "constraints"), "maxPerRequest", "max_per_request"),
            value(unknown, "loras"),
            len(value(await self.projects.get_lora(ids[0]), "name")) > 0,
            await self.projects.supports_loras(LORA_MODEL),
            value(await self.projects.lora_constraints(), "maxStrength", "max_strength"),
        ]

    async def image_with_a_lora(self) -> Any:
        loras = value(await self.projects.available_loras(model_id=LORA_MODEL), "loras")
        lora = next(value(lora, "loraId", "lora_id") for lora in loras if not value(value(lora, "ui"), "nsfw"))
        return (await self.make(model_id=LORA_MODEL, loras=[lora], lora_strengths=[0.8]))[1]

    async def personal_loras(self) -> Any:
        personal = self.projects.personal_loras
        imported = await personal.import_lora(
            url="https://huggingface.co/local/mine/resolve/main/mine.safetensors",
            name="Mine",
            model_id=LORA_MODEL,
            rights_confirmed=True,
        )
        lora_id = value(imported, "id")
        for _ in range(100):
            record = await personal.get(lora_id)
            if value(record, "status") == "ready":
                break
            await asyncio.sleep(0.05)
        listed = len(value(await personal.list(), "loras"))
        catalog = value(await personal.catalog(model_id=LORA_MODEL), "loras")
        await personal.remove(lora_id)
        left = len(value(await personal.list(), "loras"))
        return [value(record, "status"), value(record, "name"), listed, len(catalog), left]

    async def saved_uploads(self) -> Any:
        assets = self.projects.assets
        for asset in value(await assets.list(), "assets"):
            await assets.remove(value(asset, "id"))
        kinds = [
            (await self.make(starting_image=PICTURE, starting_image_strength=0.5, seed=seed))[1] for seed in (1, 2)
        ]
        listed = value(await assets.list(), "assets")
        asset_id = value(listed[0], "id")
        await assets.remove(asset_id)
        return [
            kinds,
            len(listed),
            value(listed[0], "contentType", "content_type"),
            value(listed[0], "state"),
            len(value(await assets.list(), "assets")),
            await refusal(assets.remove(asset_id)),
        ]

    async def saved_upload_bound(self) -> Any:
        assets = self.projects.assets
        saved = await assets.upload(PICTURE, "image/png", "A picture")
        asset_id = value(saved, "id")
        project = "0A0A0A0A-0000-4000-8000-000000000001"
        await assets.bind(asset_id, {"projectId": project, "type": "startingImage"})
        url = await self.projects.download_url(image_id="I", job_id=project, type="startingImage")
        other = {"projectId": "0A0A0A0A-0000-4000-8000-000000000002", "type": "startingImage"}
        bound = await assets.try_bind_file(PICTURE, "image/png", other)
        await assets.remove(asset_id)
        whole = value(saved, "bytes") == len(PICTURE)
        return [value(saved, "name"), whole, value(saved, "state"), await fetched(url), bound]

    async def project_status(self) -> Any:
        project, _ = await self.make()
        status = await self.projects.get_status(project.id)
        return [value(status, "id") == project.id, value(status, "status"), value(status, "finished")]

    async def project_result(self) -> Any:
        project, _ = await self.make()
        jobs = value(await self.projects.get_result(project.id), "jobs")
        found = [(value(job, "status"), value(job, "kind"), value(job, "seed")) for job in jobs]
        return [list(job) for job in found] + [await fetched(value(jobs[0], "url"))]

    async def recent_projects(self) -> Any:
        project, _ = await self.make()
        recent = await self.projects.list_recent(limit=5)
        first = recent[0]
        statuses = [value(job, "status") for job in value(first, "jobs")]
        return [value(first, "id") == project.id, value(first, "modelId", "model_id"), statuses]

    async def projects_elsewhere(self) -> Any:
        return await self.projects.list_projects_elsewhere()

    async def resolve_missing(self) -> Any:
        found = await self.projects.resolve_missing(
            ["AAAAAAAA-0000-4000-8000-000000000000"], attempts=1, delay_seconds=0.001
        )
        return [value(one, "state", "status") for one in found.values()]

    async def sync(self) -> Any:
        project, _ = await self.make()
        snapshot = await self.projects.sync("manual")
        return [project.status, value(snapshot, "active"), value(snapshot, "lost")]

    async def announcements(self) -> Any:
        listed = await self.client.announcements.active()
        for one in listed:
            await self.client.announcements.dismiss(value(one, "id"))
        left = await self.client.announcements.active()
        unknown = await refusal(self.client.announcements.dismiss("no-such-announcement"))
        # One that an earlier attempt has not dismissed has the same title.
        different = {value(one, "title"): [value(one, "title"), value(one, "kind")] for one in listed}
        return [list(different.values()), len(left), unknown]

    async def subscription(self) -> Any:
        usage = await self.account.get_subscription_usage()
        trial = await self.account.get_trial_eligibility()
        await self.account.set_device_id("a-device")
        nonce = await self.account.get_nonce(value(self.client.current_account, "wallet_address", "walletAddress"))
        jobs = value(usage, "periodJobs", "period_jobs")
        return [
            "number" if isinstance(jobs, int) else type(jobs).__name__,
            value(trial, "eligible"),
            "string" if isinstance(nonce, str) else type(nonce).__name__,
        ]

    async def world(self) -> Any:
        other = await connect(app_id=f"{os.environ['APP_ID']}-worlds")
        await other.account.login(os.environ["ACCOUNT_NAME"], os.environ["ACCOUNT_PASSWORD"])
        builds = other.worlds.builds
        gate = {"kind": "path", "object": "a gate", "leadsTo": "yard"}
        gate["action"] = {"verb": "open", "subject": "the gate", "intent": "enter"}
        world = f"manor-{time.time_ns()}"
        run = await builds.start(world_id=world, node_id="yard", hotspots=[gate], token_type="spark")
        run_id = value(run, "run_id", "runId")
        for _ in range(200):
            run = await builds.get(run_id)
            waiting = value(value(run, "waiting"), "reason") if value(run, "waiting") else None
            if waiting == "cost_approval_required":
                await builds.confirm_cost(run_id, "confirm")
            elif waiting == "review_required":
                break
            await asyncio.sleep(0.02)
        # 5.70.0 does not send what it is to filter by.
        builds_listed = await builds.list(world_id=world)
        listed = [one for one in builds_listed if value(one, "worldId", "world_id") == world]
        (task,) = value(run, "tasks")
        await builds.review(run_id, task_id=value(task, "generationId", "generation_id"), decision="approved")
        reviewed = value(await builds.get(run_id), "status")
        streamed = [event async for event in builds.stream_events(run_id)]
        again = await builds.start(world_id=world, node_id="porch", hotspots=[gate], token_type="spark")
        other_id = value(again, "run_id", "runId")
        await builds.cancel(other_id)
        ended = value(await builds.get(other_id), "status")
        count = min(len(streamed), len(await builds.events(run_id)))
        await other.account.logout()
        await other.aclose()
        return [waiting, len(listed), reviewed, ended, count > 2]

    async def plans(self) -> Any:
        async with signed_in() as (other, _):
            page = await other.account.create_subscription_checkout("unlimited", "monthly")
            portal = await other.account.create_subscription_portal_session()
            status, refreshed = (
                await other.account.get_subscription_status(),
                await other.account.refresh_subscription(),
            )
        return [
            value(page, "url").startswith("http"),
            value(portal, "url").startswith("http"),
            value(status, "status"),
            value(refreshed, "status"),
        ]

    async def new_account(self) -> Any:
        username = f"grace{time.time_ns()}"
        other = await connect(app_id=f"{os.environ['APP_ID']}-new")
        created = await other.account.create(
            username=username, email=f"{username}@example.test", password="a good password", subscribe=False,
            turnstile_token="captcha",
        )  # fmt: skip
        taken = await other.account.validate_username(username)
        free = await other.account.validate_username(f"{username}x")
        me = await other.account.me()
        wallet = other.account.get_wallet(username, "a good password")
        await other.aclose()
        return [
            "string" if isinstance(value(created, "token"), str) else type(value(created, "token")).__name__,
            value(taken, "errorCode", "error_code"),
            value(free, "status"),
            value(me, "username") == username,
            value(me, "walletAddress", "wallet_address") == value(wallet, "address"),
        ]

    async def tokens(self) -> Any:
        password = os.environ["ACCOUNT_PASSWORD"]
        async with signed_in() as (other, _):
            own = other.account
            address = value(await own.me(), "walletAddress", "wallet_address")
            claimable = [value(one, "id") for one in await own.rewards() if value(one, "canClaim", "can_claim")]
            if claimable:
                await own.claim_rewards(claimable[:1])

            async def amount() -> float:
                return float(value(await own.wallet_balance(address), "sogni"))

            before = await amount()
            await own.withdraw(password, 2)
            withdrawn = (await amount()) - before
            await own.approve_token_usage(password, "account")
            await own.deposit(password, "1.5")
            kept = (await amount()) - before
            refused = [
                await refusal(own.withdraw(f"{password}!", 1)),
                await refusal(own.claim_rewards(["no-such-reward"])),
            ]
        return [withdrawn, kept, *refused]

    async def tokens_restored(self) -> Any:
        async with signed_in() as (_, tokens):
            other = await connect(app_id=f"{os.environ['APP_ID']}-restored")
            await other.set_tokens(
                token=value(tokens, "token"), refresh_token=value(tokens, "refreshToken", "refresh_token")
            )
            me = await other.account.me()
            await other.aclose()
        return value(me, "username") == os.environ["ACCOUNT_NAME"]

    async def cookies(self) -> Any:
        other = await connect(app_id=f"{os.environ['APP_ID']}-cookies", auth_type="cookies", disable_socket=True)
        before = await other.check_auth()
        await other.aclose()
        return before

    async def network(self) -> Any:
        other = await connect(app_id=f"{os.environ['APP_ID']}-network", api_key=os.environ["SOGNI_API_KEY"])
        await other.projects.wait_for_models(10)
        switched = [await other.account.switch_network(name) for name in ("relaxed", "fast")]
        await other.set_socket_event_subscriptions({"modelAvailability": False})
        await other.aclose()
        return switched

    async def balance(self) -> Any:
        spark = value(await self.account.account_balance(), "spark")
        return float(value(spark, "net")) > 0 and bool(await self.account.refresh_balance())

    async def history(self) -> Any:
        address = value(self.client.current_account, "wallet_address", "walletAddress")
        page = await self.account.transaction_history(status="completed", address=address, limit=5)
        rewards, plans = await self.account.rewards(), await self.account.get_subscription_plans()
        return [len(value(page, "entries")) > 0, isinstance(rewards, list), len(plans) > 0]

    async def leaderboard(self) -> Any:
        return isinstance(await self.stats.leaderboard(type="jobCompleteArtist", period="lifetime"), list)

    async def sign_in(self) -> Any:
        name = os.environ["ACCOUNT_NAME"]
        other = await connect(app_id=f"{os.environ['APP_ID']}-other")
        await other.account.login(name, os.environ["ACCOUNT_PASSWORD"])
        models = await other.projects.wait_for_models(10)
        me = await other.account.me()
        await other.account.logout()
        signed_in = value(other.current_account, "is_authenticated", "isAuthenticated")
        await other.aclose()
        return [value(me, "username") == name, len(models) > 0, signed_in]

    async def wrong_key(self) -> Any:
        other = await connect(app_id=f"{os.environ['APP_ID']}-wrong", api_key="wrong-key", disable_socket=True)
        try:
            return await refusal(other.account.me())
        finally:
            await other.aclose()


RENAMED = {"chat": "chat_plain"}
"""Steps whose name is that of a namespace."""


def value(holder: Any, *names: str) -> Any:
    """The first of the names that a mapping or an object has."""
    for name in names:
        if isinstance(holder, dict):
            if name in holder:
                return holder[name]
        elif hasattr(holder, name):
            return getattr(holder, name)
    raise LookupError(f"none of {names} in {holder!r}"[:300])


async def refusal(call: Any) -> Any:
    try:
        await call
    except Exception as error:
        return getattr(error, "status", None) or getattr(error, "code", None) or repr(error)
    return "accepted"


async def end_of(stream: Any, ends: list[str] | None = None) -> list[Any]:
    names: list[Any] = []
    async for event in stream:
        try:
            name = value(event, "event", "type")
        except LookupError:
            name = None
        names.append(name)
        if ends and name in ends:
            break
    return names


async def until(look: Any, name: str, is_reached: Any) -> Any:
    for _ in range(400):
        found = await look(name)
        if is_reached(found):
            return found
        await asyncio.sleep(0.025)
    raise TimeoutError("the expected state did not come")


async def connect(**options: Any) -> Any:
    client = await SogniClient.create(
        rest_endpoint=os.environ["SOGNI_REST_ENDPOINT"],
        socket_endpoint=os.environ["SOGNI_SOCKET_ENDPOINT"],
        network="fast",
        **options,
    )
    return Noted(client, "client")


sessions = count()


@asynccontextmanager
async def signed_in() -> AsyncIterator[tuple[Any, Any]]:
    """A client of somebody who signed in with a name and a password, and the tokens of the session."""
    other = await connect(app_id=f"{os.environ['APP_ID']}-session-{next(sessions)}")
    try:
        yield other, await other.account.login(os.environ["ACCOUNT_NAME"], os.environ["ACCOUNT_PASSWORD"])
    finally:
        await other.aclose()


async def main() -> None:
    client = await connect(app_id=os.environ["APP_ID"], api_key=os.environ["SOGNI_API_KEY"])
    steps = Steps(client)
    while line := await asyncio.to_thread(sys.stdin.readline):
        step = json.loads(line)["step"]
        method = getattr(steps, RENAMED.get(step, step), None)
        printed: dict[str, Any] = {"step": step}
        called.clear()
        if step == "methods":
            for group in sorted(GROUPS):
                attrgetter(group)(client)
            printed["answer"] = sorted(offered)
        elif method is None:
            printed["absent"] = True
        else:
            try:
                printed["answer"] = await method()
            except Exception as error:
                # Without a traceback: it would quote the package.
                printed["error"] = f"{type(error).__name__}: {error}"[:1000]
        print(json.dumps(printed | {"called": sorted(called)}), flush=True)
    await client.aclose()


asyncio.run(main())
