"""`sogni template`: saved workflows that are started with inputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, get_args

import click

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import Command, Group
from sogni.cli.output import print_json, print_table
from sogni.local.plan_files import read_values
from sogni.models.converter import to_dict
from sogni.models.workflows import Listing, WorkflowTemplate

_ID = click.argument("template_id", metavar="ID")
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False))


@click.group(cls=Group)
def template() -> None:
    """Saved workflows; 'sogni workflow start ID --input NAME=VALUE' runs one."""


@template.command("list", cls=Command)
@click.option("--visibility", type=click.Choice(get_args(Listing)), help="Whose; the service's default if none.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@accessing
def list_(access: Access, visibility: Any, limit: int) -> None:
    """List templates."""
    with access.client() as client:
        found = list(islice(client.workflows.templates.iterate(visibility, min(limit, 200)), limit))
    if access.as_json:
        print_json(to_dict(found))
    else:
        print_table(("id", "visibility", "category", "name"), [_row(it) for it in found])


@template.command(cls=Command)
@_ID
@accessing
def get(access: Access, template_id: str) -> None:
    """Show a template and its inputs."""
    with access.client() as client:
        found = client.workflows.templates.get(template_id)
    if access.as_json:
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
@accessing
def create(access: Access, file: str) -> None:
    """Save the template in FILE, in YAML or JSON."""
    given = _object_in(file)
    with access.client() as client:
        _print(access, client.workflows.templates.create(given))


@template.command(cls=Command)
@_ID
@_FILE
@accessing
def update(access: Access, template_id: str, file: str) -> None:
    """Change the fields that stand in FILE, in YAML or JSON."""
    changes = _object_in(file)
    with access.client() as client:
        _print(access, client.workflows.templates.update(template_id, changes))


@template.command(cls=Command)
@_ID
@accessing
def delete(access: Access, template_id: str) -> None:
    """Delete a template."""
    with access.client() as client:
        client.workflows.templates.delete(template_id)
    if access.as_json:
        print_json({"id": template_id, "deleted": True})


@template.command(cls=Command)
@_ID
@click.option("--name", help="The name of the copy.")
@accessing
def fork(access: Access, template_id: str, name: str | None) -> None:
    """Copy a template, also one of others that is public."""
    with access.client() as client:
        _print(access, client.workflows.templates.fork(template_id, name))


def _object_in(file: str) -> Mapping[str, Any]:
    value, _ = read_values(file)
    if not isinstance(value, Mapping):
        raise click.UsageError(f"{file}: holds no template")
    return value


def _row(found: WorkflowTemplate) -> tuple[str, str, str, str]:
    return found.id or "", found.visibility or "", found.category or "", found.name


def _print(access: Access, found: WorkflowTemplate) -> None:
    if access.as_json:
        print_json(to_dict(found))
    else:
        print_table(("id", "visibility", "category", "name"), [_row(found)])
