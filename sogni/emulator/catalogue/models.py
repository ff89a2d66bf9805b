"""The model catalogue: available models, the options of their tiers, and the number of workers that serve them.

The entries are data, in ``catalogue.json``.
"""
# Protocol notes: projects-4.2 §9, §17, §20; projects-5x §2.3, §4.

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from attrs import define, field, frozen

Media = Literal["image", "video", "audio", "model"]


@cache
def table(name: str) -> Any:
    """Return a part of ``catalogue.json``."""
    return _data()[name]


@cache
def _data() -> Any:
    return json.loads((files(__package__) / "catalogue.json").read_text("utf-8"))


# Display names used by a legacy tier, and the aliases clients send for them (projects-4.2 §9.3).
SAMPLER_ALIASES: Mapping[str, str] = table("samplerAliases")
SCHEDULER_ALIASES: Mapping[str, str] = table("schedulerAliases")
TIERS: Mapping[str, Mapping[str, Any]] = table("tiers")


@frozen(kw_only=True)
class Model:
    """One entry of the model list.

    Attributes:
        default_size: Side of the default square, in pixels.
        size_range: Bounds of a custom size per axis, in pixels.
        pixels: Bounds of the number of pixels of a custom size, if there are any.
        longest_ratio: Largest ratio of the sides of a custom size, if there is one.
        negative_prompt: Whether requests have a negative prompt.
        step_seconds: Render time of a step at the default size.
        fee_usd: Additional price of a result.
        external: Results of external providers are delivered as direct URLs.
        spark_only: The model cannot be paid for with Sogni.
    """

    # Where version 4.2 and 5.x of the clients differ, the service accepts the larger values.

    id: str
    name: str
    tier: str
    media: Media = "image"
    default_size: int = 1024
    size_range: tuple[int, int] = (256, 2048)
    pixels: tuple[int, int] | None = None
    longest_ratio: float | None = None
    context_images: int = 3
    needs_starting_image: bool = False
    takes_starting_image: bool = True
    negative_prompt: bool = True
    external: bool = False
    spark_only: bool = False
    step_seconds: float = 0.25
    fee_usd: str = "0"
    sid: int = 0


MODELS: Mapping[str, Model] = {row["id"]: Model(sid=sid, **row) for sid, row in enumerate(table("models"), 1001)}


@frozen(kw_only=True)
class Options:
    """A tier's samplers or schedulers, as aliases; empty if the model offers no choice."""

    allowed: frozenset[str] = frozenset()
    default: str | None = None

    def accepts(self, value: str) -> bool:
        return not self.allowed or value in self.allowed


@define
class Catalogue:
    """The models of one emulator. ``serving`` maps each kind of media to its number of workers, ``withdrawn`` are the
    models without a worker.
    """

    serving: Mapping[Media, int] = field(factory=dict)
    models: Mapping[str, Model] = MODELS
    tiers: Mapping[str, Mapping[str, Any]] = TIERS
    withdrawn: set[str] = field(factory=set)

    def model_list(self) -> list[dict[str, object]]:
        """Return the response of ``/api/v1/models/list``."""
        return [
            {"id": model.id, "name": model.name, "SID": model.sid, "tier": model.tier, "media": model.media}
            for model in self.models.values()
        ]

    def worker_count(self, model: Model) -> int:
        return 0 if model.id in self.withdrawn else self.serving.get(model.media, 0)

    def swarm_models(self, network: str) -> dict[str, int]:
        """Return the payload of ``swarmModels``; the relaxed network renders images only."""
        # Protocol notes: projects-4.2 §3.1.
        return {
            model.id: self.worker_count(model)
            for model in self.models.values()
            if network == "fast" or model.media == "image"
        }

    def network_status(self, network: str) -> dict[str, int]:
        """Return the response of ``/api/v1/status/network/{network}/models``: model SIDs and worker counts."""
        return {str(self.models[model_id].sid): count for model_id, count in self.swarm_models(network).items()}

    def range(self, model: Model, name: str) -> tuple[float, float] | None:
        """Return the bounds of a numeric setting in the model's tier, or None."""
        limits = self.tiers[model.tier].get(name)
        return None if not limits else (limits["min"], limits["max"])

    def default(self, model: Model, name: str) -> float:
        return float(self.tiers[model.tier].get(name, {}).get("default", 1))

    def samplers(self, model: Model) -> Options:
        return self._options(model, "comfySampler", "sampler", SAMPLER_ALIASES)

    def schedulers(self, model: Model) -> Options:
        return self._options(model, "comfyScheduler", "scheduler", SCHEDULER_ALIASES)

    def _options(self, model: Model, comfy: str, legacy: str, aliases: Mapping[str, str]) -> Options:
        tier = self.tiers[model.tier]
        listed = tier.get(comfy) or tier.get(legacy)
        if not listed:
            return Options()
        # The service normalizes: it accepts an alias or the tier's own spelling (projects-4.2 §5.1).
        names = frozenset(listed["allowed"])
        return Options(
            allowed=names | {aliases.get(name, name) for name in names},
            default=aliases.get(listed["default"], listed["default"]),
        )

    def size_presets(self, model: Model) -> list[dict[str, Any]]:
        """Return the response of the size preset route."""
        return [_preset(model.default_size, **shape) for shape in table("sizePresets")]

    def preset_size(self, model: Model, preset: str) -> tuple[int, int] | None:
        found = (entry for entry in self.size_presets(model) if entry["id"] == preset)
        return next(((entry["width"], entry["height"]) for entry in found), None)


