"""The tools that create images, edits, video, music and speech, and the classes behind all tools."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from attrs import field, frozen
from mcp_types import CallToolResult, ToolAnnotations
from mcp_types import Tool as Declaration

from sogni.errors import ValidationError
from sogni.mcp.arguments import (
    AudioProjectParams,
    ImageProjectParams,
    Schema,
    VideoProjectParams,
    media,
    media_list,
    object_schema,
    parameter,
    parameters,
)
from sogni.mcp.calls import Call
from sogni.mcp.files import is_replaced
from sogni.mcp.results import PROJECT, project_result
from sogni.mcp.service import Service
from sogni_async import Project

Arguments = dict[str, Any]
Run = Callable[[Service, Call, Arguments], Awaitable[CallToolResult]]


@frozen(kw_only=True)
class Tool:
    """A tool.

    Attributes:
        name: Its name.
        title: Its name for display.
        text: Description for the model that decides whether to call it.
        arguments: JSON schema of the arguments.
        output: JSON schema of the structured result.
        run: Runs it.
        reads: Whether it is read-only.
        destroys: Whether it ends or removes something.
        begins: Progress message when it starts.
    """

    name: str
    title: str
    text: str
    arguments: Schema
    output: Schema
    run: Run
    reads: bool = True
    destroys: bool = False
    begins: str = "Asking the service"

    def declaration(self) -> Declaration:
        """Return the tool in the form of the protocol."""
        return Declaration(
            name=self.name,
            title=self.title,
            description=self.text,
            input_schema=self.arguments,
            output_schema=self.output,
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.reads,
                destructive_hint=self.destroys,
                idempotent_hint=self.reads or self.destroys,
                open_world_hint=True,
            ),
        )


SAVE_TO: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "Folder to save the results to, inside of an allowed folder; created if necessary. Default: the "
    "first folder that the server was started with; without one nothing is saved.",
}
WAIT: Schema = {
    "type": "number",
    "minimum": 0,
    "maximum": 3600,
    "description": "Seconds to wait for the results. A project that takes longer continues, and get_project waits "
    "for it. Default: that of the server.",
}
_HANDLING = {"save_to": SAVE_TO, "wait_seconds": WAIT}

# -- running a project -------------------------------------------------------


async def folder_of(service: Service, call: Call, arguments: Mapping[str, Any]) -> Path | None:
    """Return the folder that the results of a call are saved to, or None."""
    if "save_to" in arguments:
        return (await service.roots(call)).folder(arguments["save_to"], "save_to")
    if not service.options.roots:
        return None
    root = service.options.roots[0]
    if is_replaced(root):
        raise ValidationError(f"save_to: {root} is now a link, so nothing is saved there", field="save_to")
    return root


async def follow(call: Call, project: Project, seconds: float) -> None:
    """Wait for a project and report its progress, until it is finished or the time is up.

    Args:
        call: The call that waits.
        project: The project.
        seconds: Time limit.
    """
    with anyio.move_on_after(seconds):
        async with aclosing(project.events()) as events:  # type: ignore[type-var]
            shown = ""
            async for event in events:
                message = _state_of(project)
                if event.name == "progress" or message != shown:
                    shown = message
                    # 100 is for the end, after the results have been fetched.
                    await call.progress(min(project.progress, 99), message)
        # The URLs of results may still be missing.
        await project.wait(check=False)


def _state_of(project: Project) -> str:
    if project.status in ("pending", "queued"):
        if project.waiting_reason is not None:
            return f"Waiting: {project.waiting_reason.message}"
        position = project.queue_position
        return "Waiting for a worker" if not position or position < 0 else f"Waiting at position {position}"
    done = sum(job.finished for job in project.jobs)
    count = project.params.number_of_media
    return f"Rendering, {done} of {count} done" if count > 1 else "Rendering"


def name_of(prompt: str, project: Project) -> str:
    """Return a descriptive name for the files of a project."""
    words = "-".join(re.findall(r"[a-z0-9]+", prompt.lower()))[:48].strip("-")
    return f"{words or project.type}-{project.id[:8].lower()}"


@frozen(kw_only=True)
class Maker:
    """A tool that creates media: maps its arguments to a project.

    Attributes:
        kind: Type of the project.
        params: Its params class.
        noun: Name of the product, for questions.
        renamed: Fields of arguments whose names differ.
        files: Arguments that are files, or lists of them.
        model: Returns the default model for the arguments.
        complete: Changes the fields in ways that a mapping of names cannot express.
        completed: Arguments of the fields that `complete` sets, by field, for errors.
    """

    kind: str
    params: type
    noun: str
    renamed: Mapping[str, str]
    files: tuple[str, ...] = ()
    model: Callable[[Arguments], str]
    complete: Callable[[Arguments], None] = field(default=lambda fields: None)
    completed: Mapping[str, str] = field(factory=dict)

    def arguments(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Return the argument that each field of the project with another name comes from, if it is one of those."""
        known = {**{name: argument for argument, name in self.renamed.items()}, **self.completed}
        return known | {name: argument for argument, name in self.renamed.items() if argument in given}

    async def fields(self, service: Service, call: Call, arguments: Arguments) -> Arguments:
        """Return the fields of the project that the arguments describe."""
        fields: Arguments = {"type": self.kind, "model_id": self.model(arguments)}
        for name, value in arguments.items():
            if name in _HANDLING:
                continue
            if name in self.files:
                if isinstance(value, list):
                    value = [await service.media(call, it, f"{name}[{index}]") for index, it in enumerate(value)]
                else:
                    value = await service.media(call, value, name)
            fields[self.renamed.get(name, name)] = value
        self.complete(fields)
        fields["token_type"] = service.options.token_type
        return fields

    async def estimate(self, service: Service, fields: Arguments) -> tuple[Decimal | None, Decimal | None, bool]:
        """Return what a project would cost, in the token that pays and in US dollars, and whether that is exact."""
        projects = service.client.projects
        if fields["model_id"].startswith(_SPEECH_FAMILY):
            # The service prices speech by its length, which only the result tells.
            cost = await projects.estimate_audio_cost(
                fields["model_id"],
                duration=max(1.0, len(fields["positive_prompt"]) / _CHARACTERS_PER_SECOND),
                number_of_media=fields.get("number_of_media"),
                token_type=fields["token_type"],
            )
            return cost.token, cost.usd, False
        cost = await projects.estimate(**fields)
        return cost.token, cost.usd, True

    async def run(self, service: Service, call: Call, arguments: Arguments) -> CallToolResult:
        """Create the project and return its results, or the running project when the time is up."""
        # Everything that the host may be asked for comes first.
        folder = await folder_of(service, call, arguments)
        fields = await self.fields(service, call, arguments)
        await call.progress(0, "Estimating the cost")
        cost, usd, exact = await self.estimate(service, fields)
        what = f"{fields.get('number_of_media', 1)} × {self.noun} with {fields['model_id']}"
        reservation = await service.reserve(call, cost, usd, what)
        project = await service.create(fields, reservation, estimated=exact)
        try:
            await call.progress(0, f"Project {project.id} has been sent")
            await follow(call, project, arguments.get("wait_seconds", service.options.wait))
            return await project_result(service, project, folder, name_of(fields["positive_prompt"], project))
        except anyio.get_cancelled_exc_class():
            # Nobody would learn of the project, nor of one whose call was canceled while it was sent.
            await service.cancel(project)
            raise


