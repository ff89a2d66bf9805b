"""What a workflow is started with on the command line: decides what PLAN, `--input`, `--media`, `--seed` mean.

Used by the `workflow` commands. Files are read and checked before a client is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..machine.plan_files import SUFFIXES, load_plan
from ..models.workflows import MediaReference

if TYPE_CHECKING:
    from ..client import SogniClient


def plan_or_template(plan: str, inputs: Mapping[str, Any], media: Sequence[str], *, strict: bool) -> dict[str, Any]:
    """What `start` gets for PLAN: a plan from a file, which its suffix tells, else the id of a template.

    A plan is checked here, so that every mistake is told with its line. ValidationError, UsageError.
    """
    if Path(plan).suffix.lower() not in SUFFIXES:
        return {"workflow_id": plan, "inputs": dict(inputs) or None}
    if inputs:
        raise click.UsageError("--input belongs to a template: give its id as PLAN, not a file")
    if not Path(plan).exists():
        raise click.UsageError(f"PLAN: there is no file {plan!r}")
    return {"input": load_plan(plan, media_references=media, whole=strict), "strict": strict}


def read_inputs(pairs: Iterable[str]) -> dict[str, Any]:
    """Inputs of a template from `name=value`; a value that is JSON is that, everything else a text."""
    return {name: _value(value) for name, value in _pairs("--input", pairs)}


def read_seeds(pairs: Iterable[str]) -> dict[str, int]:
    """Seeds of steps from `step=seed`."""
    seeds: dict[str, int] = {}
    for step, seed in _pairs("--seed", pairs):
        try:
            seeds[step] = int(seed)
        except ValueError:
            raise click.UsageError(f"--seed: {seed!r} is no whole number") from None
    return seeds


def _pairs(option: str, pairs: Iterable[str]) -> Iterable[tuple[str, str]]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option}: {pair!r} is not NAME=VALUE")
        if name.strip() in found:
            raise click.UsageError(f"{option}: {name.strip()!r} is given twice")
        found[name.strip()] = value
    return found.items()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def check_media(media: Iterable[str]) -> None:
    """UsageError for a file that cannot be uploaded, before anything else is done."""
    for it in media:
        if not _is_address(it) and not Path(it).is_file():
            raise click.UsageError(f"--media: there is no file {it!r}")


def upload_media(client: SogniClient, media: Iterable[str]) -> list[MediaReference]:
    """References to media: addresses as they are, files uploaded."""
    return [MediaReference(url=it) if _is_address(it) else client.workflows.upload(Path(it)) for it in media]


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
