"""What a model accepts: decides how a tier of the service reads as `ModelOptions`.

Called with the answers of the model list and the tiers (projects-4.2 §9.1, projects-5x §5). It fetches and
caches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ProtocolError, ValidationError
from ..models.catalogue import ModelOptions, SupportedModel
from ..models.converter import read
from .field_checks import shown, text
from .sampling import sampler_alias, scheduler_alias
from .suggestions import did_you_mean, nearest

_KINDS = ("image", "video", "audio")
_RANGES = (
    "steps", "guidance", "width", "height", "duration", "bpm", "promptStrength", "creativity", "shift",
)  # fmt: skip
_CHOICES = ("vae", "timesignature", "language", "keyscale", "composerMode", "speaker")

_READ_OTHERWISE = frozenset({"type", "sampler", "scheduler", "comfySampler", "comfyScheduler", "acceptInputAudio"})


def options_of_tier(tier: Mapping[str, Any]) -> ModelOptions:
    """Return the options of a tier; keys of it that have no place there are kept in `.extra`.

    ValidationError for a kind of tier nobody knows, ProtocolError for one that cannot be read.
    """
    # A tier without a kind is one of the older image models, whose keys are not called comfy.
    kind = tier.get("type", "image")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValidationError(
            f"the service describes this model as {shown(kind)}, which this version does not know "
            f"(only {', '.join(_KINDS)})",
            field="model_id",
            value=kind,
            allowed=_KINDS,
        )
    options: dict[str, Any] = {"type": kind, **_samplers(tier, kind)}
    options |= {key: _range(tier[key]) for key in _RANGES if _present(tier, key)}
    options |= {key: _choice(tier[key]) for key in _CHOICES if _present(tier, key)}
    if _present(tier, "acceptInputAudio") or _present(tier, "requiresReferenceAudio"):
        # A model that requires a recording accepts one, whatever else the tier says.
        accepts = tier.get("acceptInputAudio") or tier.get("requiresReferenceAudio")
        options["acceptsReferenceAudio"] = bool(accepts)
    rest = {key: value for key, value in tier.items() if key not in options and key not in _READ_OTHERWISE}
    return read(ModelOptions, options | rest, "the options of the model")


def _present(tier: Mapping[str, Any], key: str) -> bool:
    return tier.get(key) is not None


def _samplers(tier: Mapping[str, Any], kind: str) -> dict[str, Any]:
    legacy = "type" not in tier
    sources: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
        ("scheduler", "scheduler" if legacy else "comfyScheduler", scheduler_alias),
        ("sampler", "sampler" if legacy else "comfySampler", sampler_alias),
    )
    # Audio models may have no such choice at all; the others have one, if an empty one.
    return {
        name: _choice(tier.get(key), alias) for name, key, alias in sources if kind != "audio" or _present(tier, key)
    }


def _range(source: Any) -> Any:
    """`decimals` says the step as 10^-decimals; without it there is `step`, or 1 (projects-4.2 §9.1)."""
    if not isinstance(source, Mapping):
        return source
    decimals = source.get("decimals")
    made = {key: source.get(key) for key in ("min", "max", "default")}
    if isinstance(decimals, int | float) and decimals:
        return {**made, "step": 10.0**-decimals}
    return {**made, "step": source.get("step") or 1}


def _choice(source: Any, alias: Callable[[Any], Any] = lambda name: name) -> Any:
    if source is None:
        return {"allowed": []}
    if not isinstance(source, Mapping) or not isinstance(source.get("allowed", []), list):
        raise ProtocolError(f"the options of the model do not fit: {shown(source)} is no list of choices")
    allowed = [alias(name) for name in source.get("allowed", [])]
    return {"allowed": allowed, "default": alias(source.get("default"))}


def find_options(models: Sequence[SupportedModel], tiers: Mapping[str, Any], model_id: Any) -> ModelOptions:
    """Return the options of a model by its id.

    ValidationError (`model_id`) when the list does not have it, naming the nearest ids, when its tier is
    missing or of an unknown kind (projects-4.2 §8).
    """
    wanted = text("model_id", model_id, empty=False)
    by_id = {model.id: model for model in models}
    model = by_id.get(wanted)
    if model is None:
        hint = did_you_mean(wanted, by_id)
        raise ValidationError(
            f"model_id: the service knows no model {shown(wanted)}{hint}",
            field="model_id",
            value=wanted,
            allowed=tuple(nearest(wanted, by_id)) or None,
        )
    tier = tiers.get(model.tier)
    if not isinstance(tier, Mapping):
        raise ValidationError(
            f"model_id: the service does not say what {wanted!r} accepts (tier {model.tier!r} is missing)",
            field="model_id",
            value=wanted,
        )
    return options_of_tier(tier)
