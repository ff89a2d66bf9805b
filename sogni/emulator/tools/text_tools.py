"""Hosted tools that return text, plans or findings: the six text tools, and the helpers of workflows.

Text is simple and depends on the arguments alone. Plans are valid durable workflows; their cost is an estimate by kind
of step. Nothing here costs anything as a step.
"""
# Protocol notes: tools §2.2, chat §14.5, workflows §2.2.

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.emulator.catalogue.models import MODELS
from sogni.emulator.fields import present
from sogni.emulator.media.codecs import probe
from sogni.emulator.tools.media_library import KINDS, Artifacts, Kind, Media, ToolError, UserNeededError
from sogni.emulator.tools.tool_context import ToolContext, checked_arguments

_MOST_SCENES = 12
_SCENE_SECONDS = 5
_UNITS = {"generate_image": 5, "generate_video": 60, "generate_music": 20, "stitch_video": 0}

Arguments = Mapping[str, Any]


def number_of(text: str) -> int:
    """Return a number derived from a string."""
    return zlib.crc32(text.encode())


def run(name: str, arguments: Arguments) -> dict[str, object]:
    """Run a text tool, or raise ``ToolError`` if its arguments do not fit its schema."""
    if name not in TEXT_TOOLS:
        raise ToolError("UNKNOWN_TOOL", f"{name} is not one of {', '.join(TEXT_TOOLS)}")
    return TEXT_TOOLS[name](checked_arguments(name, arguments))


def enhance_prompt(arguments: Arguments) -> dict[str, object]:
    if arguments["destination_model"] not in _known_models():
        raise ToolError("INVALID_ARGUMENTS", f"Unknown destination_model {arguments['destination_model']!r}")
    given = {key: arguments[key] for key in ("destination_model", "destination_tool") if arguments.get(key)}
    prompt = str(arguments["prompt"]).strip()
    return {
        "enhanced_prompt": f"{prompt}, sharp focus, rich detail",
        "original_prompt": prompt,
        "target_output": arguments["target_output"],
        **given,
    }


@cache
def _known_models() -> frozenset[str]:
    """Return the ids of the catalogue and the names that tools know models by."""
    names = ("model", "videoModel")
    schemas = [parameters_of(tool)["properties"].get(name, {}) for tool in tool_names() for name in names]
    return frozenset(MODELS).union(*(schema.get("enum", ()) for schema in schemas))


def compose_lyrics(arguments: Arguments) -> dict[str, object]:
    lyrics = "\n\n".join(f"[{section}]\n{arguments['prompt']}" for section in ("Verse", "Chorus", "Verse", "Chorus"))
    return {**_song(arguments), "lyrics": lyrics, "language": str(arguments.get("language") or "en")}


def compose_instrumental(arguments: Arguments) -> dict[str, object]:
    song, sections = _song(arguments), ("Intro", "Theme", "Variation", "Theme", "Outro")
    each = song["duration_seconds"] / len(sections)
    structure = [{"section": section, "start_seconds": round(at * each, 2)} for at, section in enumerate(sections)]
    lyrics = "\n\n".join(f"[{section}]" for section in sections)
    return {**song, "lyrics": lyrics, "structure": structure, "bpm": 120, "keyscale": "C major", "timesig": 4}


def _song(arguments: Arguments) -> dict[str, Any]:
    prompt = str(arguments["prompt"]).strip()
    return {
        "title": prompt[:80],
        "music_prompt": str(arguments.get("music_prompt") or prompt),
        "duration_seconds": float(arguments.get("duration_seconds") or 60),
    }


def compose_script(arguments: Arguments) -> dict[str, object]:
    scenes = _scenes(arguments, 3)
    heading = "## Scene" if arguments.get("return_format") == "markdown" else "SCENE"
    parts = [f"{heading} {it['scene']} ({it['duration_seconds']:g} s)\n{it['description']}" for it in scenes]
    return {
        "title": str(arguments["brief"])[:80],
        "script_type": str(arguments.get("script_type") or "video_prompt"),
        "script": "\n\n".join(parts),
        "scenes": scenes,
        "duration_seconds": sum(scene["duration_seconds"] for scene in scenes),
    }


def _scenes(arguments: Arguments, otherwise: int) -> list[dict[str, Any]]:
    count = max(1, min(_MOST_SCENES, int(arguments.get("scene_count") or otherwise)))
    seconds = float(arguments.get("duration_seconds") or count * _SCENE_SECONDS)
    topic = ", ".join(str(part) for part in (arguments["brief"], arguments.get("style")) if part)
    scenes = range(1, count + 1)
    return [{"scene": n, "description": f"Scene {n}: {topic}", "duration_seconds": seconds / count} for n in scenes]


