"""The order and URLs of uploads, and the URLs of results (projects-4.2 §10, projects-5x §6)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.http import HttpCall
from sogni.core.projects.uploads import (
    UploadItem,
    download_url_call,
    image_uploads,
    is_supplied,
    put_call,
    read_signed_url,
    signed_url_call,
    upload_url_call,
)
from sogni.errors import ProtocolError, ValidationError
from sogni.models.params import ControlNetParams, ImageProjectParams
from tests.tables import each_row


def planned(**fields: Any) -> list[list[tuple[str, str, Any]]]:
    params = ImageProjectParams(model_id="m", **fields)
    return [[(item.role, item.field, item.media) for item in group] for group in image_uploads(params)]


def test_groups_go_in_order_and_context_images_side_by_side() -> None:
    assert planned(
        context_images=[b"1", b"2"],
        control_net=ControlNetParams(name="canny", image=b"c"),
        starting_image=b"s",
        gpt_image_mask=b"m",
    ) == [
        [("referenceMask", "gpt_image_mask", b"m")],
        [("startingImage", "starting_image", b"s")],
        [("cnImage", "control_net.image", b"c")],
        [("contextImage1", "context_images[0]", b"1"), ("contextImage2", "context_images[1]", b"2")],
    ]


@pytest.mark.parametrize("skipped", [True, False])
def test_positions_without_an_upload_keep_their_number(skipped: Any) -> None:
    assert (planned(context_images=[b"1", skipped, b"3"])) == [
        [("contextImage1", "context_images[0]", b"1"), ("contextImage3", "context_images[2]", b"3")]
    ]


@each_row(
    "fields",
    [
        {},
        {"starting_image": True},
        {"starting_image": False},
        {"context_images": []},
        {"context_images": [True, False]},
        {"control_net": ControlNetParams(name="canny")},
        {"control_net": {"name": "canny", "image": True}},
        {"gpt_image_mask": True},
    ],
    ids=str,
)
def test_what_is_uploaded_already_or_not_given_needs_no_upload(fields: dict[str, Any]) -> None:
    assert planned(**fields) == []


@pytest.mark.parametrize(
    ("media", "expected"),
    [(None, False), (False, False), (True, True), (b"x", True), (b"", True), ("", True)],
)
def test_an_empty_input_was_given(media: Any, expected: bool) -> None:
    """It is refused when it is read, not quietly left out."""
    assert expected == is_supplied(media)


MASK = UploadItem(role="referenceMask", field="gpt_image_mask", media=b"", allowed=("image/png",))
IMAGE = UploadItem(role="startingImage", field="starting_image", media=b"")
SOUND = UploadItem(role="referenceAudio", field="reference_audio", media=b"", slot="audio", endpoint="media")


def test_a_role_checks_its_media() -> None:
    assert IMAGE.check("a.jpg", "image/jpeg") == "image/jpeg"


def test_a_mask_is_a_png() -> None:
    (mask,) = image_uploads(ImageProjectParams(model_id="m", gpt_image_mask=b"x"))[0]
    with pytest.raises(ValidationError, match=r"gpt_image_mask must be a file of type image/png, got a.jpg"):
        mask.check("a.jpg", "image/jpeg")


URL_CALLS: list[tuple[str, HttpCall, str, dict[str, str]]] = [
    (
        "an image goes to the image host with an id of its own",
        upload_url_call(IMAGE, project_id="P", image_id="I", content_type="image/png"),
        "/v1/image/uploadUrl",
        {"imageId": "I", "jobId": "P", "type": "startingImage", "contentType": "image/png"},
    ),
    (
        "a type that is not known is left out",
        upload_url_call(MASK, project_id="P", image_id="I", content_type=None),
        "/v1/image/uploadUrl",
        {"imageId": "I", "jobId": "P", "type": "referenceMask"},
    ),
    (
        "other media have no id",
        upload_url_call(SOUND, project_id="P", image_id="I", content_type="audio/wav"),
        "/v1/media/uploadUrl",
        {"jobId": "P", "type": "referenceAudio", "contentType": "audio/wav"},
    ),
    (
        "fields travel as they are",
        signed_url_call("media", "downloadUrl", jobId="P", id="J", type="complete", contentType=None),
        "/v1/media/downloadUrl",
        {"jobId": "P", "id": "J", "type": "complete"},
    ),
]

IMAGE_RESULT = {"jobId": "P", "imageId": "J", "type": "complete"}
MEDIA_RESULT = {"jobId": "P", "id": "J", "type": "complete"}
DOWNLOADS: list[tuple[str, str | None, bool, str, dict[str, str]]] = [
    ("image", None, False, "image", IMAGE_RESULT),
    ("image", "png", False, "image", {**IMAGE_RESULT, "contentType": "image/png"}),
    ("image", "jpg", False, "image", {**IMAGE_RESULT, "contentType": "image/jpeg"}),
    ("image", "jpeg", False, "image", {**IMAGE_RESULT, "contentType": "image/jpeg"}),
    ("image", "webp", False, "image", {**IMAGE_RESULT, "contentType": "image/webp"}),
    ("image", "tiff", False, "image", IMAGE_RESULT),
    ("image", "mp4", False, "image", IMAGE_RESULT),
    ("hologram", None, False, "image", IMAGE_RESULT),
    ("video", None, False, "media", MEDIA_RESULT),
    ("video", "mp4", False, "media", MEDIA_RESULT),
    ("audio", None, False, "media", {**MEDIA_RESULT, "contentType": "audio/mpeg"}),
    ("audio", "mp3", False, "media", {**MEDIA_RESULT, "contentType": "audio/mpeg"}),
    ("audio", "flac", False, "media", {**MEDIA_RESULT, "contentType": "audio/flac"}),
    ("audio", "wav", False, "media", {**MEDIA_RESULT, "contentType": "audio/wav"}),
    ("audio", "png", False, "media", {**MEDIA_RESULT, "contentType": "audio/mpeg"}),
    ("model", "glb", False, "media", {**MEDIA_RESULT, "contentType": "model/gltf-binary"}),
    ("image", "jpg", True, "image", {**IMAGE_RESULT, "type": "preview"}),
    ("video", "mp4", True, "image", {**IMAGE_RESULT, "type": "preview"}),
]


@pytest.mark.parametrize(("call", "path", "query"), [row[1:] for row in URL_CALLS], ids=[row[0] for row in URL_CALLS])
def test_the_call_for_an_address(call: HttpCall, path: str, query: dict[str, str]) -> None:
    assert ("GET", path, query, "rest", True) == (
        call.method,
        call.path,
        dict(call.query),
        call.host,
        call.repeatable,
    )


@each_row(("kind", "output_format", "preview", "endpoint", "query"), DOWNLOADS)
def test_where_a_result_comes_from(
    kind: str, output_format: str | None, preview: bool, endpoint: str, query: dict[str, str]
) -> None:
    """projects-4.2 §10.4, projects-5x §8."""
    call = download_url_call(kind, project_id="P", job_id="J", output_format=output_format, preview=preview)
    assert (f"/v1/{endpoint}/downloadUrl", query) == (call.path, dict(call.query))


@pytest.mark.parametrize(
    ("content_type", "size", "headers"),
    [
        ("image/png", 74, {"Content-Type": "image/png", "Content-Length": "74"}),
        (None, 0, {"Content-Length": "0"}),
        ("image/png", None, {"Content-Type": "image/png"}),
    ],
)
def test_an_upload_names_what_is_known_of_it(
    content_type: str | None, size: int | None, headers: dict[str, str]
) -> None:
    url = "https://storage.test/put?signature=x"
    assert put_call(url, content_type, size) == HttpCall(
        method="PUT", path=url, host="storage", headers=headers, repeatable=True
    )


def test_the_address_is_in_the_answer() -> None:
    assert read_signed_url({"uploadUrl": "https://storage.test/x"}, "uploadUrl") == "https://storage.test/x"


@pytest.mark.parametrize("data", [{}, {"downloadUrl": ""}, {"downloadUrl": 3}, {"uploadUrl": "x"}, None, []])
def test_an_answer_without_the_address_is_a_protocol_error(data: Any) -> None:
    with pytest.raises(ProtocolError, match="the response has no downloadUrl"):
        read_signed_url(data, "downloadUrl")
