"""What is shown of jobs and projects: in notebooks, on a terminal, in a pipe."""

from __future__ import annotations

import io
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sogni.base import BaseProject
from sogni.core.outbox import Listeners, Outbox
from sogni.core.projects.project import ProjectState
from sogni.display import (
    in_notebook,
    job_html,
    project_html,
    show_progress,
    show_project_in_notebook,
    show_stream_in_notebook,
    status_phrase,
    stream_html,
)
from sogni.models.params import ImageProjectParams
from sogni.models.projects import ErrorData
from tests.tables import each_row

EVIL = '"><script>alert(1)</script>'


def project_of(*results: dict[str, Any], media: int = 2) -> BaseProject:
    params = ImageProjectParams(model_id="m", number_of_media=media)
    state = ProjectState("P", params, Outbox(), now=0, kind="image", listening=[])
    for result in results:
        state.job_result(result, 1)
    return BaseProject(None, state)


def told(project: BaseProject) -> None:
    """Deliver what the outbox holds, as a shell does."""
    deliveries = project._state.out.deliveries
    for delivery in deliveries:
        for function in delivery.listeners.take(delivery.event):
            function(delivery.value)
    deliveries.clear()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image", '<img src="https://h/r?a=1&amp;b=2" alt="job J" style="max-width:100%;max-height:32em">'),
        ("video", '<video src="https://h/r?a=1&amp;b=2" controls loop style="max-width:100%;max-height:32em"></video>'),
        ("audio", '<audio src="https://h/r?a=1&amp;b=2" controls></audio>'),
        ("model", "<code>&lt;Job J completed 100%&gt;</code>"),
    ],
)
def test_a_finished_job_is_shown_as_what_it_is(kind: str, expected: str) -> None:
    project = project_of({"imgID": "J", "resultUrl": "https://h/r?a=1&b=2"})
    project._state.kind = kind
    assert expected == job_html(project.jobs[0])


def test_a_job_without_a_result_is_shown_as_its_state() -> None:
    project = project_of({"imgID": "J", "triggeredNSFWFilter": True})
    assert job_html(project.jobs[0]) == "<code>&lt;Job J completed 100%&gt;</code>"


def test_a_project_is_a_table_of_its_jobs() -> None:
    project = project_of({"imgID": "A", "resultUrl": "https://h/a", "lastSeed": "7"})
    project._state.job_begins({"imgID": "B", "workerName": "w"}, 2, started=True)
    project._state.previewed(project._state.jobs["B"], "https://h/b", 3)
    project._state.job_begins({"imgID": "C"}, 2, started=False)
    shown = project_html(project)
    assert '<a href="https://h/a">result</a>' in shown
    assert '<a href="https://h/b">preview</a>' in shown
    assert "<td>0</td><td>completed</td><td>100%</td><td></td><td>7</td>" in shown
    assert "<td>1</td><td>processing</td><td>0%</td><td>w</td><td></td>" in shown
    assert "<td>2</td><td>initiating</td><td>0%</td><td></td><td></td><td></td>" in shown


def test_nothing_of_the_service_becomes_markup() -> None:
    project = project_of({"imgID": "A", "resultUrl": EVIL}, media=3)
    project._state.job_begins({"imgID": "B", "workerName": EVIL}, 2, started=True)
    project._state.fail(ErrorData(code=1, message=EVIL), 3)
    assert "<script>" not in project_html(project)
    assert "<script>" not in job_html(project.jobs[0])
    assert "&lt;script&gt;alert(1)" in project_html(project)


OTHER_ADDRESSES = [
    "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "JAVASCRIPT:alert(1)", "vbscript:x",
    "data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "//elsewhere/x", "/x", "https:x", "https://",
    "https://h/ x", "https://h/\nx", "x",
]  # fmt: skip


@each_row("url", OTHER_ADDRESSES)
@each_row("kind", ["image", "video", "audio"])
def test_only_web_addresses_are_linked(kind: str, url: str) -> None:
    project = project_of({"imgID": "A", "resultUrl": url})
    project._state.kind = kind
    project._state.job_begins({"imgID": "B"}, 2, started=True)
    project._state.previewed(project._state.jobs["B"], url, 3)
    shown = project_html(project) + job_html(project.jobs[0])
    assert ("href" in shown, "src" in shown) == (False, False)


