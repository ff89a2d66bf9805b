"""Every model of the protocol notes is served, and every family makes a real file of its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sogni import SogniClient
from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import clip, loudness, opened, picture, tone

pytestmark = pytest.mark.integration


SHEET = Path(__file__).parents[3] / "docs" / "protocol" / "model-families.json"
FAMILIES = {row["family"]: row for row in json.loads(SHEET.read_text("utf-8"))["families"]}
PNG, MP4, MP3, GLB = "image/png", "video/mp4", "audio/mpeg", "model/gltf-binary"
MAGIC = {PNG: b"\x89PNG\r\n\x1a\n", MP4: b"ftyp", MP3: b"\xff\xfb", GLB: b"glTF\x02\x00\x00\x00"}
SMALL = {"width": 512, "height": 512}
PICTURE = picture("red")
VIDEO_480 = {"width": 480, "height": 480}

REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "wan2.2": (MP4, "wan_v2.2-14b-fp8_t2v_lightx2v", {**VIDEO_480, "frames": 17}),
    "ltx": (MP4, "ltx23-22b-fp8_t2v_distilled", {"width": 640, "height": 640, "frames": 25}),
    "seedance": (MP4, "seedance-2-0-mini-uncensored", {**VIDEO_480, "frames": 97}),
    "happyhorse-1.1": (MP4, "happyhorse-1.1-i2v", {**VIDEO_480, "frames": 73, "reference_image": PICTURE}),
    "wan3": (MP4, "wan3.0-video", {**VIDEO_480, "frames": 61, "ratio": "1:1"}),
    "minimax-h3": (MP4, "minimax-h3-fl2va-fp8_t2v_turbo", {"width": 64, "height": 64, "frames": 124}),
    "sam3-segmentation": (PNG, "sam3_image_segment_bf16", {"sam3_prompt": {"text": "it"}, "starting_image": PICTURE}),
    "birefnet-background-removal": (PNG, "birefnet_image_background_removal_fp16", {"starting_image": PICTURE}),
    "pixal3d": (GLB, "pixal3d_int8_i23d", {"starting_image": PICTURE, "mesh_target_faces": 5000}),
    "gpt-image": (PNG, "gpt-image-2.5-flare", {**SMALL, "gpt_image_quality": "max"}),
    "z-image": (PNG, "z_image_turbo_bf16", SMALL),
    "krea2": (PNG, "dark_beast_krea2_fp8", SMALL),
    "qwen-image": (PNG, "qwen_image_2512_fp8_lightning", SMALL),
    "flux2": (PNG, "flux2_dev_fp8", SMALL),
    "rtx-vsr": (PNG, "rtx_vsr_pro", {**SMALL, "starting_image": PICTURE}),
    "flux3-klein": (PNG, "flux3_image_klein_sd_int8_convrot", SMALL),
    "moss-image": (PNG, "moss_image_sft_dmd8_int8_convrot", {**SMALL, "moss_rope_scale_x": 2}),
    "seedream": (PNG, "seedream-5-0-pro-uncensored", {"width": 1024, "height": 1024}),
    "ace-step": (MP3, "ace_step_1.5_turbo", {"duration": 10}),
    "minimax-music3": (MP3, "minimax_music3", {"duration": 10}),
    "qwen3-tts": (MP3, "qwen3_tts_1.7b_custom_voice_bf16", {"speaker": "ryan"}),
}
TYPES = {"video": "video", "audio": "audio"}


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, balance={"spark": 1_000_000, "sogni": 0}) as running:
        yield running


@pytest.fixture
def client(supernet: LocalSupernet) -> Iterator[SogniClient]:
    with supernet.client(token_type="spark") as made:
        yield made


def create(client: SogniClient, model: str, family: str, **given: Any) -> Any:
    kind = TYPES.get(FAMILIES[family]["media"], "image")
    fields = {"type": kind, "model_id": model, "positive_prompt": "a red kite", "seed": 7, **given}
    return client.projects.create(**{name: value for name, value in fields.items() if value is not ...})


def fetched(project: Any) -> tuple[str, bytes]:
    """Return content type and content of the only result."""
    (url,) = project.wait_for_completion(timeout=60)
    reply = requests.get(url, timeout=60)
    return reply.headers["Content-Type"], reply.content


def made(client: SogniClient, model: str, family: str, **given: Any) -> bytes:
    return fetched(create(client, model, family, **given))[1]


def test_every_id_of_the_sheet_is_served(client: SogniClient) -> None:
    workers = {model.id: model.worker_count for model in client.projects.wait_for_models(timeout=20)}
    lists = [row.get("ids") or {"known": row.get("knownIds", row.get("exactIds", []))} for row in FAMILIES.values()]
    listed = {it for ids in lists for group in ids.values() if isinstance(group, list) for it in group}
    assert len(listed) > 80
    assert {it for it in listed if not workers.get(it)} == set()


def test_every_family_makes_a_file_of_its_kind(client: SogniClient, supernet: LocalSupernet, tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mp4", frames=6, size=(96, 64))
    upscaling = {"positive_prompt": ..., "reference_video": source, "upscale_resolution": 1080}
    wanted = {**REQUESTS, "flashvsr": (MP4, "flashvsr_v1.1_tiny_long_bf16", upscaling)}
    assert set(wanted) == set(FAMILIES)
    projects = {family: create(client, model, family, **given) for family, (_, model, given) in wanted.items()}
    for family, project in projects.items():
        content_type, content = fetched(project)
        assert (family, content_type) == (family, wanted[family][0])
        assert MAGIC[content_type] in content[:16]
    assert not supernet.violations


def test_two_stages_deliver_twice_the_size_and_take_keyframes(client: SogniClient) -> None:
    given = {"reference_image": picture("blue"), "keyframes": [{"image": picture("lime"), "frame_index": 60}]}
    video = opened(
        made(
            client,
            "minimax-h3-fastvideo-int8_i2v_turbo_2stage",
            "minimax-h3",
            **{"width": 64, "height": 32, "frames": 124, "generate_audio": False, **given},
        )
    )
    assert ([it.size for it in (video.frames[0], video.frames[-1])], len(video.frames)) == ([(128, 64)] * 2, 124)
    assert (video.fps, video.samples) == (24, None)


def test_a_video_with_an_audio_guide_has_sound(client: SogniClient) -> None:
    guide = tone(3.0)
    content = made(
        client, "minimax-h3-fastvideo-int8_a2v_turbo", "minimax-h3", width=32, height=32, frames=124,
        reference_audio=guide, audio_start=0.5,
    )  # fmt: skip
    video = opened(content)
    assert video.seconds == pytest.approx(124 / 24, abs=0.1)
    assert loudness(video.samples, video.sample_rate, 0.1, 5) > 0.02
