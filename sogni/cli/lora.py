"""The commands `sogni lora list` and `sogni lora show`."""

from __future__ import annotations

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group
from sogni.cli.known_names import complete_loras, lora_names, models_of
from sogni.cli.output import print_json, print_table
from sogni.errors import NotFoundError
from sogni.models.converter import to_dict
from sogni.models.loras import Lora


@click.group(cls=Group)
def lora() -> None:
    """Find LoRAs for --lora of 'sogni image'.

    Example: sogni lora list --model krea2_turbo_fp8_scaled
    """


@lora.command("list", cls=Command)
@click.option(
    "-m",
    "--model",
    metavar="ID",
    shell_complete=models_of(),
    help="List only the LoRAs for this model. Default: all.",
)
@click.option("--personal", is_flag=True, help="Add the LoRAs that the account has imported.")
@connection_options
def list_(connection: ConnectionOptions, model: str | None, personal: bool) -> None:
    """List LoRAs with the range and the default of their strength.

    Example: sogni lora list --model krea2_turbo_fp8_scaled
    """
    with connection.client() as client:
        found = client.projects.available_loras(model, include_personal=personal)
        connection.remember(client, "loras", lora_names(found), complete=not model and not personal)
    if connection.as_json:
        print_json(found)
        return
    rows = [(it.lora_id, it.name, _range(it), _number(it.ui.default), ", ".join(it.model_ids)) for it in found]
    print_table(("id", "name", "strength", "default", "models"), rows)


@lora.command(cls=Command)
@click.argument("lora_id", metavar="ID", shell_complete=complete_loras)
@connection_options
def show(connection: ConnectionOptions, lora_id: str) -> None:
    """Show a LoRA: what it does, its models, strengths and license.

    Example: sogni lora show krea2-ink-wash
    """
    with connection.client() as client:
        found = client.projects.get_lora(lora_id)
    if found is None:
        raise NotFoundError(f"there is no LoRA {lora_id!r}; 'sogni lora list' lists them")
    if connection.as_json:
        print_json(to_dict(found))
        return
    ui, labels = found.ui, found.ui.range_labels
    facts = (
        ("id", found.lora_id),
        ("name", found.name),
        ("description", found.description),
        ("models", ", ".join(found.model_ids)),
        ("strength", _range(found)),
        ("default", _number(ui.default)),
        ("lowest", labels.min if labels else None),
        ("highest", labels.max if labels else None),
        ("content filter", "must be off (--no-filter)" if ui.nsfw else None),
        ("related", ", ".join(found.related_lora_ids)),
        ("prompt", ui.example_prompt),
        ("creator", ui.creator),
        ("license", ui.license),
        ("source", ui.source_url),
    )
    print_table(("LoRA", ""), [(name, value) for name, value in facts if value])


def _range(it: Lora) -> str:
    low, high = it.ui.min, it.ui.max
    return "" if low is None or high is None else f"{low:g} to {high:g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
