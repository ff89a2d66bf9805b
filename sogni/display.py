"""Display of projects, jobs and chat streams in notebooks and terminals.

Used for rich representations and by `wait(progress=True)`. It downloads nothing and needs no library except, in a
notebook, the IPython that runs there. Errors of standard error are ignored: progress must not fail a wait.
"""

from __future__ import annotations

import html
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from sogni.redaction import escape_controls

_BAR = 30
_PERCENT = 8
"""Columns for percentage and spaces."""
_SHORTEST_STATUS = 10
_DEFAULT_COLUMNS = 80
_REDRAW_SECONDS = 0.05
_PLAYERS = {
    "image": '<img src="{url}" alt="{alt}" style="max-width:100%;max-height:32em">',
    "video": '<video src="{url}" controls loop style="max-width:100%;max-height:32em"></video>',
    "audio": '<audio src="{url}" controls></audio>',
}
_WEB_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
# A worker could send any string as a URL, such as a script that the notebook would run.


def _link(url: str | None) -> str:
    """Return a URL escaped for an HTML attribute, or an empty string if it is not a web URL."""
    return html.escape(url, quote=True) if url and _WEB_URL.fullmatch(url) else ""


def job_html(job: Any) -> str:
    """Return HTML with the result of a job, or its state if it has none."""
    player = _PLAYERS.get(job.type)
    url = _link(job.result_url)
    if url and job.has_result_media and player:
        return player.format(url=url, alt=f"job {html.escape(job.id, quote=True)}")
    return f"<code>{html.escape(repr(job))}</code>"


_REASONS = {
    "concurrency_limit": "the limit of projects at a time is reached",
    "model_concurrency_limit": "the limit of projects with this model is reached",
    "payment_pending": "the payment is pending",
    "no_workers": "no workers for this model",
    "queued": "all workers busy",
}

_PHASES = {
    "downloadingAssets": "downloading LoRAs",
    "unloadingModel": "unloading model",
    "loadingModel": "loading model",
}


def status_phrase(project: Any) -> str:
    """Return the status of a project in a few words: why it waits, or what its worker prepares, if that is known."""
    if project.status not in ("pending", "queued"):
        return str(project.status)
    for job in project.jobs:
        if job.preparation is not None:
            return _preparation_phrase(job.preparation) or str(job.status)
    reason = project.waiting_reason
    known = _REASONS.get(reason.reason) if reason is not None else None
    if known is None and project.queue_status == "no-workers":
        known = _REASONS["no_workers"]
    place = f"{_ordinal(project.queue_position)} in line" if project.queue_position > 0 else None
    start = project.estimated_start_at
    left = None if start is None else _about(start.timestamp() - time.time())
    parts = [part for part in (known, place, left) if part]
    return f"waiting: {', '.join(parts)}" if parts else str(project.status)


def _preparation_phrase(preparation: Any) -> str | None:
    if preparation.phase == "downloadingAssets" and preparation.total:
        number = min(preparation.total, (preparation.completed or 0) + 1)
        return f"downloading LoRA {number} of {preparation.total}"
    doing = {
        "downloadingAssets": "downloading LoRAs",
        "unloadingModel": "unloading model",
        "loadingModel": "loading model",
    }
    return doing.get(preparation.phase)


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def _about(seconds: float) -> str | None:
    """Return an estimated time in words; None if it is over."""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 1.5 * length or (length == 1 and seconds >= 0.5):
            return f"about {round(seconds / length)} {unit}"
    return None


def project_html(project: Any) -> str:
    """Return HTML with a table of the jobs of a project."""
    rows = "".join(_row(place, job) for place, job in enumerate(project.jobs))
    error = f"<p>{html.escape(project.error.message)}</p>" if project.error else ""
    head = "<tr><th>job</th><th>status</th><th>progress</th><th>worker</th><th>seed</th><th>result</th></tr>"
    return (
        f"<div><b>Project</b> <code>{html.escape(project.id)}</code> {html.escape(status_phrase(project))} "
        f'<progress value="{project.progress}" max="100"></progress> {project.progress}%{error}'
        f"<table>{head}{rows}</table></div>"
    )


