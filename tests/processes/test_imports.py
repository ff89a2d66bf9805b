"""No module is imported for the first time on a background thread.

A process that forks while another of its threads imports leaves that module half imported in the child, and its
import lock held by a thread that does not exist there.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from sogni.emulator import LocalSupernet
from tests.processes.conftest import start_python

pytestmark = pytest.mark.integration


RECORDER = """
    import sys, threading
    from PIL import Image
    tried = []
    class Recorder:
        def find_spec(self, name, path=None, target=None):
            if threading.current_thread() is not threading.main_thread():
                tried.append((name, threading.current_thread().name))
    sys.meta_path.insert(0, Recorder())
    picture = Image.effect_noise((256, 256), 40).convert("RGB")
    IMAGE = dict(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse", width=256, height=256,
                 number_of_media=2)
    MESSAGES = [dict(role="user", content="Hello")]
    def heard(*_): pass
"""
BLOCKING = """
    from sogni import SogniClient, SogniError
    with SogniClient(**settings) as client:
        client.on("connected", heard)
        client.connect()
        client.account.me()
        project = client.projects.create(**IMAGE, starting_image=picture)
        project.on("progress", heard)
        project.wait(timeout=30)
        project.save("out")
        project.jobs[0].open().close()
        client.chat.completions.create(messages=MESSAGES)
        run = client.chat.runs.create(messages=MESSAGES)
        for event in client.chat.runs.stream_events(run.run_id): pass
        try:
            client.projects.get("00000000-0000-0000-0000-000000000000")
        except SogniError:
            pass
        client.account.switch_network("relaxed")
    with SogniClient(**{**settings, "api_key": None}, auth_type="token") as client:
        client.account.login("alice", "correct horse")
        client.account.logout()
    print("done", [(name, thread) for name, thread in tried if name in sys.modules])
"""
ASYNC = """
    import asyncio
    from sogni_async import SogniClient, SogniError
    async def main():
        async with SogniClient(**settings) as client:
            client.on("connected", heard)
            await client.connect()
            await client.account.me()
            project = await client.projects.create(**IMAGE, starting_image=picture)
            project.on("progress", heard)
            await project.wait(timeout=30)
            await project.save("out")
            await (await project.jobs[0].open()).close()
            await client.chat.completions.create(messages=MESSAGES)
            run = await client.chat.runs.create(messages=MESSAGES)
            async for event in client.chat.runs.stream_events(run.run_id): pass
            try:
                await client.projects.get("00000000-0000-0000-0000-000000000000")
            except SogniError:
                pass
            await client.account.switch_network("relaxed")
        async with SogniClient(**{**settings, "api_key": None}, auth_type="token") as client:
            await client.account.login("alice", "correct horse")
            await client.account.logout()
    asyncio.run(main())
    print("done", [(name, thread) for name, thread in tried if name in sys.modules])
"""


@pytest.mark.parametrize("code", [BLOCKING, ASYNC], ids=["sogni", "sogni_async"])
def test_background_threads_import_nothing(tmp_path: Path, code: str) -> None:
    with LocalSupernet(step_time=0) as supernet:
        supernet.add_account("alice", "correct horse")
        settings = {
            "api_key": supernet.api_key,
            "rest_endpoint": supernet.rest_endpoint,
            "socket_endpoint": supernet.socket_endpoint,
        }
        script = f"{dedent(RECORDER)}\nsettings = {settings!r}\n{dedent(code)}"
        printed, errors = start_python(tmp_path, "-c", script).communicate(timeout=60)
    assert (printed, errors) == ("done []\n", "")
