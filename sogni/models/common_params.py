"""What any project is asked for, whatever it makes (projects-4.2 §3.1; projects-5x §2).

The base of the params of each kind, and of the `TypedDict` that gives the same fields as keyword arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from attrs import field, frozen

from ..settings import Attribution, Network
from .base import BillingMode, TokenType, wire


@frozen(kw_only=True)
class WorldGenerationReceipt:
    """How a project belongs to the building of a world (projects-5x §2.2).

    Stage `target_still` needs `source_image_sha256` and `selection_hash`, `transition` needs `first_frame_sha256` and
    `last_frame_sha256`; each is 64 hexadecimal digits.
    """

    stage: Literal["target_still", "transition"]
    source_image_sha256: str | None = None
    selection_hash: str | None = None
    first_frame_sha256: str | None = None
    last_frame_sha256: str | None = None


@frozen(kw_only=True)
class CommonParams:
    """The fields of every project; only `model_id` is required.

    What is None is left to the service, whose defaults depend on the model (`projects.get_model_options`).

    - `number_of_media`: results to make, 1 or more.
    - `seed`: of one of the results, an unsigned 32-bit number; the others get seeds of their own.
    - `loras`, `lora_strengths`: ids and their strengths, in the same order; 1.0 when there is none.
    - `token_type`: the token that pays. `billing_mode`: whether a subscription may (projects-5x §2.1).
    - `attribution`: what asks for this project, field by field instead of what the client says (transport §14).
    - `prompt_expanded`: tells the service whether the prompt has been expanded already; expands nothing.
    """

    model_id: str
    positive_prompt: str = ""
    negative_prompt: str | None = None
    style_prompt: str | None = None
    number_of_media: int = 1
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    network: Network | None = None
    disable_nsfw_filter: bool = field(default=False, metadata=wire("disableNSFWFilter"))
    token_type: TokenType | None = None
    billing_mode: BillingMode | None = None
    app_source: str | None = None
    loras: Sequence[str] | None = None
    lora_strengths: Sequence[float] | None = None
    sampler: str | None = None
    scheduler: str | None = None
    prompt_expanded: bool | None = None
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None = None
    attribution: Attribution | Mapping[str, Any] | None = None


class CommonFields(TypedDict, total=False):
    """The fields of `CommonParams` as keyword arguments."""

    model_id: Required[str]
    positive_prompt: str
    negative_prompt: str | None
    style_prompt: str | None
    number_of_media: int
    steps: int | None
    guidance: float | None
    seed: int | None
    network: Network | None
    disable_nsfw_filter: bool
    token_type: TokenType | None
    billing_mode: BillingMode | None
    app_source: str | None
    loras: Sequence[str] | None
    lora_strengths: Sequence[float] | None
    sampler: str | None
    scheduler: str | None
    prompt_expanded: bool | None
    world_generation_receipt: WorldGenerationReceipt | Mapping[str, Any] | None
    attribution: Attribution | Mapping[str, Any] | None
