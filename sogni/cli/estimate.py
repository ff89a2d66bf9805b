"""`sogni estimate`: what something would cost."""

from __future__ import annotations

from typing import Any

import click

from ..models.base import TokenType
from ..models.estimates import CostEstimation
from .access import Access, accessing
from .commands import Group
from .describing import ANY_PROMPT
from .image_options import imaging
from .music_options import composing
from .output import print_json, write
from .video_options import filming


@click.group(cls=Group)
def estimate() -> None:
    """Say what something would cost, without doing it."""


@estimate.command("image")
@ANY_PROMPT
@imaging
@accessing
def estimate_image(access: Access, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Say what 'sogni image' with the same options would cost."""
    tell(access, {**fields, "positive_prompt": positive_prompt})


@estimate.command("video")
@ANY_PROMPT
@filming
@accessing
def estimate_video(access: Access, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Say what 'sogni video' with the same options would cost. No file is sent."""
    tell(access, {**fields, "positive_prompt": positive_prompt})


@estimate.command("music")
@ANY_PROMPT
@composing
@accessing
def estimate_music(access: Access, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Say what 'sogni music' with the same options would cost."""
    tell(access, {**fields, "positive_prompt": positive_prompt})


def tell(access: Access, fields: dict[str, Any]) -> None:
    """Ask for the price of a project and print it."""
    from ..flows.estimates import DEFAULT_TOKEN

    with access.client() as client:
        cost = client.projects.estimate(**fields, network=access.network)
    if access.as_json:
        print_json(cost)
    else:
        write(price(cost, fields.get("token_type", DEFAULT_TOKEN)))


def price(cost: CostEstimation, token: TokenType) -> str:
    """An estimate in one line, the token that pays first."""
    others = {"spark": cost.spark, "sogni": cost.sogni, "usd": cost.usd}
    others.pop(token)
    names = {"spark": "Spark", "sogni": "Sogni", "usd": "USD"}
    said = ", ".join(f"{amount:f} {names[unit]}" for unit, amount in others.items() if amount is not None)
    main = "unknown" if cost.token is None else f"{cost.token:f} {names[token]}"
    return f"{main} ({said})" if said else main
