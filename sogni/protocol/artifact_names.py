"""Names of saved artifacts: decides what a file a workflow made is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from ..models.workflows import WorkflowArtifact

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 100


def artifact_paths(
    directory: str | PathLike[str], workflow_id: str
) -> Callable[[int, WorkflowArtifact], Callable[[str], Path]]:
    """For each artifact the path for a suffix: workflow, place and, when it has one, its id."""

    def for_artifact(place: int, artifact: WorkflowArtifact) -> Callable[[str], Path]:
        parts = [_plain(workflow_id), str(place), *([_plain(artifact.id)] if artifact.id else [])]
        return lambda suffix: Path(directory) / ("-".join(parts) + suffix)

    return for_artifact


def _plain(text: str) -> str:
    return _ODD.sub("_", text)[:_LONGEST].strip(".") or "_"
