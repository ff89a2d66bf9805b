"""The public LoRA catalogue, and the check of the LoRAs of a request.

The LoRAs are invented; their ranges, labels and flags are of the kinds that the service has.
"""
# Protocol notes: projects-5x §17, additions-5x §1.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from sogni.emulator.catalogue.models import Model, table
from sogni.emulator.fields import Fields, plain

MAX_LORAS, MAX_PERSONAL = 8, 3
MIN_STRENGTH, MAX_STRENGTH = -100.0, 100.0
PERSONAL_PREFIX = "personal-"
UPDATED = 1_790_000_000_000


@frozen(kw_only=True)
class Lora:
    """One entry of a catalogue; ``record`` is its wire form."""

    id: str
    models: Sequence[str]
    low: float
    high: float
    nsfw: bool
    record: Mapping[str, Any]


def make_lora(
    id: str,
    name: str,
    description: str,
    models: Sequence[str],
    *,
    limits: Sequence[float] = (0, 2),
    default: float = 1,
    category: str = "style",
    section: Mapping[str, object] | None = None,
    labels: Sequence[str] | None = None,
    nsfw: bool = False,
    sexual: bool = False,
    related: Sequence[str] = (),
    source: str | None = None,
    prompt: str | None = None,
) -> Lora:
    low, high = limits
    ui: dict[str, Any] = {
        "min": low,
        "max": high,
        "default": default,
        "step": 0.05,
        "recommendedMin": round(low * 0.75, 2),
        "recommendedMax": round(high * 0.75, 2),
        "category": category,
        "nsfw": nsfw,
        "sexual": sexual,
        "creator": "local",
        "sourceUrl": source or f"https://huggingface.co/local/{id}",
        "license": "CC BY 4.0",
        "licenseUrl": "https://creativecommons.org/licenses/by/4.0/",
    }
    if section is not None:
        ui["section"] = section
    if labels is not None:
        ui["rangeLabels"] = {"min": labels[0], "max": labels[1]}
    if prompt is not None:
        url = f"https://cdn.example.test/loras/{id}.jpg"
        ui |= {"examplePrompt": prompt, "examples": [{"url": url, "caption": name, "isMature": nsfw, "prompt": prompt}]}
    record = {
        "loraId": id,
        "slug": id,
        "name": name,
        "description": description,
        "relatedLoraIds": list(related),
        "modelIds": list(models),
        "ui": ui,
    }
    return Lora(id=id, models=models, low=low, high=high, nsfw=nsfw, record=record)


LORAS: Mapping[str, Lora] = {row["id"]: make_lora(**row) for row in table("loras")}


def catalogue(model_id: str | None) -> dict[str, Any]:
    """Return the data of ``GET /v1/loras/comfy``."""
    loras = [lora for lora in LORAS.values() if model_id is None or model_id in lora.models]
    return {
        "lastUpdated": UPDATED,
        "loras": [dict(lora.record) for lora in loras],
        "models": sorted({model for lora in LORAS.values() for model in lora.models}),
        "constraints": {"maxPerRequest": MAX_LORAS, "minStrength": MIN_STRENGTH, "maxStrength": MAX_STRENGTH},
    }


def check_loras(request: Fields, frame: Fields, model: Model, known: Mapping[str, Lora]) -> None:
    """Read LoRA IDs and strengths. Strengths outside of the range of a LoRA are clamped."""
    ids = frame.texts("loras", limit=MAX_LORAS)
    strengths = frame.numbers("loraStrengths")
    if ids and len(strengths) > len(ids):
        frame.refuse("loraStrengths", f"has {len(strengths)} entries for {len(ids)} LoRAs")
    personal = sum(lora_id.startswith(PERSONAL_PREFIX) for lora_id in ids)
    if personal > MAX_PERSONAL:
        frame.refuse("loras", f"has {personal} personal LoRAs; at most {MAX_PERSONAL} are allowed")
    for index, strength in enumerate(strengths):
        if not MIN_STRENGTH <= strength <= MAX_STRENGTH:
            bounds = f"at least {plain(MIN_STRENGTH)} and at most {plain(MAX_STRENGTH)}"
            frame.refuse(f"loraStrengths[{index}]", f"must be {bounds}, got {plain(strength)}")
    for index, lora_id in enumerate(ids):
        where, lora = f"loras[{index}]", known.get(lora_id)
        if lora is None:
            frame.refuse(where, f"is not a known LoRA: {lora_id!r}")
        elif model.id not in lora.models:
            frame.refuse(where, f"is not for {model.id}: {lora_id!r}")
        elif lora.nsfw and request.values.get("disableSafety") is not True:
            frame.refuse(where, f"requires disableSafety: {lora_id!r}")
        elif index < len(strengths) and not lora.low <= strengths[index] <= lora.high:
            frame.note(f"loraStrengths[{index}]", f"is outside of {plain(lora.low)} to {plain(lora.high)} and clamped")
