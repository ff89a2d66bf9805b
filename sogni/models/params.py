"""Parameters of projects: one declaration per parameter, and the data classes that some of them accept.

A field of `ImageProjectParams`, `VideoProjectParams` or `AudioProjectParams` declares its parameter: type,
documentation, range, models that take it, and its key in a request. Everything else is derived from it: the checks in
`sogni.core.projects.parameters`, and the files that `tools/parameters.py` writes, `project_fields.py` (keyword types)
and `docs/reference/parameters.md`. Nothing is opened or read here; `sogni.core.media` recognizes files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO, Literal, Protocol

from attrs import field, frozen

from sogni.models.base import BillingMode, wire
from sogni.settings import Attribution, Network, TokenType

_DEFAULT = "the model's default"


@frozen(kw_only=True)
class Parameter:
    """How a parameter of a project is documented, checked and sent.

    Attributes:
        text: What the parameter does.
        default: What applies when it is omitted, in words.
        unit: Unit of a number: "seconds", "pixels", …
        low: Smallest number allowed for any model.
        high: Largest number allowed for any model.
        options: Whether the options of the model (`projects.get_model_options`) limit it further.
        by_model: How the limits depend on the model, in words, where the options do not state them.
        models: Names of the models that take it; empty if all of its kind do. A name is a family ("ltx"), a family
            and a workflow ("minimax-h3 r2v"), or a model ID.
        needs: Parameters of which one must be given as well.
        neutral: Value without an effect, which any model accepts.
        key: Key of the key frame that carries the value, as it is.
        request_key: Key of the request, outside of the key frame, that carries the value, as it is.
        unsent: Value that is not sent.
    """

    text: str
    default: str | None = None
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    options: bool = False
    by_model: str | None = None
    models: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    neutral: Any = None
    key: str | None = None
    request_key: str | None = None
    unsent: Any = None

    @property
    def limits(self) -> str:
        """The range of the value and its unit, in words; empty if nothing limits it."""
        where = f"from {self.low:.12g} to {self.high:.12g}" if self.low is not None and self.high is not None else ""
        where = where or (f"{self.low:.12g} or more" if self.low is not None else "")
        where = where or ("within the options of the model" if self.options else "")
        unit = f"in {self.unit}" if self.unit else ""
        return "; ".join(part for part in (", ".join(part for part in (unit, where) if part), self.by_model) if part)

    @property
    def description(self) -> str:
        """Everything a caller needs to know about the parameter, in sentences."""
        parts = [
            self.text,
            self.limits and f"{self.limits[0].upper()}{self.limits[1:]}.",
            f"Needs {' or '.join(f'`{name}`' for name in self.needs)}." if self.needs else "",
            f"Only for {', '.join(self.models)}." if self.models else "",
            f"Default: {self.default}." if self.default else "",
        ]
        return " ".join(part for part in parts if part)


def param(text: str, *, name: str | None = None, **declared: Any) -> Mapping[str, Any]:
    """Return the metadata of a field that is a parameter. `name` is its name in snapshots, if not its camelCase."""
    return {"parameter": Parameter(text=text, **declared), **(wire(name) if name else {})}


class PillowImage(Protocol):
    """A Pillow image, or any object that can save itself to a file object in a named format."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Write the image to `fp`."""


class FinishedJob(Protocol):
    """A finished `Job` of either package, whose result is used as an input."""

    @property
    def result_url(self) -> str | None:
        """URL of the result."""


MediaInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PillowImage | FinishedJob | bool
"""A path, bytes, a binary file object, a PIL image, or a finished `Job`; `True` if it has been uploaded already."""


# Objects that parameters take


Sam3Label = Literal["positive", "negative"]


@frozen(kw_only=True)
class Sam3Point:
    """A point inside or outside of the object to segment.

    Attributes:
        x: Horizontal position, from 0 (left) to 1 (right).
        y: Vertical position, from 0 (top) to 1 (bottom).
        label: "positive" if the point belongs to the object, "negative" if it does not.
    """

    x: float
    y: float
    label: Sam3Label


@frozen(kw_only=True)
class Sam3Box:
    """A box around the object to segment, or around one to exclude.

    Attributes:
        x0: Left side, from 0 to 1.
        y0: Upper side, from 0 to 1.
        x1: Right side, from 0 to 1; larger than `x0`.
        y1: Lower side, from 0 to 1; larger than `y0`.
        label: "positive" or "negative".
    """

    x0: float
    y0: float
    x1: float
    y1: float
    label: Sam3Label = "positive"


