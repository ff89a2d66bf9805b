"""Options only few image models have: decides who takes them, within which limits, and their keys on the wire.

Called by `image_rules`, `image_request` and `upload_plan` (projects-5x §4.8 to §4.10). One row per option; it reads
no file. What a family forces or counts is in `image_models`.
"""

from __future__ import annotations

from typing import Any

import attrs
from attrs import frozen

from ..models.params import ImageProjectParams
from .field_checks import flag, integer, number, one_of, refusal

_PIXAL_SINGLE, _PIXAL_VIEWS = "pixal3d_int8_i23d", "pixal3d_multiview_int8_i23d"
_PIXAL = frozenset({_PIXAL_SINGLE, _PIXAL_VIEWS})
_MOSS = frozenset({"moss_image_sft_int8_convrot", "moss_image_sft_dmd8_int8_convrot"})

ORBIT_VIEWS: dict[str, int] = {"left_view_image": 1, "back_view_image": 2, "right_view_image": 3}
"""The place among the context images that each further view of an object has (projects-5x §4.9)."""


@frozen(kw_only=True)
class ImageOption:
    """An option of the models `ids`, under `key` in the key frame.

    With `limits` it is a number, an `integral` one or not; with `words` one of these; else a flag. `usual` is
    what is sent without it, `unsent` a value that says nothing.
    """

    name: str
    key: str
    ids: frozenset[str]
    limits: tuple[int, int] | None = None
    integral: bool = True
    words: tuple[str, ...] = ()
    usual: Any = None
    unsent: Any = None

    def check(self, value: Any) -> Any:
        """Return the plain value; ValidationError otherwise."""
        if self.words:
            return one_of(self.name, value, self.words)
        if self.limits is None:
            return flag(self.name, value)
        check = integer if self.integral else number
        return check(self.name, value, low=self.limits[0], high=self.limits[1])


OPTIONS: tuple[ImageOption, ...] = (
    ImageOption(
        name="apply_mask", key="applyMask", ids=frozenset({"birefnet_image_background_removal_fp16"}), usual=False
    ),
    ImageOption(name="texture_size", key="textureSize", ids=_PIXAL, limits=(1024, 4096)),
    ImageOption(name="mesh_target_faces", key="meshTargetFaces", ids=_PIXAL, limits=(5000, 700_000)),
    ImageOption(name="normal_map_size", key="normalMapSize", ids=_PIXAL, limits=(512, 2048)),
    ImageOption(name="ambient_occlusion_size", key="ambientOcclusionSize", ids=_PIXAL, limits=(256, 1024)),
    ImageOption(name="shape_resolution", key="shapeResolution", ids=_PIXAL, limits=(1024, 1536)),
    ImageOption(
        name="template_variant", key="templateVariant", ids=frozenset({_PIXAL_SINGLE}), words=("i23d-birefnet",)
    ),
    ImageOption(name="moss_rope_scale_x", key="mossRopeScaleX", ids=_MOSS, limits=(0, 100), integral=False, unsent=1),
    ImageOption(name="moss_rope_scale_y", key="mossRopeScaleY", ids=_MOSS, limits=(0, 100), integral=False, unsent=1),
)


def check_image_options(params: ImageProjectParams) -> ImageProjectParams:
    """Return the params with plain options; ValidationError for one the model does not take, or out of its limits."""
    changes: dict[str, Any] = {}
    for option in OPTIONS:
        value = getattr(params, option.name)
        if value is not None:
            _check_taker(params, option.name, option.ids)
            changes[option.name] = option.check(value)
    for name in ORBIT_VIEWS:
        value = getattr(params, name)
        if value is not None:
            _check_taker(params, name, frozenset({_PIXAL_VIEWS}))
            if value is False:
                raise refusal(name, value, "an image", f"{name}: there is no image in it")
    return attrs.evolve(params, **changes)


def _check_taker(params: ImageProjectParams, name: str, ids: frozenset[str]) -> None:
    if params.model_id not in ids:
        sentence = f"{name}: {params.model_id} takes none (only {', '.join(sorted(ids))})"
        raise refusal(name, getattr(params, name), "None", sentence)


def image_option_values(params: ImageProjectParams) -> dict[str, Any]:
    """Return the keys of the options, and of the further views, that go into the key frame."""
    own = [option for option in OPTIONS if params.model_id in option.ids]
    values = {it.key: it.usual if getattr(params, it.name) is None else getattr(params, it.name) for it in own}
    unsent = {it.key: it.unsent for it in own}
    sent = {key: value for key, value in values.items() if value is not None and value != unsent[key]}
    views = {
        f"hasContextImage{place}": True for name, place in ORBIT_VIEWS.items() if getattr(params, name) is not None
    }
    return sent | views