@pytest.mark.parametrize("url", ["HTTPS://h/a", "http://127.0.0.1:8000/storage/a?b=c"])
def test_web_addresses_are_linked(url: str) -> None:
    project = project_of({"imgID": "A", "resultUrl": url})
    assert f'href="{url}"' in project_html(project)


SENT = {"reason": "queued", "message": "m"}


@each_row(
    ("queued", "phrase"),
    [
        ({}, "queued"),
        ({"queuePosition": 0, "queueStatus": "waiting", "estimatedStartSeconds": 0}, "queued"),
        ({"queuePosition": 1}, "waiting: 1st in line"),
        ({"queuePosition": 22, "estimatedStartSeconds": 40}, "waiting: 22nd in line, about 40 s"),
        ({"queuePosition": 12, "estimatedStartSeconds": 600}, "waiting: 12th in line, about 10 min"),
        ({"queuePosition": 3, "waitingReason": SENT}, "waiting: all workers busy, 3rd in line"),
        ({"queueStatus": "no-workers"}, "waiting: no workers for this model"),
        ({"waitingReason": {**SENT, "reason": "payment_pending"}}, "waiting: the payment is pending"),
        ({"estimatedStartSeconds": 7300}, "waiting: about 2 h"),
    ],
    ids=str,
)
def test_a_waiting_project_says_why(queued: dict[str, Any], phrase: str) -> None:
    project = project_of()
    now = time.time()
    project._state.queued(queued, now)
    assert (status_phrase(project), f"{phrase} <progress" in project_html(project)) == (phrase, True)


@each_row(
    ("sent", "phrase"),
    [
        ({"phase": "loadingModel", "step": "start"}, "loading model"),
        ({"phase": "unloadingModel"}, "unloading model"),
        ({"phase": "downloadingAssets", "total": 3, "completed": 1}, "downloading LoRA 2 of 3"),
        ({"phase": "downloadingAssets", "total": 3, "completed": 3}, "downloading LoRA 3 of 3"),
        ({"phase": "downloadingAssets"}, "downloading LoRAs"),
        ({"phase": "somethingNew"}, "initiating"),
        (None, "pending"),
    ],
    ids=str,
)
def test_a_preparing_project_says_what(sent: Any, phrase: str) -> None:
    project = project_of()
    project._state.job_begins({"imgID": "A", "preparation": sent}, 1, started=False)
    assert status_phrase(project) == phrase


# --- a notebook


class Shown:
    """A place in a notebook, with all that was shown there."""

    def __init__(self) -> None:
        self.contents: list[str] = []

    def update(self, content: str) -> None:
        self.contents.append(content)


def notebook(monkeypatch: pytest.MonkeyPatch, *, kernel: bool = True, updates: bool = True) -> Shown:
    """An IPython that runs in a notebook (or in a terminal)."""
    place = Shown()
    shell, display = ModuleType("IPython"), ModuleType("IPython.display")

    def show(content: str, *, display_id: bool) -> Shown | None:
        place.update(content)
        return place if updates else None

    shell.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}} if kernel else {})  # type: ignore[attr-defined]
    display.HTML, display.display = str, show  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return place


def test_a_notebook_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook(monkeypatch)
    assert in_notebook()
    notebook(monkeypatch, kernel=False)
    assert not in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_the_table_in_a_notebook_follows_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    place = notebook(monkeypatch)
    project = project_of()
    with show_progress(project):
        project._state.job_result({"imgID": "A", "resultUrl": "https://h/a"}, 1)
        told(project)
    assert len(place.contents) > 1
    assert "https://h/a" in place.contents[-1]
    assert "https://h/a" not in place.contents[0]


@pytest.mark.parametrize("updates", [True, False])
def test_what_does_not_change_any_more_is_shown_once(monkeypatch: pytest.MonkeyPatch, updates: bool) -> None:
    place = notebook(monkeypatch, updates=updates)
    project = project_of()
    if updates:
        project._state.fail(ErrorData(code=0), 1)
    show_project_in_notebook(project)
    project._state.touch(2)
    project._state.queued({"queuePosition": 3}, 2)
    told(project)
    assert len(place.contents) == 1


