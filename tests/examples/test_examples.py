"""Every example runs against the emulator, and what it makes is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(directory: Path, name: str, *arguments: str, **environment: str) -> list[str]:
    """What an example prints, line by line; it must end well."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("name", ["image.py", "image_async.py"])
def test_image(tmp_path: Path, name: str) -> None:
    (line,) = run(tmp_path, name, "a", "red", "boat")
    assert size(tmp_path / line) == (768, 512)


def test_callbacks(tmp_path: Path) -> None:
    lines = run(tmp_path, "callbacks.py")
    assert lines[-1] == "4 files"
    assert lines.count("100 %") == 1
    assert sum(line.startswith("completed") for line in lines) == 4
    assert [size(path) for path in sorted((tmp_path / "out").iterdir())] == [(1024, 1024)] * 4


def test_from_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "navy").save(tmp_path / "scene.png")
    lines = run(tmp_path, "from_an_image.py", "scene.png")
    assert lines[0] == "out/winter.png"
    assert lines[-1] == "completed"
    assert size(tmp_path / lines[0]) == (1024, 1024)


def test_many_prompts(tmp_path: Path) -> None:
    lines = run(tmp_path, "many_prompts.py")
    assert len(lines) == 5
    assert [size(path) for path in (tmp_path / "out").iterdir()] == [(512, 512)] * 5


def test_queue_and_collect(tmp_path: Path) -> None:
    with LocalSupernet(step_time=0.05) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        (started,) = run(tmp_path, "queue_and_collect.py", "start", "ticket", **environment)
        paths = run(tmp_path, "queue_and_collect.py", "collect", "ticket", **environment)
    assert started.startswith("started ")
    assert [size(tmp_path / path) for path in paths] == [(1024, 1024)] * 2


def test_every_example_has_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []
