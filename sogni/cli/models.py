"""`sogni models`: which models there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .access import Access, accessing
from .commands import Command
from .output import print_json, print_table

if TYPE_CHECKING:
    from ..client import SogniClient

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
