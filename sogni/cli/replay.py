"""`sogni replay`: records of what happened in a turn."""

from __future__ import annotations

import json
from typing import Any

import click

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import Command, Group
from sogni.cli.output import print_json, print_table
from sogni.models.converter import to_dict


@click.group(cls=Group)
def replay() -> None:
    """Records of what happened in a turn: what was asked, every round, and what came of it."""


@replay.command("list", cls=Command)
@click.option("--limit", type=click.IntRange(min=1), help="How many; the service's default if none.")
@accessing
def list_(access: Access, limit: int | None) -> None:
    """List the records of the account."""
    with access.client() as client:
        found = client.replay.list(limit).records
    if access.as_json:
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
@accessing
def get(access: Access, run_id: str) -> None:
    """Show a record; --json shows all of it."""
    with access.client() as client:
        found = client.replay.get(run_id)
    if access.as_json:
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
    """A value on one line: the text it is about, where it has one."""
    if value is None or isinstance(value, str):
        return value or ""
    content = value.get("content") if isinstance(value, dict) else None
    return content if isinstance(content, str) and content else json.dumps(to_dict(value), ensure_ascii=False)
