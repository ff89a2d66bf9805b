"""`sogni estimate`: what something would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import Command, Group
from sogni.cli.image import imaging
from sogni.cli.music import composing
from sogni.cli.output import print_json, print_table, write
from sogni.cli.params import ANY_PROMPT
from sogni.cli.video import filming
from sogni.models.base import TokenType
from sogni.models.projects import CostEstimation

if TYPE_CHECKING:
    from sogni.client import SogniClient


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
    from sogni.core.projects.create import DEFAULT_TOKEN

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


# `sogni models`: which models there are.


MEDIA = ("image", "video", "audio", "model")


@click.command(cls=Command)
@click.option("--media", type=click.Choice(MEDIA), help="Only models that make this.")
@click.option("--all", "everything", is_flag=True, help="Also models that no worker serves now.")
@accessing
def models(access: Access, media: str | None, everything: bool) -> None:
    """List the models that have workers now."""
    with access.client() as client:
        found = rows(client, access.network, everything=everything)
    found = [row for row in found if media in (None, row["media"])]
    if access.as_json:
        print_json(found)
        return
    shown = [(row["id"], str(row["workerCount"]), row["media"], row["name"]) for row in found]
    print_table(("model", "workers", "media", "name"), shown)


def rows(client: SogniClient, network: Any, *, everything: bool) -> list[dict[str, Any]]:
    """The models, those with most workers first."""
    served = {model.id: model for model in client.projects.get_available_models(network) if model.worker_count}
    known: list[Any] = [*served.values()]
    if everything:
        known += [model for model in client.projects.get_supported_models() if model.id not in served]
    made = [
        {
            "id": model.id,
            "name": model.name,
            "media": model.media,
            "workerCount": served[model.id].worker_count if model.id in served else 0,
        }
        for model in known
    ]
    return sorted(made, key=lambda row: (-row["workerCount"], row["id"]))