_SPEECH_FAMILY = "qwen3_tts"
_CHARACTERS_PER_SECOND = 12
"""Speaking rate of slow speech."""

# -- images ------------------------------------------------------------------

_PROMPT = {"prompt": "positive_prompt", "model": "model_id", "count": "number_of_media"}
_COUNT: Schema = {"maximum": 16, "default": 1, "description": "Number of results, up to 16. Default: 1."}
_LORAS = {
    "loras": parameter(ImageProjectParams, "loras", maxItems=8),
    "lora_strengths": parameter(ImageProjectParams, "lora_strengths", maxItems=8),
}


def _common(params: type, prompt: str, model: str) -> dict[str, Schema]:
    return {
        "prompt": {"type": "string", "minLength": 1, "description": prompt},
        "model": parameter(params, "model_id", f"ID of the model; see list_models. Default: {model}."),
        "count": parameter(params, "number_of_media", **_COUNT),
        "seed": parameter(params, "seed"),
    }


_IMAGE_FIELDS = ("width", "height", "size_preset", "steps", "guidance", "negative_prompt", "style_prompt")
_IMAGE_LOOKS = {
    **parameters(ImageProjectParams, *_IMAGE_FIELDS, "output_format"),
    **_LORAS,
    **parameters(ImageProjectParams, "gpt_image_quality", "gpt_image_background"),
}
IMAGE_MODEL = "krea2_turbo_fp8_scaled"
EDIT_MODEL = "qwen_image_edit_2511_fp8_lightning"

