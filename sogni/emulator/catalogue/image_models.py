"""The image models and their tiers, with the settings of the protocol's examples. Values only."""
# Protocol notes: projects-4.2 §20.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sogni.emulator.catalogue.models import SAMPLER_ALIASES, SCHEDULER_ALIASES, Model

_COMFY_SAMPLERS = (
    "euler",
    "euler_ancestral",
    "heun",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_sde",
    "res_multistep",
    "uni_pc",
)
_COMFY_SCHEDULERS = ("simple", "normal", "karras", "beta", "sgm_uniform", "ddim_uniform", "linear_quadratic")
_FLUX_SAMPLERS = ("Euler", "Euler a", "Heun", "DPM++ 2M", "DPM++ 2M SDE", "DPM++ SDE", "UniPC")
_FLUX_SCHEDULERS = ("Simple", "Normal", "Beta", "SGM Uniform", "DDIM Uniform")
_SD_SAMPLERS = tuple(name for name in SAMPLER_ALIASES if not name.startswith("Discrete Flow"))


def _range(low: float, high: float, default: float, decimals: int = 0) -> dict[str, float]:
    limits: dict[str, float] = {"min": low, "max": high, "default": default}
    return {**limits, "decimals": decimals} if decimals else limits


def _options(allowed: Sequence[str], default: str) -> dict[str, object]:
    return {"allowed": list(allowed), "default": default}


def _legacy(
    steps: tuple[int, int, int],
    guidance: tuple[float, float, float],
    samplers: Sequence[str] = _FLUX_SAMPLERS,
    schedulers: Sequence[str] = _FLUX_SCHEDULERS,
    scheduler: str = "Simple",
) -> dict[str, object]:
    return {
        "benchmark": {"sec": 2.5, "secCN": 1.5, "secMaxPreviews": 2},
        "steps": _range(*steps),
        "guidance": _range(*guidance, decimals=1),
        "sampler": _options(samplers, "Euler"),
        "scheduler": _options(schedulers, scheduler),
    }


def _comfy(
    steps: tuple[int, int, int],
    guidance: tuple[float, float, float],
    *,
    sampler: str = "euler",
    samplers: Sequence[str] = _COMFY_SAMPLERS,
    scheduler: str = "simple",
    schedulers: Sequence[str] = _COMFY_SCHEDULERS,
) -> dict[str, object]:
    return {
        "type": "image",
        "benchmark": {
            "sec": 4,
            "secContext1": 5,
            "secContext2": 6,
            "secContext3": 7,
            "secCN": 5,
            "secMaxPreviews": 5,
        },
        "defaultSize": 1024,
        "steps": _range(*steps),
        "guidance": _range(*guidance, decimals=1),
        "comfySampler": _options(samplers, sampler),
        "comfyScheduler": _options(schedulers, scheduler),
    }


def _external() -> dict[str, object]:
    return {
        "type": "image",
        "benchmark": {"sec": 20, "secCN": 20, "secMaxPreviews": 20},
        "defaultSize": 1024,
        "steps": _range(1, 1, 1),
        "guidance": _range(1, 1, 1),
        "modelFeeUSD": 0.04,
    }