@frozen(kw_only=True)
class Sam3Prompt:
    """What SAM 3 segments, given as points, boxes or a description; at least one is required.

    Attributes:
        points: At most 32 points.
        boxes: At most 16 boxes; together with points, at most one, which must be positive.
        text: Description of 1 to 240 characters; cannot be combined with points.
        threshold: Minimum confidence of a match, from 0 to 1; 0.5 if None.
        multimask: Whether several masks are considered; with points only, True if None.
        apply_mask: Whether to return the cut-out instead of the mask.
        max_instances: Number of matches, from 1 to 16.
    """

    points: Sequence[Sam3Point | Mapping[str, Any]] = ()
    boxes: Sequence[Sam3Box | Mapping[str, Any]] = ()
    text: str | None = None
    threshold: float | None = None
    multimask: bool | None = None
    apply_mask: bool = False
    max_instances: int | None = None


@frozen(kw_only=True)
class WorldGenerationReceipt:
    """The role of a project in the generation of a world. Every hash has 64 hexadecimal digits.

    Attributes:
        stage: "target_still" or "transition".
        source_image_sha256: Hash of the source image, for "target_still".
        selection_hash: Hash of the selection, for "target_still".
        first_frame_sha256: Hash of the first frame, for "transition".
        last_frame_sha256: Hash of the last frame, for "transition".
    """

    # Protocol notes: projects-5x §2.2.

    stage: Literal["target_still", "transition"]
    source_image_sha256: str | None = None
    selection_hash: str | None = None
    first_frame_sha256: str | None = None
    last_frame_sha256: str | None = None


ControlNetMode = Literal["balanced", "prompt_priority", "cn_priority"]
ControlNetName = Literal[
    "canny", "depth", "inpaint", "instrp2p", "lineart", "lineartanime", "mlsd", "normalbae", "openpose", "scribble",
    "segmentation", "shuffle", "softedge", "tile", "instantid",
]  # fmt: skip


@frozen(kw_only=True)
class ControlNetParams:
    """A control image that steers an image project.

    Attributes:
        name: Name of the ControlNet, for example "canny".
        image: The control image.
        strength: Influence of the image, from 0 to 1.
        mode: Whether the prompt or the control image takes priority.
        guidance_start: Share of the steps after which the influence begins, from 0 to 1.
        guidance_end: Share of the steps after which it ends, from 0 to 1; larger than `guidance_start`.
        preprocess: Whether the service first derives the control image (edges, poses) from `image`.
    """

    # Protocol notes: projects-4.2 §5.5, projects-5x §2.3.

    name: ControlNetName
    image: MediaInput | None = None
    strength: float | None = None
    mode: ControlNetMode | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    preprocess: bool | None = None


VideoControlNetName = Literal["canny", "pose", "depth", "detailer", "outpaint", "inpaint"]


@frozen(kw_only=True)
class VideoControlNetParams:
    """Which aspects of a reference video are kept.

    Attributes:
        name: Name of the control, for example "pose".
        strength: From 0 to 1; 0.85 if None.
    """

    name: VideoControlNetName
    strength: float | None = None


@frozen(kw_only=True)
class VideoKeyframe:
    """An image that a video shows at a frame between its first and its last.

    Attributes:
        image: The image.
        frame_index: Index of the frame, from 1 to two less than the number of frames.
    """

    image: MediaInput
    frame_index: int


# The parameters. Protocol notes: projects-4.2 §3, projects-5x §2 to §4.


ImageFormat = Literal["png", "jpg", "webp"]
VideoFormat = Literal["mp4", "mov"]
AudioFormat = Literal["mp3", "flac", "wav"]
TemplateVariant = Literal["i23d-birefnet"]
SeedanceTaskType = Literal["reference", "edit", "extend"]
ExtendOutput = Literal["extended", "continuation"]
VideoCompression = Literal["none", "vpack"]
DetailPreference = Literal["stable", "sharper"]
ProcessingSpeed = Literal["stable", "faster"]
OutpaintPosition = Literal["center", "top", "bottom", "left", "right"]
VideoRatio = Literal["adaptive", "16:9", "4:3", "1:1", "3:4", "9:16"]


