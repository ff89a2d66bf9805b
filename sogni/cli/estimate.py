"""The commands `sogni estimate` and `sogni models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group
from sogni.cli.image import image_options
from sogni.cli.music import music_options
from sogni.cli.output import print_json, print_table, write
from sogni.cli.params import OPTIONAL_PROMPT
from sogni.cli.video import video_options
from sogni.models.projects import CostEstimation
from sogni.settings import TokenType

if TYPE_CHECKING:
    from sogni.client import SogniClient


@click.group(cls=Group)
def estimate() -> None:
    """Estimate the cost of a project without creating it.

    Example: sogni estimate image --steps 20 --count 4
    """


@estimate.command("image")
@OPTIONAL_PROMPT
@image_options
@connection_options
def estimate_image(connection: ConnectionOptions, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Estimate the cost of 'sogni image' with the same options.

    Example: sogni estimate image --steps 20 --count 4
    """
    print_estimate(connection, {**fields, "positive_prompt": positive_prompt})


@estimate.command("video")
@OPTIONAL_PROMPT
@video_options
@connection_options
def estimate_video(connection: ConnectionOptions, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Estimate the cost of 'sogni video' with the same options. Files are not uploaded.

    Example: sogni estimate video --duration 10
    """
    print_estimate(connection, {**fields, "positive_prompt": positive_prompt})


@estimate.command("music")
@OPTIONAL_PROMPT
@music_options
@connection_options
def estimate_music(connection: ConnectionOptions, positive_prompt: str, fields: dict[str, Any]) -> None:
    """Estimate the cost of 'sogni music' with the same options.

    Example: sogni estimate music --duration 60
    """
    print_estimate(connection, {**fields, "positive_prompt": positive_prompt})


def print_estimate(connection: ConnectionOptions, fields: dict[str, Any]) -> None:
    """Print the estimated cost of a project."""
    from sogni.core.projects.create import paying_token_of

    with connection.client() as client:
        cost = client.projects.estimate(**fields, network=connection.network)
        token = paying_token_of(fields["model_id"], fields.get("token_type"), client._settings)
    if connection.as_json:
        print_json(cost)
    else:
        write(format_price(cost, token))


def format_price(cost: CostEstimation, token: TokenType) -> str:
    """Format an estimate on one line, starting with the token that pays."""
    others = {"spark": cost.spark, "sogni": cost.sogni, "usd": cost.usd}
    others.pop(token)
    names = {"spark": "Spark", "sogni": "Sogni", "usd": "USD"}
    converted = ", ".join(f"{amount:f} {names[unit]}" for unit, amount in others.items() if amount is not None)
    main = "unknown" if cost.token is None else f"{cost.token:f} {names[token]}"
    return f"{main} ({converted})" if converted else main


MEDIA = ("image", "video", "audio", "model")


@click.command(cls=Command)
@click.option("--media", type=click.Choice(MEDIA), help="List only models for this kind of media. Default: all.")
@click.option("--all", "everything", is_flag=True, help="Include models that currently have no workers.")
@connection_options
def models(connection: ConnectionOptions, media: str | None, everything: bool) -> None:
    """List the models that currently have workers.

    Example: sogni models --media image
    """
    with connection.client() as client:
        found = model_rows(client, connection.network, everything=everything)
        names = {row["id"]: {"name": row["name"], "media": row["media"]} for row in found}
        connection.remember(client, "models", names, complete=everything)
    found = [row for row in found if media in (None, row["media"])]
    if connection.as_json:
        print_json(found)
        return
    shown = [(row["id"], str(row["workerCount"]), row["media"], row["name"]) for row in found]
    print_table(("model", "workers", "media", "name"), shown)


def model_rows(client: SogniClient, network: Any, *, everything: bool) -> list[dict[str, Any]]:
    """Return the models, sorted by number of workers."""
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
