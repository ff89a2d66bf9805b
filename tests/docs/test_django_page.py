"""The site that the page about live progress in Django builds works as the page says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from sogni.emulator import LocalSupernet

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/show-live-progress-in-django.md").read_text(encoding="utf-8")

STARTPROJECT = "from django.core.management import call_command; call_command('startproject', 'mysite')"

pytestmark = pytest.mark.integration


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where uvicorn serves the site, on a free port."""
    pytest.importorskip("django")
    pytest.importorskip("uvicorn")
    with LocalSupernet(step_time=0) as supernet:
        # The emulator of this test instead of the one in the site, which paints at the speed of a demonstration.
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }

        def run(*command: str, cwd: Path) -> None:
            subprocess.run([sys.executable, *command], cwd=cwd, env=variables, check=True, timeout=60)

        # Outside of a site, there are no settings yet.
        run("-c", "import os; os.environ.pop('DJANGO_SETTINGS_MODULE'); " + STARTPROJECT, cwd=tmp_path)
        site = tmp_path / "mysite"
        write(site / "mysite")
        with (site / "mysite/settings.py").open("a") as settings:
            settings.write('\nSOGNI = {}\nALLOWED_HOSTS = ["127.0.0.1"]\n')
        run("manage.py", "migrate", "--verbosity", "0", cwd=site)
        run("manage.py", "sogni_check", cwd=site)
        command = [sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off", "mysite.asgi:application"]
        process = subprocess.Popen(command, cwd=site, env=variables, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            yield next(
                found[1] for line in process.stderr if (found := re.search(r"running on (http://[\d.:]+)", line))
            )
        finally:
            process.terminate()
            process.communicate(timeout=30)


def write(folder: Path) -> None:
    """Follow the page."""
    settings, views, urls = fences("python")
    start, project = fences("html")
    with (folder / "settings.py").open("a") as file:
        file.write(settings)
    (folder / "views.py").write_text(views)
    (folder / "urls.py").write_text(urls)
    (folder / "templates").mkdir()
    (folder / "templates/start.html").write_text(start)
    (folder / "templates/project.html").write_text(project)


def test_the_site_streams_progress_and_shows_the_images(address: str) -> None:
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    form = browser.open(address, timeout=30).read().decode()
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    fields = {"prompt": "a kite", "csrfmiddlewaretoken": token}
    page = browser.open(f"{address}/", urlencode(fields).encode(), timeout=30)
    (stream,) = re.findall(r'EventSource\("([^"]+)"\)', page.read().decode())
    events = browser.open(address + stream, timeout=30)
    finished = next(line for line in events if line == b"event: finished\n")
    assert finished
    project = json.loads(next(events).removeprefix(b"data: "))
    assert (project["status"], len(project["results"])) == ("completed", 2)
    for result in project["results"]:
        assert browser.open(address + result["url"], timeout=30).read(8) == b"\x89PNG\r\n\x1a\n"
    events.close()
