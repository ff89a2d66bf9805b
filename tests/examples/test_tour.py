"""The notebook `tour.ipynb` is executed, exported, and looked at in a browser once the emulator has stopped."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.examples.conftest import EXAMPLES
from tests.notebooks import execute

pytestmark = pytest.mark.integration


nbformat = pytest.importorskip("nbformat")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LOOK = """
<script>addEventListener("load", () => {
  const shown = [...document.querySelectorAll("img, video, audio")].map(it => [
    it.localName, it.naturalWidth || it.videoWidth || it.duration || 0,
    it.getAttribute("src").slice(0, 5)]);
  document.body.innerHTML = "<pre id=found>" + JSON.stringify(shown) + "</pre>";
});</script>
"""


# One test, because tests of a module may run in several processes, each with a kernel of its own.
@pytest.mark.keeps_resources("the kernel's own channels belong to the library that starts it")
def test_the_tour(tmp_path: Path) -> None:
    tour = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    execute(tour, tmp_path)
    every_kind_of_result_is_displayed_once(tour)
    what_is_no_media_is_displayed_readably(tour)
    a_refusal_shows_the_cell_and_the_reason(tour)
    no_url_of_the_service_is_in_the_notebook(tour)
    if CHROMIUM is None:
        pytest.skip("the exported notebook was not looked at: there is no Chromium")
    an_exported_notebook_shows_every_result(tour, tmp_path)


def outputs(tour: Any, heading: str) -> list[Any]:
    """The outputs of the cells below a heading."""
    found: list[Any] = []
    current = ""
    for cell in tour.cells:
        if cell.cell_type == "markdown":
            current = next(iter(re.findall("^##? (.+)", cell.source, re.MULTILINE)), current)
        elif current == heading:
            found += cell.outputs
    return found


def lines(shown: list[Any]) -> list[str]:
    return [re.sub("[0-9A-F-]{36}", "ID", it.data["text/plain"]) for it in shown if "data" in it]


def every_kind_of_result_is_displayed_once(tour: Any) -> None:
    images, job = outputs(tour, "Images")
    assert lines([images]) == ["Project ID: image with krea2_turbo_fp8_scaled, completed, 4 of 4 results"]
    assert images.data["text/html"].count("<img") == 4
    assert sorted(job.data) == ["image/png", "text/plain"]
    (video,) = outputs(tour, "Video")
    assert video.data["text/html"].count('<video src="data:video/mp4;base64,') == 1
    (song,) = outputs(tour, "Music")
    assert song.data["text/html"].count('<audio src="data:audio/mpeg;base64,') == 1
    (awaited,) = outputs(tour, "`await`")
    assert awaited.data["text/html"].count("<img") == 2


def what_is_no_media_is_displayed_readably(tour: Any) -> None:
    stream, usage = outputs(tour, "Chat")
    assert "the sea" in stream.data["text/plain"]
    assert usage.data["text/plain"].startswith("TokenUsage(prompt_tokens=")
    assert "extra" not in usage.data["text/html"] + usage.data["text/plain"]
    assert "-3" in outputs(tour, "Tools")[0].text
    (plan,) = outputs(tour, "Workflows")
    assert "animate_photo" in plan.data["image/svg+xml"]
    interrupted, project = outputs(tour, "Interrupting")
    assert interrupted.text.startswith("interrupted while the project was ")
    assert lines([project]) == ["Project ID: image with krea2_turbo_fp8_scaled, completed, 1 of 1 results"]


def a_refusal_shows_the_cell_and_the_reason(tour: Any) -> None:
    (error,) = outputs(tour, "Errors")
    trace = re.sub("\x1b\\[[0-9;]*m", "", "\n".join(error.traceback))
    assert trace.endswith("ValidationError: number_of_media must be an integer of 1 or more, got 0")
    assert ("client.projects.create(" in trace, "File " in trace, len(trace.splitlines()) < 12) == (True, False, True)


def no_url_of_the_service_is_in_the_notebook(tour: Any) -> None:
    shown = json.dumps([output for cell in tour.cells for output in cell.get("outputs", ())])
    assert set(re.findall(r"https?://[^/\"\\ ]+", shown)) == {"http://www.w3.org"}
    committed = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    assert [cell.outputs for cell in committed.cells if cell.get("outputs")] == []


def an_exported_notebook_shows_every_result(tour: Any, folder: Path) -> None:
    exporters = pytest.importorskip("nbconvert.exporters")
    page, _ = exporters.HTMLExporter().from_notebook_node(tour)
    (folder / "tour.html").write_text(page.replace("</head>", f"{LOOK}</head>"), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    profile = f"--user-data-dir={folder / 'profile'}"
    ended = subprocess.run(
        [*command, profile, "--dump-dom", (folder / "tour.html").as_uri()], capture_output=True, text=True, timeout=60
    )
    found = re.search("<pre id=.found.>(.*)</pre>", ended.stdout)
    assert found, ended.stdout[-2000:] + ended.stderr[-2000:]
    shown = json.loads(found[1])
    # Four images and one of them in full; the workflow, the interrupted project, and two of asyncio.
    assert [kind for kind, *_ in shown] == [*["img"] * 5, "video", "audio", *["img"] * 4]
    assert [it for it in shown if it[1] <= 0 or it[2] != "data:"] == []
