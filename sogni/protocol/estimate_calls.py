"""What an image project would cost: decides the address that asks, and reads the answer.

Called by the estimate flows and by `max_cost` (projects-4.2 §16, projects-5x §16). It fetches nothing: model
options and size presets are arguments, None where they are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..errors import ProtocolError, ValidationError
from ..models.catalogue import ModelOptions, SizePreset
from ..models.converter import read
from ..models.estimates import CostEstimation
from ..models.params import ImageProjectParams
from ..settings import NETWORKS
from .common_rules import BILLING_MODES, TOKEN_TYPES
from .enhancement import ENHANCEMENT_MODEL, ENHANCEMENT_STEPS, enhancement_strength
from .field_checks import flag, integer, number, one_of, optional, shown, text
from .http import HttpCall, get, number_text
from .image_request import DEFAULT_STRENGTH, denoise
from .image_rules import check_image_params, has_custom_size
from .sampling import check_choice
from .suggestions import did_you_mean
from .upload_plan import is_supplied

_NO_SAMPLER = "_"
_PATH_SAFE = "!$&'()*+,;=:@"
"""The service takes segments as they are; only what would end one is escaped."""


def image_estimate_call(
    model: str,
    *,
    token_type: str | None = None,
    network: str | None = None,
    image_count: int | None = None,
    step_count: int | None = None,
    preview_count: int | None = None,
    cn_enabled: bool | None = None,
    starting_image_strength: float | None = None,
    width: float | None = None,
    height: float | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    context_images: int | None = None,
    gpt_image_quality: str | None = None,
    output_format: str | None = None,
    billing_mode: str | None = None,
    preset: SizePreset | None = None,
    options: ModelOptions | None = None,
) -> HttpCall:
    """The call that asks what images cost (projects-4.2 §16.1).

    Defaults: `token_type` spark, `network` fast, one image, the model's usual steps. `preset` outranks width
    and height. `options` are those of the model: they check the sampler and say the usual steps.
    ValidationError names the field that is wrong.
    """
    segments = [
        optional(one_of, "token_type", token_type, allowed=TOKEN_TYPES) or "spark",
        optional(one_of, "network", network, allowed=NETWORKS) or "fast",
        text("model", model, empty=False),
        1 if image_count is None else integer("image_count", image_count, low=1),
        _steps(step_count, options),
        optional(integer, "preview_count", preview_count, low=0) or 0,
        int(optional(flag, "cn_enabled", cn_enabled) or False),
        _denoise(starting_image_strength),
        *_size(width, height, preset),
    ]
    further = _further_segments(guidance, sampler, context_images, options)
    path = "/".join([f"/api/{'v3' if further else 'v2'}/job/estimate", *map(_segment, segments + further)])
    return get(path, host="socket", **_query(gpt_image_quality, output_format, billing_mode))


def _further_segments(guidance: Any, sampler: Any, context_images: Any, options: ModelOptions | None) -> list[Any]:
    """What only v3 knows; a sampler or a number of context images, even 0, asks for it."""
    scale = optional(number, "guidance", guidance)
    contexts = optional(integer, "context_images", context_images, low=0)
    if sampler is None and contexts is None:
        return []
    return [scale or 0, _sampler(sampler, options), contexts or 0]


def _query(gpt_image_quality: Any, output_format: Any, billing_mode: Any) -> dict[str, Any]:
    return {
        "gptImageQuality": optional(text, "gpt_image_quality", gpt_image_quality) or None,
        "outputFormat": optional(text, "output_format", output_format) or None,
        "billingMode": optional(one_of, "billing_mode", billing_mode, allowed=BILLING_MODES),
    }


def _segment(value: Any) -> str:
    return quote(value, safe=_PATH_SAFE, errors="surrogatepass") if isinstance(value, str) else number_text(value)


def _steps(step_count: Any, options: ModelOptions | None) -> float:
    if step_count is not None:
        return integer("step_count", step_count)
    usual = options.steps.default if options is not None and options.steps is not None else None
    return usual or 0


def _denoise(kept: Any) -> float:
    strength = optional(number, "starting_image_strength", kept)
    return 0 if strength is None else denoise(strength)


def _size(width: Any, height: Any, preset: SizePreset | None) -> tuple[float, float]:
    across, down = optional(number, "width", width), optional(number, "height", height)
    if preset is not None:
        return preset.width, preset.height
    return (across, down) if across and down else (0, 0)


def _sampler(sampler: str | None, options: ModelOptions | None) -> str:
    if sampler is None:
        return _NO_SAMPLER
    if options is None:
        return text("sampler", sampler, empty=False)
    # A model without samplers leaves the segment empty, and the service takes it so.
    return check_choice("sampler", sampler, options.sampler) or ""


def wanted_preset(size_preset: Any) -> str | None:
    """Return the id of the preset that must be looked up, None when the size needs no looking up."""
    name = optional(text, "size_preset", size_preset)
    return None if name in (None, "", "custom") else name


def find_preset(presets: Sequence[SizePreset], preset_id: str) -> SizePreset:
    """Return a size preset by its id; ValidationError names the nearest ones."""
    by_id = {preset.id: preset for preset in presets}
    if preset_id not in by_id:
        sentence = f"size_preset: the model has no preset {shown(preset_id)}{did_you_mean(preset_id, by_id)}"
        raise ValidationError(sentence, field="size_preset", value=preset_id, allowed=tuple(by_id))
    return by_id[preset_id]


def estimate_for(
    params: ImageProjectParams,
    *,
    options: ModelOptions | None = None,
    preset: SizePreset | None = None,
    network: str | None = None,
    token_type: str | None = None,
) -> HttpCall:
    """The call that asks what the project with these params costs.

    `preset` is what `params.size_preset` names (see `wanted_preset`); `network` and `token_type` count where
    the params have none. Params that could not be sent are refused as in `image_rules`.
    """
    params = check_image_params(params)
    contexts = [media for media in params.context_images or () if is_supplied(media)]
    custom = has_custom_size(params)
    return image_estimate_call(
        params.model_id,
        token_type=params.token_type or token_type,
        network=params.network or network,
        image_count=params.number_of_media,
        step_count=params.steps,
        preview_count=params.number_of_previews,
        cn_enabled=params.control_net is not None,
        starting_image_strength=_kept(params),
        width=params.width if custom else None,
        height=params.height if custom else None,
        guidance=_guidance(params, options),
        sampler=params.sampler,
        context_images=len(contexts) or None,
        gpt_image_quality=params.gpt_image_quality,
        output_format=params.output_format,
        billing_mode=params.billing_mode,
        preset=preset,
        options=options,
    )


def _kept(params: ImageProjectParams) -> float | None:
    if not is_supplied(params.starting_image):
        return None
    return DEFAULT_STRENGTH if params.starting_image_strength is None else params.starting_image_strength


def _guidance(params: ImageProjectParams, options: ModelOptions | None) -> float | None:
    if params.guidance is not None or options is None or options.guidance is None:
        return params.guidance
    return options.guidance.default


def enhancement_estimate_call(strength: str, token_type: str | None = None) -> HttpCall:
    """The call that asks what `Job.enhance` costs; `token_type` is spark when None (projects-4.2 §16.4)."""
    return image_estimate_call(
        ENHANCEMENT_MODEL,
        token_type=token_type,
        step_count=ENHANCEMENT_STEPS,
        starting_image_strength=enhancement_strength(strength),
    )


def read_estimate(data: Any) -> CostEstimation:
    """Return the estimate of an answer (projects-4.2 §16.5, projects-5x §16); ProtocolError for any other.

    Serves the estimates of every type of project.
    """
    project = _object(_object(data).get("quote")).get("project")
    if not isinstance(project, Mapping):
        raise ProtocolError("the estimate has no quote.project")
    benchmark = _object(data.get("benchmark"))
    values = {
        "token": project.get("costInToken"),
        "usd": project.get("costInUSD"),
        "spark": project.get("costInSpark"),
        "sogni": project.get("costInSogni"),
        "estimatedRenderSeconds": benchmark.get("estimatedRenderTimeSec"),
        "estimatedTotalSeconds": benchmark.get("estimatedTotalTimeSec"),
        "dailyFairUsePct": _object(data.get("dailyFairUse")).get("pct"),
    }
    return read(CostEstimation, values, "the estimate")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
