"""What SAM 3 is asked to find: decides whether it may be asked so, and its form on the wire (projects-5x §4.8).

Called by `image_rules` and `image_request`. The sheet does not say in which object `sam3Prompt` travels; it goes where
the like option of BiRefNet does, into the key frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import attrs

from ..models.params import ImageProjectParams
from ..models.segmentation import Sam3Box, Sam3Label, Sam3Point, Sam3Prompt
from .field_checks import flag, integer, number, one_of, optional, refusal, text
from .nested_params import nested, nested_items

SAM3_MODEL = "sam3_image_segment_bf16"
MOST_POINTS, MOST_BOXES, LONGEST_TEXT, MOST_INSTANCES = 32, 16, 240, 16
USUAL_THRESHOLD = 0.5
LABELS = ("positive", "negative")


def check_sam3(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with a plain prompt. ValidationError for a wrong one, one too many, or a missing one."""
    prompt = nested(Sam3Prompt, "sam3_prompt", params.sam3_prompt)
    if params.model_id == SAM3_MODEL:
        if prompt is None:
            raise refusal("sam3_prompt", None, "a Sam3Prompt", f"sam3_prompt: {SAM3_MODEL} needs one")
        return attrs.evolve(params, sam3_prompt=_checked(prompt))
    if prompt is not None:
        sentence = f"sam3_prompt: {params.model_id} takes none (only {SAM3_MODEL})"
        raise refusal("sam3_prompt", prompt, "None", sentence)
    return params


def sam3_values(params: ImageProjectParams) -> dict[str, Any]:
    """The key of the key frame; nothing for other models."""
    prompt = nested(Sam3Prompt, "sam3_prompt", params.sam3_prompt)
    if prompt is None:
        return {}
    wire = {
        "points": [attrs.asdict(point) for point in _points(prompt)],
        "boxes": [attrs.asdict(box) for box in _boxes(prompt)],
        "text": prompt.text,
        "threshold": USUAL_THRESHOLD if prompt.threshold is None else prompt.threshold,
        "multimask": prompt.multimask is not False if prompt.points else None,
        "applyMask": prompt.apply_mask,
        "maxInstances": prompt.max_instances,
    }
    return {"sam3Prompt": {key: value for key, value in wire.items() if value is not None}}


def _checked(prompt: Sam3Prompt) -> Sam3Prompt:
    points = [_point(f"sam3_prompt.points[{place}]", it) for place, it in enumerate(_points(prompt))]
    boxes = [_box(f"sam3_prompt.boxes[{place}]", it) for place, it in enumerate(_boxes(prompt))]
    _check_amount("points", points, MOST_POINTS)
    _check_amount("boxes", boxes, MOST_BOXES)
    words = optional(text, "sam3_prompt.text", prompt.text)
    if words is not None and not 1 <= len(words := words.strip()) <= LONGEST_TEXT:
        raise refusal("sam3_prompt.text", prompt.text, f"a text of 1 to {LONGEST_TEXT} characters")
    _check_company(points, boxes, words)
    multimask = optional(flag, "sam3_prompt.multimask", prompt.multimask)
    if multimask and not points:
        sentence = "sam3_prompt.multimask: only points can have several masks"
        raise refusal("sam3_prompt.multimask", True, "None without points", sentence)
    return Sam3Prompt(
        points=points,
        boxes=boxes,
        text=words,
        threshold=optional(number, "sam3_prompt.threshold", prompt.threshold, low=0, high=1),
        multimask=multimask,
        apply_mask=flag("sam3_prompt.apply_mask", prompt.apply_mask),
        max_instances=optional(integer, "sam3_prompt.max_instances", prompt.max_instances, low=1, high=MOST_INSTANCES),
    )


def _points(prompt: Sam3Prompt) -> list[Sam3Point]:
    return nested_items(Sam3Point, "sam3_prompt.points", prompt.points, "point")


def _boxes(prompt: Sam3Prompt) -> list[Sam3Box]:
    return nested_items(Sam3Box, "sam3_prompt.boxes", prompt.boxes, "box")


def _point(field: str, given: Sam3Point) -> Sam3Point:
    x, y = (number(f"{field}.{name}", getattr(given, name), low=0, high=1) for name in ("x", "y"))
    return Sam3Point(x=x, y=y, label=_label(field, given.label))


def _box(field: str, given: Sam3Box) -> Sam3Box:
    sides = {name: number(f"{field}.{name}", getattr(given, name), low=0, high=1) for name in ("x0", "y0", "x1", "y1")}
    for low, high in (("x0", "x1"), ("y0", "y1")):
        if sides[low] >= sides[high]:
            allowed = f"less than {high}, {sides[high]}"
            raise refusal(f"{field}.{low}", sides[low], allowed)
    return Sam3Box(**sides, label=_label(field, given.label))


def _label(field: str, given: Any) -> Sam3Label:
    return cast(Sam3Label, one_of(f"{field}.label", given, LABELS))


def _check_amount(name: str, given: Sequence[Any], most: int) -> None:
    if len(given) > most:
        sentence = f"sam3_prompt.{name}: at most {most}, not {len(given)}"
        raise refusal(f"sam3_prompt.{name}", len(given), f"at most {most}", sentence)


def _check_company(points: list[Sam3Point], boxes: list[Sam3Box], words: str | None) -> None:
    """Which ways of saying what is looked for go together."""
    if not points and not boxes and words is None:
        allowed = "points, boxes or a text"
        raise refusal("sam3_prompt", None, allowed, f"sam3_prompt: {allowed} are needed")
    if points and words is not None:
        raise refusal("sam3_prompt.text", words, "None with points", "sam3_prompt: give points or a text, not both")
    if points and (len(boxes) > 1 or any(box.label == "negative" for box in boxes)):
        allowed = "at most one, a positive one, with points"
        raise refusal("sam3_prompt.boxes", len(boxes), allowed, f"sam3_prompt.boxes: {allowed}")
