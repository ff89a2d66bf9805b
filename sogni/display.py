"""Display of projects, jobs and chat streams in notebooks and terminals.

In a notebook, results are downloaded and embedded, so that it can be reopened, exported and committed: it contains no
signed URL. Downloads run in threads of their own; neither callbacks nor the event loop do I/O for the display.

Attributes:
    max_embedded_bytes: Largest result in bytes that is embedded in a notebook. Larger ones are saved to `directory` and
        shown from there.
    directory: Directory for larger results, relative to the working directory, which is that of the notebook.
    max_wait: Seconds that displaying a finished project or job waits for its downloads. Those that take longer appear
        when they are complete.

Example:
    >>> import sogni.display
    >>> sogni.display.max_embedded_bytes = 500_000
"""

from __future__ import annotations

import base64
import html
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sogni.core.projects.file_names import plain
from sogni.local.embedded import EmbeddedMedia, embedded
from sogni.redaction import escape_controls, redact

max_embedded_bytes: int = 4_000_000
directory: str | os.PathLike[str] = "sogni_results"
max_wait: float = 30.0

_BAR = 30
_PERCENT = 8
"""Columns for percentage and spaces."""
_SHORTEST_STATUS = 10
_DEFAULT_COLUMNS = 80
_REDRAW_SECONDS = 0.05
_REDRAW_TABLE_SECONDS = 0.2
_MAX_DOWNLOADS = 4
_TABLE = "border-collapse:collapse;margin:.4em 0"
_CELL = "text-align:left;padding:.2em .8em .2em 0"
_GALLERY = "display:flex;flex-wrap:wrap;gap:.8em;margin:.4em 0"
_NOTE = "font-size:85%;opacity:.75"