_IMAGE = Maker(
    kind="image",
    params=ImageProjectParams,
    noun="image",
    renamed=_PROMPT,
    model=lambda arguments: arguments.get("model", IMAGE_MODEL),
)


def _complete_edit(fields: Arguments) -> None:
    images = fields.pop("images")
    if "starting_image_strength" in fields:
        if len(images) > 1:
            raise ValidationError("strength needs exactly one image", field="strength")
        fields["starting_image"] = images[0]
    else:
        fields["context_images"] = images


_EDIT = Maker(
    kind="image",
    params=ImageProjectParams,
    noun="edited image",
    renamed={**_PROMPT, "mask": "gpt_image_mask", "strength": "starting_image_strength"},
    files=("images", "mask"),
    model=lambda arguments: arguments.get("model", IMAGE_MODEL if "strength" in arguments else EDIT_MODEL),
    complete=_complete_edit,
    completed={"context_images": "images", "starting_image": "images"},
)

# -- video -------------------------------------------------------------------

_WAN = "wan_v2.2-14b-fp8_{}_lightx2v"
_LTX = "ltx23-22b-fp8_{}_distilled"
VIDEO_MODELS: Mapping[frozenset[str], str] = {
    frozenset(): _WAN.format("t2v"),
    frozenset({"image"}): _WAN.format("i2v"),
    frozenset({"image", "audio"}): _WAN.format("s2v"),
    frozenset({"image", "video"}): _WAN.format("animate-move"),
    frozenset({"audio"}): _LTX.format("a2v"),
    frozenset({"video"}): _LTX.format("v2v"),
}
"""Default model for each set of input files."""
_VIDEO_FILES = {"image": "image", "end_image": "image", "audio": "audio", "video": "video"}


def _video_model(arguments: Arguments) -> str:
    if "model" in arguments:
        model: str = arguments["model"]
        return model
    kinds = frozenset(_VIDEO_FILES[name] for name in _VIDEO_FILES if name in arguments)
    if kinds not in VIDEO_MODELS:
        raise ValidationError(f"model is required with {' and '.join(sorted(kinds))} together", field="model")
    return VIDEO_MODELS[kinds]


_VIDEO = Maker(
    kind="video",
    params=VideoProjectParams,
    noun="video",
    renamed={
        **_PROMPT,
        "image": "reference_image",
        "end_image": "reference_image_end",
        "audio": "reference_audio",
        "video": "reference_video",
    },
    files=tuple(_VIDEO_FILES),
    model=_video_model,
)

# -- music and speech --------------------------------------------------------

MUSIC_MODEL = "ace_step_1.5_turbo"
_MUSIC = Maker(
    kind="audio",
    params=AudioProjectParams,
    noun="piece of music",
    renamed=_PROMPT,
    model=lambda arguments: arguments.get("model", MUSIC_MODEL),
)

_QWEN = "qwen3_tts_1.7b_{}_bf16"
SPEECH_MODELS = {
    "voice": _QWEN.format("custom_voice"),
    "voice_sample": _QWEN.format("voice_clone"),
    "voice_description": _QWEN.format("voice_design"),
}
"""Model for each way to choose a voice."""


def _speech_model(arguments: Arguments) -> str:
    chosen = [name for name in SPEECH_MODELS if name in arguments]
    if len(chosen) > 1:
        raise ValidationError(f"{' and '.join(chosen)} exclude each other", field=chosen[1])
    if "style" in arguments and chosen not in ([], ["voice"]):
        raise ValidationError(f"style cannot be combined with {chosen[0]}", field="style")
    if "transcript" in arguments and chosen != ["voice_sample"]:
        raise ValidationError("transcript needs voice_sample", field="transcript")
    return SPEECH_MODELS[chosen[0] if chosen else "voice"]


_SPEECH = Maker(
    kind="audio",
    params=AudioProjectParams,
    noun="speech",
    renamed={
        "text": "positive_prompt",
        "count": "number_of_media",
        "voice": "speaker",
        "style": "instruct",
        "voice_description": "instruct",
        "voice_sample": "reference_audio",
        "transcript": "reference_text",
    },
    files=("voice_sample",),
    model=_speech_model,
)

# -- the tools ---------------------------------------------------------------