# --- a terminal, a pipe


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    project = project_of(media=2)
    with show_progress(project):
        project._state.job_result({"imgID": "A", "resultUrl": "https://h/a"}, 1)
        told(project)
    lines = screen.getvalue().split("\r")
    assert lines[1] == "░" * 30 + "   0% pending   "
    assert lines[-1].removesuffix("\n") == "█" * 15 + "░" * 15 + "  50% pending   "
    assert lines[-1].endswith("\n")


def test_the_bar_goes_when_waiting_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    project = project_of()
    with pytest.raises(TimeoutError), show_progress(project):
        raise TimeoutError
    assert screen.getvalue().endswith("\n")
    assert not project._state.listeners.has("progress")
    assert not project._state.listeners.has("updated")


def test_a_pipe_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with show_progress(project_of()):
        pass
    assert pipe.getvalue() == ""


class NoMethods:
    """What programs without a console put in place of standard error."""

    def write(self, text: str) -> None:
        raise AssertionError(text)


class Vanishing(Terminal):
    """A terminal that goes away after the first line."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(5, "Input/output error")
        return super().write(text)


def closed() -> Terminal:
    terminal = Terminal()
    terminal.close()
    return terminal


@pytest.mark.parametrize("make", [lambda: None, NoMethods, closed, Vanishing], ids=["none", "bare", "closed", "gone"])
def test_a_standard_error_that_cannot_be_used_shows_nothing(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setattr(sys, "stderr", make())
    project = project_of(media=2)
    with show_progress(project):
        project._state.job_result({"imgID": "A", "resultUrl": "https://h/a"}, 1)
        told(project)
    assert project.progress == 50


def test_a_terminal_that_is_closed_meanwhile_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with show_progress(project_of()):
        screen.close()
        monkeypatch.setattr(sys, "stderr", None)


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "░" * 30), ("latin-1", "-" * 30), ("none-such", "-" * 30)])
def test_the_bar_is_made_of_what_the_encoding_has(monkeypatch: pytest.MonkeyPatch, encoding: str, bar: str) -> None:
    screen = Terminal()
    monkeypatch.setattr(Terminal, "encoding", encoding, raising=False)
    monkeypatch.setattr(sys, "stderr", screen)
    with show_progress(project_of()):
        pass
    assert screen.getvalue().startswith(f"\r{bar} ")


def test_a_status_cannot_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    project = project_of()
    project._state.status = "\x1b]0;owned\x07\x9b2J"
    with show_progress(project):
        pass
    assert r"\x1b]0;owned\x07\x9b2J" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


# --- answers


class Answer:
    """A stream, as far as it is shown."""

    job_id, content, finished = "J", "", False


def news(job_id: str = "J") -> Any:
    return SimpleNamespace(job_id=job_id)


def test_an_answer_is_shown_as_text_and_nothing_else() -> None:
    answer = Answer()
    answer.content = EVIL
    assert "<script>" not in stream_html(answer)
    assert stream_html(answer).endswith("▌</div>")
    answer.finished = True
    assert stream_html(answer).endswith("&gt;</div>")


class Place:
    """A place in a notebook; remembers what was drawn there."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def update(self, page: str) -> None:
        self.drawn.append(page)


def shown_in(monkeypatch: pytest.MonkeyPatch, place: Place | None) -> None:
    notebook = ModuleType("IPython.display")
    notebook.HTML = str  # type: ignore[attr-defined]
    notebook.display = lambda page, display_id: place  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)


def test_an_answer_grows_in_a_notebook_until_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    place, answer, listeners = Place(), Answer(), Listeners()
    shown_in(monkeypatch, place)
    show_stream_in_notebook(answer, listeners)

    def tell(event: str, job_id: str = "J") -> None:
        for function in listeners.take(event):
            function(news(job_id))

    answer.content = "one"
    tell("token", "another")
    assert place.drawn == []
    tell("token")
    assert "one" in place.drawn[-1]
    answer.content = "one two"
    tell("token")
    assert len(place.drawn) == 1
    answer.finished = True
    tell("completed")
    assert "one two</div>" in place.drawn[-1]
    assert not any(listeners.has(event) for event in ("token", "completed", "error"))


def test_an_answer_that_is_whole_already_is_followed_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners, answer = Listeners(), Answer()
    answer.finished = True
    shown_in(monkeypatch, Place())
    show_stream_in_notebook(answer, listeners)
    answer.finished = False
    shown_in(monkeypatch, None)
    show_stream_in_notebook(answer, listeners)
    assert not listeners.has("token")