# What has been downloaded, as long as the state of the job exists: an error message where that failed.
_results: WeakKeyDictionary[Any, EmbeddedMedia | str] = WeakKeyDictionary()
_previews: WeakKeyDictionary[Any, tuple[str, EmbeddedMedia | str]] = WeakKeyDictionary()
_shown_by_wait: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""The cell in which `wait(progress=True)` displayed a project, which is usually also the value of the cell."""


# What is displayed


def job_line(job: Any) -> str:
    """Return one line about a job, for displays without HTML."""
    seed = "" if job.seed is None else f", seed {job.seed}"
    state = job.status if job.finished else f"{job.status} {job.progress}%"
    return escape_controls(f"Job {job.id}: {job.type}, {state}{seed}{_error(job, ': ')}")


def project_line(project: Any) -> str:
    """Return one line about a project, for displays without HTML."""
    jobs = project.jobs
    results = sum(job.has_result_media for job in jobs)
    state = project.status if project.finished else f"{status_phrase(project)}, {project.progress}%"
    count = f", {results} of {len(jobs)} results" if jobs else ""
    return escape_controls(f"Project {project.id}: {_model(project)}, {state}{count}{_error(project, ': ')}")


def job_html(job: Any) -> str:
    """Return HTML with the downloaded result of a job, or its state."""
    media = _media_of(job)
    if isinstance(media, EmbeddedMedia):
        return media.in_full(_label(job))
    return f"<code>{html.escape(job_line(job))}</code>{_note(_trouble(job, media))}"


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
    """Return HTML with a project: a table of its jobs, and a gallery of its results once it is finished."""
    error = f"<div>{html.escape(project.error.message)}</div>" if project.error else ""
    head = (
        f"<b>Project</b> <code>{html.escape(project.id)}</code> {html.escape(_model(project))}: "
        f"{html.escape(status_phrase(project))}"
    )
    jobs = project.jobs
    if project.finished:
        return f"<div>{head}{error}{_gallery(jobs)}</div>"
    rows = "".join(_row(place, job) for place, job in enumerate(jobs))
    names = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("job", "status", "progress", "worker", "seed", ""))
    table = f'<table style="{_TABLE}"><tr>{names}</tr>{rows}</table>' if rows else ""
    return f"<div>{head} {_bar(project.progress)}{error}{table}</div>"


def stream_html(stream: Any) -> str:
    """Return HTML with the content of a chat stream so far."""
    end = "" if stream.finished else "▌"
    return f'<div style="white-space:pre-wrap">{html.escape(stream.content)}{end}</div>'


def result_html(result: Any, jobs: list[PastJob]) -> str:
    """Return HTML with the gallery of a `ProjectResult`."""
    of_model = f" with {result.model_id}" if result.model_id else ""
    title = f"<b>Results of project</b> <code>{html.escape(result.id)}</code>"
    return f"<div>{title}{html.escape(f'{of_model}: {result.status}')}{_gallery(jobs)}</div>"


class PastJob:
    """A job of a `ProjectResult`, as displays see the jobs of a `Project`."""

    finished = True
    preview_url = None
    error = None

    def __init__(self, result: Any, job: Any) -> None:
        self._result = result
        self._job = job
        self._state = self
        self.id: Any = job.id
        self.project_id: Any = result.id
        self.type = job.kind or "result"
        self.seed: Any = job.seed
        self.has_result_media: bool = job.url is not None
        reason = job.reason or job.error or job.url_unavailable
        self.status: str = f"{job.status}: {reason}" if reason else job.status

    def _download(self, path_for: Callable[[str], Path], *, preview: bool) -> Path:
        path: Path = self._result._download(self._job, path_for)
        return path


def _gallery(jobs: list[Any]) -> str:
    size = "24em" if len(jobs) == 1 else "14em"
    figures = "".join(_figure(place, job, size) for place, job in enumerate(jobs))
    return f'<div style="{_GALLERY}">{figures}</div>'


def _figure(place: int, job: Any, size: str) -> str:
    media = _media_of(job)
    shown = media.in_gallery(_label(job), size) if isinstance(media, EmbeddedMedia) else ""
    seed = "" if job.seed is None else f", seed {job.seed}"
    state = "" if shown else f", {job.status}{_error(job, ': ')}"
    note = html.escape(f"{place}{seed}{state}") + _trouble(job, media)
    return f'<figure style="margin:0;max-width:100%">{shown}<figcaption style="{_NOTE}">{note}</figcaption></figure>'


def _row(place: int, job: Any) -> str:
    media = _media_of(job)
    cells = (
        str(place),
        html.escape(job.status),
        _bar(job.progress),
        html.escape(job.worker_name or ""),
        "" if job.seed is None else str(job.seed),
        media.in_table(_label(job)) if isinstance(media, EmbeddedMedia) else _trouble(job, media),
    )
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _media_of(job: Any) -> EmbeddedMedia | str | None:
    """Return the result, or the preview until there is one; a message if the result cannot be downloaded."""
    found = _results.get(job._state)
    if found is None and not job.finished:
        found = _previews.get(job._state, ("", None))[1]
        return found if isinstance(found, EmbeddedMedia) else None
    return found


def _trouble(job: Any, media: EmbeddedMedia | str | None) -> str:
    """Return HTML that explains why the result of a job is not shown; empty if it is shown, or the job has none."""
    if isinstance(media, EmbeddedMedia) or not job.has_result_media:
        return ""
    return " " + html.escape("(not downloaded)" if media is None else f"(not downloaded: {media})")


def _note(text: str) -> str:
    return f'<span style="{_NOTE}">{text}</span>' if text else ""


def _bar(percent: int) -> str:
    return f'<progress value="{percent}" max="100"></progress> {percent}%'


def _label(job: Any) -> str:
    return f"{job.type} of job {job.id}"


def _model(project: Any) -> str:
    return f"{project.type} with {project.params.model_id}"


def _error(subject: Any, separator: str) -> str:
    return f"{separator}{subject.error.message}" if subject.error else ""


# Downloads


class _Downloads:
    """Runs functions in a few threads, each of which ends when nothing is left to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()
        self._threads = 0

    def put(self, function: Callable[[], None]) -> None:
        """Schedule a function that does not raise."""
        with self._lock:
            self._queue.append(function)
            if self._threads >= _MAX_DOWNLOADS:
                return
            self._threads += 1
        threading.Thread(target=self._run, name="sogni-display", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                function = self._queue.popleft()
            function()


_downloads = _Downloads()
if hasattr(os, "register_at_fork"):
    # Its threads do not exist in a forked child.
    os.register_at_fork(after_in_child=lambda: _downloads.__init__())  # type: ignore[misc]


def _download(job: Any, *, preview: bool) -> EmbeddedMedia | str:
    """Return the result or the preview of a job; a message to display if it is unavailable."""
    try:
        with tempfile.TemporaryDirectory(prefix="sogni-") as folder:
            file = job._download(lambda suffix: Path(folder) / f"media{suffix}", preview=preview)
            limit = sys.maxsize if preview else max_embedded_bytes
            return embedded(file, limit=limit, directory=directory, name=f"{plain(job.project_id)}-{plain(job.id)}")
    except Exception as error:
        return redact(str(error)) or type(error).__name__


# Notebooks


class LiveView:
    """The display of a project or job in a notebook: it follows it to its end, and embeds its results."""

    def __init__(self, subject: Any, jobs: Callable[[], list[Any]], bundle: Callable[[], dict[str, Any]]) -> None:
        self._subject = subject
        self._jobs = jobs
        self._bundle = bundle
        self._place: Any = None
        self._drawn = 0.0
        self._drawing = threading.Lock()
        self._changed = threading.Condition()
        self._pending: set[tuple[Any, bool]] = set()
        """Downloads that are not complete: the state of the job, and whether it is the preview."""
        self._awaited = False
        """Whether a thread waits for the downloads, and draws when they are complete."""
        self._removers: list[Callable[[], None]] = []

    def show(self, events: tuple[str, ...], at_once: tuple[str, ...]) -> None:
        """Display the subject in the current cell, and update it until it is finished.

        Frequent events update it a few times per second, all others immediately.
        """
        for job in self._jobs():
            if isinstance(_results.get(job._state), str):
                del _results[job._state]  # another attempt
        if self._subject.finished:
            self._complete()
        notebook = _notebook()
        self._place = notebook.display(self._bundle(), raw=True, display_id=True)
        if not self._subject.finished and self._place is not None:
            self._removers += [self._subject.on(event, self._refresh) for event in events]
            self._removers += [self._subject.on(event, self._refresh_at_once) for event in at_once]
            self._refresh()

    def finish(self) -> None:
        """Wait for the downloads of a finished subject, and show them."""
        self._complete()
        self.draw()

    def draw(self, *, pause: float = 0.0) -> None:
        """Update the display, unless it was updated less than `pause` seconds ago."""
        with self._drawing:
            now = time.monotonic()
            if self._place is not None and now - self._drawn >= pause:
                self._drawn = now
                self._place.update(self._bundle(), raw=True)

    def _refresh(self, *_: Any) -> None:
        """Handle an event. Downloads are only begun: callbacks must not wait for them."""
        self._begin_downloads()
        finished = self._subject.finished
        if finished:
            while self._removers:
                self._removers.pop()()
        self.draw(pause=0.0 if finished else _REDRAW_TABLE_SECONDS)

    def _refresh_at_once(self, *_: Any) -> None:
        self._drawn = 0.0
        self._refresh()

    def _complete(self) -> None:
        self._begin_downloads()
        with self._changed:
            self._awaited = True
            self._changed.wait_for(lambda: not self._pending, max_wait)
            self._awaited = False

    def _begin_downloads(self) -> None:
        for job in self._jobs():
            state, url = job._state, job.preview_url
            if job.has_result_media:
                if state not in _results:
                    self._begin(job, preview=False)
            elif not job.finished and url and _previews.get(state, ("", None))[0] != url:
                self._begin(job, preview=True)

    def _begin(self, job: Any, *, preview: bool) -> None:
        key = (job._state, preview)
        with self._changed:
            if key in self._pending:
                return  # for a newer preview, the next event begins another download
            self._pending.add(key)
        _downloads.put(lambda: self._load(job, preview=preview))

    def _load(self, job: Any, *, preview: bool) -> None:
        url = job.preview_url or ""
        media = _download(job, preview=preview)
        if preview:
            _previews[job._state] = (url, media)
        else:
            _results[job._state] = media
            _previews.pop(job._state, None)
        with self._changed:
            self._pending.discard((job._state, preview))
            left, awaited = len(self._pending), self._awaited
            self._changed.notify_all()
        if left or not awaited:
            self.draw(pause=_REDRAW_TABLE_SECONDS if left else 0.0)


def in_notebook() -> bool:
    """Return whether this process shows its output in a notebook."""
    ipython = _shell()
    return ipython is not None and "IPKernelApp" in ipython.config


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _cell() -> Any:
    """Return a value that identifies the current cell."""
    return getattr(_shell(), "execution_count", None)


def _notebook() -> Any:
    try:
        return import_module("IPython.display")
    except ImportError:
        raise ImportError(
            "display in a notebook needs IPython, which is not installed: pip install 'sogni[notebook]'",
            name="IPython",
        ) from None


def _show_line(line: str) -> None:
    """Display one line in the terminal of IPython, which cannot update its output."""
    _notebook().display({"text/plain": line}, raw=True)


def _project_view(project: Any) -> LiveView:
    def bundle() -> dict[str, Any]:
        return {"text/plain": project_line(project), "text/html": project_html(project)}

    view = LiveView(project, lambda: project.jobs, bundle)
    view.show(("updated", "progress"), ("job_completed", "job_failed", "completed", "failed", "canceled"))
    return view


def show_project_in_notebook(project: Any) -> None:
    """Display a project as a table that is updated until it finishes, then as a gallery."""
    _notebook()
    if not in_notebook():
        _show_line(project_line(project))
    # The value of `wait(progress=True)` is displayed already, if the cell ends with it.
    elif _shown_by_wait.pop(project._state, ()) != (_cell(),):
        _project_view(project)


def show_job_in_notebook(job: Any) -> None:
    """Display the result of a job, or its state until there is one."""
    _notebook()
    if not in_notebook():
        _show_line(job_line(job))
        return

    def bundle() -> dict[str, Any]:
        media, line = _media_of(job), job_line(job)
        if isinstance(media, EmbeddedMedia) and media.data and media.content_type in ("image/png", "image/jpeg"):
            # Every viewer of notebooks shows these, also those that remove data URIs from HTML.
            return {"text/plain": line, media.content_type: base64.b64encode(media.data).decode()}
        return {"text/plain": line, "text/html": job_html(job)}

    LiveView(job, lambda: [job], bundle).show(("updated", "progress"), ("preview", "completed", "failed"))


def show_result_in_notebook(result: Any) -> None:
    """Display the gallery of a `ProjectResult`."""
    _notebook()
    if not in_notebook():
        _show_line(escape_controls(repr(result)))
        return
    jobs = [PastJob(result, it) for it in result.jobs]

    def bundle() -> dict[str, Any]:
        return {"text/plain": escape_controls(repr(result)), "text/html": result_html(result, jobs)}

    LiveView(PastJob, lambda: jobs, bundle).show((), ())


def show_stream_in_notebook(stream: Any, listeners: Any) -> None:
    """Display a chat stream and update it until it finishes; `listeners` are those of all streams of the client."""
    notebook = _notebook()
    if not in_notebook():
        _show_line(repr(stream))
        return

    def bundle() -> dict[str, str]:
        return {"text/plain": escape_controls(stream.content), "text/html": stream_html(stream)}

    shown = notebook.display(bundle(), raw=True, display_id=True)
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
            shown.update(bundle(), raw=True)
        if finished:
            while removers:
                removers.pop()()

    removers += [listeners.add(event, refresh) for event in ("token", "completed", "error")]


# Terminals


@contextmanager
def show_progress(project: Any) -> Iterator[LiveView | None]:
    """Show the progress of a project inside a `with` block: a bar on a terminal, a table in a notebook.

    Shows nothing if standard error is not a terminal. Yields the view in a notebook: its `finish` waits for downloads,
    and is called at the end of the block.
    """
    if in_notebook():
        view = _project_view(project)
        try:
            yield view
        except BaseException:
            view.draw()
            raise
        view.finish()
        _shown_by_wait[project._state] = (_cell(),)
        return
    if not on_terminal(sys.stderr):
        yield None
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
        yield None
    finally:
        for remove in removers:
            remove()
        show(end="\n")


@contextmanager
def show_count(total: int, *, enabled: bool) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many requests of a batch are done.

    Call the yielded function with the numbers of done and failed requests.
    """
    if not enabled or not on_terminal(sys.stderr):
        yield lambda done, failed: None
        return

    def show(done: int, failed: int) -> None:
        _write(f"\r{done} of {total}" + (f", {failed} failed" if failed else ""))

    show(0, 0)
    try:
        yield show
    finally:
        _write("\n")


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
