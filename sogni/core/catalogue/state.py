"""The cached catalogue of a client: models, tiers, size presets and model options, and how long they stay valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sogni.core.checks import did_you_mean, invalid_value, nearest, short_repr, text
from sogni.core.data import table
from sogni.core.shared_requests import SharedRequests
from sogni.errors import ProtocolError, ValidationError
from sogni.models.catalogue import AvailableModel, Choice, ModelOptions, SizePreset, SupportedModel
from sogni.models.converter import read
from sogni.models.loras import LoraCatalog

T = TypeVar("T")

LIST_LIFETIME = 24 * 3600.0
PRESETS_LIFETIME = 600.0
LORAS_LIFETIME = 300.0


class CatalogueState:
    """Cached catalogue answers of one client; times are monotonic seconds."""

    def __init__(self) -> None:
        self.available: list[AvailableModel] = []
        self._models: tuple[float, list[SupportedModel]] | None = None
        self._tiers: tuple[float, Mapping[str, Any]] | None = None
        self._options: dict[str, ModelOptions] = {}
        self._presets: dict[tuple[str, str], tuple[float, list[SizePreset]]] = {}
        self._loras: dict[str | None, tuple[float, LoraCatalog]] = {}
        self.requests: SharedRequests = SharedRequests()
        self.kinds: dict[str, str] = {}
        """Media kind by model id, as listed."""

    def models(self, now: float) -> list[SupportedModel] | None:
        """The model list, unless it is too old."""
        return _fresh(self._models, now, LIST_LIFETIME)

    def keep_models(self, models: list[SupportedModel], now: float) -> None:
        """Remember the model list."""
        self._models = (now, models)
        self._options.clear()
        self.kinds = {model.id: model.media for model in models}

    def kind_of(self, model_id: str) -> str:
        """Return the media kind of a model: "image" unless the list has another one."""
        return self.kinds.get(model_id, "image")

    def tiers(self, now: float) -> Mapping[str, Any] | None:
        """The tiers, unless they are too old."""
        return _fresh(self._tiers, now, LIST_LIFETIME)

    def keep_tiers(self, tiers: Mapping[str, Any], now: float) -> None:
        """Remember the tiers."""
        self._tiers = (now, tiers)
        self._options.clear()

    def options(self, model_id: Any, now: float) -> ModelOptions | None:
        """The options of a model, parsed once per fetch; None if the list or the tiers are too old.

        Raises as `find_options` does.
        """
        models, tiers = self.models(now), self.tiers(now)
        if models is None or tiers is None:
            return None
        options = self._options.get(model_id) if isinstance(model_id, str) else None
        if options is None:
            options = self._options[model_id] = find_options(models, tiers, model_id)
        return options

    def forget_older_than(self, age: float, now: float) -> bool:
        """Forget models and tiers that were fetched more than `age` seconds ago; False if there were none."""
        old = any(fetched is not None and now - fetched[0] > age for fetched in (self._models, self._tiers))
        if old:
            self._models = self._tiers = None
            self._options.clear()
        return old

    def presets(self, network: str, model_id: str, now: float) -> list[SizePreset] | None:
        """The size presets of a model, unless they are too old."""
        return _fresh(self._presets.get((network, model_id)), now, PRESETS_LIFETIME)

    def keep_presets(self, network: str, model_id: str, presets: list[SizePreset], now: float) -> None:
        """Remember the size presets of a model."""
        self._presets[network, model_id] = (now, presets)

    def loras(self, model_id: str | None, now: float) -> LoraCatalog | None:
        """The LoRAs for a model, or all of them for None, unless they are too old."""
        return _fresh(self._loras.get(model_id), now, LORAS_LIFETIME)

    def keep_loras(self, model_id: str | None, catalogue: LoraCatalog, now: float) -> None:
        """Remember the LoRAs for a model, or all of them for None."""
        self._loras[model_id] = (now, catalogue)

    def forget_loras_older_than(self, age: float, now: float) -> bool:
        """Forget all LoRAs that were fetched more than `age` seconds ago; False if there were none."""
        recent = {model_id: kept for model_id, kept in self._loras.items() if now - kept[0] <= age}
        old = len(recent) < len(self._loras)
        self._loras = recent
        return old


def _fresh(kept: tuple[float, T] | None, now: float, lifetime: float) -> T | None:
    return kept[1] if kept is not None and now - kept[0] < lifetime else None


def named_models(workers: Mapping[str, int], models: Sequence[SupportedModel]) -> list[AvailableModel]:
    """Return the live list: ids and worker counts, with the names of the model list."""  # projects-4.2 §17
    known = {model.id: model for model in models}
    return [
        AvailableModel(
            id=model_id,
            name=(known[model_id].name if model_id in known else "") or model_id.replace("-", " "),
            worker_count=count,
            media=known[model_id].media if model_id in known else "image",
        )
        for model_id, count in workers.items()
    ]


def models_by_sid(workers: Mapping[str, int], models: Sequence[SupportedModel]) -> list[AvailableModel]:
    """Return the live list from the status of a network, whose keys are model numbers."""  # projects-4.2 §17
    known = {str(model.sid): model for model in models if model.sid is not None}
    found = []
    for sid, count in workers.items():
        model = known.get(sid)
        found.append(
            AvailableModel(
                id=model.id if model else sid,
                name=(model.name if model else "") or sid.replace("-", " "),
                worker_count=count,
                media=model.media if model else "image",
            )
        )
    return found


# Names of samplers and schedulers. The service chooses what is omitted (projects-4.2 §9.2, §9.3).


def sampler_alias(name: Any) -> Any:
    """Return the name that is sent for a sampler of a tier (`DPM++ 2M` → `dpmpp_2m`); others stay."""
    return _alias("sampler-aliases", name)


def scheduler_alias(name: Any) -> Any:
    """Return the name that is sent for a scheduler of a tier (`SGM Uniform` → `sgm_uniform`); others stay."""
    return _alias("scheduler-aliases", name)


def _alias(source: str, name: Any) -> Any:
    return table(source)["aliases"].get(name, name) if isinstance(name, str) else name


def check_choice(field: str, value: Any, choice: Choice | None) -> str | None:
    """Return the value to send: the given one if the model lists it, otherwise None.

    A value for a model without a list is dropped, as the service has no use for it; one that is not in the
    list, exactly as it stands there, is a ValidationError (projects-4.2 §9.2).
    """
    if value is None:
        return None
    name = text(field, value, empty=False)
    allowed = choice.allowed if choice is not None else []
    if not allowed:
        return None
    if name in allowed:
        return name
    raise _not_listed(field, name, allowed)


def _not_listed(field: str, name: str, allowed: list[Any]) -> ValidationError:
    alias = sampler_alias(scheduler_alias(name))
    hint = f"; did you mean {alias!r}?" if alias in allowed else did_you_mean(name, map(str, allowed), 1)
    listed = ", ".join(map(repr, allowed))
    return invalid_value(field, name, tuple(allowed), f"{field} must be one of {listed}, got {short_repr(name)}{hint}")


# Model options: projects-4.2 §9.1, projects-5x §5.


_KINDS = ("image", "video", "audio")
_RANGES = (
    "steps", "guidance", "width", "height", "frames", "duration", "bpm", "promptStrength", "creativity", "shift",
)  # fmt: skip
_CHOICES = ("vae", "timesignature", "language", "keyscale", "composerMode", "speaker")

_READ_OTHERWISE = frozenset({"type", "sampler", "scheduler", "comfySampler", "comfyScheduler", "acceptInputAudio"})


def options_of_tier(tier: Mapping[str, Any]) -> ModelOptions:
    """Return the options of a tier; keys of it that have no place there are kept in `.extra`.

    Raises ValidationError for an unknown kind of tier, ProtocolError for a malformed one.
    """
    # A tier without a kind is one of the older image models, whose keys are not called comfy.
    kind = tier.get("type", "image")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValidationError(
            f"the service describes this model as {short_repr(kind)}, which this version does not know "
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
    return read(ModelOptions, options | rest, "the tier of the model")


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
    """Read a range: the step is 10^-`decimals` if that is given, else `step`, else 1."""  # projects-4.2 §9.1
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
        raise ProtocolError(f"the tier of the model is malformed: {short_repr(source)} is not a list of choices")
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
            f"model_id: the service knows no model {short_repr(wanted)}{hint}",
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
