"""The example site: a form, live progress and a gallery, under gunicorn, uvicorn and in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sogni.emulator import LocalSupernet
from tests.contrib.django.conftest import ROOT
from tests.processes.conftest import own_state

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]
SITE = ROOT / "examples/django_site"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    """An emulator that all workers use."""
    with LocalSupernet(step_time=0.02) as running:
        yield running


@pytest.fixture(scope="module")
def environment(supernet: LocalSupernet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of the site, whose database has its tables."""
    pytest.importorskip("django")
    directory = tmp_path_factory.mktemp("site")
    variables = {
        **os.environ,
        **own_state(directory),
        "DJANGO_SETTINGS_MODULE": "gallery.settings",
        "GALLERY_DATA": str(directory),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{SITE}",
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }
    manage(variables, "migrate", "--verbosity", "0")
    return variables


def manage(variables: dict[str, str], *arguments: str) -> str:
    """What a command of the site prints."""
    command = [sys.executable, "-W", "error", str(SITE / "manage.py"), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Site:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def request(self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> Any:
        """The answer to a request: its status, headers and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = None if fields is None else urlencode(fields)
            form = {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, path, body, {"Connection": "close", **form, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def create(self, prompt: str) -> str:
        """Send the form, as a browser does, and return the path of the project."""
        _, headers, page = self.request("GET", "/")
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page))
        cookie = headers["Set-Cookie"].partition(";")[0]
        status, headers, page = self.request("POST", "/", {"prompt": prompt, "number": "2", **hidden}, Cookie=cookie)
        assert status == 302, page
        return str(headers["Location"])

    def finished(self, path: str) -> dict[str, Any]:
        """Read the progress until the project is finished, and return its last state."""
        _, headers, text = self.request("GET", f"{path}progress/")
        assert headers["Content-Type"] == "text/event-stream"
        *_, name, data = text.split("\n\n")[-2].split("\n")
        assert name == "event: finished", text
        state: dict[str, Any] = json.loads(data.removeprefix("data: "))
        return state


@contextmanager
def serving(variables: dict[str, str], listening: str, *arguments: str) -> Iterator[Site]:
    """A server of the site; it must end in order, without a traceback."""
    # A session of its own, so that no worker outlives a test that fails.
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    log = ""
    try:
        while not (found := re.search(listening + r" http://127\.0\.0\.1:(\d+)", log)):
            line = process.stderr.readline()
            assert line, log
            log += line
        yield Site(process, int(found[1]))
        process.terminate()
        log += process.communicate(timeout=60)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert "Traceback" not in log, log


def check(site: Site, state: dict[str, Any]) -> None:
    """A project is completed, and its images are served."""
    assert (state["status"], state["error"], len(state["results"])) == ("completed", None, 2)
    for result in state["results"]:
        connection = HTTPConnection("127.0.0.1", site.port, timeout=30)
        connection.request("GET", result["url"], headers={"Connection": "close"})
        assert connection.getresponse().read(4) == b"\x89PNG"
        connection.close()


def test_gunicorn_serves_the_site_and_reloads_without_loss(
    environment: dict[str, str], supernet: LocalSupernet
) -> None:
    pytest.importorskip("gunicorn")
    arguments = "gunicorn --preload --workers 2 --threads 8 --bind 127.0.0.1:0 --graceful-timeout 20 gallery.wsgi"
    with (
        serving(environment, "Listening at:", *arguments.split()) as site,
        ThreadPoolExecutor(4) as threads,
    ):
        # Another test may have been first.
        before = site.request("GET", "/")[2]
        assert ("No images yet." in before) == ("<img " not in before)
        paths = list(threads.map(site.create, [f"image {number}" for number in range(4)]))
        # The streams of one worker show what the other one follows, also while both are replaced.
        states = threads.map(site.finished, paths)
        os.kill(site.process.pid, signal.SIGHUP)
        for state in states:
            check(site, state)
        # By a new worker.
        check(site, site.finished(site.create("after the reload")))
        assert site.request("GET", "/")[2].count("<img ") == before.count("<img ") + 10
    assert supernet.violations == []
    assert manage(environment, "sogni_sync") == "nothing to do\n"


@pytest.fixture
def uvicorn(environment: dict[str, str]) -> Iterator[Site]:
    """The site under uvicorn."""
    pytest.importorskip("uvicorn")
    arguments = "uvicorn --host 127.0.0.1 --port 0 --lifespan off gallery.asgi:application"
    with serving(environment, "Uvicorn running on", *arguments.split()) as site:
        yield site


def test_uvicorn_serves_the_site(uvicorn: Site, supernet: LocalSupernet) -> None:
    with ThreadPoolExecutor(4) as threads:
        for state in threads.map(uvicorn.finished, threads.map(uvicorn.create, ["a", "b", "c", "d"])):
            check(uvicorn, state)
    assert supernet.violations == []


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_progress_and_results(uvicorn: Site, environment: dict[str, str]) -> None:
    path = uvicorn.create("in a browser")
    shown = look(f"http://127.0.0.1:{uvicorn.port}{path}", Path(environment["GALLERY_DATA"]))
    assert shown.count("<img ") == 2
    assert re.search(r'<p id="state"[^>]*>completed · [\d.]+ \w+</p>', shown)


def look(url: str, folder: Path) -> str:
    """The page of a project, as a browser shows it once its stream has ended, which virtual time waits for."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    ended = subprocess.run(
        [*command, "--virtual-time-budget=8000", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout
