"""Which model a hosted tool uses: the selectors of the tool schemas, and what is taken when there is none.

Called by the tools (tools §5.1, §6). A selector that names nothing this emulator serves is no error: the tool's
own default is taken (tools §5.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..catalogue import Catalogue

_GPT_IMAGE = "gpt-image-2"
IMAGE_SELECTORS: Mapping[str, str] = {
    "z-turbo": "z_image_turbo_bf16",
    "z-image": "z_image_bf16",
    "chroma-v46-flash": "chroma-v.46-flash_fp8",
    "chroma-detail": "chroma-v48-detail-svd_fp8",
    "chroma-hd": "chroma1-hd_fp8_scaled",
    "chroma1-hd": "chroma1-hd_fp8_scaled",
    "flux1-krea": "flux1-krea-dev_fp8_scaled",
    "flux2": "flux2_dev_fp8",
    "qwen-2512": "qwen_image_2512_fp8",
    "qwen-2512-lightning": "qwen_image_2512_fp8_lightning",
    "krea-2-turbo": "krea2_turbo_fp8_scaled",
    "krea2-turbo": "krea2_turbo_fp8_scaled",
    "dark-beast-z-turbo": "dark_beast_z_image_turbo_v9_bf16",
    "dark-beast-z-image-turbo": "dark_beast_z_image_turbo_v9_bf16",
    "one-obsession": "one_obsession_v22_fp16",
    "one-obsession-v22": "one_obsession_v22_fp16",
}
EDIT_SELECTORS: Mapping[str, str] = {
    "qwen-lightning": "qwen_image_edit_2511_fp8_lightning",
    "qwen": "qwen_image_edit_2511_fp8",
    "flux2": "flux2_dev_fp8",
    "krea-identity-edit": "krea2_identity_edit_v1_2",
    "krea-2-identity-edit": "krea2_identity_edit_v1_2",
    "krea2-identity-edit": "krea2_identity_edit_v1_2",
}
MUSIC_SELECTORS: Mapping[str, str] = {"turbo": "ace_step_1.5_turbo", "sft": "ace_step_1.5_sft"}

IMAGE_DEFAULT = "z_image_turbo_bf16"
EDIT_DEFAULT = "qwen_image_edit_2511_fp8_lightning"
MUSIC_DEFAULT = "ace_step_1.5_xl_turbo"

_SEEDANCE = {
    "seedance2": "seedance-2-0",
    "seedance2-mini": "seedance-2-0-mini",
    "seedance2-fast": "seedance-2-0-mini",
    "seedance2-mini-uncensored": "seedance-2-0-mini",
    "seedance2-5": "seedance-2-5",
    "seedance2-5-uncensored": "seedance-2-5",
}
_LTX = {"ltx25": "ltx25-22b-int8", "ltx23": "ltx23-22b-fp8", "ltx2": "ltx2-19b-fp8"}
_WAN = "wan_v2.2-14b-fp8"


def image_model(catalogue: Catalogue, selector: str | None, *, edit: bool = False) -> str:
    """Return the model of an image tool; ``edit`` wants one that follows reference images."""
    known, default = (EDIT_SELECTORS, EDIT_DEFAULT) if edit else (IMAGE_SELECTORS, IMAGE_DEFAULT)
    name = _normal(selector)
    wanted = known.get(name, selector or "")
    if re.match(r"(chat-?gpt|open-?ai|gpt|sunburst|flare)", name):
        wanted = _GPT_IMAGE
    model = catalogue.models.get(wanted)
    usable = model is not None and model.served and model.media == "image" and not model.needs_starting_image
    return wanted if usable else default


def music_model(catalogue: Catalogue, selector: str | None) -> str:
    wanted = MUSIC_SELECTORS.get(_normal(selector), selector or "")
    model = catalogue.models.get(wanted)
    return wanted if model is not None and model.served and model.media == "audio" else MUSIC_DEFAULT


def video_model(catalogue: Catalogue, selector: str | None, workflow: str) -> str:
    """Return the model that does a workflow: t2v, i2v, v2v, a2v, ia2v, s2v, animate-move or animate-replace."""
    name = _normal(selector)
    if name in _SEEDANCE:
        return _SEEDANCE[name]
    given = catalogue.models.get(selector or "")
    if given is not None and given.served and given.media == "video" and _does(given.id, workflow):
        return given.id
    if workflow in ("s2v", "animate-move", "animate-replace"):
        return f"{_WAN}_{workflow}_lightx2v"
    if name.startswith("wan") and workflow in ("t2v", "i2v"):
        return f"{_WAN}_{workflow}_lightx2v"
    if name.startswith("wan") and workflow == "ia2v":
        return f"{_WAN}_s2v_lightx2v"
    base = next((base for prefix, base in _LTX.items() if name.startswith(prefix)), _LTX["ltx25"])
    return f"{base}_{workflow}_distilled"


def _does(model_id: str, workflow: str) -> bool:
    return model_id.startswith("seedance") or f"_{workflow}" in model_id


def _normal(selector: str | None) -> str:
    """Write a selector as the tables do: lower case, runs of other signs as one dash (tools §5.1)."""
    return re.sub(r"[\s_]+", "-", (selector or "").strip().lower())
