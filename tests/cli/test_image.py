"""`sogni image`: from a prompt to the paths of saved files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested, saved_later, uploaded, without_cost

Run = Callable[..., Result]


def test_prints_the_path_of_a_file_of_the_requested_size(sogni: Run) -> None:
    result = sogni("image", "a lighthouse", "--width", "768", "--height", "512", "-o", "out")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    (path,) = result.stdout.splitlines()
    assert Path(path).parent == Path("out")
    with Image.open(path) as image:
        assert (image.size, image.format) == ((768, 512), "PNG")


def test_several_images_are_several_lines(sogni: Run) -> None:
    result = sogni("image", "a lighthouse", "-n", "3", "--name", "it-{index}", "--format", "jpg")
    assert result.stdout.splitlines() == ["it-0.jpg", "it-1.jpg", "it-2.jpg"]
    assert all(Path(line).stat().st_size for line in result.stdout.splitlines())


def test_existing_files_are_kept_without_overwrite(sogni: Run) -> None:
    runs = [("1",), ("2",), ("2",), ("3", "--overwrite")]
    made = [sogni("image", "a lighthouse", "--name", "one", "--seed", *how).stdout.splitlines() for how in runs]
    assert made == [["one.png"], ["one-1.png"], ["one-1.png"], ["one.png"]]
    assert sorted(path.name for path in Path().glob("*.png")) == ["one-1.png", "one.png"]


def test_json_is_the_project_and_its_files(sogni: Run) -> None:
    result = sogni("image", "ein Leuchtturm bei Föhn", "--json", "--seed", "7", "--name", "one")
    document = json.loads(result.stdout)
    assert document["files"] == ["one.png"]
    assert (document["status"], document["params"]["positivePrompt"]) == ("completed", "ein Leuchtturm bei Föhn")
    assert document["jobs"][0]["seed"] == 7
    # An address without its query would be of no use.
    assert "Signature=" in document["resultUrls"][0]


def test_every_option_reaches_the_service(sogni: Run, supernet: LocalSupernet) -> None:
    Image.new("RGB", (64, 64), "red").save("start.png")
    result = sogni(
        *("image", "a lighthouse", "--model", "coreml-cyberrealistic_v33", "--count", "2", "--steps", "20"),
        *("--guidance", "7.5", "--seed", "11", "--negative-prompt", "fog", "--style-prompt", "oil"),
        *("--starting-image", "start.png", "--strength", "0.4"),
        *("--previews", "1", "--token", "spark", "--no-filter", "--network", "relaxed", "--width", "512"),
        *("--height", "640", "--format", "webp"),
    )
    assert without_cost(result.stderr) == ""
    assert result.exit_code == 0
    (request,) = requested(supernet)
    frame = request["keyFrames"][0]
    expected = {
        "positivePrompt": "a lighthouse", "negativePrompt": "fog", "stylePrompt": "oil", "steps": 20,
        "guidanceScale": 7.5, "seed": 11, "modelID": "coreml-cyberrealistic_v33",
    }  # fmt: skip
    assert {key: frame[key] for key in expected} == expected
    text = json.dumps(request)
    for part in ('"spark"', '"relaxed"', '"webp"', "512", "640"):
        assert part in text


def test_context_images_and_a_control_image_are_uploaded(sogni: Run, supernet: LocalSupernet) -> None:
    for name in ("one.png", "two.png"):
        Image.new("RGB", (64, 64), "red").save(name)
    contexts = ("--context-image", "one.png", "--context-image", "two.png")
    edit = sogni("image", "both", "--model", "qwen_image_edit_2511_fp8_lightning", *contexts)
    net = ("--control-net", "canny", "--control-image", "one.png", "--control-strength", "0.5")
    steered = sogni("image", "one", "--model", "coreml-cyberrealistic_v70_768", *net)
    assert [(it.exit_code, without_cost(it.stderr)) for it in (edit, steered)] == [(0, ""), (0, "")]
    assert sorted(uploaded(supernet)) == ["cnImage", "contextImage1", "contextImage2"]
    (given,) = requested(supernet)[1]["keyFrames"][0]["currentControlNetsJob"]
    assert (given["name"], given["controlStrength"]) == ("canny", 0.5)
    assert supernet.violations == []


def test_the_same_seed_gives_the_same_file(sogni: Run) -> None:
    for name in ("first", "second"):
        assert sogni("image", "a lighthouse", "--seed", "3", "--name", name).exit_code == 0
    assert Path("first.png").read_bytes() == Path("second.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--width", "64", "--height", "64"), "sogni: --width must be an integer from 256 to 2560, got 64"),
        (("--count", "0"), "sogni: --count must be an integer of 1 or more, got 0"),
        (("--model", "flux1-schnel"), "sogni: --model: the service knows no model 'flux1-schnel'"),
        (("--starting-image", "none.png"), "sogni: --starting-image: cannot read none.png"),
        (("--width", "512"), "sogni: --width and --height must be given together"),
        (("--size", "square", "--width", "512", "--height", "512"), "sogni: give either --size or --width"),
        (("--strength", "0.5"), "sogni: --strength requires --starting-image"),
        (("--context-image", "none.png"), "sogni: --context-image: cannot read none.png"),
        (("--control-net", "canny"), "sogni: --control-net requires --control-image"),
        (("--control-image", "x.png"), "sogni: --control-image requires --control-net"),
        (("--control-strength", "0.5"), "sogni: --control-strength requires --control-net"),
        (
            ("--control-net", "canny", "--control-image", "x.png", "--control-strength", "2"),
            "sogni: --control-strength must be a number from 0 to 1, got 2.0",
        ),
        (
            ("--control-net", "canny", "--control-image", "none.png"),
            "sogni: --control-image: cannot read none.png",
        ),
        (("--lora", "one:much"), "sogni: --lora one:much: the strength must be a number, got 'much'"),
        (
            ("--name", "../{index}"),
            "sogni: --name must be a file name with fields from "
            "{project_id}, {index}, {job_id}, {seed}, got '../{index}'",
        ),
        (
            ("--name", "{nobody}"),
            "sogni: --name must be a file name with fields from "
            "{project_id}, {index}, {job_id}, {seed}, got '{nobody}'",
        ),
        (("--timeout", "-1"), "sogni: --timeout must be a number of seconds"),
        (("--max-cost", "cheap"), "sogni: --max-cost must be a number of 0 or more, got 'cheap'"),
        (("--widht", "3"), "sogni: No such option"),
        (("--token", "dollar"), "sogni: Invalid value for '--token'"),
        (("--steps", "few"), "sogni: Invalid value for '--steps'"),
    ],
)
def test_usage_errors_are_one_line_and_send_nothing(
    sogni: Run, supernet: LocalSupernet, arguments: tuple[str, ...], told: str
) -> None:
    result = sogni("image", "a lighthouse", "-o", "out", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(told)
    assert without_cost(result.stderr).count("\n") == 1
    assert requested(supernet) == []
    assert not any(Path().iterdir())


def test_a_file_that_is_not_an_image_is_rejected(sogni: Run, supernet: LocalSupernet) -> None:
    Path("notes.png").write_text("not an image")
    result = sogni("image", "a lighthouse", "--starting-image", "notes.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("sogni: --starting-image")
    assert [it for it in supernet.requests if getattr(it, "method", "") == "PUT"] == []


@pytest.mark.parametrize("directory", ["taken", "taken/below"])
def test_an_invalid_directory_is_rejected_first(sogni: Run, supernet: LocalSupernet, directory: str) -> None:
    Path("taken").touch()
    result = sogni("image", "a lighthouse", "-o", directory)
    assert result.exit_code == 2
    assert "--output-dir" in result.stderr
    assert requested(supernet) == []


def test_an_unwritable_directory_is_rejected_first(
    sogni: Run, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As root every directory is writable, so the question is answered here.
    monkeypatch.setattr("os.access", lambda *_: False)
    result = sogni("image", "a lighthouse", "-o", "new")
    assert (result.exit_code, without_cost(result.stderr)) == (
        2,
        f"sogni: --output-dir: {tmp_path} is not writable; {HINT}\n",
    )
    assert requested(supernet) == []


HINT = "see 'sogni image --help'"


def test_a_failed_project_fails(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(message="The worker ran out of memory")
    result = sogni("image", "a lighthouse", "-o", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "sogni: The worker ran out of memory\n"


def test_a_failed_project_is_reported_in_json(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(message="The worker ran out of memory")
    result = sogni("image", "a lighthouse", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["status"], document["files"]) == (1, "failed", [])


def test_partial_results_are_saved(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(1)
    result = sogni("image", "a lighthouse", "-n", "2", "--name", "it-{index}")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["it-0.png"]
    assert Path("it-0.png").exists()
    assert result.stderr.endswith("has 1 of 2 results: withheld by the content filter\n")
    assert without_cost(result.stderr).count("\n") == 1


def test_a_failed_download_is_an_error(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.http("/storage/*", method="GET", status=404, times=20)
    result = sogni("image", "a lighthouse")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has finished, but its results were not saved" in result.stderr
    assert "Signature" not in result.stderr


def test_a_failed_project_reports_no_second_error(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(1)
    supernet.faults.http("/storage/*", method="GET", status=404, times=20)
    result = sogni("image", "a lighthouse", "-n", "2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has 1 of 2 results" in result.stderr
    assert f"were not saved; 'sogni project save {supernet.projects[0]['id']}'" in result.stderr
    assert without_cost(result.stderr).count("\n") == 1


def test_projects_above_the_cost_limit_are_rejected(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni("image", "a lighthouse", "--max-cost", "0.01")
    assert result.exit_code == 1
    assert "exceeds --max-cost 0.01" in result.stderr
    assert requested(supernet) == []


def test_no_balance_is_an_error(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=0, sogni=0)
    result = sogni("image", "a lighthouse")
    assert result.exit_code == 1
    assert "nsufficient" in result.stderr
    assert without_cost(result.stderr).count("\n") == 1


def test_a_timeout_cancels_and_keeps_results(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    result = sogni("image", "a lighthouse", "--timeout", "0.5")
    assert result.exit_code == 124
    assert result.stderr.endswith("did not finish within 0.5 seconds and was canceled\n")
    supernet.wait_for(lambda: [it["status"] for it in supernet.projects] == ["canceled"])


def test_a_project_with_a_key_is_collected_by_the_next_command(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    key = ("--idempotency-key", "tonight's cover")
    late = sogni("image", "a lighthouse", "--timeout", "0.5", *key)
    assert late.exit_code == 124
    ending = "did not finish within 0.5 seconds and continues: run the same command again to collect it"
    assert late.stderr.endswith(ending + saved_later(supernet))
    supernet.resume_workers()
    saved = [sogni("image", "a lighthouse", *key).stdout.strip() for _ in range(2)]
    assert saved[0] == saved[1]
    assert len(requested(supernet)) == 1
    other = sogni("image", "a castle", *key)
    assert (other.exit_code, "positive_prompt='a lighthouse'" in other.stderr) == (2, True)
    assert sogni("image", "a castle", "--idempotency-key", "").exit_code == 2


def test_a_rejected_cancellation_is_reported(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    supernet.faults.deny_cancel()
    result = sogni("image", "a lighthouse", "--timeout", "0.5")
    assert result.exit_code == 124
    assert result.stderr.endswith("and could not be canceled and continues" + saved_later(supernet))


def test_objects_are_segmented(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    image = Image.new("RGB", (320, 256), "white")
    image.paste("red", (100, 70, 220, 190))
    image.save("start.png")
    start = ("--starting-image", "start.png", "--no-metadata")
    sam3 = ("image", "", "--model", "sam3_image_segment_bf16", *start, "--name", "sam3")
    birefnet = ("image", "", "--model", "birefnet_image_background_removal_fp16", *start, "--name", "birefnet")
    for command in ((*sam3, "--find", "the box", "--cut-out"), (*birefnet, "--cut-out")):
        result = sogni(*command)
        assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    first, second = requested(supernet)
    assert first["keyFrames"][0]["sam3Prompt"]["text"] == "the box"
    assert [it["embedPromptMetadata"] for it in (first, second)] == [False, False]
    for name in ("sam3.png", "birefnet.png"):
        with Image.open(tmp_path / name) as found:
            assert (found.mode, found.size, found.getpixel((160, 128))) == ("RGBA", (320, 256), (255, 0, 0, 255))
    alone = sogni(*sam3)
    assert (alone.exit_code, alone.stderr.startswith("sogni: --find must be given for ")) == (2, True)


def test_the_control_image_is_requested(sogni: Run, supernet: LocalSupernet) -> None:
    Image.new("RGB", (64, 64), "red").save("one.png")
    net = ("--control-net", "canny", "--control-image", "one.png", "--control-preprocess")
    assert sogni("image", "one", "--model", "coreml-cyberrealistic_v70_768", *net).exit_code == 0
    (request,) = requested(supernet)
    assert request["keyFrames"][0]["currentControlNetsJob"][0]["preprocess"] is True
    alone = sogni("image", "one", "--control-preprocess")
    assert (alone.exit_code, "--control-preprocess requires --control-net" in alone.stderr) == (2, True)