@frozen(kw_only=True)
class CommonParams:
    """The parameters of every project. Only `model_id` is required; the service has defaults for the others."""

    model_id: str = field(
        metadata=param('ID of the model to use, for example "krea2_turbo_fp8_scaled"; see `projects.wait_for_models`.')
    )
    positive_prompt: str = field(default="", metadata=param("Description of the result.", key="positivePrompt"))
    negative_prompt: str | None = field(
        default=None,
        metadata=param("What the result should not contain.", by_model="rejected by models that do not support it"),
    )
    style_prompt: str | None = field(default=None, metadata=param("Description of the style."))
    number_of_media: int = field(default=1, metadata=param("Number of results.", low=1))
    steps: int | None = field(
        default=None, metadata=param("Number of inference steps.", default=_DEFAULT, options=True, key="steps")
    )
    guidance: float | None = field(
        default=None,
        metadata=param("How closely the prompt is followed.", default=_DEFAULT, options=True, key="guidanceScale"),
    )
    seed: int | None = field(
        default=None,
        metadata=param(
            "Seed of one of the results; the others get different seeds.",
            default="random",
            low=0,
            high=4_294_967_295,
            by_model="from -1 for FlashVSR, up to 2147483647 for Wan 3",
            key="seed",
        ),
    )
    network: Network | None = field(
        default=None,
        metadata=param(
            'Network whose workers render: "fast", or "relaxed" (cheaper, images only).', default="the client's network"
        ),
    )
    disable_nsfw_filter: bool = field(
        default=False,
        metadata=param("Deliver results that the content filter would withhold.", name="disableNSFWFilter"),
    )
    token_type: TokenType | None = field(
        default=None,
        metadata=param(
            "Token that pays. Models of external providers can only be paid for in Spark.",
            default="that of the client, else Spark for those models and Sogni for others",
            request_key="tokenType",
        ),
    )
    billing_mode: BillingMode | None = field(
        default=None,
        metadata=param(
            'Whether a subscription pays: "subscription" (or fail), "tokens" (never), "auto" (if it covers the job).',
            default='"auto"',
            request_key="billingMode",
        ),
    )
    app_source: str | None = field(
        default=None, metadata=param("Name of the application, for statistics.", default="the client's `app_source`")
    )
    loras: Sequence[str] | None = field(
        default=None,
        metadata=param(
            "IDs of up to 8 LoRAs (`projects.available_loras`), in the order in which they are applied.", key="loras"
        ),
    )
    lora_strengths: Sequence[float] | None = field(
        default=None,
        metadata=param(
            "Strengths of the LoRAs, in the same order.",
            default="1.0 each",
            low=-100,
            high=100,
            needs=("loras",),
            key="loraStrengths",
        ),
    )
    sampler: str | None = field(
        default=None, metadata=param('Sampler, for example "euler".', default=_DEFAULT, options=True)
    )
    scheduler: str | None = field(
        default=None, metadata=param('Scheduler, for example "simple".', default=_DEFAULT, options=True)
    )
    prompt_expanded: bool | None = field(
        default=None,
        metadata=param("Tells the service that the prompt has been expanded already.", request_key="promptExpanded"),
    )
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None = field(
        default=None, metadata=param("Role of the project in the generation of a world.")
    )
    attribution: Attribution | Mapping[str, Any] | None = field(
        default=None, metadata=param("Origin of this project, for statistics.", default="the client's `attribution`")
    )


