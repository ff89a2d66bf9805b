"""`sogni music`: from a style to the paths of saved audio files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from click.testing import Result

from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested, without_cost

Run = Callable[..., Result]


@pytest.mark.parametrize(("wanted", "codec"), [("mp3", "mp3float"), ("wav", "pcm_s16le"), ("flac", "flac")])
def test_versions_are_saved_in_the_requested_format(sogni: Run, wanted: str, codec: str) -> None:
    result = sogni("music", "a shanty", "--duration", "10", "-n", "2", "--format", wanted, "--name", "it-{index}")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    paths = result.stdout.splitlines()
    assert paths == [f"it-0.{wanted}", f"it-1.{wanted}"]
    for path in paths:
        with av.open(path) as container:
            assert container.streams.audio[0].codec_context.name == codec
            assert (container.duration or 0) / av.time_base == pytest.approx(10, abs=0.1)


def test_every_option_reaches_the_service(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni(
        *("music", "a shanty, accordion", "--duration", "12", "--bpm", "96", "--key", "A minor", "--language", "de"),
        *("--time-signature", "3", "--lyrics", "Heute fährt\nkein Boot", "--steps", "6", "--shift", "2.5", "--seed"),
        *("11", "--creativity", "0.5", "--prompt-strength", "3", "--token", "spark"),
    )
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    (request,) = requested(supernet)
    expected = {
        "positivePrompt": "a shanty, accordion", "duration": 12, "bpm": 96, "keyscale": "A minor", "language": "de",
        "timesignature": "3", "lyrics": "Heute fährt\nkein Boot", "steps": 6, "shift": 2.5, "seed": 11,
        "creativity": 0.5, "promptStrength": 3, "modelID": "ace_step_1.5_turbo",
    }  # fmt: skip
    frame = request["keyFrames"][0]
    assert {key: frame[key] for key in expected} == expected
    assert (request["tokenType"], request["network"]) == ("spark", "fast")
    assert supernet.violations == []


def test_lyrics_can_be_read_from_a_file(sogni: Run, supernet: LocalSupernet) -> None:
    Path("words.txt").write_bytes("\ufeffHeute fährt\nkein Boot".encode())
    assert sogni("music", "a shanty", "--duration", "10", "--lyrics", "@words.txt").exit_code == 0
    given = {"input": "Heute fährt\nkein Boot".encode()}
    assert sogni("music", "a shanty", "--duration", "10", "--lyrics", "@-", **given).exit_code == 0
    sung = [request["keyFrames"][0]["lyrics"] for request in requested(supernet)]
    assert sung == ["Heute fährt\nkein Boot"] * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--lyrics", "@none.txt"), "sogni: Invalid value for '--lyrics': cannot read none.txt: No such file"),
        (("--lyrics", "@noise.txt"), "sogni: Invalid value for '--lyrics': noise.txt is not UTF-8 text"),
        (("--model", "ace_step_1.5_trubo"), "sogni: --model: the service knows no model 'ace_step_1.5_trubo'"),
        (("--model", "flux1-schnell-fp8"), "sogni: --model"),
        (("--count", "0"), "sogni: --count must be an integer of 1 or more, got 0"),
        (("--bpm", "nan"), "sogni: --bpm must be a finite number, got nan"),
        (("--format", "ogg"), "sogni: Invalid value for '--format'"),
    ],
)
def test_usage_errors_are_one_line_and_send_nothing(
    sogni: Run, supernet: LocalSupernet, arguments: tuple[str, ...], told: str
) -> None:
    Path("noise.txt").write_bytes(b"\xff\xfe\x00")
    result = sogni("music", "a shanty", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(told)
    assert requested(supernet) == []


def test_the_available_versions_are_saved(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(1, message="The worker ran out of memory")
    result = sogni("music", "a shanty", "--duration", "10", "-n", "2", "--name", "it-{index}")
    assert (result.exit_code, result.stdout) == (1, "it-0.mp3\n")
    assert result.stderr.endswith("has 1 of 2 results: The worker ran out of memory\n")
