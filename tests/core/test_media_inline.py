"""Media inside a request (chat §9.3, §9.4)."""

from __future__ import annotations

import struct

import pytest

from sogni.core.media import (
    InlineKind,
    checked,
    data_uri,
    decoded,
    image_size,
    is_data_uri,
    is_trusted_address,
    type_of,
)
from sogni.errors import ValidationError
from tests.tables import each_row


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"rest"


def jpeg(width: int, height: int, *, before: bytes = b"", marker: int = 0xC0) -> bytes:
    return b"\xff\xd8" + before + struct.pack(">BBHBHH", 0xFF, marker, 8, 8, height, width) + b"\x01rest"


WAV, MP3, ID3 = b"RIFF\0\0\0\0WAVEdata", b"\xff\xfb\x90\0", b"ID3\x04"
MP4, MOV = b"\0\0\0\x18ftypisom", b"\0\0\0\x18ftypqt  "
PNG = png(8, 8)
TEXT = data_uri("image/png", PNG)


def test_a_data_uri_gives_its_bytes() -> None:
    media = decoded("url", f"  {TEXT}\n", "image")
    assert (media.content_type, media.format, media.content, media.size) == ("image/png", "PNG", PNG, (8, 8))
    assert "rest" not in repr(media)


def test_the_head_is_read_in_any_case_and_the_data_with_blanks() -> None:
    head, _, body = TEXT.partition(",")
    assert decoded("url", f"{head.upper()},{body[:10]}\n {body[10:]}", "image").content == PNG


def test_padding_may_be_missing() -> None:
    short = next(data_uri("image/png", PNG + b"x" * n) for n in range(3) if (len(PNG) + n) % 3 == 1)
    assert decoded("url", short.rstrip("="), "image").content == decoded("url", short, "image").content


@each_row(
    ("text", "message"),
    [
        ("", "form data:<type>;base64,<data>"),
        ("data:image/png;base64,", "form data:<type>"),
        ("data:;base64,AAAA", "form data:<type>"),
        ("data:image/png,AAAA", "form data:<type>"),
        ("image/png;base64,AAAA", "form data:<type>"),
        ("data:image/png;charset=utf-8;base64,AAAA", "without parameters"),
        ("data:image/png;base64,@@@", "valid base64"),
        ("data:image/png;base64,  ", "form data:<type>"),
        ("data:image/png;base64,A", "valid base64"),
        ("data:image/png;base64,A===", "valid base64"),
        ("data:image/png;base64,AAAA==", "valid base64"),
        ("data:image/png;base64,==", "valid base64"),
        ("data:image/png;base64,AB==", "valid base64"),
        ("data:image/png;base64,AA=A", "valid base64"),
        ("data:image/png;base64,\u00a0", "form data:<type>"),
        ("data:image/gif;base64,AAAA", "one of 'image/jpeg', 'image/jpg', 'image/png'"),
        (data_uri("image/jpeg", PNG), "declared as image/jpeg but contains no JPEG"),
        (data_uri("image/png", b"text"), "declared as image/png but contains no PNG"),
        (data_uri("image/png", PNG[:23]), "with readable width and height"),
    ],
)
def test_what_is_no_good_data_uri_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        decoded("messages[0].content[1]", text, "image")
    assert caught.value.field == "messages[0].content[1]"


def test_limits_are_inclusive() -> None:
    assert decoded("url", TEXT, "image", max_bytes=len(PNG), longest_side=8).size == (8, 8)
    with pytest.raises(ValidationError, match=f"at most {len(PNG) - 1} bytes, got '{len(PNG)} bytes'"):
        decoded("url", TEXT, "image", max_bytes=len(PNG) - 1)
    with pytest.raises(ValidationError, match="at most 8 pixels on its longest side, got '8×9'"):
        checked("url", "image/png", png(8, 9), "image", longest_side=8)


@pytest.mark.parametrize(
    ("kind", "content_type", "content"),
    [
        ("image", "image/jpg", jpeg(4, 4)),
        ("audio", "audio/mp3", MP3),
        ("audio", "audio/mpeg", ID3),
        ("audio", "audio/x-wav", WAV),
        ("audio", "audio/x-m4a", MP4),
        ("video", "video/mp4", MP4),
        ("video", "video/quicktime", MOV),
    ],
)
def test_types_and_first_bytes_that_belong_together(kind: InlineKind, content_type: str, content: bytes) -> None:
    assert checked("url", content_type, content, kind).content == content


@each_row(
    ("kind", "content_type", "content"),
    [
        ("audio", "audio/mp4", MOV),
        ("audio", "audio/mp4", MP4[:11]),
        ("audio", "audio/mpeg", b"\xff"),
        ("audio", "audio/mpeg", b"\xfe\xfb"),
        ("audio", "audio/mpeg", b"\xff\x1b"),
        ("audio", "audio/mpeg", b"\xff\xeb"),
        ("audio", "audio/mpeg", b"\xff\xf9"),
        ("audio", "audio/wav", b"RIFF\0\0\0\0AVI "),
        ("video", "video/mp4", MOV),
        ("video", "video/mp4", b"text" * 4),
    ],
)
def test_types_and_first_bytes_that_do_not(kind: InlineKind, content_type: str, content: bytes) -> None:
    with pytest.raises(ValidationError, match="but contains no"):
        checked("url", content_type, content, kind)