@frozen(kw_only=True)
class ImageProjectParams(CommonParams):
    """Parameters of an image project; `docs/reference/parameters.md` describes each."""

    type: Literal["image"] = field(default="image", init=False)
    number_of_previews: int | None = field(
        default=None, metadata=param("Number of previews of each image while it is rendered.", default="0", low=0)
    )
    vae: str | None = field(default=None, metadata=param("Image decoder (VAE).", default=_DEFAULT, options=True))
    size_preset: str | None = field(
        default=None,
        metadata=param(
            'ID of a named size (`projects.get_size_presets`), or "custom" with `width` and `height`.',
            default="a square in a size that suits the model",
        ),
    )
    width: int | None = field(
        default=None,
        metadata=param("Width of the image.", unit="pixels", by_model="256 to 2048 for most", needs=("height",)),
    )
    height: int | None = field(
        default=None,
        metadata=param("Height of the image.", unit="pixels", by_model="256 to 2048 for most", needs=("width",)),
    )
    output_format: ImageFormat | None = field(default=None, metadata=param("File format.", default='"png"'))
    starting_image: MediaInput | None = field(default=None, metadata=param("Image to start from."))
    starting_image_strength: float | None = field(
        default=None,
        metadata=param(
            "How much of the starting image is kept.", default="0.5", low=0, high=1, needs=("starting_image",)
        ),
    )
    context_images: Sequence[MediaInput] | None = field(
        default=None,
        metadata=param(
            "Reference images, in order; False keeps a position empty.", by_model="up to 3 for most, 16 for GPT Image"
        ),
    )
    control_net: ControlNetParams | Mapping[str, Any] | None = field(
        default=None, metadata=param("Control image that steers the composition.")
    )
    gpt_image_quality: str | None = field(
        default=None,
        metadata=param(
            "Quality.",
            default='"medium"',
            by_model='"low", "medium", "high", "standard" or "hd"; GPT Image 2.5 also "xhigh" and "max"',
            models=("gpt-image",),
            key="gptImageQuality",
        ),
    )
    gpt_image_background: str | None = field(
        default=None,
        metadata=param(
            "Background.",
            by_model='"opaque" or "auto"; GPT Image 2.5 also "transparent"',
            models=("gpt-image",),
            key="gptImageBackground",
        ),
    )
    gpt_image_output_compression: int | None = field(
        default=None,
        metadata=param(
            'Compression of a "jpg" or "webp" file.',
            unit="percent",
            low=0,
            high=100,
            models=("gpt-image",),
            key="gptImageOutputCompression",
        ),
    )
    gpt_image_mask: MediaInput | None = field(
        default=None,
        metadata=param("Mask for the first context image.", models=("gpt-image",), needs=("context_images",)),
    )
    gpt_image_mask_url: str | None = field(
        default=None,
        metadata=param(
            "URL of the mask; a `data:` URL of a PNG file is uploaded.",
            models=("gpt-image",),
            needs=("context_images",),
            key="gptImageMaskUrl",
        ),
    )
    apply_mask: bool | None = field(
        default=None,
        metadata=param(
            "Deliver the cut-out instead of the mask.", default="False", models=("birefnet-background-removal",)
        ),
    )
    left_view_image: MediaInput | None = field(
        default=None,
        metadata=param("View of the object's own left side.", models=("pixal3d_multiview_int8_i23d",)),
    )
    back_view_image: MediaInput | None = field(
        default=None, metadata=param("View of the object's back.", models=("pixal3d_multiview_int8_i23d",))
    )
    right_view_image: MediaInput | None = field(
        default=None,
        metadata=param("View of the object's own right side.", models=("pixal3d_multiview_int8_i23d",)),
    )
    texture_size: int | None = field(
        default=None,
        metadata=param(
            "Side of the textures.",
            default="4096",
            unit="pixels",
            low=1024,
            high=4096,
            models=("pixal3d",),
            key="textureSize",
        ),
    )
    mesh_target_faces: int | None = field(
        default=None,
        metadata=param(
            "Number of faces of the mesh.",
            default="700000",
            low=5000,
            high=700_000,
            models=("pixal3d",),
            key="meshTargetFaces",
        ),
    )
    normal_map_size: int | None = field(
        default=None,
        metadata=param(
            "Side of the normal map.",
            default="2048",
            unit="pixels",
            low=512,
            high=2048,
            models=("pixal3d",),
            key="normalMapSize",
        ),
    )
    ambient_occlusion_size: int | None = field(
        default=None,
        metadata=param(
            "Side of the ambient occlusion map.",
            default="1024",
            unit="pixels",
            low=256,
            high=1024,
            models=("pixal3d",),
            key="ambientOcclusionSize",
        ),
    )
    shape_resolution: int | None = field(
        default=None,
        metadata=param(
            "Resolution of the shape; 1536 costs more.",
            default="1024",
            low=1024,
            high=1536,
            models=("pixal3d",),
            key="shapeResolution",
        ),
    )
    template_variant: TemplateVariant | None = field(
        default=None,
        metadata=param("Variant of the workflow.", models=("pixal3d_int8_i23d",), key="templateVariant"),
    )
    moss_rope_scale_x: float | None = field(
        default=None,
        metadata=param(
            "Horizontal scale of the position encoding.",
            default="1",
            low=0,
            high=100,
            models=("moss-image",),
            key="mossRopeScaleX",
            unsent=1,
        ),
    )
    moss_rope_scale_y: float | None = field(
        default=None,
        metadata=param(
            "Vertical scale of the position encoding.",
            default="1",
            low=0,
            high=100,
            models=("moss-image",),
            key="mossRopeScaleY",
            unsent=1,
        ),
    )
    sam3_prompt: Sam3Prompt | Mapping[str, Any] | None = field(
        default=None, metadata=param("What to segment; required.", models=("sam3-segmentation",))
    )
    embed_prompt_metadata: bool | None = field(
        default=None,
        metadata=param(
            "Whether the file contains prompt and settings.", default="True", request_key="embedPromptMetadata"
        ),
    )


