"""Which model runs a tool here: decides what a selector means and what is taken when it is not there (tools §5).

Called by the executor and by `build_sogni_tools`. Selectors and preferences are tables, in `data/tool-models.json`.
A requested model that has no worker is no error: another of its kind does the work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from ..errors import ValidationError
from ..models.catalogue import AvailableModel
from .data import table
from .inline_media import InlineKind
from .model_families import family_of, workflow_of

_EXTERNAL = ("seedance-2", "happyhorse-", "wan3.0-")
"""Prefixes of models that others run: they take references by address, and no negative prompt (tools §4.7)."""
_SEVERAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("wan3.0-", ("t2v", "i2v", "flf2v", "r2v", "a2v", "ia2v")),
    ("seedance-2-5", ("t2v", "i2v", "flf2v", "r2v", "ia2v", "v2v")),
    ("seedance-2-0", ("t2v", "i2v", "ia2v", "v2v")),
)
"""Workflows of models whose id names none (tools §5.4)."""
_SIZES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    (r"wan_v2\.2.*_(s2v|animate-move|animate-replace)", (832, 480, 16)),
    (r"seedance-2-0-(fast|mini)", (1280, 720, 24)),
    (r"seedance|happyhorse", (1920, 1080, 24)),
    (r"ltx", (1920, 1088, 24)),
    (r"wan3\.0", (1920, 1080, 30)),
    (r"minimax-h3-ref2va-fp8_r2v_turbo", (960, 544, 24)),
    (r"minimax-h3", (1344, 768, 24)),
    (r"", (848, 480, 16)),
)
"""Width, height and frames per second where the call says nothing (tools §5.5); the first row that fits counts."""
_MEDIA = {"image": ("generate_image", "edit_image"), "audio": ("generate_music",)}
_WITH_IMAGES = " with images"


@frozen
class Wanted:
    """What a call asks of a model: its workflows (none: any), whether it must edit, the order of preference."""

    media: InlineKind
    workflows: Collection[str] = ()
    edits: bool = False
    preferred: Sequence[str] = ()
    requested: str | None = None

    def fits(self, model: AvailableModel) -> bool:
        """Whether a model can do it."""
        if (model.media or "image") != self.media or (self.edits and not can_edit(model.id)):
            return False
        return not self.workflows or not workflows_of(model.id).isdisjoint(self.workflows)


def wanted_for(tool: str, requested: Any, *, images: int = 0, mode: str | None = None) -> Wanted:
    """What a tool asks of a model, given the number of images and, for `video_to_video`, the mode.

    `requested` is the selector or id from the arguments.
    """
    model = selected(tool, requested, with_images=bool(images))
    if tool in _MEDIA["image"]:
        return Wanted("image", edits=tool == "edit_image", requested=model)
    if tool in _MEDIA["audio"]:
        return Wanted("audio", preferred=_preferred(tool), requested=model)
    workflows = _workflows_for(tool, model, images, mode)
    name = f"{tool} {mode if mode in _OWN_PREFERENCE else workflows[0]}"
    return Wanted("video", workflows, preferred=_preferred(name), requested=model)


_OWN_PREFERENCE = ("animate-move", "animate-replace", "seedance-v2v")


def _workflows_for(tool: str, model: str | None, images: int, mode: str | None) -> tuple[str, ...]:
    if tool == "video_to_video":
        return (mode,) if mode in ("animate-move", "animate-replace") else ("v2v",)
    if tool == "sound_to_video":
        return ("flfa2v",) if images > 1 else ("ia2v", "s2v") if images else ("a2v",)
    named = workflow_of(model) if model is not None else None
    if named in ("flf2v", "r2v") and images:
        return (named,)
    return ("i2v",) if images else ("t2v",)


def _preferred(name: str) -> Sequence[str]:
    ids: Sequence[str] = table("tool-models")["preferred"].get(name, ())
    return ids


def selected(tool: str, requested: Any, *, with_images: bool = False) -> str | None:
    """The model id a selector stands for; one that is in no table is an id itself; None without a request."""
    if not isinstance(requested, str) or not requested.strip():
        return None
    tables: Mapping[str, Mapping[str, str]] = table("tool-models")["selectors"]
    names = tables[tool + _WITH_IMAGES if with_images and tool + _WITH_IMAGES in tables else tool]
    usual = re.sub(r"[_\s]+", "-", requested.strip().lower())
    return names.get(requested) or names.get(usual) or requested


def pick_model(models: Sequence[AvailableModel], wanted: Wanted) -> str:
    """The model that does it (tools §5.2). ValidationError when none with a worker can."""
    able = [model for model in models if wanted.fits(model)]
    if not able:
        what = f"{wanted.media} model"
        if wanted.edits:
            what = "image model that edits"
        elif wanted.workflows:
            what = f"video model for {' or '.join(wanted.workflows)}"
        raise ValidationError(f"no {what} has a worker now", field="model", value=wanted.requested)
    ids = {model.id for model in able}
    for model_id in (wanted.requested, *wanted.preferred):
        if model_id in ids:
            return model_id
    return max(able, key=lambda model: model.worker_count or 0).id  # the first of equals


def can_edit(model_id: str) -> bool:
    """Whether an image model changes a picture by instruction (tools §5.3)."""
    return model_id in _EDITORS or model_id.startswith(("qwen_image_edit_", "flux2_")) or "kontext" in model_id


_EDITORS = frozenset(
    {
        "gpt-image-2", "gpt-image-2.5-sunburst", "gpt-image-2.5-flare", "krea2_identity_edit_v1_2",
        "dark_beast_krea2_identity_edit_v1_2",
    }
)  # fmt: skip


def workflows_of(model_id: str) -> frozenset[str]:
    """The workflows a video model supports (tools §5.4); none for any other id."""
    for prefix, workflows in _SEVERAL:
        if model_id.startswith(prefix):
            return frozenset(workflows)
    named = workflow_of(model_id) if family_of(model_id) else None
    return frozenset() if named is None else frozenset({named})


def is_external(model_id: str) -> bool:
    """Whether a video model is run by others."""
    return model_id.startswith(_EXTERNAL)


def usual_size(model_id: str) -> tuple[int, int, int]:
    """Width and height in pixels and frames per second of a video model when nothing is said."""
    return next(size for pattern, size in _SIZES if re.match(pattern, model_id))
