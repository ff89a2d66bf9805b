"""The commands `sogni template …` for saved workflows with inputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, get_args

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group
from sogni.cli.output import print_json, print_table
from sogni.local.plan_files import read_values
from sogni.models.converter import to_dict
from sogni.models.workflows import Listing, WorkflowTemplate

_ID = click.argument("template_id", metavar="ID")
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False))


@click.group(cls=Group)
def template() -> None:
    """Manage saved workflows with inputs. 'sogni workflow start ID --input NAME=VALUE' runs one.

    Example: sogni template list --limit 10
    """


@template.command("list", cls=Command)
@click.option(
    "--visibility",
    type=click.Choice(get_args(Listing)),
    help="List only templates with this visibility. Default: the service's.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="List at most this many.")
@connection_options
def list_(connection: ConnectionOptions, visibility: Any, limit: int) -> None:
    """List templates.

    Example: sogni template list --limit 10
    """
    with connection.client() as client:
        found = list(islice(client.workflows.templates.iterate(visibility, min(limit, 200)), limit))
    if connection.as_json:
        print_json(to_dict(found))
    else:
        print_table(("id", "visibility", "category", "name"), [_row(it) for it in found])


@template.command(cls=Command)
@_ID
@connection_options
def get(connection: ConnectionOptions, template_id: str) -> None:
    """Show a template and its inputs.

    Example: sogni template get TEMPLATE
    """
    with connection.client() as client:
        found = client.workflows.templates.get(template_id)
    if connection.as_json:
        print_json(to_dict(found))
        return
    facts = [("id", found.id or ""), ("name", found.name), ("version", found.version or "")]
    facts += [("visibility", found.visibility or ""), ("description", found.description or "")]
    for it in found.inputs or ():
        facts.append(
            (f"--input {it.name}=", f"{it.type or ''}{' (required)' if it.required else ''} {it.description or ''}")
        )
    print_table(("template", ""), facts)


@template.command(cls=Command)
@_FILE
@connection_options
def create(connection: ConnectionOptions, file: str) -> None:
    """Create a template from FILE, in YAML or JSON.

    Example: sogni template create teaser.yaml
    """
    given = _object_in(file)
    with connection.client() as client:
        _print(connection, client.workflows.templates.create(given))


@template.command(cls=Command)
@_ID
@_FILE
@connection_options
def update(connection: ConnectionOptions, template_id: str, file: str) -> None:
    """Update the fields of a template that are in FILE, in YAML or JSON.

    Example: sogni template update TEMPLATE changes.yaml
    """
    changes = _object_in(file)
    with connection.client() as client:
        _print(connection, client.workflows.templates.update(template_id, changes))


@template.command(cls=Command)
@_ID
@connection_options
def delete(connection: ConnectionOptions, template_id: str) -> None:
    """Delete a template.

    Example: sogni template delete TEMPLATE
    """
    with connection.client() as client:
        client.workflows.templates.delete(template_id)
    if connection.as_json:
        print_json({"id": template_id, "deleted": True})


@template.command(cls=Command)
@_ID
@click.option("--name", help="Name the copy. Default: the service's.")
@connection_options
def fork(connection: ConnectionOptions, template_id: str, name: str | None) -> None:
    """Copy a template, your own or a public one.

    Example: sogni template fork TEMPLATE --name "My teaser"
    """
    with connection.client() as client:
        _print(connection, client.workflows.templates.fork(template_id, name))


def _object_in(file: str) -> Mapping[str, Any]:
    value, _ = read_values(file)
    if not isinstance(value, Mapping):
        raise click.UsageError(f"{file} does not contain a template")
    return value


def _row(found: WorkflowTemplate) -> tuple[str, str, str, str]:
    return found.id or "", found.visibility or "", found.category or "", found.name


def _print(connection: ConnectionOptions, found: WorkflowTemplate) -> None:
    if connection.as_json:
        print_json(to_dict(found))
    else:
        print_table(("id", "visibility", "category", "name"), [_row(found)])
