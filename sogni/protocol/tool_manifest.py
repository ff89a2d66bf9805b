"""The hosted tools: decides which there are, and what a model is told of them (tools §1).

Called by `SogniTools`, by validation and by the executor. The definitions are in `data/tools.json`, read when they
are first needed; whoever gets one gets a copy. It executes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from .data import table

DIRECT = (
    "generate_image", "edit_image", "generate_video", "sound_to_video", "video_to_video", "generate_music",
)  # fmt: skip
"""The tools that run here, through projects (tools §1.2); all others run in the service."""


@cache
def _manifest() -> Mapping[str, Mapping[str, Any]]:
    return {tool["name"]: tool for tool in table("tools")["tools"]}


@cache
def tool_names() -> tuple[str, ...]:
    """The names of the tools, in the order of the sheet."""
    return tuple(_manifest())


def parameters_of(name: str) -> Mapping[str, Any]:
    """The schema of a tool's arguments; not to be changed."""
    parameters: Mapping[str, Any] = _manifest()[name]["parameters"]
    return parameters


@cache
def accepted_by(name: str) -> Mapping[str, Any]:
    """The schema arguments are checked against: a newer service takes more than is offered (tools §2.2)."""
    parameters = parameters_of(name)
    known: Mapping[str, Any] = parameters["properties"]
    wider = {prop: _wider(known[prop], more) for prop, more in table("tools-later").get(name, {}).items()}
    return {**parameters, "properties": {**known, **wider}}


def _wider(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, **more, **({"enum": [*schema["enum"], *more["enum"]]} if "enum" in more else {})}


def definition_of(name: str) -> dict[str, Any]:
    """A tool as a chat request takes it; a copy of its own."""
    return {"type": "function", "function": copy.deepcopy(dict(_manifest()[name]))}
