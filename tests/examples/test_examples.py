"""Every example runs without an argument and without an account, and takes --help. What it makes is opened."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.examples.conftest import EXAMPLES, ROOT, Run

pytestmark = pytest.mark.integration


# How many files each example saves without an argument. Those that need a library have tests of their own.
SAVED = {
    "account_overview.py": 0,
    "callbacks.py": 4,
    "chat.py": 0,
    "chat_async.py": 0,
    "chat_conversation.py": 0,
    "chat_stream.py": 0,
    "chat_structured.py": 0,
    "chat_vision.py": 0,
    "chat_vision_conversation.py": 0,
    "compare_models.py": 6,
    "context_images.py": 1,
    "dance_along.py": 1,
    "durable_chat.py": 1,
    "from_an_image.py": 2,
    "hosted_tools.py": 2,
    "image.py": 1,
    "image_async.py": 1,
    "loras.py": 2,
    "many_prompts.py": 5,
    "media_from_a_sentence.py": 2,
    "multiple_angles.py": 4,
    "own_function.py": 0,
    "pick_up.py": 1,
    "queue_and_collect.py": 2,
    "restyle_a_video.py": 1,
    "run_a_plan.py": 2,
    "seedance.py": 1,
    "song.py": 2,
    "sound_to_video.py": 1,
    "talking_portrait.py": 1,
    "teaser.py": 2,
    "video_from_an_image.py": 1,
    "video_from_text.py": 1,
}
LIBRARIES = {
    "celery_images.py": "celery",
    "dask_images.py": "distributed",
    "fastapi_stream.py": "fastapi",
    "save_to_s3.py": "fsspec",
}


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("name", SAVED)
def test_runs_without_an_argument_or_an_account(tmp_path: Path, run: Run, name: str) -> None:
    lines = run(name)
    printed = {word for line in lines for word in line.split() if word.startswith("out/")}
    saved = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("out/*")}
    assert lines
    assert (len(saved), printed) == (SAVED[name], saved)
    for path in saved:
        if path.endswith(".png"):
            size(tmp_path / path)


def test_each_takes_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    described = []
    here = [name for name, library in LIBRARIES.items() if find_spec(library)]
    for name in (*SAVED, *here):
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        usage, description, *_ = capsys.readouterr().out.split("\n\n")
        described.append((name, ended.value.code, usage.split()[:2], len(description) > 25))
    assert described == [(name, 0, ["usage:", name], True) for name in (*SAVED, *here)]


def test_every_example_has_a_test() -> None:
    tested = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in tested] == []


def test_the_page_lists_every_example() -> None:
    page = (ROOT / "docs/reference/examples.md").read_text(encoding="utf-8")
    assert [name for name in (*SAVED, *LIBRARIES) if f"`{name}`" not in page] == []


def test_image_as_a_program(tmp_path: Path, run_program: Run) -> None:
    (line,) = run_program("image.py", "a red boat")
    assert size(tmp_path / line) == (1024, 1024)


def test_callbacks_report_the_progress(run: Run) -> None:
    lines = run("callbacks.py")
    assert lines.count("100 %") == 1
    assert sum(line.startswith("completed") for line in lines) == 4


def test_from_an_image(tmp_path: Path, run: Run) -> None:
    Image.new("RGB", (640, 480), "navy").save(tmp_path / "scene.png")
    winter, _, enhanced = run("from_an_image.py", "scene.png")
    assert [size(tmp_path / winter), size(tmp_path / enhanced)] == [(1024, 1024)] * 2


def test_context_images_of_the_user(tmp_path: Path, run: Run) -> None:
    for color in ("navy", "green", "olive"):
        Image.new("RGB", (320, 240), color).save(tmp_path / f"{color}.png")
    (line,) = run("context_images.py", "navy.png", "green.png", "olive.png", "--prompt", "all three")
    assert size(tmp_path / line) == (1024, 1024)


def test_models_are_compared_in_a_table(run: Run) -> None:
    header, row = run("compare_models.py", "z_image_turbo_bf16", "--images", "1")
    assert header.split() == ["model", "s/image", "cost/image", "saved"]
    assert row.split()[2:4] == ["0.2000", "sogni"]


def test_account_overview(run: Run) -> None:
    subjects = [line.split()[0] for line in run("account_overview.py")]
    assert subjects == ["account", "balance", "plan", "transaction", "project"]


def test_queue_and_collect_in_two_processes(tmp_path: Path, run_program: Run) -> None:
    with LocalSupernet(step_time=0.05) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        (started,) = run_program("queue_and_collect.py", "start", **environment)
        paths = run_program("queue_and_collect.py", "collect", **environment)
    assert started.startswith("started ")
    assert [size(tmp_path / path) for path in paths] == [(1024, 1024)] * 2
