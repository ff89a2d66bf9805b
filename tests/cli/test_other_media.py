"""`sogni speech`, `sogni upscale` and `sogni 3d`: what is sent, and what is saved."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.emulator.media.codecs import write_video
from tests.cli.conftest import requested, uploaded, without_cost
from tests.tables import each_row

Run = Callable[..., Result]


def sent(supernet: LocalSupernet, **expected: Any) -> None:
    """Check the last request, and that the service has found nothing unusual in any."""
    frame = requested(supernet)[-1]["keyFrames"][0]
    assert {key: frame.get(key) for key in expected} == expected
    assert supernet.violations == []


def saved(result: Result) -> Path:
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    (line,) = result.stdout.splitlines()
    return Path(line)


def clip(name: str) -> str:
    frames = [Image.new("RGB", (640, 480), "navy")] * 2
    write_video(Path(name), frames, Fraction(2), None, "mp4")
    return name


# -- speech ------------------------------------------------------------------------


def test_a_text_is_spoken_in_a_voice_of_the_model(sogni: Run, supernet: LocalSupernet) -> None:
    options = ("--voice", "ryan", "--style", "softly", "--language", "en", "--seed", "4", "--format", "wav")
    path = saved(sogni("speech", "Welcome aboard.", *options))
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "pcm_s16le"
    model = "qwen3_tts_1.7b_custom_voice_bf16"
    sent(
        supernet,
        modelID=model,
        positivePrompt="Welcome aboard.",
        speaker="ryan",
        instruct="softly",
        language="en",
        seed=4,
    )
    Path("script.txt").write_text("From a file.")
    assert saved(sogni("speech", "@script.txt")).suffix == ".mp3"
    sent(supernet, modelID=model, positivePrompt="From a file.", speaker=None, instruct=None)


def test_a_voice_is_cloned_or_designed(sogni: Run, supernet: LocalSupernet) -> None:
    recording = str(saved(sogni("speech", "This is my voice, as I usually speak.", "--name", "me")))
    saved(sogni("speech", "Hello.", "--clone", recording, "--transcript", "This is my voice."))
    sent(supernet, modelID="qwen3_tts_1.7b_voice_clone_bf16", hasReferenceAudio=True, referenceText="This is my voice.")
    assert uploaded(supernet) == ["referenceAudio"]
    saved(sogni("speech", "Hello.", "--design", "an old sailor"))
    sent(supernet, modelID="qwen3_tts_1.7b_voice_design_bf16", instruct="an old sailor")


@each_row(
    ("arguments", "told"),
    [
        (("--clone", "a.mp3", "--design", "x"), "sogni: give either --design or --clone"),
        (("--voice", "ryan", "--clone", "a.mp3"), "sogni: give either --voice or --clone"),
        (("--style", "x", "--design", "x"), "sogni: --style cannot be combined with --design"),
        (("--transcript", "x"), "sogni: --transcript requires --clone"),
        (("--voice", "rian"), "sogni: --voice must be one of 'serena', 'vivian'"),
        (("--clone", "none.mp3"), "sogni: --clone: cannot read none.mp3"),
    ],
)
def test_a_voice_that_cannot_be_used_is_a_usage_error(
    sogni: Run, supernet: LocalSupernet, arguments: tuple[str, ...], told: str
) -> None:
    result = sogni("speech", "Hello.", *arguments)
    assert (result.exit_code, result.stderr.startswith(told)) == (2, True), result.stderr
    assert requested(supernet) == []


# -- larger images and videos ------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "size"),
    [((), (1280, 1024)), (("--scale", "3"), (1920, 1536)), (("--longest-edge", "1600"), (1600, 1280))],
)
def test_an_image_is_enlarged(
    sogni: Run, supernet: LocalSupernet, options: tuple[str, ...], size: tuple[int, int]
) -> None:
    Image.new("RGB", (640, 512), "navy").save("small.jpg")
    with Image.open(saved(sogni("upscale", "small.jpg", *options, "--format", "jpg"))) as image:
        assert (image.size, image.format) == (size, "JPEG")
    sent(supernet, modelID="rtx_vsr_pro", width=size[0], height=size[1], hasStartingImage=True)


def test_a_video_is_enlarged(sogni: Run, supernet: LocalSupernet) -> None:
    path = saved(sogni("upscale", clip("small.mp4"), "--detail", "sharper", "--speed", "faster"))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (1440, 1080, 2)
    expected = {"upscaleResolution": 1080, "detailPreference": "sharper", "processingSpeed": "faster"}
    sent(supernet, modelID="flashvsr_v1.1_tiny_long_bf16", **expected)
    assert uploaded(supernet) == ["referenceVideo"]


@each_row(
    ("arguments", "told"),
    [
        (("none.png",), "sogni: cannot read none.png: No such file or directory"),
        (("text.txt",), "sogni: text.txt is neither an image nor a video"),
        (("small.webp",), "sogni: the size of small.webp is unknown: use a PNG or JPEG file"),
        (("small.png", "--detail", "stable"), "sogni: --detail has no effect: small.png is an image"),
        (("small.mp4", "--scale", "2"), "sogni: --scale has no effect: small.mp4 is a video"),
        (("small.png", "--scale", "2", "--longest-edge", "900"), "sogni: give either --scale or --longest-edge"),
        (("small.png", "--longest-edge", "16000"), "sogni: width must be an integer from 512 to 15360, got 16000"),
        (("small.mp4", "--resolution", "720"), "sogni: Invalid value for '--resolution'"),
    ],
)
def test_a_file_that_cannot_be_enlarged_is_a_usage_error(
    sogni: Run, supernet: LocalSupernet, arguments: tuple[str, ...], told: str
) -> None:
    Image.new("RGB", (640, 640)).save("small.png")
    Image.new("RGB", (640, 640)).save("small.webp")
    Path("text.txt").write_text("text")
    clip("small.mp4")
    result = sogni("upscale", *arguments)
    assert (result.exit_code, result.stderr.startswith(told)) == (2, True), result.stderr
    assert requested(supernet) == []


# -- 3D models ---------------------------------------------------------------------


def test_a_model_is_made_of_one_view_or_several(sogni: Run, supernet: LocalSupernet) -> None:
    for name in ("front.png", "back.png"):
        Image.new("RGB", (64, 64), "navy").save(name)
    path = saved(sogni("3d", "front.png", "--faces", "6000", "--seed", "3"))
    assert (path.suffix, path.read_bytes()[:4]) == (".glb", b"glTF")
    sent(supernet, modelID="pixal3d_int8_i23d", meshTargetFaces=6000, seed=3, hasContextImage2=False)
    saved(sogni("3d", "front.png", "--back", "back.png", "--texture-size", "1024"))
    sent(supernet, modelID="pixal3d_multiview_int8_i23d", textureSize=1024, hasContextImage2=True)
    wrong = sogni("3d", "front.png", "--faces", "10")
    assert (wrong.exit_code, wrong.stderr) == (2, "sogni: --faces must be an integer from 5000 to 700000, got 10\n")
