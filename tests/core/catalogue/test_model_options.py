"""Tiers of the service as options of a model (projects-4.2 §9.1, projects-5x §5)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.catalogue.state import find_options, options_of_tier
from sogni.errors import ProtocolError, ValidationError
from sogni.models.catalogue import Choice, ModelOptions, NumberRange, SupportedModel
from tests.tables import each_row

RANGE = {"min": 1, "max": 50, "default": 20}
SAMPLERS = {"allowed": ["Euler", "uni_pc"], "default": "Euler"}
SCHEDULERS = {"allowed": ["Karras", "SGM Uniform"], "default": "Karras"}
ALIASED_SAMPLERS = Choice(allowed=["euler", "uni_pc"], default="euler")
ALIASED_SCHEDULERS = Choice(allowed=["karras", "sgm_uniform"], default="karras")
STEPS = NumberRange(min=1, max=50, default=20)

TIERS: list[tuple[str, dict[str, Any], ModelOptions]] = [
    (
        "a tier without a kind is an older image model: own names, no comfy",
        {"steps": RANGE, "guidance": RANGE, "sampler": SAMPLERS, "scheduler": SCHEDULERS, "comfySampler": 1},
        ModelOptions(type="image", steps=STEPS, guidance=STEPS, sampler=ALIASED_SAMPLERS, scheduler=ALIASED_SCHEDULERS),
    ),
    (
        "an image tier has comfy names",
        {
            "type": "image",
            "steps": RANGE,
            "comfySampler": SAMPLERS,
            "comfyScheduler": SCHEDULERS,
            "sampler": 1,
        },
        ModelOptions(type="image", steps=STEPS, sampler=ALIASED_SAMPLERS, scheduler=ALIASED_SCHEDULERS),
    ),
    (
        "an image tier without lists has empty ones",
        {"type": "image"},
        ModelOptions(type="image", sampler=Choice(), scheduler=Choice()),
    ),
    (
        "an image tier may list autoencoders",
        {"type": "image", "vae": {"allowed": ["a", "b"], "default": "a"}},
        ModelOptions(type="image", sampler=Choice(), scheduler=Choice(), vae=Choice(allowed=["a", "b"], default="a")),
    ),
    (
        "a video tier: fps and further facts as sent",
        {
            "type": "video",
            "steps": RANGE,
            "guidance": RANGE,
            "width": RANGE,
            "height": RANGE,
            "shift": {"min": 1, "max": 10, "default": 8, "decimals": 1},
            "fps": {"allowed": [16, 32], "default": 16},
            "maxPixels": 1_032_192,
            "task": "upscale",
            "outputResolutions": [1080, 1440],
            "preservesSourceTiming": True,
            "requiresReferenceVideo": True,
            "comfySampler": SAMPLERS,
            "comfyScheduler": SCHEDULERS,
        },
        ModelOptions(
            type="video",
            steps=STEPS,
            guidance=STEPS,
            width=STEPS,
            height=STEPS,
            shift=NumberRange(min=1, max=10, default=8, step=0.1),
            fps={"allowed": [16, 32], "default": 16},
            max_pixels=1_032_192,
            task="upscale",
            output_resolutions=[1080, 1440],
            preserves_source_timing=True,
            requires_reference_video=True,
            sampler=ALIASED_SAMPLERS,
            scheduler=ALIASED_SCHEDULERS,
        ),
    ),
    (
        "an audio tier of a music model",
        {
            "type": "audio",
            "steps": RANGE,
            "duration": RANGE,
            "bpm": RANGE,
            "promptStrength": RANGE,
            "creativity": {"min": 0, "max": 2, "default": 0.85, "decimals": 2},
            "timesignature": {"allowed": ["2", "4"], "default": "4"},
            "language": {"allowed": ["en"], "default": "en"},
            "keyscale": {"allowed": ["C major"], "default": "C major"},
            "composerMode": {"default": True},
            "comfySampler": SAMPLERS,
            "comfyScheduler": SCHEDULERS,
        },
        ModelOptions(
            type="audio",
            steps=STEPS,
            duration=STEPS,
            bpm=STEPS,
            prompt_strength=STEPS,
            creativity=NumberRange(min=0, max=2, default=0.85, step=0.01),
            timesignature=Choice(allowed=["2", "4"], default="4"),
            language=Choice(allowed=["en"], default="en"),
            keyscale=Choice(allowed=["C major"], default="C major"),
            composer_mode=Choice(default=True),
            sampler=ALIASED_SAMPLERS,
            scheduler=ALIASED_SCHEDULERS,
        ),
    ),
    (
        "an audio tier may have no samplers at all",
        {"type": "audio", "steps": RANGE},
        ModelOptions(type="audio", steps=STEPS),
    ),
    (
        "an audio tier of a speech model",
        {
            "type": "audio",
            "steps": RANGE,
            "speaker": {"allowed": ["ryan"], "default": "ryan"},
            "instruct": {"maxLength": 200, "required": True},
            "referenceText": {"maxLength": 400},
            "acceptInputAudio": True,
        },
        ModelOptions(
            type="audio",
            steps=STEPS,
            speaker=Choice(allowed=["ryan"], default="ryan"),
            instruct={"maxLength": 200, "required": True},
            reference_text={"maxLength": 400},
            accepts_reference_audio=True,
        ),
    ),
    (
        "a recording that is required is accepted",
        {"type": "audio", "requiresReferenceAudio": True},
        ModelOptions(type="audio", requires_reference_audio=True, accepts_reference_audio=True),
    ),
    (
        "a recording may be ruled out",
        {"type": "audio", "acceptInputAudio": False},
        ModelOptions(type="audio", accepts_reference_audio=False),
    ),
    (
        "what has no place in the options is kept",
        {"type": "image", "benchmark": {"sec": 1}, "defaultSize": 1024},
        ModelOptions(
            type="image",
            sampler=Choice(),
            scheduler=Choice(),
            extra={"benchmark": {"sec": 1}, "defaultSize": 1024},
        ),
    ),
]

STEP_RULES: list[tuple[str, dict[str, Any], float]] = [
    ("decimals say the step", {"decimals": 1, "step": 5}, 0.1),
    ("two decimals", {"decimals": 2}, 0.01),
    ("no decimals: the step", {"decimals": 0, "step": 64}, 64),
    ("the step alone", {"step": 16}, 16),
    ("neither: 1", {}, 1),
    ("a step of 0: 1", {"step": 0}, 1),
]

UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("a range that is no object", {"type": "image", "steps": 4}),
    ("a limit that is no number", {"type": "image", "steps": {"min": "one"}}),
    ("a list that is no object", {"type": "image", "comfySampler": "euler"}),
    ("allowed names that are no list", {"type": "image", "comfySampler": {"allowed": "euler"}}),
]


@each_row(("tier", "expected"), [row[1:] for row in TIERS], ids=[row[0] for row in TIERS])
def test_a_tier_reads_as_options(tier: dict[str, Any], expected: ModelOptions) -> None:
    assert expected == options_of_tier(tier)


@pytest.mark.parametrize(("source", "expected"), [row[1:] for row in STEP_RULES], ids=[row[0] for row in STEP_RULES])
def test_the_step_of_a_range(source: dict[str, Any], expected: float) -> None:
    steps = options_of_tier({"type": "image", "steps": source}).steps
    assert steps is not None
    assert expected == steps.step


@each_row(
    "name",
    ["steps", "guidance", "width", "height", "duration", "bpm", "promptStrength", "creativity", "shift"],
)
def test_every_range_has_its_step_from_the_decimals(name: str) -> None:
    options = options_of_tier({"type": "video", name: {"min": 0, "max": 1, "default": 0, "decimals": 2}})
    field = {"promptStrength": "prompt_strength"}.get(name, name)
    assert getattr(options, field) == NumberRange(min=0, max=1, default=0, step=0.01)


@pytest.mark.parametrize("tier", [row[1] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_a_tier_nobody_can_read_is_a_protocol_error(tier: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=r"the tier of the model is malformed"):
        options_of_tier(tier)


@pytest.mark.parametrize("kind", ["hologram", None, 3, ["image"]])
def test_a_kind_of_tier_nobody_knows_is_refused(kind: Any) -> None:
    with pytest.raises(ValidationError, match="only image, video, audio") as caught:
        options_of_tier({"type": kind})
    assert (caught.value.field, caught.value.allowed) == ("model_id", ("image", "video", "audio"))


MODELS = [
    SupportedModel(id="flux1-schnell-fp8", tier="flux"),
    SupportedModel(id="z_image_turbo_bf16", tier="comfy"),
    SupportedModel(id="lost", tier="gone"),
]


def test_a_model_is_found_by_its_id() -> None:
    assert find_options(MODELS, {"flux": {"steps": RANGE}}, "flux1-schnell-fp8") == ModelOptions(
        type="image", steps=STEPS, sampler=Choice(), scheduler=Choice()
    )


def test_an_unknown_model_is_refused_with_the_nearest_ids() -> None:
    with pytest.raises(ValidationError) as caught:
        find_options(MODELS, {}, "flux1-schnel-fp8")
    expected = "model_id: the service knows no model 'flux1-schnel-fp8'; did you mean 'flux1-schnell-fp8'?"
    assert (expected, "model_id", ("flux1-schnell-fp8",)) == (
        caught.value.message,
        caught.value.field,
        caught.value.allowed,
    )


def test_an_unknown_model_unlike_any_is_refused_without() -> None:
    with pytest.raises(ValidationError, match=r"the service knows no model 'qq'$") as caught:
        find_options(MODELS, {}, "qq")
    assert caught.value.allowed is None


def test_a_model_whose_tier_is_missing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"tier 'gone' is missing") as caught:
        find_options(MODELS, {}, "lost")
    assert (caught.value.field, caught.value.value) == ("model_id", "lost")


@pytest.mark.parametrize("model_id", [None, "", 4])
def test_a_model_id_is_a_text(model_id: Any) -> None:
    with pytest.raises(ValidationError, match=r"model_id must be a (non-empty )?string"):
        find_options(MODELS, {}, model_id)
