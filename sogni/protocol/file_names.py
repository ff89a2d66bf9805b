"""Names of saved results: decides what `Project.save(name=…)` means."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from string import Formatter

from ..errors import ValidationError
from .job_state import JobState

FIELDS = ("project_id", "index", "job_id", "seed")
DEFAULT = "{project_id}-{index}"


def check_name(name: str) -> str:
    """Return a name pattern; ValidationError for one that cannot be filled or leaves the directory."""
    try:
        used = [field for _, field, _, _ in Formatter().parse(name) if field is not None]
    except ValueError as error:
        raise _wrong(name, str(error)) from error
    unknown = [field for field in used if field not in FIELDS]
    if unknown:
        raise _wrong(name, f"it has no {unknown[0]!r}")
    try:
        name.format(project_id="", index=0, job_id="", seed=0)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _wrong(name, f"{type(error).__name__}: {error}") from error
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        raise _wrong(name, "it must be a file name without a directory")
    return name


def tells_projects_apart(name: str) -> bool:
    """Whether results of two projects never get the same name from a pattern."""
    return any(field in ("project_id", "job_id") for _, field, _, _ in Formatter().parse(name))


def _wrong(name: str, why: str) -> ValidationError:
    allowed = ", ".join(f"{{{field}}}" for field in FIELDS)
    return ValidationError(
        f"name {name!r} cannot be used: {why}; it may hold {allowed}", field="name", value=name, allowed=allowed
    )


def paths_in(directory: str | PathLike[str], name: str) -> Callable[[int, JobState], Callable[[str], Path]]:
    """For each job the path for a suffix; a pattern that is the same for two results gets the index added."""
    check_name(name)
    varies = any(field in ("index", "job_id", "seed") for _, field, _, _ in Formatter().parse(name))
    owners: dict[str, int] = {}

    def for_job(index: int, job: JobState) -> Callable[[str], Path]:
        stem = name.format(
            project_id=job.project.id, index=index, job_id=job.id, seed=0 if job.seed is None else job.seed
        )
        # Two results may have the same seed: neither may replace the other.
        alone = varies or index == 0
        stem = stem if alone and owners.setdefault(stem, index) == index else f"{stem}-{index}"
        return lambda suffix: Path(directory) / (stem + suffix)

    return for_job


def exact_path(path: str | PathLike[str]) -> Callable[[str], Path]:
    """The path itself; the suffix of the content is added only when it has none."""
    given = Path(path)
    return lambda suffix: given if given.suffix else given.with_name(given.name + suffix)