def compose_workflow(arguments: Arguments) -> dict[str, Any]:
    """Return a workflow plan: an image and a clip per scene, joined, with music if requested."""
    steps = _steps(arguments)
    budget = arguments.get("max_estimated_capacity_units")
    units = sum(_UNITS[step["toolName"]] for step in steps)
    return {
        "title": str(arguments["brief"])[:80],
        "steps": steps,
        "estimated_capacity_units": units,
        "fits_budget": budget is None or units <= budget,
        **({} if budget is None else {"max_estimated_capacity_units": budget}),
    }


def _steps(arguments: Arguments) -> list[dict[str, Any]]:
    scenes, models = _scenes(arguments, 1), arguments.get("destination_models") or {}
    shape = {"aspectRatio": arguments["aspect_ratio"]} if arguments.get("aspect_ratio") else {}
    image = {"model": models["image"]} if isinstance(models.get("image"), str) else {}
    video = {"videoModel": models["video"]} if isinstance(models.get("video"), str) else {}
    steps: list[dict[str, Any]] = []
    for scene in scenes:
        number, text = scene["scene"], scene["description"]
        still = {"prompt": text, **shape, **image}
        clip = {"prompt": text, "duration": min(20.0, max(2.0, scene["duration_seconds"])), **shape, **video}
        depends = [dependency(f"still-{number}", "referenceImageIndices", "image")]
        steps.append({"id": f"still-{number}", "toolName": "generate_image", "arguments": still})
        steps.append({"id": f"clip-{number}", "toolName": "generate_video", "arguments": clip, "dependsOn": depends})
    depends = [dependency(f"clip-{scene['scene']}", "videoIndices", "video") for scene in scenes]
    if arguments.get("include_audio"):
        seconds = min(600.0, max(10.0, sum(scene["duration_seconds"] for scene in scenes)))
        music = {"prompt": str(arguments["brief"]), "duration": seconds}
        steps.append({"id": "music", "toolName": "generate_music", "arguments": music})
        depends.append(dependency("music", "audioIndex", "audio"))
    if len(scenes) > 1:
        steps.append({"id": "film", "toolName": "stitch_video", "arguments": {}, "dependsOn": depends})
    return steps


def dependency(step: str, argument: str, kind: str) -> dict[str, object]:
    """Return an entry of ``dependsOn`` that passes the first result of a step by number."""
    return {
        "sourceStepId": step,
        "sourceArtifactIndex": 0,
        "targetArgument": argument,
        "mediaType": kind,
        "transform": f"{kind}_index",
        "required": True,
    }


def compose_workflow_template(arguments: Arguments) -> dict[str, object]:
    """Return a template whose stages use ``$inputs.<name>``, and a plan made from it."""
    existing = arguments.get("existing_template")
    base = dict(existing) if isinstance(existing, Mapping) else {}
    plan = compose_workflow(arguments)
    brief = {"name": "brief", "type": "text", "required": True, "description": "What it is about"}
    inputs = arguments.get("inputs") or base.get("inputs") or [{**brief, "default": str(arguments["brief"])}]
    text = next((entry["name"] for entry in inputs if entry.get("type") == "text"), None)
    prompt = {} if text is None else {"prompt": f"$inputs.{text}"}
    stages = [
        {**step, "arguments": {**step["arguments"], **(prompt if "prompt" in step["arguments"] else {})}}
        for step in plan["steps"]
    ]
    draft = {
        **base,
        "name": str(arguments["name"]),
        "description": str(arguments.get("description") or arguments["brief"]),
        "category": str(arguments.get("category") or "custom"),
        "visibility": str(arguments.get("visibility") or "private"),
        "version": str(base.get("version") or "1.0.0"),
        "inputs": inputs,
        "stages": stages,
    }
    estimates = {key: plan[key] for key in ("estimated_capacity_units", "fits_budget")}
    return {"template_draft": draft, "plan": {"title": plan["title"], "steps": plan["steps"]}, **estimates}


TEXT_TOOLS: Mapping[str, Callable[[Arguments], dict[str, Any]]] = {
    "enhance_prompt": enhance_prompt,
    "compose_script": compose_script,
    "compose_lyrics": compose_lyrics,
    "compose_instrumental": compose_instrumental,
    "compose_workflow": compose_workflow,
    "compose_workflow_template": compose_workflow_template,
}


def summary_of(name: str, result: Mapping[str, Any]) -> str | None:
    """Return the sentence that accompanies a result, if there is one."""
    if name != "compose_workflow":
        return None
    fits, units = "fits" if result["fits_budget"] else "exceeds", result["estimated_capacity_units"]
    return f"A plan of {len(result['steps'])} steps, about {units} units; it {fits} the budget."