_ABOUT_SPENDING = "This spends the user's tokens: call estimate first if the cost matters."


def _making(name: str, title: str, text: str, maker: Maker, arguments: Mapping[str, Schema], *required: str) -> Tool:
    return Tool(
        name=name,
        title=title,
        text=f"{text} {_ABOUT_SPENDING}",
        arguments=object_schema({**arguments, **_HANDLING}, *required),
        output=PROJECT,
        run=maker.run,
        reads=False,
        begins="Checking the request",
    )


MAKERS: Mapping[str, Maker] = {
    "generate_image": _IMAGE,
    "edit_image": _EDIT,
    "generate_video": _VIDEO,
    "generate_music": _MUSIC,
    "generate_speech": _SPEECH,
}

MAKING_TOOLS = (
    _making(
        "generate_image",
        "Generate images",
        "Make new images from a description. To change an existing image, use edit_image.",
        _IMAGE,
        {**_common(ImageProjectParams, "What the image shows.", IMAGE_MODEL), **_IMAGE_LOOKS},
        "prompt",
    ),
    _making(
        "edit_image",
        "Edit an image",
        "Change an existing image as a prompt describes, or combine several images into one: add, remove or replace "
        "something, change style, clothes or background.",
        _EDIT,
        {
            **_common(
                ImageProjectParams,
                "What to change, or what the result shows. Refer to several images by their order.",
                f"{EDIT_MODEL}, or {IMAGE_MODEL} with strength",
            ),
            "images": media_list("The images, up to 3 for most models.", 16),
            "mask": media("Mask for the first image, whose transparent part is edited; for GPT Image only."),
            "strength": parameter(
                ImageProjectParams,
                "starting_image_strength",
                "How much of the image is kept, from 0 to 1: renders a new image from it, instead of editing it.",
            ),
            **_IMAGE_LOOKS,
        },
        "prompt",
        "images",
    ),
    _making(
        "generate_video",
        "Generate a video",
        "Make a video from a description, and from files if there are any: from an image (its first frame), from two "
        "(first and last frame), from an image and a recording (a face that speaks), from an image and a video (its "
        "motion is transferred), from a recording or from a video alone. Takes minutes.",
        _VIDEO,
        {
            **_common(VideoProjectParams, "What happens in the video.", "depends on the files"),
            "image": media("First frame, character or subject."),
            "end_image": media("Last frame."),
            "audio": media("Speech, music or other sound of the video."),
            "video": media("Video to animate, edit or continue."),
            **parameters(VideoProjectParams, "duration", "width", "height", "fps", "steps", "guidance"),
            **parameters(VideoProjectParams, "negative_prompt", "generate_audio", "output_format"),
            **_LORAS,
        },
        "prompt",
    ),
    _making(
        "generate_music",
        "Generate music",
        "Make a piece of music from a description of its style: genre, instruments, mood. With lyrics it is sung.",
        _MUSIC,
        {
            **_common(AudioProjectParams, "Style of the music: genre, instruments, mood.", MUSIC_MODEL),
            **parameters(AudioProjectParams, "lyrics", "duration", "bpm", "keyscale", "timesignature", "language"),
            **parameters(AudioProjectParams, "prompt_strength", "creativity", "output_format"),
        },
        "prompt",
    ),
    _making(
        "generate_speech",
        "Generate speech",
        "Speak text, in a voice of the model, in one that is described, or in that of a recording.",
        _SPEECH,
        {
            "text": {"type": "string", "minLength": 1, "description": "What is said."},
            "voice": parameter(
                AudioProjectParams, "speaker", f"Voice; get_model names those of {SPEECH_MODELS['voice']}."
            ),
            "style": parameter(AudioProjectParams, "instruct", "How to speak, for example warm and slow."),
            "voice_description": parameter(AudioProjectParams, "instruct", "Description of a new voice to speak in."),
            "voice_sample": media(
                "Recording of 3 to 30 seconds of the voice to speak in. Use a voice only with the consent of its owner."
            ),
            "transcript": parameter(AudioProjectParams, "reference_text", "What is said in voice_sample."),
            "language": parameter(AudioProjectParams, "language"),
            "count": parameter(AudioProjectParams, "number_of_media", **_COUNT),
            "seed": parameter(AudioProjectParams, "seed"),
            "output_format": parameter(AudioProjectParams, "output_format"),
        },
        "text",
    ),
)
