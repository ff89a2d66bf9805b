"""Rules for image models: sizes, numbers of images, and forced values.

One row per family; the first row that matches an id counts, so ids precede parts of ids.
"""

from __future__ import annotations

from functools import cache, lru_cache

import attrs
from attrs import frozen

from sogni.core.data import table

MAX_CONTEXT_FLAGS = 16
"""Number of context image flags of every image request."""  # projects-4.2 §5.3


@frozen(kw_only=True)
class ImageModel:
    """Limits of an image family.

    `sides` are the smallest and largest custom width and height, `pixels` those of the area. `forced_…` are
    the only values that the service accepts; `full_context` means that no context position may be empty,
    `segments` that the result is a mask or a cut-out, `cuts_out` that `apply_mask` selects which.
    """

    ids: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ()
    sides: tuple[int, int] = (256, 2048)
    pixels: tuple[int, int] | None = None
    aspect: int | None = None
    context_images: int = 3
    full_context: bool = False
    takes_starting_image: bool = True
    needs_starting_image: bool = False
    negative_prompt: bool = True
    segments: bool = False
    cuts_out: bool = False
    forced_media: int | None = None
    forced_previews: int | None = None
    forced_format: str | None = None
    qualities: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()

    @property
    def is_gpt_image(self) -> bool:
        """Whether the model takes masks, and a quality and background."""  # projects-5x §4.10
        return bool(self.qualities)


_GPT_QUALITIES = ("low", "medium", "high", "standard", "hd")
_GPT_BACKGROUNDS = ("opaque", "auto")

_SEGMENTATION = ImageModel(
    needs_starting_image=True, segments=True, forced_media=1, forced_previews=0, forced_format="png"
)

ROWS: tuple[ImageModel, ...] = (
    ImageModel(
        ids=frozenset({"gpt-image-2"}),
        sides=(256, 3840),
        context_images=16,
        full_context=True,
        qualities=_GPT_QUALITIES,
        backgrounds=_GPT_BACKGROUNDS,
    ),
    ImageModel(
        ids=frozenset({"gpt-image-2.5-sunburst", "gpt-image-2.5-flare"}),
        sides=(256, 3840),
        context_images=16,
        full_context=True,
        qualities=(*_GPT_QUALITIES, "xhigh", "max"),
        backgrounds=(*_GPT_BACKGROUNDS, "transparent"),
    ),
    ImageModel(
        ids=frozenset(
            {
                "qwen_image_2512_fp8",
                "qwen_image_2512_fp8_lightning",
                "qwen_image_edit_2511_fp8",
                "qwen_image_edit_2511_fp8_lightning",
                "z_image_bf16",
                "z_image_turbo_bf16",
                "krea2_turbo_fp8_scaled",
            }
        ),
        sides=(256, 2560),
    ),
    ImageModel(
        ids=frozenset({"krea2_identity_edit_v1_2", "dark_beast_krea2_identity_edit_v1_2"}),
        sides=(512, 2048),
        context_images=2,
    ),
    ImageModel(ids=frozenset({"rtx_vsr_pro"}), sides=(512, 15360)),
    ImageModel(ids=frozenset({"flux3_image_klein_sd_int8_convrot"}), sides=(256, 4096), context_images=10),
    ImageModel(
        ids=frozenset({"moss_image_sft_int8_convrot", "moss_image_sft_dmd8_int8_convrot"}),
        sides=(512, 2048),
        context_images=0,
        takes_starting_image=False,
    ),
    ImageModel(
        ids=frozenset({"seedream-5-0-pro-uncensored"}),
        sides=(240, 8192),
        pixels=(921_600, 4_194_304),
        aspect=16,
        context_images=10,
        full_context=True,
        negative_prompt=False,
    ),
    attrs.evolve(_SEGMENTATION, ids=frozenset({"sam3_image_segment_bf16"})),
    attrs.evolve(_SEGMENTATION, ids=frozenset({"birefnet_image_background_removal_fp16"}), cuts_out=True),
    ImageModel(
        ids=frozenset({"pixal3d_int8_i23d", "pixal3d_multiview_int8_i23d"}),
        needs_starting_image=True,
        context_images=0,
        forced_previews=0,
        forced_format="glb",
    ),
    ImageModel(parts=("kontext", "identity_edit"), context_images=2),
)

_OTHER = ImageModel()


@lru_cache(maxsize=256)
def image_model(model_id: str) -> ImageModel:
    """Return the row of a model id; the common one for an id that has none."""
    return next((row for row in ROWS if model_id in row.ids or any(part in model_id for part in row.parts)), _OTHER)


def uses_comfy_fields(model_id: str) -> bool:
    """Whether sampler and scheduler are sent as `comfySampler` and `comfyScheduler`.

    Combines the prefixes of both published clients of 5.x, because each of them lacks some families.
    """
    return model_id.startswith(_comfy_prefixes())


@cache
def _comfy_prefixes() -> tuple[str, ...]:
    prefixes = table("model-families")["comfyPrefixes"]
    return tuple(dict.fromkeys([*prefixes["ts554"], *prefixes["py570ImageBranch"]]))


ORBIT_VIEWS: dict[str, int] = {"left_view_image": 1, "back_view_image": 2, "right_view_image": 3}
"""Number of the context image that each further view of an object is sent as."""  # projects-5x §4.9
