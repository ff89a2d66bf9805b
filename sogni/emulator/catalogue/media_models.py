"""The video, audio and 3D models and their tiers. Values only."""
# Protocol notes: projects-4.2 §20, projects-5x §4.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sogni.emulator.catalogue.models import Model

_SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "res_multistep", "uni_pc", "ddim", "lcm"]
_SCHEDULERS = ["simple", "normal", "karras", "beta", "sgm_uniform", "linear_quadratic"]
_BENCHMARK = {"sec": 60, "secCN": 60, "secMaxPreviews": 60}

_SUNG_LANGUAGES = (
    "en ja zh es de fr pt ru it nl pl tr vi cs fa id ko uk hu ar sv ro el az bg bn ca da fi he hi hr ht "
    "is la lt ms ne no pa sa sk sr sw ta te th tl ur yue unknown"
)

Limits = tuple[float, float, float]


def _range(limits: Limits, *, step: float | None = None, decimals: int | None = None) -> dict[str, float]:
    found: dict[str, float] = {"min": limits[0], "max": limits[1], "default": limits[2]}
    if step is not None:
        found["step"] = step
    if decimals is not None:
        found["decimals"] = decimals
    return found


def _sampled(sampler: str, scheduler: str) -> dict[str, object]:
    return {
        "comfySampler": {"allowed": _SAMPLERS, "default": sampler},
        "comfyScheduler": {"allowed": _SCHEDULERS, "default": scheduler},
    }


def _wan(
    steps: Limits, guidance: Limits, shift: float, *, frames: float = 161, sampler: str = "euler"
) -> dict[str, object]:
    return {
        "type": "video",
        "benchmark": _BENCHMARK,
        **_sampled(sampler, "simple"),
        "steps": _range(steps),
        "guidance": _range(guidance, decimals=2),
        "width": _range((480, 1536, 640), step=16),
        "height": _range((480, 1536, 640), step=16),
        "frames": _range((17, frames, 81)),
        "fps": {"allowed": [16, 32], "default": 16},
        "shift": _range((1, 8, shift), decimals=1),
    }


def _ltx(steps: Limits, guidance: Limits, *, fps: int = 24, scheduler: str = "normal") -> dict[str, object]:
    return {
        "type": "video",
        "benchmark": _BENCHMARK,
        **_sampled("euler", scheduler),
        "steps": _range(steps),
        "guidance": _range(guidance, decimals=1),
        "width": _range((640, 3840, 1280), step=64),
        "height": _range((640, 3840, 704), step=64),
        "frames": _range((25, 505, 97), step=8),
        "fps": {"allowed": [24, 25, 30, 50, 60], "default": fps},
    }


def _external(longest: int, fps: int) -> dict[str, object]:
    return {
        "type": "video",
        "benchmark": _BENCHMARK,
        "width": _range((480, longest, 1280)),
        "height": _range((480, longest, 720)),
        "fps": {"allowed": [fps], "default": fps},
    }


def _h3(steps: int, sampler: str) -> dict[str, object]:
    return {
        "type": "video",
        "benchmark": _BENCHMARK,
        **_sampled(sampler, "simple"),
        "steps": _range((steps, steps, steps)),
        "guidance": _range((1, 1, 1)),
        "width": _range((32, 1344, 1344), step=32),
        "height": _range((32, 1344, 768), step=32),
        "maxPixels": 1032192,
        "frames": _range((124, 362, 124), step=17),
        "fps": {"allowed": [24], "default": 24},
    }


def _ace_step(steps: Limits) -> dict[str, object]:
    keys = ("C", "C#", "Db", "D", "D#", "Eb", "E", "F", "F#", "Gb", "G", "G#", "Ab", "A", "A#", "Bb", "B")
    return {
        "type": "audio",
        "benchmark": {"sec": 10, "secCN": 10, "secMaxPreviews": 10},
        **_sampled("euler", "simple"),
        "steps": _range(steps),
        "guidance": _range((1, 15, 1), decimals=1),
        "duration": _range((10, 600, 30)),
        "bpm": _range((30, 300, 120)),
        "timesignature": {"allowed": ["2", "3", "4", "6"], "default": "4"},
        "language": {"allowed": _SUNG_LANGUAGES.split(), "default": "en"},
        "keyscale": {
            "allowed": [f"{key} {mode}" for key in keys for mode in ("major", "minor")],
            "default": "C major",
        },
        "composerMode": {"default": True},
        "promptStrength": _range((0, 10, 2), decimals=1),
        "creativity": _range((0, 2, 0.85), decimals=2),
        "shift": _range((1, 6, 3), decimals=1),
    }