_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_CUE = re.compile(rf"{_TIME}\s*-->\s*{_TIME}[^\n]*\n(.*?)(?=\n\s*\n|\Z)", re.DOTALL)


def parse_subtitles(text: str) -> list[tuple[float, float, str]]:
    """Parse SRT or VTT."""
    cues = []
    for *times, words in _CUE.findall(text.replace("\r\n", "\n").replace("\ufeff", "")):
        start, end = (
            int(hours or 0) * 3600 + int(minutes) * 60 + float(f"{seconds}.{part}")
            for hours, minutes, seconds, part in (times[:4], times[4:])
        )
        if end > start:
            cues.append((start, end, re.sub(r"<[^>]+>", "", words).strip()))
    if not cues:
        raise ToolError("INVALID_ARGUMENTS", "srt contains no valid cue")
    return cues


# Helpers of workflows


def _found(**facts: Any) -> Artifacts:
    return Artifacts(facts=facts)


async def analyze(work: ToolContext, kind: Kind) -> Artifacts:
    medium = await work.any_medium(kind)
    metadata = await _metadata(work, medium)
    size = f" of {metadata['width']}x{metadata['height']} pixels" if "width" in metadata else ""
    return _found(analysis=f"The {medium.kind} is {metadata['mimeType']}{size}.", metadata=metadata)


async def extract_metadata(work: ToolContext) -> Artifacts:
    return _found(metadata=await _metadata(work, await work.any_medium()))


async def _metadata(work: ToolContext, media: Media) -> dict[str, object]:
    facts = await work.renderer.state.store.run(probe, await work.renderer.path(media), media.kind)
    if facts is None:
        raise ToolError("INVALID_MEDIA", f"The {media.kind} is unreadable")
    found = {
        "mediaType": media.kind,
        "mimeType": media.mime,
        "width": facts.width,
        "height": facts.height,
        "duration": None if facts.duration is None else round(facts.duration, 3),
        "frameRate": None if facts.frame_rate is None else round(facts.frame_rate, 3),
        "codecs": list(facts.codecs),
        "hasAudio": facts.sound if media.kind == "video" else None,
        "seed": media.seed,
    }
    return present(found)


def _asset(work: ToolContext, media: Media) -> dict[str, object]:
    known = media in (*work.library.results, *work.library.uploads)
    url = work.renderer.state.artifact_url(media.key)
    return {**media.wire(url), "index": work.library.index(media) if known else None}


async def inspect_asset(work: ToolContext) -> Artifacts:
    return _found(asset=_asset(work, await work.any_medium()))


async def label_asset(work: ToolContext) -> Artifacts:
    label = work.arguments.text("label", "name", "role")
    if label is None:
        raise ToolError("INVALID_ARGUMENTS", "label must be a string")
    return _found(asset={**_asset(work, await work.any_medium()), "label": label})


async def create_asset_manifest(work: ToolContext) -> Artifacts:
    assets = [_asset(work, media) for media in (*work.library.uploads, *work.library.results)]
    return _found(manifest={"count": len(assets), "assets": assets})


async def map_assets_for_model(work: ToolContext) -> Artifacts:
    """Return the number under which each medium is passed to a model."""
    mapped = {
        f"reference{kind.capitalize()}Indices": [
            work.library.index(media) for media in (*work.library.of(kind), *work.library.uploaded(kind))
        ]
        for kind in KINDS
    }
    used = {name: numbers for name, numbers in mapped.items() if numbers}
    return _found(model=work.arguments.text("model", "destinationModel"), mapping=used)


async def validate_asset_references(work: ToolContext) -> Artifacts:
    """Return which numbers refer to no existing media."""
    missing = []
    for kind in KINDS:
        for index in work.arguments.numbers(f"{kind}Indices", f"reference{kind.capitalize()}Indices"):
            try:
                work.library.pick(kind, index)
            except ToolError as problem:
                missing.append({"kind": kind, "index": index, "message": problem.message})
    return _found(valid=not missing, missing=missing)


async def ask_clarifying_question(work: ToolContext) -> Artifacts:
    """Wait for the user, once: resuming the workflow is the answer."""
    if work.arguments.flag("answered"):
        return _found(answer=work.arguments.text("answer"))
    question = work.arguments.text("question", "prompt", "message") or "Please say more about what you want."
    options = work.arguments.raw("options", "choices")
    details = {"question": question, **({"options": options} if options else {})}
    raise UserNeededError("ask_clarifying_question", question, details)


async def finalize_response(work: ToolContext) -> Artifacts:
    return _found(response=work.arguments.text("response", "message", "content", "summary") or "Done.")
