"""Whether the image part of a ``jobRequest`` is well formed, and the order it describes.

Called through the image kind by the check of requests (projects-4.2 §5, projects-5x §2.3).
"""

from __future__ import annotations

from typing import cast

from .accounts import Token
from .catalogue import Catalogue, Model, Options
from .estimates import performed_steps
from .fields import Fields
from .orders import Control, ImageOrder, Network
from .request_template import KEY_FRAME_TEMPLATE

CONTEXT_SLOTS = 16
MAX_IMAGES = 256
MAX_PREVIEWS = 64
MAX_LORAS = 8
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
    count = request.whole("numberOfImages", required=True, minimum=1, maximum=MAX_IMAGES)
    previews = request.whole("previews", required=True, minimum=0, maximum=MAX_PREVIEWS)
    output_format = request.text("outputFormat", required=True, allowed=("png", "jpg", "jpeg", "webp"))
    strength = frame.number("strength", required=True)
    steps = _limited(frame, "steps", "steps", model, catalogue, whole=True)
    _limited(frame, "guidanceScale", "guidance", model, catalogue)
    seed = frame.whole("seed", minimum=0, maximum=2**32 - 1)
    prompt = frame.text("positivePrompt") or ""
    negative = frame.text("negativePrompt", required=True) or ""
    style = frame.text("stylePrompt", required=True) or ""
    size, preset = _size(frame, model, catalogue)
    starting = _starting_image(frame, model, strength)
    context = _context_images(frame, model)
    control = _control_net(frame)
    _sampling(frame, model, catalogue)
    _extras(frame, model)
    if count is None or previews is None or output_format is None or strength is None:
        return None
    wanted = int(steps) if steps is not None else int(catalogue.default(model, "steps"))
    return ImageOrder(
        project_id=str(request.raw("jobID")).upper(),
        model=model,
        media="image",
        count=count,
        previews=0 if model.external else previews,
        token=cast(Token, request.raw("tokenType") or "sogni"),
        network=network,
        output_format="jpg" if output_format == "jpeg" else output_format,
        disable_safety=bool(request.raw("disableSafety")),
        app_source=request.raw("appSource"),
        steps=wanted,
        performed_steps=performed_steps(wanted, strength) if starting else wanted,
        seed=seed,
        request=dict(request.values),
        width=size[0],
        height=size[1],
        size_preset=preset,
        prompt=prompt,
        negative_prompt=negative,
        style_prompt=style,
        starting_image=starting,
        denoise=strength,
        context_images=context,
        control=control,
        mask=bool(frame.raw("hasReferenceMask")),
    )


def _limited(
    frame: Fields, key: str, name: str, model: Model, catalogue: Catalogue, *, whole: bool = False
) -> float | None:
    limits = catalogue.range(model, name)
    # An external provider takes no such setting and ignores it.
    if limits is None or model.external:
        return frame.number(key, minimum=0)
    return frame.number(key, minimum=limits[0], maximum=limits[1], whole=whole)


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


def _starting_image(frame: Fields, model: Model, strength: float | None) -> bool:
    starting = frame.flag("hasStartingImage")
    if starting is False:
        frame.note("hasStartingImage", "is true or absent, never false")
    if starting and strength is not None and not 0 <= strength <= 1:
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


def _sampling(frame: Fields, model: Model, catalogue: Catalogue) -> None:
    """Read sampler and scheduler. Comfy requests have keys of their own; in legacy ones ``scheduler`` carries the
    sampler and ``timeStepSpacing`` the scheduler (projects-4.2 §5.1)."""
    comfy = frame.has("comfySampler")
    keys = ("comfySampler", "comfyScheduler") if comfy else ("scheduler", "timeStepSpacing")
    _choice(frame, keys[0], catalogue.samplers(model))
    _choice(frame, keys[1], catalogue.schedulers(model))
    if comfy:
        for key in ("scheduler", "timeStepSpacing"):
            if not frame.has(key) or frame.raw(key) is not None:
                frame.refuse(key, "must be null beside comfySampler")
    frame.text("vae", null=True)


def _choice(frame: Fields, key: str, options: Options) -> None:
    value = frame.text(key, required=True, null=True)
    if value is not None and not options.accepts(value):
        frame.refuse(key, f"must be one of {', '.join(sorted(options.allowed))}, not {value!r}")


def _extras(frame: Fields, model: Model) -> None:
    loras = frame.texts("loras", limit=MAX_LORAS)
    strengths = frame.numbers("loraStrengths")
    if loras and len(strengths) > len(loras):
        frame.refuse("loraStrengths", f"has {len(strengths)} entries for {len(loras)} LoRAs")
    frame.text("gptImageQuality", allowed=("low", "medium", "high", "auto", "standard", "hd", "xhigh", "max"))
    frame.text("gptImageBackground", allowed=("opaque", "auto", "transparent"))
    frame.whole("gptImageOutputCompression", minimum=0, maximum=100)
    frame.text("gptImageMaskUrl")
    frame.flag("hasReferenceMask")
    frame.text("referenceMaskContentType")
    if frame.has("worldGenerationReceipt"):
        frame.object("worldGenerationReceipt", frame.raw("worldGenerationReceipt"))
    if frame.raw("hasReferenceMask") and not model.external:
        frame.refuse("hasReferenceMask", f"is not known to {model.id}")
