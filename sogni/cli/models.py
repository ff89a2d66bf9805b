"""The commands `sogni models` and `sogni models show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group
from sogni.cli.known_names import models_of
from sogni.cli.output import print_json, print_table
from sogni.core.catalogue.model_families import family_of, is_spark_only, workflow_of
from sogni.core.checks import did_you_mean
from sogni.errors import NotFoundError
from sogni.models.catalogue import Choice, ModelOptions, NumberRange, SizePreset
from sogni.models.converter import to_dict

if TYPE_CHECKING:
    from sogni.client import SogniClient

MEDIA = ("image", "video", "audio", "model")
_WITH_SIZES = ("image", "video")


@click.group(cls=Group, invoke_without_command=True)
@click.option("--media", type=click.Choice(MEDIA), help="List only models for this kind of media. Default: all.")
@click.option("--all", "everything", is_flag=True, help="Include models that currently have no workers.")
@connection_options
@click.pass_context
def models(context: click.Context, connection: ConnectionOptions, media: str | None, everything: bool) -> None:
    """List the models that currently have workers, or show one.

    Example: sogni models --media image
    """
    if context.invoked_subcommand is not None:
        for parameter in context.command.params:
            if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE:
                name = context.invoked_subcommand
                raise click.UsageError(f"give {max(parameter.opts, key=len)} after '{name}', if it takes it")
        return
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


@models.command(cls=Command)
@click.argument("model_id", metavar="ID", shell_complete=models_of())
@connection_options
def show(connection: ConnectionOptions, model_id: str) -> None:
    """Show a model: its family, its workers, the ranges and defaults of its options, its media and its sizes.

    Example: sogni models show krea2_turbo_fp8_scaled
    """
    with connection.client() as client:
        known = {model.id: model for model in client.projects.get_supported_models()}
        if model_id not in known:
            hint = did_you_mean(model_id, known)
            raise NotFoundError(f"there is no model {model_id!r}{hint}; 'sogni models --all' lists them")
        model = known[model_id]
        workers = {it.id: it.worker_count for it in client.projects.get_available_models(connection.network)}
        options = client.projects.get_model_options(model_id)
        sizes = client.projects.get_size_presets(connection.network, model_id) if model.media in _WITH_SIZES else []
        is_video = model.media == "video" and workflow_of(model_id) is not None
        assets = client.projects.get_video_asset_config(model_id).assets if is_video else None
        loras = [it.lora_id for it in client.projects.available_loras(model_id)]
    family = family_of(model_id)
    facts = {
        "id": model.id,
        "name": model.name,
        "media": model.media,
        "family": family.name if family else None,
        "workflow": workflow_of(model_id),
        "tier": model.tier or None,
        "workerCount": workers.get(model_id, 0),
        "tokens": ["spark"] if is_spark_only(model_id) else ["sogni", "spark"],
    }
    if connection.as_json:
        media = {} if assets is None else {"assets": assets}
        print_json({**facts, "options": to_dict(options), **to_dict(media), "sizes": to_dict(sizes), "loras": loras})
        return
    rows = [(_label(name), ", ".join(it) if isinstance(it, list) else str(it)) for name, it in facts.items() if it]
    rows += _options(options)
    rows += (
        [(_label(it.name), getattr(assets, it.name)) for it in attrs.fields(type(assets)) if it.name != "extra"]
        if assets
        else []
    )
    rows += [("sizes", ", ".join(map(_size, sizes)))] if sizes else []
    rows += [("LoRAs", ", ".join(loras))] if loras else []
    print_table(("model", ""), rows)


def _label(name: str) -> str:
    return "workers" if name == "workerCount" else name.replace("_", " ")


def _options(options: ModelOptions) -> list[tuple[str, str]]:
    """Return the options of a model, each with its allowed values and default."""
    found = (
        (it.name, getattr(options, it.name)) for it in attrs.fields(ModelOptions) if it.name not in ("type", "extra")
    )
    return [(_label(name), _allowed(value)) for name, value in found if value is not None]


def _allowed(value: Any) -> str:
    if isinstance(value, NumberRange):
        low, high = _number(value.min), _number(value.max)
        limits = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
        steps = "" if value.step in (0, 1) else f"in steps of {_number(value.step)}"
        default = "" if value.default is None else f"default {_number(value.default)}"
        return "; ".join(filter(None, (" ".join(filter(None, (limits, steps))), default)))
    if isinstance(value, Choice):
        value = to_dict(value)
    if isinstance(value, dict) and isinstance(value.get("allowed"), list):
        chosen = value.get("default")
        allowed = ", ".join(map(str, value["allowed"]))
        return "; ".join(filter(None, (allowed, "" if chosen is None else f"default {chosen}")))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(to_dict(value), ensure_ascii=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _size(preset: SizePreset) -> str:
    return f"{preset.id} {preset.width}x{preset.height}"
