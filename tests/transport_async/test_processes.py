"""The end of asyncio processes and of their forked children: no hang, no warning, nothing shared."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet
from tests.forkserver import ROOT, WITHOUT_FORK_WARNINGS, Process

Run = Callable[[str], tuple[str, str]]
BEGIN = """
    import asyncio, logging, os, sys
    from sogni_async import ClientClosedError, SogniClient
    # On a busy host steps are slow, which debug mode warns of; whatever is left open is an error.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    client = SogniClient()
    logging.getLogger("asyncio").addFilter(lambda record: "Executing" not in record.msg)
    async def image(**more):
        return await client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="x",
                                            width=256, height=256, **more)
"""


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0.01) as running:
        yield running


def reach(supernet: LocalSupernet) -> dict[str, str]:
    """The environment of a client of the Supernet."""
    return {
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }


@pytest.fixture
def run(
    start_process: Callable[..., Process], supernet: LocalSupernet, tmp_path: Path
) -> Callable[[str], tuple[str, str]]:
    """Run a script in asyncio's debug mode; it must succeed. Returns its output and its errors."""

    def run(script: str) -> tuple[str, str]:
        environment = {"PYTHONASYNCIODEBUG": "1", **reach(supernet)}
        code = WITHOUT_FORK_WARNINGS + textwrap.dedent(BEGIN) + textwrap.dedent(script)
        process = start_process(code, cwd=tmp_path, env=environment)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        return stdout, stderr

    return run


def test_a_process_that_closes_nothing_ends_quietly(run: Run) -> None:
    script = """
        async def main():
            await (await image()).wait(timeout=20)
            await image(number_of_media=4)
        asyncio.run(main())
        print("done")
    """
    assert run(script) == ("done\n", "")


def test_an_exit_in_the_middle_ends_quietly(run: Run) -> None:
    script = """
        async def main():
            await (await image()).wait(timeout=20)
            print("done", flush=True)
            sys.exit(0)
        asyncio.run(main())
    """
    assert run(script) == ("done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_has_a_new_client(run: Run, ending: str) -> None:
    script = f"""
        async def in_child(running, parent_id):
            assert not client.is_connected and client.app_id is None
            try:
                await running.cancel()
            except ClientClosedError:
                pass
            else:
                raise AssertionError("the parent's project")
            assert len(await (await image()).wait_for_completion(timeout=20)) == 1
            assert client.app_id != parent_id
            await client.close()
        async def begin():
            await client.connect()
            return await image(number_of_media=3)
        loop = asyncio.new_event_loop()
        running = loop.run_until_complete(begin())
        parent_id = client.app_id
        child = os.fork()
        if child == 0:
            asyncio.run(in_child(running, parent_id))
            {ending}
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        async def end():
            print(len(await running.wait_for_completion(timeout=20)), client.app_id == parent_id)
            await client.close()
        loop.run_until_complete(end())
        loop.close()
    """
    out, errors = run(script)
    assert out == "3 True\n"
    assert "Error" not in errors
    assert "Unclosed" not in errors


def test_importing_loads_no_library_of_the_blocking_package() -> None:
    source = (
        "import sys, sogni_async; sogni_async.SogniClient; print(sorted({'requests', 'websocket'} & {*sys.modules}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


DROPPED = """
    import gc, tempfile
    async def callbacks(client):
        client.on("connected", slow)
        project = await image()
        project.on("job_started", slow)
        await project.wait(timeout=20)
    async def slow(*_):
        await asyncio.sleep(60)
    async def connecting(client):
        await client.connect()
    async def creating(client):
        await asyncio.gather(*(image() for _ in range(3)))
    async def waiting(client):
        await (await image()).wait(timeout=20)
    async def chatting(client):
        stream = await client.chat.completions.create(messages=[{"role": "user", "content": "a story"}], stream=True)
        await anext(stream)
    async def following(client):
        run = await client.chat.runs.create(messages=[{"role": "user", "content": "Create an image of a red kite"}])
        await anext(client.chat.runs.stream_events(run.run_id))
    async def reading(client):
        project = await image()
        await project.wait(timeout=20)
        await (await project.jobs[0].open()).read(1)
    async def saving(client):
        project = await image(number_of_media=3)
        await project.wait(timeout=20)
        with tempfile.TemporaryDirectory() as directory:
            await project.save(directory)
    async def cut_short(work):
        try:
            async with asyncio.timeout(0.05):
                await work(client)
        except TimeoutError:
            pass
    for work in (connecting, creating, waiting, callbacks, chatting, following, reading, saving):
        for rounds, end, kept in (
            (0, work, False), (2, work, True),
            (2, lambda _: cut_short(work), False), (0, lambda _: cut_short(work), True),
        ):
            client = SogniClient()
            async def main():
                await end(client)
                for _ in range(rounds):
                    await asyncio.sleep(0)
                if not kept:
                    globals()["client"] = None
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
            if kept and rounds:
                client = None
            gc.collect()
            print(work.__name__)
"""


def test_dropped_clients_and_ended_loops_leave_nothing_behind(supernet: LocalSupernet) -> None:
    # A new interpreter: what another one has imported is not collected, and changes when the rest is.
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(BEGIN) + textwrap.dedent(DROPPED)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **reach(supernet)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.split()) == 8 * 4
