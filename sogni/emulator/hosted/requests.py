"""The project requests the service makes for its own tools: the same payload a client would send.

Called by the tools; the studio has them checked like anybody's (projects-4.2 §4). Nothing is decided here but the
form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from ..catalogue import Model
from ..request_template import KEY_FRAME_TEMPLATE, REQUEST_TEMPLATE

_CONTEXT_SLOTS = 16


@frozen(kw_only=True)
class Wanted:
    """What is to be made. ``files`` maps upload roles to media; ``details`` are further keys of the key frame."""

    model: Model
    prompt: str
    negative_prompt: str = ""
    seed: int
    count: int = 1
    output_format: str
    files: Mapping[str, Any] = field(factory=dict)
    details: Mapping[str, Any] = field(factory=dict)


def request(
    wanted: Wanted, project_id: str, token: str, app_source: str | None, *, safe: bool = True
) -> dict[str, Any]:
    """Return the payload of a ``jobRequest``."""
    frame = {
        **KEY_FRAME_TEMPLATE,
        "strength": 0.5,
        "scheduler": None,
        "timeStepSpacing": None,
        "modelID": wanted.model.id,
        "positivePrompt": wanted.prompt,
        "stylePrompt": "",
        "seed": wanted.seed,
        **_prompts(wanted),
        **_flags(wanted.files),
        **wanted.details,
    }
    if wanted.model.media == "image":
        frame |= {
            f"hasContextImage{slot}": f"contextImage{slot}" in wanted.files for slot in range(1, _CONTEXT_SLOTS + 1)
        }
    else:
        frame |= {"comfySampler": None, "comfyScheduler": None}
    values = {
        **REQUEST_TEMPLATE,
        "keyFrames": [frame],
        "previews": 0,
        "numberOfImages": wanted.count,
        "jobID": project_id,
        "disableSafety": not safe,
        "tokenType": "spark" if wanted.model.spark_only else token,
        "outputFormat": wanted.output_format,
    }
    return values if app_source is None else {**values, "appSource": app_source}


def _prompts(wanted: Wanted) -> dict[str, str]:
    refused = wanted.model.media == "audio" or wanted.model.id.startswith("seedance")
    return {} if refused else {"negativePrompt": wanted.negative_prompt}


def _flags(roles: Iterable[str]) -> dict[str, bool]:
    """Say which files there are; context images have numbered flags of their own."""
    return {f"has{role[0].upper()}{role[1:]}": True for role in roles if not role.startswith("contextImage")}
