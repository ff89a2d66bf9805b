"""Hosted tools that write text and plans: prompts, scripts, lyrics, workflows.

Results depend on the arguments alone. Plans are valid durable workflows; their cost is an estimate by kind of step.
"""
# Protocol notes: tools §2.2, chat §14.5.

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.emulator.catalogue.models import MODELS
from sogni.emulator.tools.media_library import ToolError
from sogni.emulator.tools.runner import checked_arguments

_MAX_SCENES = 12
_SCENE_SECONDS = 5
_UNITS = {"generate_image": 5, "generate_video": 60, "generate_music": 20, "stitch_video": 0}
_SHOTS = ("wide establishing shot", "slow push-in", "close-up", "low-angle shot", "tracking shot", "aerial view")
_MOODS = ("soft morning light", "golden hour", "blue hour", "overcast calm", "crisp midday light", "moonlight")
_KEYS = ("C major", "G major", "D minor", "A minor", "F major", "E minor")

Arguments = Mapping[str, Any]


def number_of(text: str) -> int:
    """Return a number derived from a string."""
    return zlib.crc32(text.encode())


def run(name: str, arguments: Arguments) -> dict[str, object]:
    """Run a tool, or raise ``ToolError`` if its arguments do not fit its schema."""
    if name not in TOOLS:
        raise ToolError("UNKNOWN_TOOL", f"{name} is not one of {', '.join(TOOLS)}")
    return TOOLS[name](checked_arguments(name, arguments))


def enhance_prompt(arguments: Arguments) -> dict[str, object]:
    """Return a prompt with light, camera and detail; ``compress`` and ``preserve`` shorten or keep it."""
    prompt, target = str(arguments["prompt"]).strip(), str(arguments["target_output"])
    mode, style = arguments.get("prompt_mode"), arguments.get("style_prompt")
    details = [_pick(_MOODS, prompt), "sharp focus", "rich detail"]
    if target == "video_prompt":
        details = [_pick(_SHOTS, prompt), "steady natural motion", _pick(_MOODS, prompt)]
    elif target == "edit_prompt":
        details = ["keep everything else unchanged"]
    if mode in ("preserve", "validate", "payload"):
        enhanced = prompt
    elif mode == "compress":
        enhanced = " ".join(prompt.split()[:24])
    else:
        enhanced = ", ".join([prompt, *([str(style)] if style else []), *details])
    if arguments["destination_model"] not in _known_models():
        raise ToolError("INVALID_ARGUMENTS", f"Unknown destination_model {arguments['destination_model']!r}")
    known = {key: arguments[key] for key in ("destination_model", "destination_tool") if arguments.get(key)}
    return {"enhanced_prompt": enhanced, "original_prompt": prompt, "target_output": target, **known}


@cache
def _known_models() -> frozenset[str]:
    """Return the ids of the catalogue and the names that tools know models by."""
    names = {*MODELS}
    for tool in tool_names():
        known = parameters_of(tool)["properties"]
        for selector in ("model", "videoModel"):
            names |= set(known.get(selector, {}).get("enum", ()))
    return frozenset(names)


def compose_lyrics(arguments: Arguments) -> dict[str, object]:
    """Return two verses and a chorus about the prompt."""
    topic = _topic(arguments["prompt"])
    verse = f"[Verse]\nI walk along with {topic} on my mind\nAnd leave the noise of yesterday behind"
    chorus = f"[Chorus]\nOh {topic}, shine on tonight\nOh {topic}, carry the light"
    bridge = "[Bridge]\nAnd when the music fades away\nThe morning brings another day"
    seconds = float(arguments.get("duration_seconds") or 60)
    parts = [verse, chorus, verse.replace("yesterday", "the city"), chorus]
    if seconds > 90:
        parts[3:3] = [bridge]
    return {
        "title": topic.title(),
        "lyrics": "\n\n".join(parts if seconds > 30 else parts[:2]),
        "language": str(arguments.get("language") or "en"),
        "music_prompt": str(arguments.get("music_prompt") or f"warm pop song about {topic}"),
        "duration_seconds": seconds,
    }