def _speech(**extra: Any) -> dict[str, object]:
    return {
        "type": "audio",
        "benchmark": {"sec": 5, "secCN": 5, "secMaxPreviews": 5},
        "steps": _range((1, 1, 1)),
        "language": {
            "allowed": ["en", "zh", "ja", "ko", "de", "fr", "ru", "pt", "es", "it", "unknown"],
            "default": "unknown",
        },
        **extra,
    }


_SPEAKERS = ["serena", "vivian", "uncle_fu", "ryan", "aiden", "ono_anna", "sohee", "eric", "dylan"]

MEDIA_TIERS: Mapping[str, Mapping[str, Any]] = {
    "wan-lightx2v": _wan((4, 8, 4), (0.7, 1.6, 1), 5),
    "wan": _wan((20, 40, 20), (1.5, 8, 4), 8),
    "wan-s2v-lightx2v": _wan((4, 8, 4), (0.7, 1.6, 1), 8, frames=321, sampler="uni_pc"),
    "wan-s2v": _wan((20, 40, 20), (1.5, 8, 6), 8, frames=321, sampler="uni_pc"),
    "wan-animate-lightx2v": _wan((4, 8, 6), (0.7, 1.6, 1), 8, frames=321),
    "ltx-distilled": _ltx((4, 12, 8), (1, 2, 1)),
    "ltx25-distilled": _ltx((8, 8, 8), (1, 2, 1)),
    "ltx25-v2v-distilled": _ltx((8, 8, 8), (1, 2, 1), fps=25, scheduler="simple"),
    "ltx-dev": _ltx((15, 50, 30), (1, 10, 3)),
    "ltx-v2v-distilled": _ltx((4, 12, 8), (1, 2, 1), fps=25, scheduler="simple"),
    "ltx-v2v-dev": _ltx((10, 50, 30), (1, 7, 3), fps=25, scheduler="simple"),
    "seedance": _external(3840, 24),
    "happyhorse": _external(1920, 24),
    "wan3": _external(1920, 30),
    "minimax-h3": _h3(20, "res_multistep"),
    "minimax-h3-balanced": _h3(8, "euler"),
    "minimax-h3-turbo": _h3(4, "euler"),
    "flashvsr": {
        "type": "video",
        "benchmark": _BENCHMARK,
        "steps": _range((1, 1, 1)),
        "width": _range((480, 2688, 1344)),
        "height": _range((480, 2688, 768)),
        "fps": {"min": 1, "max": 60, "default": 24},
        "task": "upscale",
        "outputResolutions": [1080, 1440],
        "preservesSourceTiming": True,
        "requiresReferenceVideo": True,
    },
    "ace-step-turbo": _ace_step((4, 16, 8)),
    "ace-step-sft": _ace_step((10, 100, 50)),
    "minimax-music": {
        "type": "audio",
        "benchmark": _BENCHMARK,
        "steps": _range((1, 1, 1)),
        "duration": _range((10, 300, 60)),
    },
    "tts-custom-voice": _speech(
        speaker={"allowed": _SPEAKERS, "default": "serena"}, instruct={"maxLength": 500, "required": False}
    ),
    "tts-voice-clone": _speech(acceptInputAudio=True, requiresReferenceAudio=True, referenceText={"maxLength": 1000}),
    "tts-voice-design": _speech(instruct={"maxLength": 500, "required": True}),
    "image-to-3d": {"type": "image", "benchmark": _BENCHMARK, "steps": _range((1, 50, 25))},
}


def _title(id: str) -> str:
    return id.replace("_", " ").replace("-", " ").title()


def _video(id: str, tier: str, **more: Any) -> Model:
    return Model(id=id, name=_title(id), tier=tier, media="video", step_seconds=8, **more)


def _vendor(id: str, tier: str, **more: Any) -> Model:
    return _video(id, tier, external=True, spark_only=True, fee_usd="0.5", **more)


def _audio(id: str, tier: str, **more: Any) -> Model:
    return Model(id=id, name=_title(id), tier=tier, media="audio", step_seconds=1, **more)


