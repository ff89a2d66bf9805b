"""Which media a video project may have: decides presence, form of addresses, and counts.

Called by `video_rules` (projects-4.2 §6.3, §6.4; projects-5x §3.2, §4). Whether a file is what it should be is
known when it is read; here `True` and a path count alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ValidationError
from ..models.video_params import VideoProjectParams
from .field_checks import refusal
from .model_families import asset_config, workflow_of
from .upload_plan import is_supplied
from .video_families import ASSETS, SPECIAL, Counted, References, VideoModel, families_taking

_ONE_OF_IMAGES = ("i2v",)
"""Workflows that start or end with an image, whichever is given."""

_SAM2_WORKFLOW = "animate-replace"

_ASKS_FOR_NOTHING: Mapping[str, Any] = {
    "return_last_frame": False,
    "keyframes": [],
    "reference_video_compression": "none",
}
"""Values that say no more than None, and that every model takes (projects-5x §3.2, §4.6)."""


def check_special_fields(params: VideoProjectParams, model: VideoModel) -> None:
    """Refuse fields that other models take: there they would do nothing, or something else."""
    for name in SPECIAL:
        value = getattr(params, name)
        if value is None or value == _ASKS_FOR_NOTHING.get(name):
            continue
        # An empty list of addresses counts as given, as it does for the service (projects-4.2 §6.3).
        if name not in model.takes:
            takers = ", ".join(families_taking(name))
            sentence = f"{name}: {params.model_id} takes none (only some models of {takers} do)"
            raise refusal(name, value, "None", sentence)


def check_assets(params: VideoProjectParams, model: VideoModel) -> None:
    """Refuse missing and forbidden media, naming the workflow, then counts that are too small or large."""
    if model.matrix:
        _check_matrix(params)
    if model.references is not None:
        if not model.matrix:
            _check_taken(params, model.references)
        _check_counts(params, model.references)


def _check_matrix(params: VideoProjectParams) -> None:
    """Projects-4.2 §6.3: i2v, coordinates, then the row of the workflow, column by column."""
    workflow = workflow_of(params.model_id)
    if workflow in _ONE_OF_IMAGES and not any(_given(params, name) for name in ASSETS[:2]):
        sentence = f"reference_image: {workflow} needs one, or a reference_image_end ({params.model_id})"
        raise refusal("reference_image", None, "an image", sentence)
    if params.sam2_coordinates is not None and workflow != _SAM2_WORKFLOW:
        sentence = f"sam2_coordinates: only {_SAM2_WORKFLOW} takes them, not {workflow} ({params.model_id})"
        raise refusal("sam2_coordinates", params.sam2_coordinates, "None", sentence)
    assets = asset_config(params.model_id).assets
    for name in ASSETS:
        rule = getattr(assets, name)
        if rule == "required" and not _given(params, name):
            raise refusal(name, None, "a file", f"{name}: {workflow} needs one ({params.model_id})")
        if rule == "forbidden":
            _refuse_given(params, name, str(workflow))


def _check_taken(params: VideoProjectParams, references: References) -> None:
    """Families outside the matrix take what they count, and no other media."""
    for name in ASSETS:
        if name not in references.fields:
            _refuse_given(params, name, workflow_of(params.model_id))


def _refuse_given(params: VideoProjectParams, name: str, workflow: str | None) -> None:
    value = getattr(params, name)
    if not is_supplied(value):
        return
    who = f"{workflow} ({params.model_id})" if workflow else params.model_id
    raise refusal(name, value, "None", f"{name}: {who} takes none")


def _check_counts(params: VideoProjectParams, references: References) -> None:
    """Projects-4.2 §6.4, step 3; projects-5x §4.3 to §4.6."""
    kinds = {"images": references.images, "videos": references.videos, "audios": references.audios}
    counts = {words: counted(params, kind) for words, kind in kinds.items()}
    for words, kind in kinds.items():
        if not kind.least <= counts[words] <= kind.most:
            raise _count_refusal(params, words, _allowed(kind), counts[words], _names(kind))
    everything = sum(counts.values())
    if references.total is not None and everything > references.total:
        names = [name for kind in kinds.values() for name in _names(kind)]
        raise _count_refusal(params, "references", f"at most {references.total}", everything, names)
    needs = references.visual == "always" or (references.visual == "beside_audio" and counts["audios"])
    if needs and not counts["images"] + counts["videos"]:
        names = [*_names(references.images), *_names(references.videos)]
        raise _count_refusal(params, "images and videos", "at least 1", 0, names)


def counted(params: VideoProjectParams, kind: Counted) -> int:
    """Return how many references of one kind there are, files and addresses together."""
    return sum(max(_number_of(getattr(params, name)) for name in group) for group in kind.fields)


def _number_of(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple) else int(is_supplied(value))


def _names(kind: Counted) -> list[str]:
    return [name for group in kind.fields for name in group]


def _allowed(kind: Counted) -> str:
    if kind.least == kind.most:
        return f"exactly {kind.most}"
    return f"at most {kind.most}" if not kind.least else f"from {kind.least} to {kind.most}"


def _count_refusal(
    params: VideoProjectParams, words: str, allowed: str, count: int, names: Iterable[str]
) -> ValidationError:
    """The field that is named is the first that was given, else the first there is."""
    known = list(names)
    field = next((name for name in known if _given(params, name)), known[0])
    together = f" ({', '.join(known)} together)" if len(known) > 1 else ""
    sentence = f"{field}: {params.model_id} takes {allowed} reference {words}{together}, not {count}"
    return refusal(field, count, allowed, sentence)


def _given(params: VideoProjectParams, name: str) -> bool:
    return _number_of(getattr(params, name)) > 0