@frozen(kw_only=True)
class VideoProjectParams(CommonParams):
    """Parameters of a video project; `docs/reference/parameters.md` describes each.

    Which media a model needs follows from its workflow: see `projects.get_video_asset_config`.
    """

    type: Literal["video"] = field(default="video", init=False)
    output_format: VideoFormat | None = field(
        default=None, metadata=param("File format.", default='"mp4"', by_model='"mov" for Seedance 2.5 only')
    )
    duration: float | None = field(
        default=None,
        metadata=param(
            "Length of the video, from which the number of frames follows.",
            unit="seconds",
            by_model="1 to 10 for WAN (20 to animate); snapped to 4 to 20 for LTX (from 2 for LTX 2.5); 4 to 15 for "
            "Seedance (30 for 2.5); 3 to 15 for HappyHorse; 2 to 30 for Wan 3; 5.17 to 15.08 for MiniMax H3",
        ),
    )
    frames: int | None = field(
        default=None, metadata=param("Number of frames; `duration` takes precedence.", options=True)
    )
    fps: float | None = field(
        default=None,
        metadata=param(
            "Frames per second. WAN renders 16 and interpolates for 32.", default=_DEFAULT, unit="frames per second",
            options=True,
        ),
    )  # fmt: skip
    width: int | None = field(
        default=None,
        metadata=param("Width of the video.", default=_DEFAULT, unit="pixels", options=True, needs=("height",)),
    )
    height: int | None = field(
        default=None,
        metadata=param("Height of the video.", default=_DEFAULT, unit="pixels", options=True, needs=("width",)),
    )
    shift: float | None = field(
        default=None,
        metadata=param("Shift of the noise schedule.", default=_DEFAULT, options=True, models=("wan2.2",), key="shift"),
    )
    teacache_threshold: float | None = field(
        default=None,
        metadata=param(
            "Threshold above which steps are cached; 0 turns caching off.",
            default="0",
            low=0,
            high=1,
            models=("wan2.2", "ltx"),
            key="teacacheThreshold",
        ),
    )
    reference_image: MediaInput | None = field(default=None, metadata=param("First frame, character or subject."))
    reference_image_end: MediaInput | None = field(default=None, metadata=param("Last frame."))
    reference_audio: MediaInput | None = field(
        default=None, metadata=param("Speech, music or other sound of the video.")
    )
    reference_audio_identity: MediaInput | None = field(
        default=None, metadata=param("Recording of about 5 seconds of the voice to imitate.")
    )
    audio_identity_strength: float | None = field(
        default=None,
        metadata=param(
            "How closely the voice is imitated.",
            default="3",
            low=0,
            high=10,
            needs=("reference_audio_identity",),
            key="identityGuidanceScale",
        ),
    )
    reference_video: MediaInput | None = field(
        default=None, metadata=param("Video to animate, edit, continue or upscale.")
    )
    reference_mask: MediaInput | None = field(
        default=None, metadata=param('Mask whose white part is rendered again, for `control_net` "inpaint".')
    )
    reference_image_urls: Sequence[str] | None = field(
        default=None,
        metadata=param(
            "Public https URLs of images.", models=("seedance", "happyhorse-1.1", "wan3"), key="referenceImageURLs"
        ),
    )
    reference_video_urls: Sequence[str] | None = field(
        default=None,
        metadata=param("Public https URLs of videos.", models=("seedance", "wan3"), key="referenceVideoURLs"),
    )
    reference_audio_urls: Sequence[str] | None = field(
        default=None,
        metadata=param("Public https URLs of audio files.", models=("seedance", "wan3"), key="referenceAudioURLs"),
    )
    reference_file_url: str | None = field(
        default=None,
        metadata=param("Public https URL of a document.", models=("wan3.0-video",), key="referenceFileURL"),
    )
    reference_link_url: str | None = field(
        default=None,
        metadata=param("Public https URL of a web page.", models=("wan3.0-video",), key="referenceLinkURL"),
    )
    context_images: Sequence[MediaInput] | None = field(
        default=None, metadata=param("Further reference images.", models=("minimax-h3 r2v",))
    )
    reference_videos: Sequence[MediaInput] | None = field(
        default=None, metadata=param("Further reference videos.", models=("minimax-h3 r2v",))
    )
    reference_audios: Sequence[MediaInput] | None = field(
        default=None, metadata=param("Further reference recordings.", models=("minimax-h3 r2v",))
    )
    reference_video_durations: Sequence[float] | None = field(
        default=None,
        metadata=param(
            "Length of each reference video: 2 to 15, and at most 15 in total.",
            unit="seconds",
            models=("minimax-h3 r2v",),
        ),
    )
    keyframes: Sequence[VideoKeyframe | Mapping[str, Any]] | None = field(
        default=None,
        metadata=param(
            "Up to 8 images that appear at given frames.",
            models=(
                "minimax-h3 i2v", "minimax-h3 flf2v", "minimax-h3 r2v", "minimax-h3 ia2v", "minimax-h3 flfa2v",
                "minimax-h3 a2v",
            ),
            neutral=[],
        ),
    )  # fmt: skip
    generate_audio: bool | None = field(
        default=None,
        metadata=param("Whether the video has sound.", default=_DEFAULT, key="generateAudio"),
    )
    audio_start: float | None = field(
        default=None,
        metadata=param(
            "Where the reference audio starts.",
            default="0",
            unit="seconds",
            low=0,
            needs=("reference_audio",),
            key="audioStart",
        ),
    )
    audio_duration: float | None = field(
        default=None,
        metadata=param(
            "How much of the reference audio is used.",
            default="30",
            unit="seconds",
            low=1,
            high=30,
            needs=("reference_audio",),
            key="audioDuration",
        ),
    )
    video_start: float | None = field(
        default=None,
        metadata=param(
            "Where the reference video starts.",
            default="0",
            unit="seconds",
            low=0,
            needs=("reference_video",),
            key="videoStart",
        ),
    )
    control_net: VideoControlNetParams | Mapping[str, Any] | None = field(
        default=None, metadata=param("Which aspects of the reference video are kept.", models=("ltx v2v",))
    )
    detailer_strength: float | None = field(
        default=None,
        metadata=param(
            "Strength of the detailer.", default="0.6", low=0, high=1, models=("ltx v2v",), key="detailerStrength"
        ),
    )
    outpaint_position: OutpaintPosition | None = field(
        default=None,
        metadata=param(
            'Position of the original, for `control_net` "outpaint".',
            default='"center"',
            models=("ltx v2v",),
            key="outpaintPosition",
        ),
    )
    trim_end_frame: bool | None = field(
        default=None,
        metadata=param("Drop the last frame.", default="False", neutral=False, key="trimEndFrame", unsent=False),
    )
    first_frame_strength: float | None = field(
        default=None,
        metadata=param(
            "How closely the first frame follows `reference_image`; 0 to use the last frame only.",
            default="0.6",
            low=0,
            high=1,
            models=("ltx i2v", "ltx ia2v", "ltx v2v"),
            needs=("reference_image", "reference_image_end"),
            key="firstFrameStrength",
        ),
    )
    last_frame_strength: float | None = field(
        default=None,
        metadata=param(
            "How closely the last frame follows `reference_image_end`.",
            default="0.6",
            low=0,
            high=1,
            models=("ltx i2v",),
            needs=("reference_image_end",),
            key="lastFrameStrength",
        ),
    )
    sam2_coordinates: Sequence[Mapping[str, float]] | None = field(
        default=None,
        metadata=param(
            'Points `{"x": …, "y": …}` on the object to replace.',
            default="the center of the frame",
            models=("wan2.2 animate-replace",),
        ),
    )
    seedance_task_type: SeedanceTaskType | None = field(
        default=None,
        metadata=param(
            "Purpose of the references; required with any.",
            models=("seedance-2-5", "seedance-2-5-uncensored"),
            key="seedanceTaskType",
        ),
    )
    return_last_frame: bool | None = field(
        default=None,
        metadata=param(
            "Also deliver the last frame as an image.",
            default="False",
            models=("seedance-2-5", "seedance-2-5-uncensored"),
            neutral=False,
            key="returnLastFrame",
        ),
    )
    ratio: VideoRatio | None = field(default=None, metadata=param("Aspect ratio.", models=("wan3",), key="ratio"))
    prompt_extend: bool | None = field(
        default=None,
        metadata=param(
            "Whether the provider rewrites the prompt.", default="True", models=("wan3",), key="promptExtend"
        ),
    )
    watermark: bool | None = field(
        default=None, metadata=param("Add a watermark.", models=("wan3.0-video",), key="watermark")
    )
    extend_output: ExtendOutput | None = field(
        default=None,
        metadata=param(
            "Whether the result contains the continued video.",
            default='"extended"',
            models=("minimax-h3 extend",),
            key="extendOutput",
        ),
    )
    reference_video_compression: VideoCompression | None = field(
        default=None,
        metadata=param(
            'Compression of the reference videos; "vpack" needs one.',
            default='"none"',
            models=("minimax-h3 r2v one-stage",),
            neutral="none",
            key="referenceVideoCompression",
            unsent="none",
        ),
    )
    upscale_resolution: int | None = field(
        default=None,
        metadata=param(
            "Height of the upscaled video: 1080 or 1440.", unit="pixels", models=("flashvsr",), key="upscaleResolution"
        ),
    )
    detail_preference: DetailPreference | None = field(
        default=None,
        metadata=param(
            "Detail of the upscaled video.", default='"stable"', models=("flashvsr",), key="detailPreference"
        ),
    )
    processing_speed: ProcessingSpeed | None = field(
        default=None,
        metadata=param("Upscaling speed.", default='"stable"', models=("flashvsr",), key="processingSpeed"),
    )