SEGMENT = b"\xff\xe0\x00\x04ab"


@each_row(
    ("content", "size"),
    [
        (png(1, 2**31 - 1), (1, 2**31 - 1)),
        (png(2**31, 1), None),
        (png(0, 1), None),
        (PNG.replace(b"IHDR", b"IDAT"), None),
        (jpeg(3, 5), (3, 5)),
        (jpeg(3, 5, marker=0xCF), (3, 5)),
        (jpeg(3, 5, before=SEGMENT), (3, 5)),
        (jpeg(3, 5, before=b"noise\xff\xff\xd0"), (3, 5)),
        (jpeg(3, 5, marker=0xC4), None),
        (jpeg(0, 5), None),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8\xff\xe0\x00\x01", None),
        (b"\xff\xd8\xff\xe0\x00\x09a", None),
        (b"\xff\xd8\xff\xe0", None),
        (b"\xff\xd8\xff\xc0\x00\x06\x08\x00\x05\x00", None),
    ],
)
def test_the_size_of_an_image(content: bytes, size: tuple[int, int] | None) -> None:
    assert image_size(content) == size


@pytest.mark.parametrize(
    ("text", "meant"),
    [("data:x", True), (" DATA:", True), ("https://a", False), ("", False)],
)
def test_what_is_meant_as_a_data_uri(text: str, meant: bool) -> None:
    assert is_data_uri(text) is meant


@pytest.mark.parametrize(
    "text",
    [
        "https://cdn.sogni.ai/a.png",
        "https://CDN.Sogni.AI:8443/a",
        "https://a.b.sogni.ai/",
        "https://complete-images-production.s3.amazonaws.com/a?X-Amz-Signature=s",
        "https://bucket.s3.us-east-1.amazonaws.com/a",
        "https://s3.us-east-1.amazonaws.com/bucket/a",
        "https://d1.cloudfront.net/a",
    ],
)
def test_the_services_own_stores_are_trusted(text: str) -> None:
    assert is_trusted_address(text)


@each_row(
    "text",
    [
        "http://cdn.sogni.ai/a.png",
        "https://sogni.ai/a.png",
        "https://evilsogni.ai/a.png",
        "https://.sogni.ai/a.png",
        "https://cdn.sogni.ai.example.com/a",
        "https://user@cdn.sogni.ai/a",
        "https://@cdn.sogni.ai/a",
        "https://example.com\\@cdn.sogni.ai/a",
        "https://example.com\\.sogni.ai/a",
        "https://cdn.sogni.ai:port/a",
        "https://cdn.sogni.ai./a",
        "https://cdn.sogni\n.ai/a",
        "https://cdn.sogni。ai/a",
        "https://[::1/a",
        "https://s3.amazonaws.com/bucket/a",
        "https://a.b.amazonaws.com/",
        "https://cloudfront.net/a",
        "/tmp/a.png",
        "",
    ],
)
def test_everything_else_is_not(text: str) -> None:
    assert not is_trusted_address(text)


@pytest.mark.parametrize(
    ("kind", "declared", "content", "found"),
    [
        ("image", "image/PNG; charset=x", b"", "image/png"),
        ("image", "application/octet-stream", PNG, "image/png"),
        ("image", "", jpeg(1, 1), "image/jpeg"),
        ("image", "text/html", b"<html>", None),
        ("audio", "", WAV, "audio/wav"),
        ("video", "binary", MOV, "video/quicktime"),
    ],
)
def test_the_type_of_what_was_fetched(kind: InlineKind, declared: str, content: bytes, found: str | None) -> None:
    assert type_of(kind, declared, content) == found


def test_a_data_uri_is_made_of_bytes() -> None:
    assert data_uri("image/png", b"\0") == "data:image/png;base64,AA=="


@pytest.mark.parametrize(
    ("kind", "content_type", "content", "found"),
    [
        ("audio", "audio/mpeg", "once upon a time".encode("utf-16"), "contains no MPEG data: it is text/plain"),
        ("audio", "audio/mpeg", b"\xff\xf1\x50\x80\x02\x1f\xfc", "contains no MPEG data: it is audio/aac"),
        ("audio", "audio/mp4", b"\0\0\0\x18ftypheic", "contains no MP4 data: it is image/heic"),
        ("video", "video/mp4", b"\0\0\0\x18ftypheic", "contains no MP4 data: it is image/heic"),
        ("image", "image/png", b"%PDF-1.7 and more", "contains no PNG data: it is application/pdf"),
        ("image", "image/png", b"\1\2\3", "contains no PNG data"),
    ],
)
def test_what_is_something_else_is_named(kind: InlineKind, content_type: str, content: bytes, found: str) -> None:
    with pytest.raises(ValidationError) as caught:
        decoded("part", data_uri(content_type, content), kind)
    assert str(caught.value).endswith(found)
