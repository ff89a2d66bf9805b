"""Whether the image part of a ``jobRequest`` is well formed, and the order it describes.

Called through the image kind by the check of requests (projects-4.2 §5, projects-5x §2.3).
"""

from __future__ import annotations

from typing import cast

from attrs import frozen

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


@frozen
class _Amounts:
    """The plain values of a request. ``strength`` is how much of a starting image is drawn over."""

    count: int
    previews: int
    output_format: str
    strength: float
    steps: int
    seed: int | None


def check_image(
    request: Fields, frame: Fields, model: Model, network: Network, catalogue: Catalogue
) -> ImageOrder | None:
    """Read an image request; None when what is missing leaves nothing to build."""
    frame.constants(KEY_FRAME_TEMPLATE)
    amounts = _amounts(request, frame, model, catalogue)
    texts = [frame.text(key, required=key != "positivePrompt") or "" for key in _PROMPTS]
    (width, height), preset = _size(frame, model, catalogue)
    starting = _starting_image(frame, model)
    context = _context_images(frame, model)
    control = _control_net(frame)
    _sampling(frame, model, catalogue)
    _extras(frame, model)
    if amounts is None:
        return None
    return ImageOrder(
        project_id=str(request.raw("jobID")).upper(),
        model=model,
        media="image",
        count=amounts.count,
        previews=0 if model.external else amounts.previews,
        token=cast(Token, request.raw("tokenType") or "sogni"),
        network=network,
        output_format="jpg" if amounts.output_format == "jpeg" else amounts.output_format,
        disable_safety=bool(request.raw("disableSafety")),
        app_source=request.raw("appSource"),
        steps=amounts.steps,
        performed_steps=performed_steps(amounts.steps, amounts.strength) if starting else amounts.steps,
        seed=amounts.seed,
        request=dict(request.values),
        width=width,
        height=height,
        size_preset=preset,
        prompt=texts[0],
        negative_prompt=texts[1],
        style_prompt=texts[2],
        starting_image=starting,
        denoise=amounts.strength,
        context_images=context,
        control=control,
        mask=bool(frame.raw("hasReferenceMask")),
    )


def _amounts(request: Fields, frame: Fields, model: Model, catalogue: Catalogue) -> _Amounts | None:
    count = request.whole("numberOfImages", required=True, minimum=1, maximum=MAX_IMAGES)
    previews = request.whole("previews", required=True, minimum=0, maximum=MAX_PREVIEWS)
    output_format = request.text("outputFormat", required=True, allowed=("png", "jpg", "jpeg", "webp"))
    strength = frame.number("strength", required=True)
    steps = _limited(frame, "steps", "steps", model, catalogue, whole=True)
    _limited(frame, "guidanceScale", "guidance", model, catalogue)
    seed = frame.number("seed", null=True, minimum=0, maximum=2**32 - 1, whole=True)
    if count is None or previews is None or output_format is None or strength is None:
        return None
    wanted = catalogue.default(model, "steps") if steps is None else steps
    return _Amounts(count, previews, output_format, strength, int(wanted), None if seed is None else int(seed))


def _limited(
    frame: Fields, key: str, name: str, model: Model, catalogue: Catalogue, *, whole: bool = False
) -> float | None:
    limits = catalogue.range(model, name)
    # An external provider takes no such setting and ignores it.
    if limits is None or model.external:
        return frame.number(key, null=True, minimum=0)
    return frame.number(key, null=True, minimum=limits[0], maximum=limits[1], whole=whole)


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


def _sampling(frame: Fields, model: Model, catalogue: Catalogue) -> None:
    """Read sampler and scheduler. Comfy requests have keys of their own; in legacy ones ``scheduler``
    carries the sampler and ``timeStepSpacing`` the scheduler (projects-4.2 §5.1)."""
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
