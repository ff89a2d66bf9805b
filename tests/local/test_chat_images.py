"""Image parts of files, bytes and PIL images (chat §9)."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.core.chat.images import MAX_BYTES
from sogni.core.media import InlineMedia, data_uri, decoded
from sogni.errors import ValidationError
from sogni.local.chat_files import image_part
from sogni.models.chat import ImagePart
from sogni.models.converter import to_dict
from tests.tables import each_row


def drawn(width: int, height: int, form: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, format=form, **options)
    return buffer.getvalue()


def media(part: ImagePart) -> InlineMedia:
    return decoded("part", part.image_url.url, "image")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_may_be_given_in_every_way(tmp_path: Path, form: str) -> None:
    content = drawn(8, 4, form)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    for given in (path, str(path), content, bytearray(content), io.BytesIO(content), path.open("rb")):
        found = media(image_part(given))
        assert (found.content, found.size, found.format) == (content, (8, 4), form)
        if isinstance(given, io.BufferedReader):
            given.close()
    url = data_uri(f"image/{form.lower()}", content)
    assert image_part(url).image_url.url == url
    assert media(image_part(Image.new("RGB", (8, 4)))).size == (8, 4)


def test_a_part_has_the_form_of_the_wire() -> None:
    content = drawn(1, 1)
    url = data_uri("image/png", content)
    assert to_dict(image_part(content)) == {"type": "image_url", "image_url": {"url": url}}
    assert to_dict(image_part(content, detail="low"))["image_url"] == {"url": url, "detail": "low"}


@each_row(
    ("given", "message"),
    [
        (b"", "is empty"),
        (b"text", "a PNG or JPEG; use resize=True"),
        (drawn(2, 2, "GIF"), "a PNG or JPEG; use resize=True"),
        (drawn(1025, 1), "at most 1024 pixels"),
        (drawn(1, 1) + b"x" * MAX_BYTES, f"at most {MAX_BYTES} bytes"),
        ("nowhere.png", "cannot read nowhere.png"),
        ("https://cdn.sogni.ai/a.png", "got a URL"),
        ("data:image/png;base64,AAAA", "contains no PNG"),
        (data_uri("image/jpeg", drawn(1, 1)), "contains no JPEG"),
        (5, "image must be a path"),
    ],
)
def test_what_is_no_image_for_a_message_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        image_part(given)
    assert caught.value.field == "image"


def test_an_image_that_is_too_large_can_be_made_to_fit() -> None:
    with pytest.raises(ValidationError) as caught:
        image_part(drawn(1025, 1))
    assert caught.value.__notes__ == ["use resize=True to convert it"]
    assert media(image_part(drawn(2048, 512), resize=True)).size == (1024, 256)
    assert media(image_part(data_uri("image/png", drawn(2048, 512)), resize=True)).size == (1024, 256)
    photo = media(image_part(drawn(100, 4000, "JPEG"), resize=True))
    assert (photo.size, photo.format) == ((26, 1024), "JPEG")


def test_what_fits_already_stays_as_it_is() -> None:
    content = drawn(1024, 2)
    assert media(image_part(content, resize=True)).content == content


@pytest.mark.parametrize(("form", "mode"), [("GIF", "P"), ("WEBP", "RGBA"), ("TIFF", "CMYK"), ("GIF", "L")])
def test_other_formats_become_png(form: str, mode: str) -> None:
    assert media(image_part(drawn(8, 8, form, mode), resize=True)).format == "PNG"


def test_a_picture_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert media(image_part(drawn(2000, 1000, "JPEG", exif=exif), resize=True)).size == (512, 1024)


@pytest.mark.parametrize("given", [b"text", drawn(2000, 2000)[:200]])
def test_what_pillow_cannot_read_is_refused(given: bytes) -> None:
    with pytest.raises(ValidationError, match="an image that Pillow can read"):
        image_part(given, resize=True)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = drawn(1025, 1)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"sogni\[vision\]"):
        image_part(content, resize=True)
    assert media(image_part(drawn(1, 1), resize=True)).size == (1, 1)
