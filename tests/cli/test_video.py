"""`sogni video`: from a prompt and files to the paths of saved videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested, uploaded, without_cost
from tests.emulator.media.helpers import clip, tone

Run = Callable[..., Result]
SMALL = ("--frames", "17", "--width", "480", "--height", "480")
SMALL_LTX = ("--frames", "25", "--width", "640", "--height", "640")


@pytest.fixture
def files(sogni: Run) -> None:
    """An image, a sound and a video in the directory the command runs in."""
    Image.new("RGB", (96, 96), "darkred").save("face.png")
    Path("speech.wav").write_bytes(tone(2))
    clip(Path("dance.mp4"))


def test_prints_the_path_of_a_video_of_the_requested_length_and_size(sogni: Run) -> None:
    result = sogni("video", "a lighthouse", "--duration", "1", "--width", "512", "--height", "480", "-o", "out")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    (path,) = result.stdout.splitlines()
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate, stream.width, stream.height) == (17, 16, 512, 480)
    assert (Path(path).parent, Path(path).suffix) == (Path("out"), ".mp4")


def test_json_is_the_project_and_its_files(sogni: Run) -> None:
    result = sogni("video", "ein Leuchtturm bei Föhn", *SMALL, "--json", "--seed", "7", "--name", "one")
    document = json.loads(result.stdout)
    assert document["files"] == ["one.mp4"]
    assert (document["status"], document["params"]["type"], document["params"]["frames"]) == ("completed", "video", 17)
    assert document["jobs"][0]["seed"] == 7


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("given", "model", "roles"),
    [
        (("--reference-image", "face.png"), "wan_v2.2-14b-fp8_i2v_lightx2v", ["referenceImage"]),
        (
            ("--reference-image", "face.png", "--reference-image-end", "face.png"),
            "wan_v2.2-14b-fp8_i2v_lightx2v",
            ["referenceImage", "referenceImageEnd"],
        ),
        (
            ("--reference-image", "face.png", "--reference-audio", "speech.wav"),
            "wan_v2.2-14b-fp8_s2v_lightx2v",
            ["referenceImage", "referenceAudio"],
        ),
        (
            ("--reference-image", "face.png", "--reference-video", "dance.mp4"),
            "wan_v2.2-14b-fp8_animate-move_lightx2v",
            ["referenceImage", "referenceVideo"],
        ),
    ],
)
def test_the_model_follows_from_the_files(
    sogni: Run, supernet: LocalSupernet, given: tuple[str, ...], model: str, roles: list[str]
) -> None:
    result = sogni("video", "a keeper", *SMALL, *given)
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    assert requested(supernet)[0]["keyFrames"][0]["modelID"] == model
    assert uploaded(supernet) == roles
    assert supernet.violations == []


@pytest.mark.usefixtures("files")
def test_every_option_reaches_the_service(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni(
        *("video", "ink on paper", "--model", "ltx23-22b-fp8_v2v_distilled", "--count", "2", *SMALL_LTX, "--fps", "25"),
        *("--steps", "6", "--guidance", "1.5", "--seed", "11", "--negative-prompt", "fog", "--no-audio", "--no-filter"),
        *("--reference-video", "dance.mp4", "--video-start", "0.5", "--control-net", "canny:0.6", "--token", "spark"),
        *("--format", "mp4", "--name", "it-{index}"),
    )
    assert (result.exit_code, without_cost(result.stderr), result.stdout) == (0, "", "it-0.mp4\nit-1.mp4\n")
    (request,) = requested(supernet)
    frame = request["keyFrames"][0]
    expected = {
        "positivePrompt": "ink on paper", "negativePrompt": "fog", "steps": 6, "guidanceScale": 1.5, "seed": 11,
        "modelID": "ltx23-22b-fp8_v2v_distilled", "frames": 25, "fps": 25, "width": 640, "height": 640,
        "videoStart": 0.5, "generateAudio": False,
        "currentControlNetsJob": [{"name": "canny", "controlStrength": 0.6}],
    }  # fmt: skip
    assert {key: frame[key] for key in expected} == expected
    assert (request["numberOfImages"], request["tokenType"], request["network"]) == (2, "spark", "fast")
    assert supernet.violations == []


@pytest.mark.usefixtures("files")
def test_sound_has_a_place_and_a_length(sogni: Run, supernet: LocalSupernet) -> None:
    sound = ("--reference-audio", "speech.wav", "--audio-start", "0.5", "--audio-duration", "1")
    assert sogni("video", "waves", *SMALL_LTX, *sound).exit_code == 0
    frame = requested(supernet)[0]["keyFrames"][0]
    assert (frame["audioStart"], frame["audioDuration"], frame["modelID"]) == (0.5, 1, "ltx23-22b-fp8_a2v_distilled")
    result = sogni("video", "waves", *SMALL, "--shift", "4.5")
    assert result.exit_code == 0
    assert requested(supernet)[1]["keyFrames"][0]["shift"] == 4.5


def test_public_addresses_are_references(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni(
        *("video", "like these", "--model", "seedance-2-0", "--token", "spark", "--duration", "4"),
        *("--width", "480", "--height", "480", "--reference-image-url", "https://cdn.example.com/a.png"),
        *("--reference-image-url", "https://cdn.example.com/b.png"),
        *("--reference-video-url", "https://cdn.example.com/c.mp4"),
        *("--reference-audio-url", "https://cdn.example.com/d.mp3"),
    )
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    frame = requested(supernet)[0]["keyFrames"][0]
    kinds = ("Image", "Video", "Audio")
    assert [len(frame[f"reference{kind}URLs"]) for kind in kinds] == [2, 1, 1]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--duration", "99"), "sogni: --duration must be a number from 1 to 10, got 99"),
        (("--duration", "2", "--frames", "33"), "sogni: give either --duration or --frames"),
        (("--width", "480"), "sogni: --width and --height must be given together"),
        (("--width", "64", "--height", "64"), "sogni: --width must be a number of 480 or more, got 64"),
        (("--reference-image", "none.png"), "sogni: --reference-image: cannot read none.png"),
        (("--reference-image", "speech.wav"), "sogni: --reference-image must be a file of type image/"),
        (("--reference-video", "face.png"), "sogni: --reference-video must be a file of type video/"),
        (("--audio-start", "1"), "sogni: --audio-start requires --reference-audio"),
        (("--video-start", "1"), "sogni: --video-start requires --reference-video"),
        (("--control-net", "pose"), "sogni: --control-net requires --reference-video"),
        (
            ("--reference-video", "dance.mp4", "--control-net", "canny:9"),
            "sogni: --control-net must be a number from 0 to 1, got 9.0",
        ),
        (
            ("--reference-video", "dance.mp4", "--control-net", "canny:much"),
            "sogni: --control-net canny:much: the strength must be a number, got 'much'",
        ),
        (
            ("--reference-video", "dance.mp4", "--reference-audio", "speech.wav"),
            "sogni: no default model for audio and video together",
        ),
        (
            ("--model", "wan_v2.2-14b-fp8_s2v_lightx2v", "--reference-image", "face.png"),
            "sogni: --reference-audio must be given for wan_v2.2-14b-fp8_s2v_lightx2v (s2v)",
        ),
        (
            ("--model", "wan_v2.2-14b-fp8_t2v_lightx2v", "--reference-image", "face.png"),
            "sogni: --reference-image must be omitted for wan_v2.2-14b-fp8_t2v_lightx2v (t2v), got 'face.png'",
        ),
        (
            ("--reference-image-url", "https://cdn.example.com/a.png"),
            "sogni: --reference-image-url must be omitted for wan_v2.2-14b-fp8_t2v_lightx2v, got ['https://cdn",
        ),
        (("--model", "flux1-schnell-fp8"), "sogni: --model: 'flux1-schnell-fp8' is not a video model"),
        (("--format", "avi"), "sogni: Invalid value for '--format'"),
    ],
)
def test_usage_errors_are_one_line_and_send_nothing(
    sogni: Run, supernet: LocalSupernet, arguments: tuple[str, ...], told: str
) -> None:
    result = sogni("video", "a lighthouse", "-o", "out", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(told)
    assert (requested(supernet), uploaded(supernet)) == ([], [])
    assert not Path("out").exists()


def test_what_the_service_refuses_is_a_failure(sogni: Run) -> None:
    result = sogni("video", "a lighthouse", "--count", "99")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "numberOfImages" in result.stderr


def test_projects_above_the_cost_limit_are_rejected(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni("video", "a lighthouse", "--max-cost", "0.01")
    assert result.exit_code == 1
    assert "exceeds --max-cost 0.01" in result.stderr
    assert requested(supernet) == []


def test_running_out_of_time_cancels(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    result = sogni("video", "a lighthouse", *SMALL, "--timeout", "0.5")
    assert result.exit_code == 124
    assert result.stderr.endswith("did not finish within 0.5 seconds and was canceled\n")
