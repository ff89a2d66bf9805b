"""The end of a process, and a forked one: no hang, no complaint, nothing shared with the parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet

ROOT = Path(__file__).parents[2]
BEGIN = """
    import asyncio, logging, os, sys
    from sogni_async import ClientClosedError, SogniClient
    # On a busy machine steps are slow, which development mode warns of; whatever is left open is an error.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    client = SogniClient()
    # Debug mode also tells of what took long, which is for a busy machine to decide.
    logging.getLogger("asyncio").addFilter(lambda record: "Executing" not in record.msg)
    async def image(**more):
        return await client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="x",
                                            width=256, height=256, **more)
"""


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0.01) as running:
        yield running


def run(script: str, supernet: LocalSupernet) -> tuple[str, str]:
    """What a script prints on both channels; it has to end well and soon."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SOGNI_API_KEY": supernet.api_key,
        "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
        "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
    }
    source = textwrap.dedent(BEGIN) + textwrap.dedent(script)
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", source],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_a_process_that_closes_nothing_ends_quietly(supernet: LocalSupernet) -> None:
    script = """
        async def main():
            await (await image()).wait(timeout=20)
            await image(number_of_media=4)
        asyncio.run(main())
        print("done")
    """
    assert run(script, supernet) == ("done\n", "")


def test_an_exit_in_the_middle_ends_quietly(supernet: LocalSupernet) -> None:
    script = """
        async def main():
            await (await image()).wait(timeout=20)
            print("done", flush=True)
            sys.exit(0)
        asyncio.run(main())
    """
    assert run(script, supernet) == ("done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_has_a_new_client_and_leaves_the_parent_alone(supernet: LocalSupernet, ending: str) -> None:
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
    out, errors = run(script, supernet)
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
