"""The commands `sogni replay list` and `sogni replay get`."""

from __future__ import annotations

import json
from typing import Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Group
from sogni.cli.output import print_json, print_table
from sogni.models.converter import to_dict


@click.group(cls=Group)
def replay() -> None:
    """Inspect run records: the request, every round and the response.

    Example: sogni replay list --limit 10
    """


@replay.command("list", cls=Command)
@click.option("--limit", type=click.IntRange(min=1), help="List at most this many. Default: the service's.")
@connection_options
def list_(connection: ConnectionOptions, limit: int | None) -> None:
    """List the run records of the account.

    Example: sogni replay list --limit 10
    """
    with connection.client() as client:
        found = client.replay.list(limit).records
    if connection.as_json:
        print_json(to_dict(found))
        return
    rows = [
        (
            it.run_id,
            f"{it.create_time:%Y-%m-%d %H:%M}" if it.create_time else "",
            it.model_id or "",
            "" if it.rounds is None else str(it.rounds),
            it.user_request or "",
        )
        for it in found
    ]
    print_table(("id", "written", "model", "rounds", "request"), rows)


@replay.command(cls=Command)
@click.argument("run_id", metavar="ID")
@connection_options
def get(connection: ConnectionOptions, run_id: str) -> None:
    """Show the summary of a run record, or all of it with --json.

    Example: sogni replay get run_123 --json
    """
    with connection.client() as client:
        found = client.replay.get(run_id)
    if connection.as_json:
        print_json(to_dict(found))
        return
    record = found.record
    facts = [
        ("id", record.run_id),
        ("session", record.session_id or ""),
        ("model", record.model_id or ""),
        ("request", record.user_request or ""),
        *((f"round {place}", _short(it)) for place, it in enumerate(record.rounds or ())),
        ("response", _short(record.final_response)),
    ]
    print_table(("record", ""), facts)


def _short(value: Any) -> str:
    """Return the content of a message, or any other value as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    content = value.get("content") if isinstance(value, dict) else None
    return content if isinstance(content, str) and content else json.dumps(to_dict(value), ensure_ascii=False)
