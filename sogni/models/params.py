"""What an image project is asked for, and any project (projects-4.2 §3, §5; projects-5x §2, §4.10).

Plain data in the caller's words: nothing here checks or sends. `protocol.image_rules` does the
checking. Each class has a `TypedDict` of the same fields, so that keyword arguments are typed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required

from attrs import field, frozen

from .audio_params import AudioProjectParams
from .base import BillingMode as BillingMode
from .common_params import CommonFields, CommonParams
from .media_inputs import MediaInput
from .segmentation import Sam3Prompt
from .video_params import VideoProjectParams

ImageFormat = Literal["png", "jpg", "webp"]
TemplateVariant = Literal["i23d-birefnet"]
ControlNetMode = Literal["balanced", "prompt_priority", "cn_priority"]
ControlNetName = (
    Literal[
        "canny", "depth", "inpaint", "instrp2p", "lineart", "lineartanime", "mlsd", "normalbae", "openpose",
        "scribble", "segmentation", "shuffle", "softedge", "tile", "instantid",
    ]
    | str
)  # fmt: skip


@frozen(kw_only=True)
class ControlNetParams:
    """A control image that steers an image project (projects-4.2 §5.5).

    `strength`, `guidance_start` and `guidance_end` lie between 0 and 1; None leaves them to the service.
    `preprocess`: whether the service makes the control image (edges, poses) of `image` first (projects-5x §2.3).
    """

    name: ControlNetName
    image: MediaInput | None = None
    strength: float | None = None
    mode: ControlNetMode | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    preprocess: bool | None = None


@frozen(kw_only=True)
class ImageProjectParams(CommonParams):
    """An image project (projects-4.2 §3.1, §3.2).

    Beside the fields of every project (`CommonParams`):

    - `number_of_previews`: previews on the way, per image.
    - `size_preset` (see `projects.get_size_presets`) or `width` and `height` in pixels.
    - `starting_image` with `starting_image_strength`, 0 to 1: how much of it is kept, 0.5 when None.
    - `context_images`: reference images of models that take them, in order; False keeps a position empty.
    - `embed_prompt_metadata`: whether the file holds prompt and settings, as it does when None (projects-5x §2.1).
    - `gpt_image_…`: for GPT Image models only (projects-5x §4.10).
    - `sam3_prompt`: what SAM 3 is to find; only there, and needed there (projects-5x §4.8).
    - `apply_mask`: BiRefNet; the cut-out instead of the mask. `left_view_image`, `back_view_image`,
      `right_view_image`: further views for multi-view Pixal3D, its left being the subject's own. `texture_size`,
      `mesh_target_faces`, `normal_map_size`, `ambient_occlusion_size`, `shape_resolution`, `template_variant`: Pixal3D.
      `moss_rope_scale_x`, `moss_rope_scale_y`, 0 to 100: MOSS-Image (projects-5x §4.8 to §4.10).
    """

    type: Literal["image"] = field(default="image", init=False)
    number_of_previews: int | None = None
    vae: str | None = None
    size_preset: str | None = None
    width: float | None = None
    height: float | None = None
    output_format: ImageFormat | None = None
    starting_image: MediaInput | None = None
    starting_image_strength: float | None = None
    context_images: Sequence[MediaInput] | None = None
    control_net: ControlNetParams | Mapping[str, Any] | None = None
    gpt_image_quality: str | None = None
    gpt_image_background: str | None = None
    gpt_image_output_compression: int | None = None
    gpt_image_mask: MediaInput | None = None
    gpt_image_mask_url: str | None = None
    apply_mask: bool | None = None
    left_view_image: MediaInput | None = None
    back_view_image: MediaInput | None = None
    right_view_image: MediaInput | None = None
    texture_size: int | None = None
    mesh_target_faces: int | None = None
    normal_map_size: int | None = None
    ambient_occlusion_size: int | None = None
    shape_resolution: int | None = None
    template_variant: TemplateVariant | None = None
    moss_rope_scale_x: float | None = None
    moss_rope_scale_y: float | None = None
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None = None
    embed_prompt_metadata: bool | None = None


class ImageProjectFields(CommonFields, total=False):
    """The fields of `ImageProjectParams` as keyword arguments."""

    type: Required[Literal["image"]]
    number_of_previews: int | None
    vae: str | None
    size_preset: str | None
    width: float | None
    height: float | None
    output_format: ImageFormat | None
    starting_image: MediaInput | None
    starting_image_strength: float | None
    context_images: Sequence[MediaInput] | None
    control_net: ControlNetParams | Mapping[str, Any] | None
    gpt_image_quality: str | None
    gpt_image_background: str | None
    gpt_image_output_compression: int | None
    gpt_image_mask: MediaInput | None
    gpt_image_mask_url: str | None
    apply_mask: bool | None
    left_view_image: MediaInput | None
    back_view_image: MediaInput | None
    right_view_image: MediaInput | None
    texture_size: int | None
    mesh_target_faces: int | None
    normal_map_size: int | None
    ambient_occlusion_size: int | None
    shape_resolution: int | None
    template_variant: TemplateVariant | None
    moss_rope_scale_x: float | None
    moss_rope_scale_y: float | None
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None
    embed_prompt_metadata: bool | None


ProjectParams = ImageProjectParams | VideoProjectParams | AudioProjectParams
"""Any project's params."""
