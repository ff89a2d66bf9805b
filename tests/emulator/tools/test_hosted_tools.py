"""The hosted tools: results, inputs, prices, and numbering of results."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from sogni.core.tools.hosted import tool_names
from sogni.emulator import LocalSupernet
from sogni.emulator.tools import text_tools
from sogni.emulator.tools.media_library import ToolError, UserNeededError
from sogni.emulator.tools.runner import TOOLS
from tests.emulator.media.helpers import as_image, distance, loudness
from tests.emulator.tools.helpers import Tools

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, balance={"spark": 1_000_000}) as running:
        yield running


@pytest.fixture
def tools(shared: LocalSupernet) -> Tools:
    shared.faults.clear()
    return Tools(shared)


def test_an_image_has_the_size_asked_for_and_depends_on_its_seed(tools: Tools) -> None:
    first, again, other = (tools.still(seed=seed) for seed in (3, 3, 4))
    assert as_image(tools.content(first)).size == (256, 256)
    assert tools.content(first) == tools.content(again)
    assert tools.content(first) != tools.content(other)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspectRatio": "16:9"}, (1360, 768)),
        ({"aspectRatio": "320x640"}, (320, 640)),
        ({"width": 100, "height": 50}, (512, 256)),
    ],
)
def test_shapes_of_images(tools: Tools, arguments: dict[str, object], size: tuple[int, int]) -> None:
    made = tools.run("generate_image", prompt="a kite", **arguments).media[0]
    assert (made.width, made.height) == size


def test_variations_are_numbered_per_kind(tools: Tools) -> None:
    assert tools.run("generate_image", prompt="a kite", numberOfVariations=3, width=256, height=256).indices == {
        "startIndex": 0,
        "indices": [0, 1, 2],
    }
    assert tools.run("generate_video", prompt="a kite", duration=2, width=640, height=640).indices == {
        "startIndex": 0,
        "indices": [0],
        "videoStartIndex": 0,
    }
    assert tools.run("generate_music", prompt="a song", duration=10).indices["indices"] == [0]


@pytest.mark.parametrize("tool", ["edit_image", "apply_style", "refine_result", "restore_photo", "change_angle"])
def test_adapters_start_from_the_newest_image(tools: Tools, tool: str) -> None:
    asked = {"prompt": "in blue ink", "description": "left side view eye-level shot medium shot"}
    given = {name: asked[name] for name in (["description"] if tool == "change_angle" else ["prompt"])}
    tools.still()
    made = tools.run(tool, **given).media[0]
    assert (made.width, made.height) == (480, 480)
    tools.library.results.clear()
    tools.still(seed=99)
    other = tools.run(tool, **given).media[0]
    assert tools.content(made) != tools.content(other)


def test_a_video_starts_from_the_image_it_is_given(tools: Tools) -> None:
    image = tools.still()
    made = tools.run("animate_photo", prompt="it sways", duration=2, seed=1).media[0]
    film = tools.film(made)
    assert distance(film.frames[0], as_image(tools.content(image))) < 12
    assert (made.kind, made.sound, film.frames[0].size) == ("video", True, (made.width, made.height))
    assert abs(float(len(film.frames) / (film.fps or 1)) - (made.duration or 0)) < 0.1


def test_several_photos_become_one_video_and_its_clips(tools: Tools) -> None:
    tools.still(), tools.still(seed=8)
    outcome = tools.run("animate_photo", prompt="sway", sourceImageIndices=[0, 1], duration=2)
    assert (len(outcome.media), len(outcome.parts)) == (1, 2)
    assert outcome.media[0].duration == pytest.approx(sum(clip.duration or 0 for clip in outcome.parts))
    assert outcome.wire(lambda media: media.id)["clips"][0]["type"] == "video"


def test_stitching_joins_lengths_and_sound(tools: Tools) -> None:
    one, two = tools.video(seed=1), tools.video(seed=2)
    whole = tools.run("stitch_video", videoIndices=[0, 1]).media[0]
    film, first, second = tools.film(whole), tools.film(one), tools.film(two)
    assert len(film.frames) == len(first.frames) + len(second.frames)
    assert distance(film.frames[0], first.frames[0]) < 8
    assert film.seconds == pytest.approx(first.seconds + second.seconds, abs=0.2)


def test_stitching_takes_other_sound_and_transitions(tools: Tools) -> None:
    tools.video(seed=1), tools.video(seed=2), tools.run("generate_music", prompt="drums", duration=10)
    transition = {"type": "wipeleft", "durationSeconds": 0.5}
    made = tools.run("stitch_video", videoIndices=[0, 1], audioIndex=0, transition=transition).media[0]
    film = tools.film(made)
    assert made.duration == pytest.approx(len(film.frames) / float(film.fps or 1), abs=0.1)
    assert made.duration == pytest.approx(sum(video.duration or 0 for video in tools.library.of("video")[:2]) - 0.5)
    assert film.samples is not None
    assert loudness(film.samples, film.sample_rate, 1, 3) > 0.01


def test_extending_adds_a_part(tools: Tools) -> None:
    base = tools.video()
    part, whole = tools.run("extend_video", duration=2).media
    assert whole.duration == pytest.approx((base.duration or 0) + (part.duration or 0))


def test_a_segment_is_replaced_by_another_video(tools: Tools) -> None:
    base, _ = tools.video(seed=1), tools.video(seed=2, prompt="a green forest")
    arguments = {"startSeconds": 0.5, "endSeconds": 1.0, "replacementVideoIndex": 1, "replacementEndSeconds": 0.5}
    made = tools.run("replace_video_segment", videoIndex=0, **arguments).media[0]
    assert made.duration == pytest.approx(base.duration, abs=0.05)
    assert len(tools.film(made).frames) == len(tools.film(base).frames)


def test_a_new_take_is_rendered_for_a_window(tools: Tools) -> None:
    base = tools.video(duration=3)
    part, whole = tools.run("replace_video_segment", startSeconds=1, endSeconds=2, prompt="lightning").media
    assert part.kind == "video"
    assert whole.duration == pytest.approx(base.duration, abs=0.05)


def test_overlays_and_subtitles_keep_length_and_sound(tools: Tools) -> None:
    base, _ = tools.video(), tools.still()
    srt = "1\n00:00:00,000 --> 00:00:01,000\nThe kite\nrises\n\n2\n00:00:01,500 --> 00:00:02,000\nhigh\n"
    text = {"kind": "text", "text": "KITE", "position": "center", "startSeconds": 1}
    overlays = [text, {"kind": "image", "position": "top-left", "sourceImageIndex": 0}]
    for made in (tools.run("overlay_video", overlays=overlays), tools.run("add_subtitles", srt=srt)):
        (media,) = made.media
        film = tools.film(media)
        assert (len(film.frames), film.frames[0].size) == (len(tools.film(base).frames), (640, 640))
        assert (media.duration, media.sound) == (base.duration, base.sound)


def test_sound_and_motion_are_followed(tools: Tools) -> None:
    tools.run("generate_music", prompt="drums", duration=10)
    tools.still()
    clip = tools.run("sound_to_video", prompt="a dancer", duration=2).media[0]
    assert clip.sound
    moved = tools.run("video_to_video", prompt="as a puppet", controlMode="animate-move", duration=2).media[0]
    assert (moved.width or 0) >= 480
    assert tools.run("video_to_video", prompt="wider", controlMode="outpaint", duration=2).media[0].kind == "video"
    assert tools.run("upscale_video", targetResolution=1080).media[0].height == 1080


def test_an_orbit_returns_and_a_dance_has_music(tools: Tools) -> None:
    tools.still()
    orbit = tools.run("orbit_video", angles=["back view"], prompt="slowly")
    assert len(orbit.parts) == 2
    dance = tools.run("dance_montage", dance="chanel", duration=8)
    film = tools.film(dance.media[0])
    assert film.frames[0].size == (480, 848)
    assert film.samples is not None


def test_analysis_tools_return_facts(tools: Tools) -> None:
    tools.still(), tools.video()
    assert "256x256 pixels" in tools.run("analyze_image").facts["analysis"]
    assert tools.run("analyze_video").facts["metadata"]["hasAudio"] is True
    assert tools.run("extract_metadata", videoIndex=0).facts["metadata"]["frameRate"] == 24
    assert tools.run("create_asset_manifest").facts["manifest"]["count"] == 2
    assert tools.run("inspect_asset", imageIndex=0).facts["asset"]["index"] == 0
    assert tools.run("label_asset", label="hero", imageIndex=0).facts["asset"]["label"] == "hero"
    assert tools.run("map_assets_for_model").facts["mapping"]["referenceVideoIndices"] == [0]
    assert tools.run("validate_asset_references", imageIndices=[0, 5]).facts["missing"][0]["index"] == 5
    assert tools.run("finalize_response", message="ready").facts == {"response": "ready"}


def test_a_question_waits_for_the_user(tools: Tools) -> None:
    with pytest.raises(UserNeededError, match="Which colour") as waiting:
        tools.run("ask_clarifying_question", question="Which colour?")
    assert waiting.value.reason == "ask_clarifying_question"


def test_the_charge_equals_the_estimate(tools: Tools) -> None:
    tools.still()
    for name, arguments in {
        "generate_image": {"prompt": "a kite", "numberOfVariations": 2},
        "edit_image": {"prompt": "a kite"},
        "generate_video": {"prompt": "a kite", "duration": 2, "width": 640, "height": 640},
        "generate_music": {"prompt": "a song", "duration": 10},
    }.items():
        expected, before = tools.estimate(name, **arguments), tools.supernet.account.balance.spark
        outcome = tools.run(name, **arguments)
        assert (outcome.cost, before - tools.supernet.account.balance.spark) == (expected, expected), name
        assert expected > 0


def test_every_hosted_tool_runs() -> None:
    assert len(tool_names()) == 30
    assert set(tool_names()) - {*TOOLS} == {*text_tools.TEXT_TOOLS}


def test_a_tool_beyond_the_balance_renders_nothing(tools: Tools) -> None:
    tools.supernet.account.set_balance(spark=0)
    with pytest.raises(ToolError) as refused:
        tools.still()
    tools.supernet.account.set_balance(spark=1_000_000)
    assert refused.value.code == "INSUFFICIENT_CREDIT"


def test_failures_are_reported_beside_successes(tools: Tools) -> None:
    tools.supernet.faults.fail_job(0)
    outcome = tools.run("generate_image", prompt="kites", numberOfVariations=2, width=256, height=256)
    assert (len(outcome.media), [problem.code for problem in outcome.problems]) == (1, ["GENERATION_FAILED"])
    tools.supernet.faults.fail_job()
    with pytest.raises(ToolError, match="could not be generated"):
        tools.still()


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("generate_image", {}, "INVALID_ARGUMENTS"),
        ("generate_image", {"prompt": "a", "aspectRatio": "wide"}, "INVALID_ARGUMENTS"),
        ("generate_image", {"prompt": "a", "starting_image_strength": 0.5, "sourceImageIndex": 4}, "MEDIA_NOT_FOUND"),
        ("edit_image", {"prompt": "a"}, "MEDIA_REQUIRED"),
        ("stitch_video", {"videoIndices": [0, 1]}, "MEDIA_NOT_FOUND"),
        ("add_subtitles", {"auto_transcribe": True}, "USER_INPUT_INCOMPLETE"),
        ("paint_house", {}, "UNKNOWN_TOOL"),
        ("image_to_3d", {}, "MEDIA_REQUIRED"),
        ("segment_image", {}, "INVALID_ARGUMENTS"),
        ("generate_speech", {"prompt": "a", "model": "design"}, "INVALID_ARGUMENTS"),
        ("generate_speech", {"prompt": "a", "model": "clone", "voiceSourceIndex": 9}, "MEDIA_NOT_FOUND"),
        ("generate_music", {"prompt": "a", "model": "turbo"}, "INVALID_ARGUMENTS"),
        ("generate_video", {"prompt": "a", "duration": 31}, "INVALID_ARGUMENTS"),
        ("edit_image", {"prompt": "a", "source_image_url": "data:image/png;base64,AAAA"}, "INVALID_MEDIA"),
        ("edit_image", {"prompt": "a", "source_image_url": "http://127.0.0.1:9/x.png"}, "MEDIA_NOT_FOUND"),
    ],
)
def test_refusals(tools: Tools, name: str, arguments: dict[str, object], code: str) -> None:
    with pytest.raises(ToolError) as refused:
        tools.run(name, **arguments)
    assert refused.value.code == code


def test_costs_are_decimal(tools: Tools) -> None:
    assert isinstance(tools.estimate("generate_image", prompt="a kite"), Decimal)
