"""What the params of every project have in common: decides their types, and the fields all of them have.

Called by `image_rules`, `video_rules` and `audio_rules`, each with a table of its own fields (projects-4.2
§3.1). It knows no model, and no rule that spans two fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from ..models.params import ProjectParams
from ..settings import NETWORKS
from .attribution import check_attribution
from .field_checks import flag, integer, items, number, one_of, optional, refusal, text
from .world_receipts import world_receipt

P = TypeVar("P", bound=ProjectParams)

MAX_LORAS = 8
"""Projects-5x §17."""

TOKEN_TYPES = ("sogni", "spark")
BILLING_MODES = ("auto", "subscription", "tokens")


@attrs.frozen(kw_only=True)
class FieldKinds:
    """Which of a project's own fields are texts, integers, numbers, flags, or one of a few texts."""

    texts: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    choices: Mapping[str, Sequence[str]] = attrs.field(factory=dict)


COMMON = FieldKinds(
    texts=("positive_prompt", "negative_prompt", "style_prompt", "app_source", "sampler", "scheduler"),
    integers=("steps", "seed"),
    numbers=("guidance",),
    flags=("prompt_expanded",),
    choices={"network": NETWORKS, "token_type": TOKEN_TYPES, "billing_mode": BILLING_MODES},
)


def with_right_types(params: P, own: FieldKinds) -> P:
    """Return the params with plain values; ValidationError names the first field of a wrong type.

    What is None stays None, save `number_of_media`, which is then one.
    """
    values = attrs.asdict(params, recurse=False)
    # An empty network is none (projects-4.2 §3.1).
    if values["network"] == "":
        values["network"] = None
    changes: dict[str, Any] = {"model_id": text("model_id", params.model_id, empty=False)}
    for kinds in (COMMON, own):
        changes |= {name: optional(text, name, values[name]) for name in kinds.texts}
        changes |= {name: optional(integer, name, values[name]) for name in kinds.integers}
        changes |= {name: optional(number, name, values[name]) for name in kinds.numbers}
        changes |= {name: optional(flag, name, values[name]) for name in kinds.flags}
        changes |= {
            name: optional(one_of, name, values[name], allowed=allowed) for name, allowed in kinds.choices.items()
        }
    world_receipt(params.world_generation_receipt)
    check_attribution(params.attribution)
    count = params.number_of_media
    return attrs.evolve(
        params,
        **changes,
        # None is what a caller passes for "the usual number", which is one (projects-4.2 §3.1).
        number_of_media=1 if count is None else integer("number_of_media", count, low=1),
        disable_nsfw_filter=bool(optional(flag, "disable_nsfw_filter", params.disable_nsfw_filter)),
        loras=_checked_loras(params),
        lora_strengths=optional(items, "lora_strengths", params.lora_strengths, item=number),
    )


def _checked_loras(params: ProjectParams) -> list[str] | None:
    loras = optional(items, "loras", params.loras, item=text)
    if loras is not None and len(loras) > MAX_LORAS:
        sentence = f"loras: at most {MAX_LORAS} can be used at once, not {len(loras)}"
        raise refusal("loras", loras, f"at most {MAX_LORAS}", sentence)
    return loras
