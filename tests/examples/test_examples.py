"""Every example runs against the emulator, and what it makes is opened."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.examples.conftest import EXAMPLES, Run


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("name", ["image.py", "image_async.py"])
def test_image(tmp_path: Path, run_program: Run, name: str) -> None:
    (line,) = run_program(name, "a", "red", "boat")
    assert size(tmp_path / line) == (1024, 1024)


def test_callbacks(tmp_path: Path, run: Run) -> None:
    lines = run("callbacks.py")
    assert lines[-1] == "4 files"
    assert lines.count("100 %") == 1
    assert sum(line.startswith("completed") for line in lines) == 4
    assert [size(path) for path in sorted((tmp_path / "out").iterdir())] == [(1024, 1024)] * 4


def test_from_an_image(tmp_path: Path, run: Run) -> None:
    Image.new("RGB", (640, 480), "navy").save(tmp_path / "scene.png")
    lines = run("from_an_image.py", "scene.png")
    assert lines[0] == "out/winter.png"
    assert lines[-1] == "completed"
    assert size(tmp_path / lines[0]) == (1024, 1024)


def test_many_prompts(tmp_path: Path, run: Run) -> None:
    lines = run("many_prompts.py")
    assert len(lines) == 5
    assert [size(path) for path in (tmp_path / "out").iterdir()] == [(512, 512)] * 5


def test_queue_and_collect(tmp_path: Path, run_program: Run) -> None:
    with LocalSupernet(step_time=0.05) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        (started,) = run_program("queue_and_collect.py", "start", "ticket", **environment)
        paths = run_program("queue_and_collect.py", "collect", "ticket", **environment)
    assert started.startswith("started ")
    assert [size(tmp_path / path) for path in paths] == [(1024, 1024)] * 2


def test_pick_up(tmp_path: Path, run_program: Run) -> None:
    with LocalSupernet(step_time=0) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        supernet.pause_workers()
        (first,) = run_program("pick_up.py", "start", "a", "pier", **environment)
        supernet.wait_for(lambda: supernet.connection_count == 0)

        def work_once_it_is_found() -> None:
            sync = "/api/v1/artist/projects/sync"
            supernet.wait_for(lambda: any(getattr(it, "path", "") == sync for it in supernet.requests), timeout=60)
            supernet.resume_workers()

        working = threading.Thread(target=work_once_it_is_found)
        working.start()
        lines = run_program("pick_up.py", "collect", **environment)
        working.join()
    project_id = first.removeprefix("started ")
    waiting, saving, path = lines
    assert (waiting, saving) == (f"waiting for {project_id} a pier", f"saving {project_id}")
    assert size(tmp_path / path) == (1024, 1024)


def test_every_example_has_a_test() -> None:
    tested = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []
