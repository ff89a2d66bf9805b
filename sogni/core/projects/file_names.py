"""File names of saved results: the templates of `Project.save(name=…)`.

Ids and names come from the service and must not escape the directory on any platform: only their letters, digits, `.`,
`_` and `-` are used, and the device names of Windows are avoided.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from string import Formatter
from typing import Any

from sogni.core.projects.job import JobState
from sogni.core.storage import Directory, placed
from sogni.errors import ValidationError

FIELDS = ("project_id", "index", "job_id", "seed")
DEFAULT = "{project_id}-{index}"
MAX_NAME_BYTES = 200
"""Maximum bytes of a name without its suffix; file systems allow 255 with suffix and number."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)


def plain(text: str) -> str:
    """Return a name from the service as part of a file name."""
    return _UNUSUAL.sub("_", text)[:100].strip(".") or "_"


def portable(stem: str) -> str:
    """Return a file name without suffix that is valid on every platform."""
    stem = shortened(_FORBIDDEN.sub("_", stem), MAX_NAME_BYTES) or "_"
    return f"_{stem}" if _DEVICE.match(stem) else stem


def shortened(text: str, longest: int) -> str:
    """Return the beginning of a string, at most `longest` bytes in UTF-8."""
    encoded = text.encode("utf-8", "surrogateescape")
    return text if len(encoded) <= longest else encoded[:longest].decode("utf-8", "ignore")


def check_name(name: str) -> str:
    """Return a valid name template. Raises `ValidationError` if it cannot be filled or leaves the directory."""
    try:
        used = [field for _, field, _, _ in Formatter().parse(name) if field is not None]
    except ValueError as error:
        raise _invalid(name, str(error)) from error
    unknown = [field for field in used if field not in FIELDS]
    if unknown:
        raise _invalid(name, f"there is no field {unknown[0]!r}")
    try:
        filled = name.format(project_id="x", index=0, job_id="x", seed=0)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _invalid(name, f"{type(error).__name__}: {error}") from error
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        raise _invalid(name, "it is not a file name without a directory")
    if any(_FORBIDDEN.search(literal) for literal, *_ in Formatter().parse(name)):
        raise _invalid(name, 'it has a control character or one of < > : " | ? *')
    if _DEVICE.match(filled):
        raise _invalid(name, "it is a device name on Windows")
    if len(filled.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise _invalid(name, f"it is longer than {MAX_NAME_BYTES} bytes")
    return name


def is_unique_per_project(name: str) -> bool:
    """Whether a template gives the results of two projects different names."""
    return any(field in ("project_id", "job_id") for _, field, _, _ in Formatter().parse(name))


def _invalid(name: str, why: str) -> ValidationError:
    allowed = ", ".join(f"{{{field}}}" for field in FIELDS)
    return ValidationError(
        f"name must be a file name with fields from {allowed}, got {name!r}: {why}",
        field="name",
        value=name,
        allowed=allowed,
    )


def paths_in(directory: Directory, name: str) -> Callable[[int, JobState], Callable[[str], Any]]:
    """Return a function that gives the path of each job's result, as `result_paths` does."""
    path_for = result_paths(directory, name)
    return lambda index, job: path_for(index, job.project.id, job.id, job.seed)


def result_paths(directory: Directory, name: str) -> Callable[[int, str, str, int | None], Callable[[str], Any]]:
    """Return a function that gives the path of each result from its index, the ids of project and job, and the seed.

    The index is added to a name that is taken.
    """
    check_name(name)
    varies = any(field in ("index", "job_id", "seed") for _, field, _, _ in Formatter().parse(name))
    owners: dict[str, int] = {}

    def for_result(index: int, project_id: str, job_id: str, seed: int | None) -> Callable[[str], Any]:
        filled = name.format(project_id=plain(project_id), index=index, job_id=plain(job_id), seed=seed or 0)
        stem = portable(filled)
        # Two results may have the same seed.
        alone = varies or index == 0
        key = stem.casefold()  # the same file on case-insensitive file systems
        stem = stem if alone and owners.setdefault(key, index) == index else f"{stem}-{index}"
        return placed(directory, stem)

    return for_result


def exact_path(path: str | PathLike[str]) -> Callable[[str], Path]:
    """Return the path itself, with the suffix of the content only if it has none."""
    given = Path(path)
    if given.name in ("", "..") or "\0" in str(given):
        raise ValidationError(
            f"path must be a file, got {str(given)!r}", field="path", value=str(given), allowed="a file"
        )
    return lambda suffix: given if given.suffix else given.with_name(given.name + suffix)
