"""Displays in notebooks download results beside the client, whose event loop may be blocked by the cell."""

from __future__ import annotations

import asyncio
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.errors import ClientClosedError
from tests.scenarios.conftest import SOON, Sdk
from tests.test_display import Notebook, await_downloads

PNG = b"\x89PNG"


def download(job: Any, folder: Path) -> bytes:
    file: Path = job._download(lambda suffix: folder / f"media{suffix}", preview=False)
    return file.read_bytes()[:4]


async def finished(sdk: Sdk, client: Any) -> Any:
    return await sdk.call((await sdk.create(client)).wait, timeout=SOON)


async def test_a_result_is_downloaded_while_the_event_loop_is_blocked(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await finished(sdk, client)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(download(project.jobs[0], tmp_path)))
    thread.start()
    thread.join(SOON)  # in the loop of the asyncio client
    assert got == [PNG]


async def test_a_url_that_has_expired_is_renewed(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    project = await finished(sdk, client)
    before = project.jobs[0].result_url
    supernet.expire_urls()
    assert await asyncio.to_thread(download, project.jobs[0], tmp_path) == PNG
    assert project.jobs[0].result_url != before


async def test_nothing_is_downloaded_for_a_closed_client(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await finished(sdk, client)
    await sdk.call(client.close)
    with pytest.raises(ClientClosedError):
        await asyncio.to_thread(download, project.jobs[0], tmp_path)


async def test_a_wait_with_progress_ends_with_the_gallery(
    sdk: Sdk, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook()
    notebook.install(monkeypatch)
    project = await sdk.create(client, number_of_media=2)
    await sdk.call(project.wait, timeout=SOON, progress=True)
    project._ipython_display_()
    assert (len(notebook.places), notebook.page().count('<img src="data:image/')) == (1, 2)


async def test_the_results_of_a_past_project_are_embedded(
    sdk: Sdk, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook()
    notebook.install(monkeypatch)
    project = await finished(sdk, client)
    result = await sdk.call(client.projects.get_result, project.id)
    result._ipython_display_()
    await asyncio.to_thread(await_downloads)
    page = notebook.page()
    assert page.count('<img src="data:image/') == len(notebook.places) == 1
    assert ("://" in page, "not downloaded" in page) == (False, False)
    pickle.loads(pickle.dumps(result))._ipython_display_()
    await asyncio.to_thread(await_downloads)
    assert "(not downloaded: the results of project" in notebook.page()


async def test_the_results_of_a_past_project_are_a_table_without_ipython(sdk: Sdk, client: Any) -> None:
    project = await finished(sdk, client)
    shown = (await sdk.call(client.projects.get_result, project.id))._repr_html_()
    assert shown.startswith("<div><b>ProjectResult</b><table>")
    assert (project.jobs[0].id in shown, "complete?***" in shown) == (True, True)
