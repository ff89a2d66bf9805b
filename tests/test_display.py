"""Displaying jobs and projects in notebooks, on a terminal and in a pipe."""

from __future__ import annotations

import base64
import io
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from PIL import Image

from sogni import display
from sogni.base import BaseJob, BaseProject
from sogni.core.outbox import Listeners, Outbox
from sogni.core.projects.project import ProjectState
from sogni.display import (
    in_notebook,
    job_html,
    project_html,
    show_job_in_notebook,
    show_progress,
    show_project_in_notebook,
    show_stream_in_notebook,
    status_phrase,
    stream_html,
)
from sogni.errors import ApiError
from sogni.local.files import suffix_of
from sogni.models.params import ImageProjectParams
from sogni.models.projects import ErrorData
from tests.tables import each_row

EVIL = '"><script>alert(1)</script>'


def project_of(*results: dict[str, Any], media: int = 2) -> DisplayedProject:
    params = ImageProjectParams(model_id="m", number_of_media=media)
    state = ProjectState("P", params, Outbox(), now=0, kind="image", listening=[])
    for result in results:
        state.job_result(result, 1)
    return DisplayedProject(None, state)


def told(project: DisplayedProject) -> None:
    """Deliver what the outbox holds, as a shell does."""
    deliveries = project._state.out.deliveries
    for delivery in deliveries:
        for function in delivery.listeners.take(delivery.event):
            function(delivery.value)
    deliveries.clear()


class DisplayedJob(BaseJob):
    """A job whose downloads are files of the test, by URL; anything else fails."""

    contents: ClassVar[dict[str, bytes]] = {}
    fetched: ClassVar[list[str]] = []

    def _download(self, path_for: Callable[[str], Path], *, preview: bool) -> Path:
        url = str(self.preview_url if preview else self.result_url)
        self.fetched.append(url)
        if url not in self.contents:
            raise ApiError(f"no {url}?sig=SECRET", status=404)
        file = path_for(suffix_of(self.contents[url]))
        file.write_bytes(self.contents[url])
        return file


class DisplayedProject(BaseProject[DisplayedJob]):
    _job_class = DisplayedJob


