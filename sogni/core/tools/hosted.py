"""The Sogni tools: their definitions, and recognizing calls of them.

The definitions are in `data/tools.json`, loaded on first use; callers get copies.
"""

# Definitions: tools §1, tools-5x.json.

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sogni.core.checks import did_you_mean, json_or_text, reject_none_items
from sogni.core.data import table
from sogni.core.tools.requests import can_edit, workflows_of
from sogni.errors import ProtocolError
from sogni.models.catalogue import AvailableModel
from sogni.models.converter import read
from sogni.models.tools import ToolCall

DIRECT = (
    "generate_image", "edit_image", "generate_video", "sound_to_video", "video_to_video", "generate_music",
)  # fmt: skip
"""The tools that run locally, through projects; all others run in the service."""


@cache
def _manifest() -> Mapping[str, Mapping[str, Any]]:
    return {tool["name"]: tool for tool in table("tools")["tools"]}


@cache
def tool_names() -> tuple[str, ...]:
    """Return the names of the tools, in the order of the service."""
    return tuple(_manifest())


def parameters_of(name: str) -> Mapping[str, Any]:
    """Return the schema of a tool's arguments; do not modify it."""
    parameters: Mapping[str, Any] = _manifest()[name]["parameters"]
    return parameters


def definition_of(name: str) -> dict[str, Any]:
    """Return a copy of a tool's definition for a chat request."""
    return {"type": "function", "function": copy.deepcopy(dict(_manifest()[name]))}


Tool = dict[str, Any]
"""A tool in the OpenAI form: `{"type": "function", "function": {"name", "description", "parameters"}}`."""


class SogniToolSet:
    """The definitions of the Sogni tools, for the option `tools`: each under its name, and lists of them.

    `chat.tools.execute` runs the tools in `direct` locally. The others run in the service, in chat runs and hosted
    chats with ``sogni_tools=True, sogni_tool_execution=True``.

    Example:
        >>> sogni.SogniTools.generate_image["function"]["name"]
        'generate_image'
        >>> len(sogni.SogniTools.all)
        30
    """

    generate_image: Tool
    generate_video: Tool
    generate_music: Tool
    generate_speech: Tool
    edit_image: Tool
    apply_style: Tool
    restore_photo: Tool
    upscale_image: Tool
    upscale_video: Tool
    refine_result: Tool
    animate_photo: Tool
    change_angle: Tool
    video_to_video: Tool
    stitch_video: Tool
    orbit_video: Tool
    dance_montage: Tool
    sound_to_video: Tool
    extend_video: Tool
    replace_video_segment: Tool
    overlay_video: Tool
    add_subtitles: Tool
    enhance_prompt: Tool
    compose_lyrics: Tool
    compose_instrumental: Tool
    compose_script: Tool
    compose_workflow: Tool
    compose_workflow_template: Tool
    image_to_3d: Tool
    remove_background: Tool
    segment_image: Tool

    @property
    def all(self) -> list[Tool]:
        """The definitions of all tools, in the order of the service."""
        return [definition_of(name) for name in tool_names()]

    @property
    def direct(self) -> list[Tool]:
        """The definitions of the six tools that run locally, through projects."""
        return [definition_of(name) for name in DIRECT]

    def __getattr__(self, name: str) -> Tool:
        if name in SogniToolSet.__annotations__:
            return definition_of(name)
        known = (*SogniToolSet.__annotations__, "all", "direct")
        raise AttributeError(f"there is no Sogni tool {name!r}{did_you_mean(name, known)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *SogniToolSet.__annotations__})

    def __repr__(self) -> str:
        return "<SogniTools>"


SogniTools: SogniToolSet = SogniToolSet()
_VIDEO_WORKFLOWS = {
    "generate_video": {"t2v", "i2v"},
    "sound_to_video": {"s2v", "ia2v", "a2v"},
    "video_to_video": {"animate-move", "animate-replace", "v2v"},
}


def build_sogni_tools(models: Iterable[AvailableModel | Mapping[str, Any]] | None = None) -> list[Tool]:
    """Return the definitions of all tools, with available models as the choices of `model`.

    Args:
        models: Models of `projects.available_models`, or dicts with ``id`` and ``media``. Tools that run locally get
            those among them that they can use as the choices of `model`.

    Returns:
        Copies of the definitions.

    Example:
        >>> tools = sogni.build_sogni_tools([{"id": "krea2_turbo_fp8_scaled", "media": "image"}])
        >>> tools[0]["function"]["parameters"]["properties"]["model"]["enum"]
        ['krea2_turbo_fp8_scaled']
    """
    known = [(_field(model, "id"), _field(model, "media")) for model in reject_none_items("models", list(models or ()))]
    tools = SogniTools.all
    for tool in tools:
        function = tool["function"]
        ids = [model_id for model_id, media in known if _runs(function["name"], model_id, media)]
        if ids:
            properties = function["parameters"]["properties"]
            described = {"description": properties.get("model", {}).get("description", "Id of the model to use.")}
            properties["model"] = {"type": "string", **described, "enum": ids}
    return tools


def _field(model: AvailableModel | Mapping[str, Any], name: str) -> str:
    value = model.get(name) if isinstance(model, Mapping) else getattr(model, name)
    return str(value or "")


def _runs(tool: str, model_id: str, media: str) -> bool:
    if tool in _VIDEO_WORKFLOWS:
        return media == "video" and not workflows_of(model_id).isdisjoint(_VIDEO_WORKFLOWS[tool])
    if tool == "edit_image":
        return media == "image" and can_edit(model_id)
    if tool == "generate_music":
        # Its choices are checked, and the service also announces voices as audio models.
        return media == "audio" and model_id in parameters_of(tool)["properties"]["model"]["enum"]
    return (tool, media) == ("generate_image", "image")


def as_tool_call(call: ToolCall | Mapping[str, Any]) -> ToolCall:
    """Return a tool call from its class or a dict. Raises `ProtocolError` if it is malformed."""
    return call if isinstance(call, ToolCall) else read(ToolCall, call, "the tool call")


def is_sogni_tool_call(call: ToolCall | Mapping[str, Any]) -> bool:
    """Return whether a call is for one of the Sogni tools, including those that only run in the service.

    Args:
        call: A `ToolCall`, or a dict in the OpenAI form.

    Returns:
        True for a Sogni tool; False also if the call is malformed.

    Example:
        >>> sogni.is_sogni_tool_call({"id": "1", "function": {"name": "generate_image", "arguments": "{}"}})
        True
    """
    try:
        return as_tool_call(call).function.name in tool_names()
    except ProtocolError:
        return False


def parse_tool_call_arguments(call: ToolCall | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a tool call.

    Args:
        call: A `ToolCall`, or a dict in the OpenAI form.

    Returns:
        The arguments; an empty dict if they are not a JSON object.

    Example:
        >>> call = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'}}
        >>> sogni.parse_tool_call_arguments(call)
        {'prompt': 'a red kite'}
    """
    try:
        arguments = json_or_text(as_tool_call(call).function.arguments)
    except ProtocolError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