def _wan_models() -> list[Model]:
    base = "wan_v2.2-14b-fp8"
    models = [_video(f"{base}_{work}", "wan") for work in ("t2v", "i2v")]
    models += [_video(f"{base}_{work}_lightx2v", "wan-lightx2v") for work in ("t2v", "i2v")]
    models += [_video(f"{base}_s2v", "wan-s2v"), _video(f"{base}_s2v_lightx2v", "wan-s2v-lightx2v")]
    animate = ("animate-move", "animate-replace")
    return models + [_video(f"{base}_{work}_lightx2v", "wan-animate-lightx2v") for work in animate]


def _ltx_models() -> list[Model]:
    bases = (
        ("ltx2-19b-fp8", ("", "_distilled")),
        ("ltx23-22b-fp8", ("_distilled", "_dev")),
        ("ltx25-22b-int8", ("_distilled", "_dev")),
    )
    models = []
    for base, variants in bases:
        for work in ("t2v", "i2v", "a2v", "ia2v", "v2v"):
            for variant in variants:
                speed = "distilled" if variant == "_distilled" else "dev"
                series = "ltx25" if base.startswith("ltx25") and speed == "distilled" else "ltx"
                tier = f"{series}-v2v-{speed}" if work == "v2v" else f"{series}-{speed}"
                models.append(_video(f"{base}_{work}{variant}", tier))
    return [*models, _video("ltx23-22b-10eros-v1.4-fp8mixed_i2v", "ltx-distilled")]


def _h3_models() -> list[Model]:
    models = []
    standard = [f"minimax-h3-fl2va-fp8_{work}" for work in ("t2v", "i2v", "flf2v")] + ["minimax-h3-ref2va-fp8_r2v"]
    for suffix, tier in (
        ("", "minimax-h3"),
        ("_balanced", "minimax-h3-balanced"),
        ("_turbo", "minimax-h3-turbo"),
    ):
        models += [_video(model_id + suffix, tier) for model_id in standard]
    for work in ("t2v", "i2v", "flf2v", "ia2v", "flfa2v", "a2v"):
        for stages in ("", "_2stage"):
            models.append(_video(f"minimax-h3-fastvideo-int8_{work}_turbo{stages}", "minimax-h3-turbo"))
    models.append(_video("minimax-h3-ref2va-fp8_r2v_2stage", "minimax-h3"))
    models.append(_video("minimax-h3-ref2va-fp8_r2v_balanced_2stage", "minimax-h3-balanced"))
    # Eight steps, despite the name.
    omni = "minimax-h3-fastvideo-omni-int8_r2v_turbo"
    return [*models, *(_video(omni + stages, "minimax-h3-balanced") for stages in ("", "_2stage"))]


MEDIA_MODELS: Sequence[Model] = (
    *_wan_models(),
    *_ltx_models(),
    *(
        _vendor(model_id, "seedance")
        for model_id in (
            *("seedance-2-0", "seedance-2-0-mini", "seedance-2-0-fast", "seedance-2-5"),
            *("seedance-2-0-mini-uncensored", "seedance-2-5-uncensored"),
        )
    ),
    *(_vendor(f"happyhorse-1.1-{work}", "happyhorse") for work in ("t2v", "i2v", "r2v")),
    *(_vendor(model_id, "wan3") for model_id in ("wan3.0-video", "wan3.0-spicy-video")),
    *_h3_models(),
    _video("flashvsr_v1.1_tiny_long_bf16", "flashvsr"),
    *(_audio(f"ace_step_1.5_{size}", "ace-step-turbo") for size in ("turbo", "xl_turbo")),
    *(_audio(f"ace_step_1.5_{size}", "ace-step-sft") for size in ("sft", "xl_sft")),
    _audio("minimax_music3", "minimax-music"),
    _audio("qwen3_tts_1.7b_custom_voice_bf16", "tts-custom-voice"),
    _audio("qwen3_tts_1.7b_voice_clone_bf16", "tts-voice-clone"),
    _audio("qwen3_tts_1.7b_voice_design_bf16", "tts-voice-design"),
    *(
        Model(id=model_id, name=_title(model_id), tier="image-to-3d", media="model", needs_starting_image=True)
        for model_id in ("pixal3d_int8_i23d", "pixal3d_multiview_int8_i23d")
    ),
)