IMAGE_TIERS: Mapping[str, Mapping[str, Any]] = {
    "sd-1.5": _legacy((1, 50, 20), (0, 20, 7.5), _SD_SAMPLERS, tuple(SCHEDULER_ALIASES), "Karras"),
    "sd-3": _legacy(
        (10, 50, 28),
        (1, 10, 4.5),
        ("Discrete Flow Sampler (SD3)", "Euler"),
        ("Discrete Flow Scheduler (SD3)", "Simple"),
    ),
    "sdxl": _legacy((1, 50, 28), (0, 20, 6), _SD_SAMPLERS, tuple(SCHEDULER_ALIASES), "Karras"),
    "flux-schnell": _legacy((1, 5, 4), (0.1, 1, 1)),
    "chroma-flash": _legacy((10, 20, 10), (1, 2.5, 1)),
    "chroma": _legacy((20, 40, 25), (3, 8, 5)),
    "flux-krea": _legacy((12, 40, 20), (1, 5, 3.5)),
    "flux-kontext": _legacy((12, 40, 24), (1, 5, 2.5)),
    "flux2": _comfy((20, 50, 20), (3, 6, 4), samplers=("euler", "euler_ancestral", "dpmpp_2m")),
    "z-image-turbo": _comfy((4, 10, 8), (0.6, 1.6, 1), sampler="res_multistep"),
    "z-image": _comfy(
        (20, 50, 25),
        (1, 7, 4),
        sampler="res_multistep",
        samplers=("res_multistep", "Euler", "Euler Ancestral", "DPM++ 2M SDE", "UniPC"),
        scheduler="Simple",
        schedulers=("Simple", "Linear Quadratic", "KL Optimal", "Beta"),
    ),
    "qwen-lightning": _comfy((4, 8, 4), (0.6, 1.6, 1)),
    "qwen": _comfy((20, 50, 25), (2.5, 6, 4)),
    "krea2-turbo": _comfy((4, 12, 8), (0.6, 1.6, 1)),
    "krea2-edit": _comfy((4, 20, 10), (0.6, 4, 1)),
    "moss": _comfy((50, 50, 50), (1, 7, 3), scheduler="sgm_uniform"),
    "moss-dmd8": _comfy((8, 8, 8), (1, 1, 1), scheduler="sgm_uniform"),
    "flux3-klein": _comfy((4, 20, 8), (0.6, 4, 1)),
    "rtx-vsr": _comfy((1, 1, 1), (1, 1, 1)),
    "external-image": _external(),
    "segmentation": {
        "type": "image",
        "benchmark": {"sec": 2, "secCN": 2, "secMaxPreviews": 2},
        "steps": _range(1, 1, 1),
    },
}

_LARGE = (256, 2560)