def _preset(base: int, label: str, id: str, width: int, height: int, ratio: str) -> dict[str, object]:
    if base < 1024 and not id.startswith("square"):
        # Smaller models keep the shape at their own scale, on a grid of 64 pixels.
        width, height = (max(256, round(side * base / 1024 / 64) * 64) for side in (width, height))
    across, down = (int(part) for part in ratio.split(":"))
    aspect = f"{across / down:.4f}".rstrip("0").rstrip(".")
    return {"label": label, "id": id, "width": width, "height": height, "ratio": ratio, "aspect": aspect}


# Families of video models: workflows, assets, frame rates and limits (projects-4.2 §6; projects-5x §3, §4)


ASSETS = (
    "referenceImage", "referenceImageEnd", "referenceAudio", "referenceAudioIdentity", "referenceVideo",
    "referenceMask",
)  # fmt: skip
"""In the order in which they are checked."""

# R: required, O: optional, X: forbidden. The columns are those of ``ASSETS``.
ASSET_MATRIX: Mapping[str, str] = {
    "t2v": "XXXOXX",
    "i2v": "OOXOXX",
    "s2v": "RXRXXX",
    "ia2v": "RXRXXX",
    "a2v": "XXRXXX",
    "animate-move": "RXXXRX",
    "animate-replace": "RXXXRX",
    "v2v": "OXXORO",
    "upscale": "XXXXRX",
    "flf2v": "RRXXXX",
    "flfa2v": "RRRXXX",
}
H3_MATRIX: Mapping[str, str] = {"r2v": "OXXXXX", "i2v": "OOXXXX"}
"""The rows that differ for MiniMax H3. Its r2v models take numbered audio and video references, see ``video_rules``."""
NEEDS_ONE_OF: Mapping[str, tuple[str, ...]] = {"i2v": ("referenceImage", "referenceImageEnd")}
CARRIES_REFERENCE_AUDIO = frozenset({"s2v", "ia2v", "a2v", "flfa2v"})
TAKES_SUBJECT_POINTS = "animate-replace"
TAKES_CONTROL_NET = "v2v"
CONTROL_NAMES = ("canny", "pose", "depth", "detailer", "outpaint", "inpaint")
DISTILLED_CONTROL_NAMES = ("outpaint", "inpaint")


@frozen(kw_only=True)
class Family:
    """One family.

    Attributes:
        workflows: Matched against the model ID, in this order; if empty, the inputs decide.
        frames: Bounds of the number of frames, if they are not those of the tier.
        strict_grid: Whether values off the tier's grid are refused.
        frame_rates: The frame rates a request may use.
        rate_range: Bounds of the frame rate where any number is allowed.
        native_rate: Set if frames are generated at one rate and interpolated to a higher one.
        native_sound: Whether the model generates sound.
        workflow: The workflow of every model, whatever its ID.
    """

    name: str
    prefix: str
    workflows: Sequence[str] = ()
    frames: Sequence[int] | None = None
    strict_grid: bool = False
    frame_rates: Sequence[int] = ()
    rate_range: Sequence[int] | None = None
    native_rate: int | None = None
    native_sound: bool = False
    negative_prompt: bool = True
    default_frames: int = 81
    workflow: str | None = None
    upscales: bool = False


FAMILIES = tuple(Family(**row) for row in table("videoFamilies"))


@frozen(kw_only=True)
class References:
    """The references accepted by a Seedance model: their number per kind and in total, the length and size of the
    result (``short_side`` in pixels), and the capabilities of the newer models.
    """

    images: int = 9
    videos: int = 3
    audios: int = 3
    total: int = 12
    frames: Sequence[int] = (97, 361)
    short_side: int
    audio_alone: bool = False
    task_type: bool = False
    formats: Sequence[str] = ("mp4",)


SEEDANCE: Mapping[str, References] = {name: References(**row) for name, row in table("seedance").items()}


def family_of(model_id: str) -> Family:
    return next(family for family in FAMILIES if model_id.startswith(family.prefix))


def workflow_of(family: Family, model_id: str) -> str | None:
    named = (workflow for workflow in family.workflows if re.search(f"[-_]{workflow}", model_id))
    return family.workflow or next(named, None)


def stage_scale(model_id: str) -> int:
    """Return how many times larger the delivered sides are than the requested ones: two-stage models double them."""
    # Protocol notes: projects-5x §4.6.
    return 2 if "_2stage" in model_id else 1
