"""Names of saved artifacts: decides what a file a workflow made is called."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from ..models.workflows import WorkflowArtifact
from .file_names import plain, portable


def artifact_paths(
    directory: str | PathLike[str], workflow_id: str
) -> Callable[[int, WorkflowArtifact], Callable[[str], Path]]:
    """For each artifact the path for a suffix: workflow, place and, when it has one, its id."""

    def for_artifact(place: int, artifact: WorkflowArtifact) -> Callable[[str], Path]:
        parts = [plain(workflow_id), str(place), *([plain(artifact.id)] if artifact.id else [])]
        stem = portable("-".join(parts))
        return lambda suffix: Path(directory) / (stem + suffix)

    return for_artifact
