"""The inspector in a browser: accessibility in every form, live updates, keyboard, and prompts that are no scripts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.client import SogniClient
from sogni.emulator import LocalSupernet
from tests.browser import CHROMIUM, Browser
from tests.conformance.published import cache_directory, run
from tests.emulator.test_inspector import EVIL, MODEL, PLAN

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.keeps_resources("the browser of the module stays connected to the emulator of the module"),
]
AXE = "axe-core@4.10.3"
CACHE = cache_directory()
SHIFT = 8


@pytest.fixture(scope="module")
def axe() -> str:
    """The script that checks a page for barriers."""
    home = CACHE / AXE.replace("@", "-")
    script = home / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        quiet = [
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=1",
            "--fetch-timeout=20000",
        ]
        try:
            run(["npm", "install", *quiet, "--prefix", home, AXE])
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"{AXE} could not be installed: {error}")
    return Path(script).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, inspector=True) as running:
        yield running


@pytest.fixture(scope="module")
def client(supernet: LocalSupernet) -> Iterator[SogniClient]:
    with supernet.client() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser, supernet: LocalSupernet) -> Browser:
    """The page of an emulator that has just been reset, once it is live."""
    supernet.reset()
    browser.look(1280, 900)
    browser.log.clear()
    browser.open(supernet.inspector_url)
    browser.wait("document.getElementById('live').textContent === 'live'")
    return browser


def fill(supernet: LocalSupernet, client: SogniClient) -> None:
    """Let there be some of everything."""
    client.projects.create(type="image", model_id=MODEL, positive_prompt=EVIL).wait(timeout=60)
    supernet.chat.reply(EVIL)
    client.chat.completions.create(messages=[{"role": "user", "content": EVIL}])
    list(client.workflows.stream_events(client.workflows.start(input=PLAN).workflow_id))
    supernet.faults.fail_job(message=EVIL)
    failed = client.projects.create(type="image", model_id=MODEL, positive_prompt=EVIL)
    supernet.wait_for(lambda: failed.finished)
    supernet.faults.http("/v1/*", message=EVIL)
    supernet.pause_workers()
    client.projects.create(type="image", model_id=MODEL, positive_prompt="waiting")


def test_the_page_has_no_barriers_and_runs_no_prompts(
    page: Browser, supernet: LocalSupernet, client: SogniClient, axe: str
) -> None:
    fill(supernet, client)
    page.wait("document.querySelectorAll('#projects > li').length >= 4")
    page.wait("document.querySelectorAll('#runs .completed, #scripts li, #faults li').length >= 3")
    page.run("document.querySelector('#traffic summary').click()")
    page.run(axe)
    for width, dark in ((1280, False), (360, True)):
        page.look(width, 900, dark=dark)
        found: dict[str, Any] = page.run("axe.run(document, {resultTypes: ['violations']})")
        barriers = [(it["id"], [node["target"] for node in it["nodes"]]) for it in found["violations"]]
        assert (width, barriers) == (width, [])
        assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.title") == "Local Supernet"
    assert page.run("document.querySelectorAll('h3 img, p img, h3 script').length") == 0
    assert page.log == []


def test_projects_appear_live_and_stay_what_they_are(
    page: Browser, supernet: LocalSupernet, client: SogniClient
) -> None:
    supernet.pause_workers()
    project = client.projects.create(type="image", model_id=MODEL, positive_prompt="a lighthouse")
    item = f"document.getElementById('project-{project.id}')"
    page.wait(f"{item}?.querySelector('.badge').textContent === 'queued'")
    page.wait("document.querySelector('#queue .badge')?.textContent === 'paused'")
    supernet.resume_workers()
    page.wait(f"{item}.querySelector('.badge').textContent === 'completed'")
    page.wait(f"{item}.querySelector('img').complete && {item}.querySelector('img').naturalWidth > 0")
    page.run(f"{item}.marked = true")
    other = client.projects.create(type="image", model_id=MODEL, positive_prompt="a castle")
    page.wait(f"document.getElementById('project-{other.id}')?.querySelector('.badge').textContent === 'completed'")
    assert page.run(f"{item}.marked") is True
    assert page.run("document.querySelector('#projects h3').textContent") == "a castle"
    supernet.reset()
    page.wait("document.querySelectorAll('#projects > li').length === 0")


def test_a_fault_is_planned_with_the_keyboard(page: Browser, supernet: LocalSupernet) -> None:
    page.run("document.getElementById('fault-name').focus()")
    page.run("document.activeElement.value = 'drop_socket'")
    page.run("document.activeElement.dispatchEvent(new Event('change', {bubbles: true}))")
    page.wait("document.querySelector('#fault-form [name=name]').value === 'drop_socket'")
    page.press("Tab", 9)
    page.wait("document.activeElement.id === 'fault-at'")
    page.run("document.activeElement.value = 'started'")
    page.run("document.querySelector('#fault-form [name=times]').focus()")
    page.press("Enter", 13, "\r")
    page.wait("document.getElementById('message').textContent === 'The fault drop_socket was added.'")
    page.wait("document.querySelector('#faults li')?.textContent.includes('at=started')")
    assert [type(it).__name__ for it in supernet.faults.pending] == ["SocketDrop"]
    assert page.run("document.activeElement.name") == "times"


def test_the_first_stop_of_the_keyboard_skips_to_the_projects(page: Browser) -> None:
    page.press("Tab", 9)
    page.wait("document.activeElement.className === 'skip'")
    page.press("Enter", 13, "\r")
    page.wait("document.activeElement.id === 'projects-heading'")


def test_traffic_is_filtered_paused_and_kept_open(page: Browser, supernet: LocalSupernet, client: SogniClient) -> None:
    client.account.me()
    page.wait("document.querySelector('#traffic .request') !== null")
    page.run("document.querySelector('#traffic .request summary').click()")
    client.projects.create(type="image", model_id=MODEL, positive_prompt="a kite").wait(timeout=60)
    page.wait("[...document.querySelectorAll('#traffic .title')].some((it) => it.textContent === 'jobResult')")
    assert page.run("document.querySelectorAll('#traffic details[open]').length") == 1
    page.run("document.querySelector('[name=show][value=http]').click()")
    page.wait("[...document.querySelectorAll('#traffic > li.sent')].every((it) => it.hidden)")
    page.run("document.getElementById('pause').click()")
    before = page.run("document.querySelectorAll('#traffic > li').length")
    client.account.me()
    supernet.faults.http("/v1/nothing")
    page.wait("document.querySelector('#faults li') !== null")
    assert page.run("document.querySelectorAll('#traffic > li').length") == before
    page.run("document.getElementById('pause').click()")
    page.wait(f"document.querySelectorAll('#traffic > li').length > {before}")
