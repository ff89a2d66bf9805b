"""Fields of params that are objects with fields of their own: decides which objects, and reads them from mappings.

Called by `project_params` and by the rules of the kinds. It checks names only; values are the matter of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import attrs

from ..models.audio_params import AudioProjectParams
from ..models.common_params import WorldGenerationReceipt
from ..models.params import ControlNetParams, ImageProjectParams
from ..models.segmentation import Sam3Prompt
from ..models.video_params import VideoControlNetParams, VideoKeyframe, VideoProjectParams
from ..settings import Attribution
from .field_checks import items, refusal
from .suggestions import did_you_mean

T = TypeVar("T")

_OF_ALL: Mapping[str, type[Any]] = {
    "world_generation_receipt": WorldGenerationReceipt,
    "attribution": Attribution,
}
NESTED: Mapping[type[Any], Mapping[str, type[Any]]] = {
    ImageProjectParams: {**_OF_ALL, "control_net": ControlNetParams, "sam3_prompt": Sam3Prompt},
    VideoProjectParams: {**_OF_ALL, "control_net": VideoControlNetParams},
    AudioProjectParams: _OF_ALL,
}
"""The fields of each params class that are objects with fields of their own, and their classes."""


def refuse_unknown(fields: Mapping[str, Any], known: list[str], sentence: str) -> None:
    """TypeError for a name that is not known, naming the nearest."""
    for name in fields:
        if name not in known:
            raise TypeError(f"{sentence} {name!r}{did_you_mean(name, known, 1)}")


def nested(kind: type[T], field: str, given: Any, words: str | None = None) -> T | None:
    """Return an object of `kind`, from one or from a mapping with its fields; None stays None.

    TypeError for an unknown or missing field, ValidationError for anything else. `words` say what the object is.
    """
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise refusal(field, given, f"{kind.__name__} or a mapping with its fields")
    words = words or field.replace("_", " ")
    fields = attrs.fields(cast(Any, kind))
    refuse_unknown(given, [it.name for it in fields], f"a {words} has no field")
    for it in fields:
        if it.default is attrs.NOTHING and it.name not in given:
            raise TypeError(f"the field {it.name!r} of the {words} is missing")
    return kind(**given)


def nested_items(kind: type[T], field: str, given: Any, words: str) -> list[T]:
    """Return objects of `kind` from a list of them, or of mappings; none of None."""

    def item(name: str, value: Any) -> T:
        read = nested(kind, name, value, words)
        if read is None:
            raise refusal(name, value, f"{kind.__name__} or a mapping with its fields")
        return read

    return [] if given is None else items(field, given, item=item)


def control_net_params(given: Any) -> ControlNetParams | None:
    """Return the control net of an image project, from its class or a mapping with the same keys."""
    return nested(ControlNetParams, "control_net", given)


def video_control_net_params(given: Any) -> VideoControlNetParams | None:
    """Return the control net of a video project, from its class or a mapping with the same keys."""
    return nested(VideoControlNetParams, "control_net", given)


def video_keyframes(given: Any) -> list[VideoKeyframe]:
    """Return the keyframes of a video project, each from its class or a mapping with the same keys."""
    return nested_items(VideoKeyframe, "keyframes", given, "keyframe")
