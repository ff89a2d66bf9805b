"""Detecting media types from the first bytes; accepted types, extensions and formats."""

from __future__ import annotations

import pytest

from sogni.core.media import (
    ALLOWED,
    HEAD_SIZE,
    MediaSlot,
    canonical,
    check_slot,
    content_type_of_format,
    extension_of,
    sniff,
)
from sogni.errors import ValidationError
from tests.tables import each_row


def ftyp(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand


def padded(start: bytes) -> bytes:
    return start.ljust(HEAD_SIZE, b"\0")


HEIC_BRANDS: list[tuple[str, MediaSlot]] = [("heim", "image"), ("hevc", "video"), ("hevx", "audio"), ("heic", "video")]

SNIFFED: list[tuple[str, bytes, MediaSlot, str | None]] = [
    ("JPEG", padded(b"\xff\xd8\xff"), "image", "image/jpeg"),
    ("PNG", padded(b"\x89PNG"), "image", "image/png"),
    ("WebP", b"RIFF\0\0\0\0WEBP", "image", "image/webp"),
    ("GIF", padded(b"GIF89a"), "image", "image/gif"),
    ("an m4a brand", ftyp(b"M4A "), "audio", "audio/mp4"),
    ("an m4b brand", ftyp(b"M4B "), "audio", "audio/mp4"),
    ("a QuickTime brand", ftyp(b"qt  "), "video", "video/quicktime"),
    ("any other brand is MP4", ftyp(b"isom"), "video", "video/mp4"),
    ("any other brand, in an audio slot too", ftyp(b"mp42"), "audio", "video/mp4"),
    ("AVIF by its name, where it is refused", ftyp(b"avif"), "image", "image/avif"),
    ("an AVIF sequence alike", ftyp(b"avis"), "image", "image/avif"),
    ("HEIC by its name, where it is refused", ftyp(b"heic"), "image", "image/heic"),
    ("HEIC of ten bits alike", ftyp(b"heix"), "image", "image/heic"),
    ("a QuickTime brand in an image slot", ftyp(b"qt  "), "image", "video/quicktime"),
    ("a still brand is no video elsewhere either", ftyp(b"avif"), "video", "image/avif"),
    *[(f"HEIC of the brand {brand}", ftyp(brand.encode()), slot, "image/heic") for brand, slot in HEIC_BRANDS],
    ("HEIF of any kind", ftyp(b"mif1"), "audio", "image/heif"),
    ("HEIF that is HEIC", ftyp(b"mif1") + b"\0\0\0\0mif1heic", "video", "image/heic"),
    ("HEIF that is AVIF", ftyp(b"mif1") + b"\0\0\0\0mif1avif", "video", "image/avif"),
    ("brands beyond the box are none", b"\0\0\0\x14ftypmif1\0\0\0\0mif1avif", "video", "image/heif"),
    ("a film may have a still cover", ftyp(b"isom") + b"\0\0\0\0isomheic", "video", "video/mp4"),
    ("WAV", b"RIFF\0\0\0\0WAVE", "audio", "audio/wav"),
    ("AVI", b"RIFF\0\0\0\0AVI ", "video", "video/x-msvideo"),
    ("another RIFF", b"RIFF\0\0\0\0MIDS", "video", None),
    ("AIFF", b"FORM\0\0\0\0AIFF", "audio", "audio/aiff"),
    ("PDF", padded(b"%PDF-1.7"), "image", "application/pdf"),
    ("TIFF", padded(b"II*\0"), "image", "image/tiff"),
    ("BMP", b"BM\1\2\3\4\0\0\0\0\x36\0", "image", "image/bmp"),
    ("text that begins as BMP", b"BM is a city, too", "image", "text/plain"),
    ("glTF", b"glTF\2\0\0\0\0\0\0\0", "image", "model/gltf-binary"),
    ("text that begins as GIF", b"GIFs are images", "image", "text/plain"),
    ("ID3 of a version that none has", b"ID3\xff\0\0\0\0\0\0\0\0", "audio", None),
    ("ID3 of a size that none has", b"ID3\3\0\0\xff\0\0\0", "audio", None),
    ("MP3 of MPEG 2", b"\xff\xf3\x84\xc4", "audio", "audio/mpeg"),
    ("MP3 of MPEG 2.5", b"\xff\xe3\x18\xc4", "audio", "audio/mpeg"),
    ("MPEG audio of layer II", b"\xff\xfd\xa4\0", "audio", "audio/mpeg"),
    ("a version that is reserved", b"\xff\xeb\x90\0", "audio", None),
    ("a bit rate that is none", b"\xff\xfb\xf0\0", "audio", None),
    ("a sample rate that is none", b"\xff\xfb\x9c\0", "audio", None),
    ("AAC in ADTS", b"\xff\xf1\x50\x80\x02\x1f\xfc", "audio", "audio/aac"),
    ("AAC of MPEG 2", b"\xff\xf9\x50\x80", "audio", "audio/aac"),
    ("AAC with a checksum", b"\xff\xf0\x50\x80", "audio", "audio/aac"),
    (
        "UTF-16, little end first",
        b"\xff\xfeo\0n\0c\0e\0 \0u\0",
        "audio",
        "text/plain",
    ),
    ("UTF-16, big end first", b"\xfe\xff\0o\0n\0c\0e", "audio", "text/plain"),
    ("UTF-32", "once".encode("utf-32"), "audio", "text/plain"),
    ("UTF-8 with a mark", b"\xef\xbb\xbfonce", "audio", "text/plain"),
    ("nothing but ones", padded(b"").replace(b"\0", b"\xff"), "audio", None),
    ("a page", b"  <!DOCTYPE html><html>", "image", "text/html"),
    ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="x">', "image", "image/svg+xml"),
    ("text cut in the middle of a letter", "schön".encode()[:4], "image", "text/plain"),
    ("numbers that are no text", b"\1\2\3", "image", None),
    ("MP3 with ID3, however short", b"ID3", "audio", "audio/mpeg"),
    ("MP3 with ID3", padded(b"ID3"), "audio", "audio/mpeg"),
    ("MP3 by its frame sync, however short", b"\xff\xfb", "audio", "audio/mpeg"),
    ("a frame sync needs its second byte", b"\xff", "audio", None),
    ("no frame sync", b"\xff\x1f", "audio", None),
    ("a JPEG cut short is unknown: FF D8 is no frame sync", b"\xff\xd8\xff", "image", None),
    ("a PNG cut short is unknown", b"\x89PNG\r\n", "image", None),
    ("FLAC", padded(b"fLaC"), "audio", "audio/flac"),
    ("Ogg is sound", padded(b"OggS"), "audio", "audio/ogg"),
    ("Ogg in a video slot is video", padded(b"OggS"), "video", "video/ogg"),
    ("Matroska is video", padded(b"\x1a\x45\xdf\xa3"), "video", "video/webm"),
    ("Matroska in an audio slot is sound", padded(b"\x1a\x45\xdf\xa3"), "audio", "audio/webm"),
    ("text", b"hello, hello, hello", "image", "text/plain"),
    ("nothing", b"", "image", None),
]


@each_row(("head", "slot", "expected"), [row[1:] for row in SNIFFED], ids=[row[0] for row in SNIFFED])
def test_first_bytes_say_the_type(head: bytes, slot: MediaSlot, expected: str | None) -> None:
    """projects-4.2 §10.3, projects-5x §6."""
    assert expected == sniff(head, slot)


def test_an_image_is_expected_when_no_slot_is_named() -> None:
    assert (sniff(padded(b"OggS")), sniff(ftyp(b"avif"))) == ("audio/ogg", "image/avif")


@each_row(("slot", "content_type"), [(slot, it) for slot in ALLOWED for it in ALLOWED[slot]])
def test_a_slot_takes_each_of_its_types(slot: MediaSlot, content_type: str) -> None:
    assert content_type == check_slot("starting_image", "bytes", content_type, slot)


@pytest.mark.parametrize(
    ("content_type", "slot"),
    [
        ("image/avif", "image"),
        ("video/mp4", "image"),
        ("audio/mpeg", "image"),
        ("image/png", "audio"),
        ("video/quicktime", "audio"),
        ("image/gif", "video"),
        ("audio/mp4", "video"),
    ],
)
def test_a_slot_refuses_other_types_by_name(content_type: str, slot: MediaSlot) -> None:
    with pytest.raises(ValidationError, match="photo") as caught:
        check_slot("starting_image", "photo.x", content_type, slot)
    expected = f"starting_image must be a file of type {', '.join(ALLOWED[slot])}, got photo.x ({content_type})"
    assert (expected, "starting_image", ALLOWED[slot]) == (
        caught.value.message,
        caught.value.field,
        caught.value.allowed,
    )


def test_a_file_of_no_known_type_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        check_slot("starting_image", "notes.txt", None, "image")
    assert caught.value.message == (
        "starting_image must be a file of type image/jpeg, image/png, image/webp, image/gif, "
        "got notes.txt (unknown type)"
    )


def test_what_is_no_media_is_named() -> None:
    with pytest.raises(ValidationError, match=r"must be a file of type .*, got song.mp3 \(text/plain\)$"):
        check_slot("reference_audio", "song.mp3", sniff(b"\xff\xfeo\0n\0c\0e\0 \0u\0", "audio"), "audio")


def test_a_role_may_take_less_than_its_slot() -> None:
    with pytest.raises(ValidationError, match=r"must be a file of type image/png, got bytes"):
        check_slot("gpt_image_mask", "bytes", "image/jpeg", "image", ("image/png",))


@each_row(
    ("given", "expected"),
    [
        ("image/jpg", "image/jpeg"),
        ("Audio/X-WAV", "audio/wav"),
        ("audio/mp3; rate=44100", "audio/mpeg"),
        ("audio/wave", "audio/wav"),
        ("audio/m4a", "audio/mp4"),
        ("audio/x-m4a", "audio/mp4"),
        ("audio/x-flac", "audio/flac"),
        ("image/png", "image/png"),
    ],
)
def test_types_have_one_name(given: str, expected: str) -> None:
    assert expected == canonical(given)


@each_row(
    ("content_type", "expected"),
    [
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("image/webp", ".webp"),
        ("image/gif", ".gif"),
        ("video/mp4", ".mp4"),
        ("video/quicktime", ".mov"),
        ("video/webm", ".webm"),
        ("video/ogg", ".ogv"),
        ("audio/mpeg", ".mp3"),
        ("audio/mp4", ".m4a"),
        ("audio/wav", ".wav"),
        ("audio/flac", ".flac"),
        ("audio/ogg", ".ogg"),
        ("audio/webm", ".weba"),
        ("model/gltf-binary", ".glb"),
        ("image/png; charset=binary", ".png"),
        ("application/x-unknown", ".bin"),
        (None, ".bin"),
    ],
)
def test_types_have_an_extension(content_type: str | None, expected: str) -> None:
    assert expected == extension_of(content_type)


@each_row(
    ("output_format", "expected"),
    [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("mp4", "video/mp4"),
        ("mov", "video/quicktime"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("glb", "model/gltf-binary"),
        ("tiff", None),
        (None, None),
    ],
)
def test_output_formats_have_a_type(output_format: str | None, expected: str | None) -> None:
    assert expected == content_type_of_format(output_format)