def image(size: int = 32, colour: str = "navy", kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.effect_noise((size, size), 90).convert("RGB").save(content, kind)
    return content.getvalue()


PICTURE, PREVIEW, LARGE, PHOTO = image(), image(16), image(600), image(kind="JPEG")
VIDEO, SOUND, MODEL = b"\0\0\0\x18ftypisom" + bytes(20), b"ID3\x04" + bytes(20), b"glTF" + bytes(20)


CONTENTS = {"a": PICTURE, "b": PREVIEW, "l": LARGE, "j": PHOTO, "v": VIDEO, "s": SOUND, "m": MODEL}


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    """An IPython in a notebook, in a directory of its own, whose downloads are `DisplayedJob.contents`."""
    monkeypatch.chdir(tmp_path)
    made = Notebook()
    made.install(monkeypatch)
    # The examples of the documentation change the settings.
    for setting, value in {"max_wait": 10.0, "max_embedded_bytes": 4_000_000, "directory": "sogni_results"}.items():
        monkeypatch.setattr(display, setting, value)
    DisplayedJob.contents = {f"https://h/{name}": content for name, content in CONTENTS.items()}
    DisplayedJob.fetched = []
    yield made
    # Nothing of a test is left behind.
    for thread in threading.enumerate():
        if thread.name == "sogni-display":
            thread.join(10)


class Notebook:
    """What the cells of a notebook display: the contents of every place, in order."""

    def __init__(self) -> None:
        self.places: list[list[dict[str, str]]] = []
        self.execution_count = 1
        self.config: dict[str, Any] = {"IPKernelApp": {}}
        self.can_update = True

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shell, module = ModuleType("IPython"), ModuleType("IPython.display")
        shell.get_ipython = lambda: self  # type: ignore[attr-defined]
        module.display = self.display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", shell)
        monkeypatch.setitem(sys.modules, "IPython.display", module)

    def display(self, content: dict[str, str], *, raw: bool, display_id: bool = False) -> Any:
        place = [content]
        self.places.append(place)
        update = SimpleNamespace(update=lambda content, *, raw: place.append(content))
        return update if display_id and self.can_update else None

    @property
    def last(self) -> dict[str, str]:
        """What the last place shows."""
        return self.places[-1][-1]

    def page(self) -> str:
        return self.last["text/html"]


def uri(content_type: str, content: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


SAVED = "sogni_results/P-J"
WHOLE = "max-width:100%;max-height:32em"


@pytest.mark.parametrize(
    ("name", "limit", "expected"),
    [
        (
            "v",
            99,
            f'<video src="{uri("video/mp4", VIDEO)}" controls loop style="max-width:100%;max-height:32em"></video>',
        ),
        ("s", 99, f'<audio src="{uri("audio/mpeg", SOUND)}" controls style="max-width:100%"></audio>'),
        ("m", 99, f'<a href="{uri("application/octet-stream", MODEL)}" download="image of job J">image of job J</a>'),
        (
            "v",
            9,
            f'<video src="{SAVED}.mp4" controls loop style="{WHOLE}"></video><br><a href="{SAVED}.mp4">{SAVED}.mp4</a>',
        ),
        (
            "s",
            9,
            f'<audio src="{SAVED}.mp3" controls style="max-width:100%"></audio>'
            f'<br><a href="{SAVED}.mp3">{SAVED}.mp3</a>',
        ),
        ("m", 9, f'<a href="{SAVED}" download="P-J">image of job J</a>'),
        (
            "a",
            9,
            f'<a href="{SAVED}.png"><img src="{uri("image/png", PICTURE)}" alt="image of job J" style="{WHOLE}"></a>',
        ),
    ],
)
def test_a_result_is_embedded_or_saved_beside_the_notebook(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, expected: str
) -> None:
    monkeypatch.setattr(display, "max_embedded_bytes", limit)
    job = project_of({"imgID": "J", "resultUrl": f"https://h/{name}"}).jobs[0]
    show_job_in_notebook(job)
    assert notebook.page().replace(suffix_of(MODEL), "") == expected.replace(suffix_of(MODEL), "")
    assert job_html(job) == notebook.page()
    saved = [file.read_bytes() for file in Path().rglob("*.*")]
    assert saved == ([DisplayedJob.contents[f"https://h/{name}"]] if limit == 9 else [])
    assert notebook.last["text/plain"] == "Job J: image, completed"


@pytest.mark.parametrize(("name", "content_type"), [("a", "image/png"), ("j", "image/jpeg")])
def test_an_image_is_displayed_as_such(notebook: Notebook, name: str, content_type: str) -> None:
    show_job_in_notebook(project_of({"imgID": "J", "resultUrl": f"https://h/{name}", "lastSeed": "7"}).jobs[0])
    content = base64.b64encode(DisplayedJob.contents[f"https://h/{name}"]).decode()
    assert notebook.places == [[{"text/plain": "Job J: image, completed, seed 7", content_type: content}]]


def test_a_large_image_has_a_thumbnail_in_a_gallery(notebook: Notebook) -> None:
    project = ended(project_of({"imgID": "J", "resultUrl": "https://h/l"}, media=1))
    show_project_in_notebook(project)
    (found,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', notebook.page())
    with Image.open(io.BytesIO(base64.b64decode(found))) as thumbnail:
        assert thumbnail.size == (512, 512)
    assert len(LARGE) > 5 * len(base64.b64decode(found))


@pytest.mark.parametrize("missing", [True, False])
def test_an_image_that_cannot_be_scaled_is_embedded_as_it_is(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    broken = LARGE[:40] + bytes(50_000)
    DisplayedJob.contents["https://h/l"] = LARGE if missing else broken
    if missing:
        monkeypatch.setitem(sys.modules, "PIL", None)
    show_project_in_notebook(ended(project_of({"imgID": "J", "resultUrl": "https://h/l"}, media=1)))
    assert f'src="{uri("image/png", LARGE if missing else broken)}"' in notebook.page()


def test_a_job_without_a_result_is_shown_as_its_state(notebook: Notebook) -> None:
    project = project_of({"imgID": "J", "triggeredNSFWFilter": True})
    show_job_in_notebook(project.jobs[0])
    assert notebook.page() == "<code>Job J: image, completed</code>"


def test_a_job_is_followed_until_its_result_is_there(notebook: Notebook) -> None:
    project = project_of()
    project._state.job_begins({"imgID": "J"}, 2, started=True)
    show_job_in_notebook(project.jobs[0])
    assert notebook.page() == "<code>Job J: image, processing 0%</code>"
    project._state.previewed(project._state.jobs["J"], "https://h/b", 3)
    told(project)
    await_downloads()
    preview = base64.b64encode(PREVIEW).decode()
    assert notebook.last == {"text/plain": "Job J: image, processing 0%", "image/png": preview}
    project._state.job_result({"imgID": "J", "resultUrl": "https://h/a"}, 4)
    told(project)
    await_downloads()
    assert notebook.last["image/png"] == base64.b64encode(PICTURE).decode()
    assert len(notebook.places) == 1


def test_a_running_project_is_a_table_then_a_gallery(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_REDRAW_TABLE_SECONDS", 0.0)
    project = project_of({"imgID": "A", "resultUrl": "https://h/a", "lastSeed": "7"}, media=3)
    project._state.job_begins({"imgID": "B", "workerName": "w"}, 2, started=True)
    project._state.previewed(project._state.jobs["B"], "https://h/b", 3)
    project._state.job_begins({"imgID": "C"}, 2, started=False)
    show_project_in_notebook(project)
    await_downloads()
    table = re.sub(r' style="[^"]*"', "", notebook.page())
    bar = '<progress value="{0}" max="100"></progress> {0}%'
    icons = re.findall(r'<img src="data:image/webp;base64,[^"]+" alt="([^"]+)">', table)
    assert icons == ["image of job A", "image of job B"]
    assert f"<td>0</td><td>completed</td><td>{bar.format(100)}</td><td></td><td>7</td><td><img " in table
    assert f"<td>1</td><td>processing</td><td>{bar.format(0)}</td><td>w</td><td></td><td><img " in table
    assert f"<td>2</td><td>initiating</td><td>{bar.format(0)}</td><td></td><td></td><td></td>" in table
    assert notebook.last["text/plain"] == "Project P: image with m, pending, 33%, 1 of 3 results"

    project._state.job_result({"imgID": "B", "resultUrl": "https://h/b"}, 4)
    project._state.fail(ErrorData(code=1, message="no workers"), 5)
    told(project)
    await_downloads()
    gallery = re.sub(r' style="[^"]*"', "", notebook.page())
    assert "<table" not in gallery
    assert f'<figure><img src="{uri("image/png", PICTURE)}" alt="image of job A"><figcaption>0, seed 7<' in gallery
    assert f'<figure><img src="{uri("image/png", PREVIEW)}" alt="image of job B"><figcaption>1<' in gallery
    assert "<figcaption>2, initiating<" in gallery
    assert notebook.last["text/plain"] == "Project P: image with m, failed, 2 of 3 results: no workers"
    assert not any(project._state.listeners.has(event) for event in ("updated", "progress", "failed"))


def test_no_url_of_the_service_is_left_in_the_notebook(notebook: Notebook) -> None:
    project = project_of(
        {"imgID": "A", "resultUrl": "https://h/a"}, {"imgID": "X", "resultUrl": "https://h/x"}, media=3
    )
    project._state.job_begins({"imgID": "B"}, 2, started=True)
    project._state.previewed(project._state.jobs["B"], "https://h/b", 3)
    show_project_in_notebook(project)
    show_job_in_notebook(project.jobs[1])
    ended(project)
    told(project)
    await_downloads()
    assert "(not downloaded: no https://h/x?***)" in notebook.places[1][-1]["text/html"]
    shown = str(notebook.places)
    assert ("SECRET" in shown, "href" in shown, 'src="http' in shown) == (False, False, False)


def test_a_failed_download_is_attempted_again_by_the_next_cell(notebook: Notebook) -> None:
    project = ended(project_of({"imgID": "A", "resultUrl": "https://h/x"}, media=1))
    show_project_in_notebook(project)
    DisplayedJob.contents["https://h/x"] = PICTURE
    show_project_in_notebook(project)
    show_project_in_notebook(project)
    assert ["<img" in place[-1]["text/html"] for place in notebook.places] == [False, True, True]
    assert DisplayedJob.fetched == ["https://h/x"] * 2


def test_slow_downloads_appear_when_they_are_complete(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "max_wait", 0.0)
    may_end = threading.Event()
    download = DisplayedJob._download

    def slow(job: DisplayedJob, path_for: Callable[[str], Path], *, preview: bool) -> Path:
        may_end.wait(10)
        return download(job, path_for, preview=preview)

    monkeypatch.setattr(DisplayedJob, "_download", slow)
    results = [{"imgID": str(number), "resultUrl": "https://h/a"} for number in range(6)]
    show_project_in_notebook(ended(project_of(*results, media=6)))
    assert notebook.page().count("(not downloaded)") == 6
    assert 0 < sum(thread.name == "sogni-display" for thread in threading.enumerate()) <= 4
    may_end.set()
    await_downloads()
    assert notebook.page().count("<img") == 6


def await_downloads() -> None:
    """Wait until nothing is being downloaded or drawn."""
    for thread in threading.enumerate():
        if thread.name == "sogni-display":
            thread.join(10)


def ended(project: DisplayedProject) -> DisplayedProject:
    """End a project whose results have arrived."""
    if not project.finished:
        project._state.fail(ErrorData(code=1, message="ended"), 9)
    return project


def test_nothing_of_the_service_becomes_markup(notebook: Notebook) -> None:
    project = project_of({"imgID": f"A{EVIL}", "resultUrl": "https://h/a"}, media=3)
    project._state.job_begins({"imgID": "B", "workerName": EVIL}, 2, started=True)
    show_project_in_notebook(project)
    show_job_in_notebook(project.jobs[0])
    project._state.fail(ErrorData(code=1, message=EVIL), 3)
    pages = [shown.get("text/html", "") for place in notebook.places for shown in place]
    assert "<script>" not in "".join([*pages, project_html(project), job_html(project.jobs[0])])
    assert "&lt;script&gt;alert(1)" in project_html(project)


@pytest.mark.parametrize("content", [b"<script>alert(1)</script>", b"<svg onload='alert(1)'>" + bytes(9)])
def test_what_is_no_media_is_only_offered_for_download(notebook: Notebook, content: bytes) -> None:
    DisplayedJob.contents["https://h/a"] = content
    show_job_in_notebook(project_of({"imgID": "A", "resultUrl": "https://h/a"}).jobs[0])
    assert notebook.page().startswith('<a href="data:application/octet-stream;base64,')


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


def test_a_notebook_is_recognized(monkeypatch: pytest.MonkeyPatch, notebook: Notebook) -> None:
    assert in_notebook()
    notebook.config = {}
    assert not in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_waiting_as_the_last_expression_shows_one_table(notebook: Notebook) -> None:
    project = project_of(media=1)
    with show_progress(project) as view:
        project._state.job_result({"imgID": "A", "resultUrl": "https://h/a"}, 1)
        told(ended(project))
        assert view is not None
        view.finish()
        assert uri("image/png", PICTURE) in notebook.page()
    show_project_in_notebook(project)
    assert len(notebook.places) == 1
    assert uri("image/png", PICTURE) not in notebook.places[0][0]["text/html"]
    # Another cell, or once more in the same one.
    show_project_in_notebook(project)
    with show_progress(project):
        pass
    notebook.execution_count += 1
    show_project_in_notebook(project)
    assert len(notebook.places) == 4


def test_an_interrupted_wait_leaves_the_table(notebook: Notebook) -> None:
    project = project_of()
    with pytest.raises(KeyboardInterrupt), show_progress(project):
        raise KeyboardInterrupt
    assert "pending" in notebook.page()


@pytest.mark.parametrize("updates", [True, False])
def test_what_does_not_change_any_more_is_shown_once(notebook: Notebook, updates: bool) -> None:
    notebook.can_update = updates
    project = project_of()
    if updates:
        project._state.fail(ErrorData(code=0), 1)
    show_project_in_notebook(project)
    project._state.touch(2)
    project._state.queued({"queuePosition": 3}, 2)
    told(project)
    assert len(notebook.places[0]) == 1


def test_ipython_on_a_terminal_shows_one_line(notebook: Notebook) -> None:
    notebook.config = {}
    project = project_of({"imgID": "A", "resultUrl": "https://h/a"})
    show_project_in_notebook(project)
    show_job_in_notebook(project.jobs[0])
    show_stream_in_notebook(Answer(), Listeners())
    assert [place[0] for place in notebook.places] == [
        {"text/plain": "Project P: image with m, pending, 50%, 1 of 1 results"},
        {"text/plain": "Job A: image, completed"},
        {"text/plain": "<Answer>"},
    ]


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

    def __repr__(self) -> str:
        return "<Answer>"


def news(job_id: str = "J") -> Any:
    return SimpleNamespace(job_id=job_id)


def test_an_answer_is_shown_as_text_and_nothing_else() -> None:
    answer = Answer()
    answer.content = EVIL
    assert "<script>" not in stream_html(answer)
    assert stream_html(answer).endswith("▌</div>")
    answer.finished = True
    assert stream_html(answer).endswith("&gt;</div>")


def test_an_answer_grows_in_a_notebook_until_it_is_whole(notebook: Notebook) -> None:
    answer, listeners = Answer(), Listeners()
    show_stream_in_notebook(answer, listeners)

    def tell(event: str, job_id: str = "J") -> None:
        for function in listeners.take(event):
            function(news(job_id))

    answer.content = "one"
    tell("token", "another")
    (place,) = notebook.places
    assert len(place) == 1
    tell("token")
    assert "one" in notebook.page()
    answer.content = "one two"
    tell("token")
    assert len(place) == 2
    answer.finished = True
    tell("completed")
    assert "one two</div>" in notebook.page()
    assert notebook.last["text/plain"] == "one two"
    assert not any(listeners.has(event) for event in ("token", "completed", "error"))


def test_an_answer_that_is_whole_already_is_followed_no_more(notebook: Notebook) -> None:
    listeners, answer = Listeners(), Answer()
    answer.finished = True
    show_stream_in_notebook(answer, listeners)
    answer.finished = False
    notebook.can_update = False
    show_stream_in_notebook(answer, listeners)
    assert not listeners.has("token")
