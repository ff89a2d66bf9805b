"""A forked child has a new client, and does not disturb the projects of its parent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from textwrap import dedent

import pytest

from sogni.emulator import LocalSupernet
from tests.forkserver import WITHOUT_FORK_WARNINGS, Process

Run = Callable[[str], Process]
pytestmark = [pytest.mark.integration, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

FORK = """
    import os, pickle, sys
    from sogni.emulator import LocalSupernet
    from sogni import ClientClosedError
    def image(client, **more):
        return client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse",
                                      width=256, height=256, **more)
    # The emulator lives in a process of its own, so that its threads are not forked.
    read, write = os.pipe()
    stop, stopper = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(stopper)
        with LocalSupernet(step_time=0.02) as supernet:
            os.write(write, pickle.dumps((supernet.api_key, supernet.rest_endpoint, supernet.socket_endpoint)))
            os.read(stop, 1)
        os._exit(0)
    key, rest, socket = pickle.loads(os.read(read, 65536))
    from sogni import SogniClient
    {secure}
    with SogniClient(api_key=key, rest_endpoint=rest, socket_endpoint=socket) as client:
        image(client).wait(timeout=30)
        running = image(client, steps=4, number_of_media=3)
        parent_id = client.app_id
        child = os.fork()
        if child == 0:
            try:
                assert not client.is_connected and client.app_id != parent_id
                try:
                    running.cancel()
                except ClientClosedError:
                    pass
                else:
                    os._exit(3)
                made = image(client, number_of_media=2)
                assert len(made.wait_for_completion(timeout=30)) == 2
                assert client.app_id != parent_id
                client.close()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        urls = running.wait_for_completion(timeout=30)
        print(os.waitstatus_to_exitcode(status), len(urls), client.app_id == parent_id, flush=True)
    os.write(stopper, b".")
    os.waitpid(keeper, 0)
"""


def test_the_child_generates_and_the_parent_completes(run: Run) -> None:
    code = FORK.replace("{secure}", "")
    printed, errors = run(WITHOUT_FORK_WARNINGS + dedent(code)).communicate(timeout=90)
    assert not errors, errors
    assert printed == "0 3 True\n"


def test_workers_forked_before_the_client_is_used(run: Run) -> None:
    code = """
        import multiprocessing, sys
        from sogni import SogniClient
        from sogni.emulator import LocalSupernet
        def work(n):
            project = client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt=f"{n}",
                                             width=256, height=256)
            return len(project.wait_for_completion(timeout=30)), client.app_id
        if __name__ == "__main__":
            with LocalSupernet(step_time=0) as supernet:
                client = supernet.client()
                with multiprocessing.get_context("fork").Pool(3) as pool:
                    done = pool.map(work, range(9), chunksize=1)
                print(sorted({count for count, _ in done}), len({app for _, app in done}) <= 3, flush=True)
                client.close()
    """
    printed, errors = run(WITHOUT_FORK_WARNINGS + dedent(code)).communicate(timeout=90)
    assert not errors, errors
    assert printed == "[1] True\n"
    assert sys.platform != "win32"


def test_a_fork_beside_an_emulator_that_has_read_a_video(run: Run) -> None:
    """Its workers leave nothing behind that a child would wait for."""
    code = """
        import os
        from fractions import Fraction
        from pathlib import Path
        from threading import Event, Thread
        from PIL import Image
        from sogni.emulator.media.codecs import write_video
        from sogni.emulator.media.codecs import opened
        path = Path("clip.mp4")
        write_video(path, (Image.new("RGB", (320, 240), "red") for _ in range(4)), Fraction(8), None, "mp4")
        read, ended = Event(), Event()
        def work():
            print(opened(path).size, flush=True)
            read.set()
            ended.wait()
        worker = Thread(target=work)
        worker.start()
        read.wait()
        child = os.fork()
        if child == 0:
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        ended.set()
        worker.join()
    """
    printed, errors = run(WITHOUT_FORK_WARNINGS + dedent(code)).communicate(timeout=30)
    assert not errors, errors
    assert printed == "(320, 240)\n0\n"


SOON_FORKED = {
    "sogni": """
        from sogni import SogniClient
        client = SogniClient(**settings)
        def child():
            print(client.account.me().username == username, flush=True)
            client.close()
        client.connect()
        fork()
        client.close()
    """,
    "sogni_async": """
        import asyncio
        from sogni_async import SogniClient
        client = SogniClient(**settings)
        def child():
            async def use():
                print((await client.account.me()).username == username, flush=True)
                await client.close()
            asyncio.run(use())
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.connect())
        loop.run_until_complete(client.account.me())
        fork()
        # The idle connection of the parent still works.
        loop.run_until_complete(asyncio.wait_for(client.account.me(), 20))
        loop.run_until_complete(client.close())
        loop.close()
    """,
}
FORKING = """
    import os, signal, traceback
    def fork():
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            try:
                child()
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            print("the child ended with", status, flush=True)
"""


@pytest.mark.parametrize("package", SOON_FORKED)
def test_a_fork_right_after_connecting(run: Run, package: str) -> None:
    with LocalSupernet(step_time=0) as supernet:
        settings = {
            "api_key": supernet.api_key,
            "rest_endpoint": supernet.rest_endpoint,
            "socket_endpoint": supernet.socket_endpoint,
        }
        given = f"settings, username = {settings!r}, {supernet.account.username!r}\n"
        code = given + dedent(FORKING) + dedent(SOON_FORKED[package])
        printed, errors = run(WITHOUT_FORK_WARNINGS + code).communicate(timeout=60)
    assert (printed, errors) == ("True\n", "")


CHAT = """
    import os
    from sogni import ClientClosedError, SogniClient
    with SogniClient() as client:
        stream = client.chat.completions.create(messages=[{"role": "user", "content": "Tell me a story"}], stream=True)
        if os.fork() == 0:
            try:
                for _ in stream:
                    pass
            except ClientClosedError:
                print("refused", flush=True)
            os._exit(0)
        os.wait()
        print(bool(stream.result(timeout=30).content))
"""


def test_a_child_does_not_wait_for_the_parents_stream(run: Run) -> None:
    with LocalSupernet(step_time=0.02) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        code = "import os\nos.environ.update(" + repr(environment) + ")\n" + dedent(CHAT)
        printed, errors = run(WITHOUT_FORK_WARNINGS + code).communicate(timeout=60)
    assert (printed, errors) == ("refused\nTrue\n", "")