def compose_instrumental(arguments: Arguments) -> dict[str, object]:
    """Return a structure, a tempo and a key for instrumental music."""
    topic, seconds = _topic(arguments["prompt"]), float(arguments.get("duration_seconds") or 60)
    sections = ["Intro", "Theme", "Variation", "Build", "Theme", "Outro"]
    each = seconds / len(sections)
    return {
        "title": topic.title(),
        "music_prompt": str(arguments.get("music_prompt") or f"instrumental, {topic}, {_pick(_MOODS, topic)}"),
        "structure": [
            {"section": section, "start_seconds": round(at * each, 2)} for at, section in enumerate(sections)
        ],
        "lyrics": "\n\n".join(f"[{section}]" for section in sections),
        "bpm": 80 + number_of(topic) % 60,
        "keyscale": _pick(_KEYS, topic),
        "timesig": 4,
        "duration_seconds": seconds,
    }


def compose_script(arguments: Arguments) -> dict[str, object]:
    """Return scenes with their shots, as text, Markdown or data."""
    brief = str(arguments["brief"]).strip()
    scenes = _scenes(arguments, brief)
    form = arguments.get("return_format") or "script"
    heading = "## Scene {scene}" if form == "markdown" else "SCENE {scene}"
    script = "\n\n".join(
        f"{heading.format(**scene)} ({scene['duration_seconds']:g} s)\n{scene['description']}" for scene in scenes
    )
    first = arguments.get("first_frame_description")
    return {
        "title": _topic(brief).title(),
        "script_type": str(arguments.get("script_type") or "video_prompt"),
        "script": f"Opens on: {first}\n\n{script}" if first else script,
        "scenes": scenes,
        "duration_seconds": sum(scene["duration_seconds"] for scene in scenes),
    }


def compose_workflow(arguments: Arguments) -> dict[str, Any]:
    """Return a workflow plan: an image and a clip per scene, joined, with music if requested."""
    brief = str(arguments["brief"]).strip()
    steps = _steps(arguments, brief)
    budget = arguments.get("max_estimated_capacity_units")
    units = sum(_UNITS[step["toolName"]] for step in steps)
    return {
        "title": _topic(brief).title(),
        "steps": steps,
        "estimated_capacity_units": units,
        "fits_budget": budget is None or units <= budget,
        **({} if budget is None else {"max_estimated_capacity_units": budget}),
    }


def compose_workflow_template(arguments: Arguments) -> dict[str, object]:
    """Return a template whose stages use ``$inputs.<name>``, and a plan made from it."""
    existing = arguments.get("existing_template")
    base = dict(existing) if isinstance(existing, Mapping) else {}
    plan = compose_workflow({**arguments, "brief": str(arguments["brief"])})
    inputs = arguments.get("inputs") or base.get("inputs") or _inputs(arguments)
    text = next((entry["name"] for entry in inputs if entry.get("type") == "text"), None)
    stages = [_stage(step, text) for step in plan["steps"]]
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
    return {
        "template_draft": draft,
        "plan": {"title": plan["title"], "steps": plan["steps"]},
        "estimated_capacity_units": plan["estimated_capacity_units"],
        "fits_budget": plan["fits_budget"],
    }


TOOLS: Mapping[str, Callable[[Arguments], dict[str, Any]]] = {
    "enhance_prompt": enhance_prompt,
    "compose_script": compose_script,
    "compose_lyrics": compose_lyrics,
    "compose_instrumental": compose_instrumental,
    "compose_workflow": compose_workflow,
    "compose_workflow_template": compose_workflow_template,
}