def _row(place: int, job: Any) -> str:
    result, preview = _link(job.result_url), _link(job.preview_url)
    url = result or preview
    link = f'<a href="{url}">{"result" if result else "preview"}</a>' if url else ""
    cells = (
        str(place),
        job.status,
        f"{job.progress}%",
        job.worker_name or "",
        "" if job.seed is None else str(job.seed),
    )
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}<td>{link}</td></tr>"


def stream_html(stream: Any) -> str:
    """Return HTML with the content of a chat stream so far."""
    end = "" if stream.finished else "▌"
    return f'<div style="white-space:pre-wrap">{html.escape(stream.content)}{end}</div>'


def in_notebook() -> bool:
    """Return whether this process shows its output in a notebook."""
    ipython = sys.modules.get("IPython")
    running = ipython.get_ipython() if ipython is not None else None
    return running is not None and "IPKernelApp" in running.config


def _notebook() -> Any:
    try:
        return import_module("IPython.display")
    except ImportError:
        raise ImportError(
            "display in a notebook needs IPython, which is not installed: pip install 'sogni[notebook]'",
            name="IPython",
        ) from None


def show_project_in_notebook(project: Any) -> None:
    """Display a project as a table that is updated until it finishes."""
    notebook = _notebook()
    shown = notebook.display(notebook.HTML(project_html(project)), display_id=True)
    if project.finished or shown is None:
        return

    def refresh(*_: Any) -> None:
        shown.update(notebook.HTML(project_html(project)))

    for event in ("updated", "progress", "completed", "failed", "canceled"):
        project.on(event, refresh)


def show_stream_in_notebook(stream: Any, listeners: Any) -> None:
    """Display a chat stream and update it until it finishes; `listeners` are those of all streams of the client."""
    notebook = _notebook()
    shown = notebook.display(notebook.HTML(stream_html(stream)), display_id=True)
    if stream.finished or shown is None:
        return
    removers: list[Any] = []
    drawn = 0.0

    def refresh(event: Any) -> None:
        nonlocal drawn
        if getattr(event, "job_id", None) != stream.job_id:
            return
        finished, now = stream.finished, time.monotonic()
        if finished or now - drawn >= _REDRAW_SECONDS:
            drawn = now
            shown.update(notebook.HTML(stream_html(stream)))
        if finished:
            while removers:
                removers.pop()()

    removers += [listeners.add(event, refresh) for event in ("token", "completed", "error")]


@contextmanager
def show_progress(project: Any) -> Iterator[None]:
    """Show the progress of a project inside a `with` block: a bar on a terminal, a table in a notebook.

    Shows nothing if standard error is not a terminal.
    """
    if in_notebook():
        show_project_in_notebook(project)
        yield
        return
    if not on_terminal(sys.stderr):
        yield
        return
    full, empty = "█░" if _can_show(sys.stderr, "█░") else "#-"
    shown = 0

    def show(*_: Any, end: str = "") -> None:
        nonlocal shown
        columns, status = _columns(sys.stderr), f"{escape_controls(status_phrase(project)):<{_SHORTEST_STATUS}}"
        length = max(0, min(_BAR, columns - _PERCENT - len(status)))
        done = round(project.progress / 100 * length)
        bar = f"{full * done}{empty * (length - done)} {project.progress:3d}% {status}"
        # A wrapped line cannot be overwritten, and the end of a longer one would remain.
        bar = bar[: columns - 1]
        _write(f"\r{bar:<{shown}}{end}")
        shown = len(bar)

    removers = [project.on(event, show) for event in ("progress", "updated")]
    show()
    try:
        yield
    finally:
        for remove in removers:
            remove()
        show(end="\n")


def on_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal. Objects that replace a standard stream may lack `isatty`."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None, or closed
        return False


def _columns(stream: Any) -> int:
    """Return the width of a terminal, or 80 if it is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError, AttributeError):
        return _DEFAULT_COLUMNS


def _can_show(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeError, LookupError, TypeError):
        return False
    return True


def _write(text: str) -> None:
    # The terminal may disappear during the wait.
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
