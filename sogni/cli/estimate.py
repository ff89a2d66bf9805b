"""The commands `sogni estimate image`, `video` and `music`."""

from __future__ import annotations

from typing import Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import TOKEN_NAMES, Group
from sogni.cli.image import image_options
from sogni.cli.music import music_options
from sogni.cli.output import print_json, write
from sogni.cli.params import OPTIONAL_PROMPT
from sogni.cli.video import video_options
from sogni.models.projects import CostEstimation
from sogni.settings import TokenType


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
    names = {**TOKEN_NAMES, "usd": "USD"}
    converted = ", ".join(f"{amount:f} {names[unit]}" for unit, amount in others.items() if amount is not None)
    main = "unknown" if cost.token is None else f"{cost.token:f} {names[token]}"
    return f"{main} ({converted})" if converted else main