def summary_of(name: str, result: Mapping[str, Any]) -> str | None:
    """Return the sentence that accompanies a result, if there is one."""
    if name == "compose_workflow":
        fits = "fits" if result["fits_budget"] else "exceeds"
        units = result["estimated_capacity_units"]
        return f"A plan of {len(result['steps'])} steps, about {units} units; it {fits} the budget."
    return None


def _pick(among: tuple[str, ...], text: str) -> str:
    return among[number_of(text) % len(among)]


def _topic(text: object) -> str:
    topic = re.sub(
        r"^(?:please\s+)?(?:create|make|write|compose|generate|an?|the|song|video|about|of|\s)+\b",
        "",
        str(text),
        flags=re.I,
    )
    return (topic.strip(" .!?") or str(text).strip())[:80]


def _count(arguments: Arguments, otherwise: int) -> int:
    return max(1, min(_MAX_SCENES, int(arguments.get("scene_count") or otherwise)))


def _scenes(arguments: Arguments, brief: str) -> list[dict[str, Any]]:
    count = _count(arguments, 3)
    seconds = float(arguments.get("duration_seconds") or count * _SCENE_SECONDS)
    style = f", {arguments['style']}" if arguments.get("style") else ""
    topic = f"{_topic(brief)}{style}"
    return [
        {
            "scene": at + 1,
            "description": f"{_SHOTS[at % len(_SHOTS)].capitalize()}: {topic}, {_MOODS[at % len(_MOODS)]}.",
            "duration_seconds": round(seconds / count, 2),
        }
        for at in range(count)
    ]


def _steps(arguments: Arguments, brief: str) -> list[dict[str, Any]]:
    count = _count(arguments, 1)
    total = float(arguments.get("duration_seconds") or count * _SCENE_SECONDS)
    models = arguments.get("destination_models") or {}
    steps: list[dict[str, Any]] = []
    for scene in _scenes({**arguments, "scene_count": count}, brief):
        number = scene["scene"]
        shape = {"aspectRatio": arguments["aspect_ratio"]} if arguments.get("aspect_ratio") else {}
        image = {"model": models["image"]} if isinstance(models.get("image"), str) else {}
        video = {"videoModel": models["video"]} if isinstance(models.get("video"), str) else {}
        still = {"prompt": scene["description"], **shape, **image}
        steps.append({"id": f"still-{number}", "toolName": "generate_image", "arguments": still})
        seconds = min(20.0, max(2.0, round(total / count, 2)))
        clip = {"prompt": f"{scene['description']} Gentle motion.", "duration": seconds, **shape, **video}
        depends = [_dependency(f"still-{number}", "referenceImageIndices", "image")]
        steps.append({"id": f"clip-{number}", "toolName": "generate_video", "arguments": clip, "dependsOn": depends})
    if arguments.get("include_audio"):
        music = {"prompt": f"instrumental, {_topic(brief)}", "duration": min(600.0, max(10.0, total))}
        steps.append({"id": "music", "toolName": "generate_music", "arguments": music})
    if count > 1:
        depends = [_dependency(f"clip-{at + 1}", "videoIndices", "video") for at in range(count)]
        if arguments.get("include_audio"):
            depends.append(_dependency("music", "audioIndex", "audio"))
        steps.append({"id": "film", "toolName": "stitch_video", "arguments": {}, "dependsOn": depends})
    return steps


def _dependency(step: str, argument: str, kind: str) -> dict[str, object]:
    return {
        "sourceStepId": step,
        "sourceArtifactIndex": 0,
        "targetArgument": argument,
        "mediaType": kind,
        "transform": f"{kind}_index",
        "required": True,
    }


def _inputs(arguments: Arguments) -> list[dict[str, Any]]:
    brief = str(arguments["brief"])
    return [{"name": "brief", "type": "text", "required": True, "description": "What it is about", "default": brief}]


def _stage(step: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    arguments = dict(step["arguments"])
    if text is not None and "prompt" in arguments:
        arguments["prompt"] = f"$inputs.{text}"
    return {**step, "arguments": arguments}