@frozen(kw_only=True)
class AudioProjectParams(CommonParams):
    """Parameters of a music or speech project; `docs/reference/parameters.md` describes each.

    `positive_prompt` is the style of the music, or the script of the speech.
    """

    type: Literal["audio"] = field(default="audio", init=False)
    output_format: AudioFormat | None = field(default=None, metadata=param("File format.", default='"mp3"'))
    duration: float | None = field(
        default=None,
        metadata=param("Length of the music.", default=_DEFAULT, unit="seconds", options=True, key="duration"),
    )
    bpm: float | None = field(
        default=None,
        metadata=param("Tempo.", default=_DEFAULT, unit="beats per minute", options=True, key="bpm"),
    )
    timesignature: str | None = field(
        default=None,
        metadata=param('Time signature: "4" is 4/4, "6" is 6/8.', default=_DEFAULT, options=True, key="timesignature"),
    )
    language: str | None = field(
        default=None,
        metadata=param(
            'Language code; "unknown" detects the language.', default=_DEFAULT, options=True, key="language"
        ),
    )
    lyrics: str | None = field(
        default=None, metadata=param("Lyrics; music without them is instrumental.", key="lyrics")
    )
    keyscale: str | None = field(
        default=None,
        metadata=param('Key, for example "A minor".', default=_DEFAULT, options=True, key="keyscale"),
    )
    composer_mode: bool | None = field(
        default=None,
        metadata=param("Whether the model plans the piece first.", default="True", key="composerMode"),
    )
    prompt_strength: float | None = field(
        default=None,
        metadata=param("How closely the prompt is followed.", default=_DEFAULT, options=True, key="promptStrength"),
    )
    creativity: float | None = field(
        default=None,
        metadata=param("How freely the model composes.", default=_DEFAULT, options=True, key="creativity"),
    )
    shift: float | None = field(
        default=None, metadata=param("Shift of the noise schedule.", default=_DEFAULT, options=True, key="shift")
    )
    speaker: str | None = field(
        default=None, metadata=param("Voice.", options=True, models=("qwen3-tts",), key="speaker")
    )
    instruct: str | None = field(
        default=None,
        metadata=param("How to speak, or the voice to design.", models=("qwen3-tts",), neutral="", key="instruct"),
    )
    reference_text: str | None = field(
        default=None,
        metadata=param(
            "Transcript of the reference recording.", models=("qwen3-tts",), neutral="", key="referenceText"
        ),
    )
    reference_audio: MediaInput | None = field(
        default=None,
        metadata=param("Recording of 3 to 30 seconds of the voice to clone.", models=("qwen3-tts",), neutral=False),
    )


ProjectParams = ImageProjectParams | VideoProjectParams | AudioProjectParams
"""The parameters of any project."""
