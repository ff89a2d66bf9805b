"""Whether the image part of a ``jobRequest`` is well formed, and the order it describes.

Called through the image kind by the check of requests (projects-4.2 §5, projects-5x §2.3).
"""

from __future__ import annotations

from .catalogue import Catalogue, Model
from .estimates import performed_steps
from .fields import Fields
from .frame_checks import amounts, common_values, loras, receipt, sampling
from .orders import Control, ImageOrder, Network
from .request_template import KEY_FRAME_TEMPLATE
from .segmentation import check_segmentation

CONTEXT_SLOTS = 16
MAX_IMAGES = 256
MAX_PREVIEWS = 64
FORMATS = ("png", "jpg", "jpeg", "webp")
_PROMPTS = ("positivePrompt", "negativePrompt", "stylePrompt")
_CONTROL_NAMES = (
    "canny",
    "depth",
    "inpaint",
    "instrp2p",
    "lineart",
    "lineartanime",
    "mlsd",
    "normalbae",
    "openpose",
    "scribble",
    "segmentation",
    "shuffle",
    "softedge",
    "tile",
    "instantid",
)


def check_image(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> ImageOrder | None:
    """Read an image request; None when what is missing leaves nothing to build."""
    frame.constants(KEY_FRAME_TEMPLATE)
    read = amounts(request, frame, model, catalogue, formats=FORMATS, max_count=MAX_IMAGES, max_previews=MAX_PREVIEWS)
    strength = frame.number("strength", required=True)
    texts = [frame.text(key, required=key != "positivePrompt") or "" for key in _PROMPTS]
    (width, height), preset = _size(frame, model, catalogue)
    starting = _starting_image(frame, model)
    context = _context_images(frame, model)
    control = _control_net(frame)
    sampling(frame, model, catalogue)
    frame.text("vae", null=True)
    loras(frame)
    receipt(frame)
    _gpt_image(frame, model)
    segmentation = check_segmentation(frame, model)
    if read is None or strength is None:
        return None
    common = common_values(request, model, "image", network, read)
    return ImageOrder(
        **{**common, "previews": 0 if model.external else read.previews},
        output_format="jpg" if read.output_format == "jpeg" else read.output_format,
        performed_steps=performed_steps(read.steps, strength) if starting else read.steps,
        width=width,
        height=height,
        size_preset=preset,
        prompt=texts[0],
        negative_prompt=texts[1],
        style_prompt=texts[2],
        starting_image=starting,
        denoise=strength,
        context_images=context,
        control=control,
        mask=bool(frame.raw("hasReferenceMask")),
        segmentation=segmentation,
    )


def _size(frame: Fields, model: Model, catalogue: Catalogue) -> tuple[tuple[int, int], str | None]:
    """Read the size: a preset, a custom one, or the model's own square (projects-4.2 §5.4)."""
    square = (model.default_size, model.default_size)
    preset = frame.text("sizePreset")
    low, high = model.size_range
    if preset != "custom":
        for key in ("width", "height"):
            if frame.has(key):
                frame.refuse(key, "goes with the size preset 'custom' only")
        named = catalogue.preset_size(model, preset) if preset is not None else square
        if named is None:
            frame.refuse("sizePreset", f"names no preset of {model.id}: {preset!r}")
        return named or square, preset
    sides = [frame.number(key, minimum=low, maximum=high) for key in ("width", "height")]
    if sides[0] is None or sides[1] is None:
        return square, preset
    # Fractions are legal on the wire; a worker renders whole pixels.
    return (int(sides[0]), int(sides[1])), preset


def _starting_image(frame: Fields, model: Model) -> bool:
    starting, strength = frame.flag("hasStartingImage"), frame.raw("strength")
    if starting is False:
        frame.note("hasStartingImage", "is true or absent, never false")
    if starting and isinstance(strength, int | float) and not 0 <= strength <= 1:
        frame.refuse("strength", f"must be from 0 to 1, not {strength:g}")
    if model.needs_starting_image and not starting:
        frame.refuse("hasStartingImage", f"must be true for {model.id}")
    return bool(starting)


def _context_images(frame: Fields, model: Model) -> tuple[int, ...]:
    flags = [frame.flag(f"hasContextImage{slot}", required=True) for slot in range(1, CONTEXT_SLOTS + 1)]
    given = tuple(slot for slot, flag in enumerate(flags, 1) if flag)
    if len(given) > model.context_images:
        frame.refuse("hasContextImage", f"is set {len(given)} times; {model.id} takes {model.context_images}")
    return given


def _control_net(frame: Fields) -> Control | None:
    entries = frame.raw("currentControlNetsJob")
    if entries is None:
        return None
    if not isinstance(entries, list) or len(entries) != 1:
        frame.refuse("currentControlNetsJob", "must be a list of exactly one object")
        return None
    net = frame.object("currentControlNetsJob", entries[0], "[0]")
    if net is None:
        return None
    name = net.text("name", required=True, allowed=_CONTROL_NAMES)
    net.text("cnImageState", required=True, allowed=("original",))
    has_image = net.flag("hasImage", required=True)
    strength = net.number("controlStrength", minimum=0, maximum=1)
    net.whole("controlMode", minimum=0, maximum=2)
    net.number("controlGuidanceStart", minimum=0, maximum=1)
    net.number("controlGuidanceEnd", minimum=0, maximum=1)
    net.flag("preprocess")
    net.leftover()
    return None if name is None else Control(name, 0.5 if strength is None else strength, bool(has_image))


def _gpt_image(frame: Fields, model: Model) -> None:
    frame.text("gptImageQuality", allowed=("low", "medium", "high", "auto", "standard", "hd", "xhigh", "max"))
    frame.text("gptImageBackground", allowed=("opaque", "auto", "transparent"))
    frame.whole("gptImageOutputCompression", minimum=0, maximum=100)
    frame.text("gptImageMaskUrl")
    frame.flag("hasReferenceMask")
    frame.text("referenceMaskContentType")
    if frame.raw("hasReferenceMask") and not model.external:
        frame.refuse("hasReferenceMask", f"is not known to {model.id}")