IMAGE_MODELS: Sequence[Model] = (
    Model(id="flux1-schnell-fp8", name="Flux.1 [schnell]", tier="flux-schnell", step_seconds=0.5),
    Model(
        id="z_image_turbo_bf16",
        name="Z-Image Turbo",
        tier="z-image-turbo",
        size_range=_LARGE,
        step_seconds=0.5,
    ),
    Model(id="z_image_bf16", name="Z-Image", tier="z-image", size_range=_LARGE, step_seconds=0.8),
    Model(id="chroma-v.46-flash_fp8", name="Chroma v.46 Flash", tier="chroma-flash", step_seconds=0.7),
    Model(id="chroma-v48-detail-svd_fp8", name="Chroma v48 Detail SVD", tier="chroma", step_seconds=0.9),
    Model(id="chroma1-hd_fp8_scaled", name="Chroma1 HD", tier="chroma", step_seconds=0.9),
    Model(id="flux1-krea-dev_fp8_scaled", name="Flux.1 Krea [dev]", tier="flux-krea", step_seconds=0.9),
    Model(
        id="flux1-dev-kontext_fp8_scaled",
        name="Flux.1 Kontext [dev]",
        tier="flux-kontext",
        context_images=2,
        step_seconds=1.0,
    ),
    # Version 4.2 allows six context images and 2560 pixels here, 5.x three and 2048; the service accepts the larger
    # values.
    Model(
        id="flux2_dev_fp8",
        name="Flux.2 [dev]",
        tier="flux2",
        size_range=_LARGE,
        context_images=6,
        step_seconds=1.4,
    ),
    Model(id="qwen_image_2512_fp8", name="Qwen Image 2512", tier="qwen", size_range=_LARGE, step_seconds=1.1),
    Model(
        id="qwen_image_2512_fp8_lightning",
        name="Qwen Image 2512 Lightning",
        tier="qwen-lightning",
        size_range=_LARGE,
        step_seconds=1.0,
    ),
    Model(
        id="qwen_image_edit_2511_fp8",
        name="Qwen Image Edit 2511",
        tier="qwen",
        size_range=_LARGE,
        step_seconds=1.2,
    ),
    Model(
        id="qwen_image_edit_2511_fp8_lightning",
        name="Qwen Image Edit 2511 Lightning",
        tier="qwen-lightning",
        size_range=_LARGE,
        step_seconds=1.1,
    ),
    Model(
        id="krea2_turbo_fp8_scaled",
        name="Krea 2 Turbo",
        tier="krea2-turbo",
        size_range=_LARGE,
        step_seconds=0.6,
    ),
    Model(
        id="krea2_identity_edit_v1_2",
        name="Krea 2 Identity Edit",
        tier="krea2-edit",
        size_range=(512, 2048),
        context_images=2,
        step_seconds=0.8,
    ),
    Model(id="dark_beast_krea2_fp8", name="Dark Beast Krea 2", tier="krea2-turbo", step_seconds=0.6),
    Model(
        id="dark_beast_krea2_identity_edit_v1_2",
        name="Dark Beast Krea 2 Identity Edit",
        tier="krea2-edit",
        size_range=(512, 2048),
        context_images=2,
        step_seconds=0.8,
    ),
    Model(
        id="flux3_image_klein_sd_int8_convrot",
        name="Flux.3 Klein",
        tier="flux3-klein",
        size_range=(256, 4096),
        context_images=10,
        step_seconds=0.7,
    ),
    *(
        Model(
            id=f"moss_image_sft_{variant}int8_convrot",
            name=f"MOSS-Image {variant.strip('_').upper()}".strip(),
            tier=tier,
            size_range=(512, 2048),
            context_images=0,
            takes_starting_image=False,
            step_seconds=0.5,
        )
        for variant, tier in (("", "moss"), ("dmd8_", "moss-dmd8"))
    ),
    Model(
        id="seedream-5-0-pro-uncensored",
        name="Seedream 5.0 Pro Uncensored",
        tier="external-image",
        size_range=(240, 8192),
        pixels=(921_600, 4_194_304),
        longest_ratio=16,
        context_images=10,
        negative_prompt=False,
        external=True,
        spark_only=True,
        step_seconds=5,
        fee_usd="0.04",
    ),
    Model(
        id="dark_beast_z_image_turbo_v9_bf16",
        name="Dark Beast Z-Image Turbo",
        tier="z-image-turbo",
        step_seconds=0.5,
    ),
    Model(id="one_obsession_v22_fp16", name="One Obsession v22", tier="sdxl", step_seconds=0.3),
    Model(
        id="rtx_vsr_pro",
        name="RTX Video Super Resolution",
        tier="rtx-vsr",
        size_range=(512, 15360),
        needs_starting_image=True,
    ),
    *(
        Model(
            id=model_id,
            name=name,
            tier="external-image",
            size_range=(256, 3840),
            context_images=16,
            external=True,
            spark_only=True,
            step_seconds=5,
            fee_usd="0.04",
        )
        for model_id, name in (
            ("gpt-image-2", "GPT Image 2"),
            ("gpt-image-2.5-sunburst", "GPT Image 2.5 Sunburst"),
            ("gpt-image-2.5-flare", "GPT Image 2.5 Flare"),
        )
    ),
    Model(
        id="coreml-cyberrealistic_v70_768",
        name="CyberRealistic v7.0",
        tier="sd-1.5",
        default_size=768,
        step_seconds=0.2,
    ),
    Model(
        id="coreml-cyberrealistic_v33",
        name="CyberRealistic v3.3",
        tier="sd-1.5",
        default_size=512,
        step_seconds=0.15,
    ),
    Model(
        id="coreml-sogniXLturbo_alpha1_ad",
        name="Sogni.XLT 1 alpha",
        tier="sdxl",
        default_size=1024,
        step_seconds=0.3,
    ),
    Model(id="coreml-sd3_medium", name="Stable Diffusion 3 Medium", tier="sd-3", step_seconds=0.5),
    Model(
        id="sam3_image_segment_bf16",
        name="SAM 3 Image Segmentation",
        tier="segmentation",
        needs_starting_image=True,
    ),
    Model(
        id="birefnet_image_background_removal_fp16",
        name="BiRefNet Background Removal",
        tier="segmentation",
        needs_starting_image=True,
    ),
)
