"""Images of every mode arrive upright and with the pixels that were meant."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from PIL import Image, ImageCms

from sogni.core.media import decoded
from sogni.errors import ValidationError
from sogni.local.chat_files import image_part
from sogni.local.media import normalized, open_source
from tests.tables import each_row

SIZE = (3, 2)


def filled(mode: str, *pixels: Any) -> Image.Image:
    """An image of one row."""
    image = Image.new(mode, (len(pixels), 1))
    for place, pixel in enumerate(pixels):
        image.putpixel((place, 0), pixel)
    return image


def palette(mode: str, *indexes: Any) -> Image.Image:
    image = Image.new("P", (len(indexes), 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    if mode == "PA":
        image = image.convert("PA")
    for place, index in enumerate(indexes):
        image.putpixel((place, 0), index)
    return image


def with_info(image: Image.Image, **info: Any) -> Image.Image:
    image.info.update(info)
    return image


def lab() -> Image.Image:
    return filled("RGB", (255, 0, 0), (255, 255, 255)).convert("LAB")


def pixels(image: Image.Image) -> list[Any]:
    return [image.getpixel((x, 0)) for x in range(image.width)]


def uploaded(image: Image.Image) -> Image.Image:
    """The image as the service gets it."""
    source = open_source("starting_image", image)
    with source.open() as file:
        return Image.open(io.BytesIO(file.read()))


CASES: dict[str, tuple[Image.Image, str, list[Any]]] = {
    "1": (filled("1", 0, 255), "L", [0, 255]),
    "L": (filled("L", 7, 200), "L", [7, 200]),
    "L with a clear gray": (with_info(filled("L", 7, 9), transparency=7), "RGBA", [(7, 7, 7, 0), (9, 9, 9, 255)]),
    "LA": (filled("LA", (7, 9)), "LA", [(7, 9)]),
    "La": (filled("LA", (200, 255)).convert("La"), "LA", [(200, 255)]),
    "P": (palette("P", 0, 1), "RGB", [(255, 0, 0), (0, 0, 255)]),
    "P with a clear color": (
        with_info(palette("P", 0, 1), transparency=0), "RGBA", [(255, 0, 0, 0), (0, 0, 255, 255)],
    ),
    "PA": (palette("PA", (0, 9), (1, 255)), "RGBA", [(255, 0, 0, 9), (0, 0, 255, 255)]),
    "RGB": (filled("RGB", (1, 2, 3)), "RGB", [(1, 2, 3)]),
    "RGB with a clear color": (with_info(filled("RGB", (1, 2, 3)), transparency=(1, 2, 3)), "RGBA", [(1, 2, 3, 0)]),
    "RGBA": (filled("RGBA", (1, 2, 3, 4)), "RGBA", [(1, 2, 3, 4)]),
    "RGBa": (filled("RGBA", (200, 100, 0, 255)).convert("RGBa"), "RGBA", [(200, 100, 0, 255)]),
    "RGBX": (filled("RGBX", (1, 2, 3, 4)), "RGB", [(1, 2, 3)]),
    "CMYK": (filled("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "RGB", [(255, 0, 0), (0, 0, 0)]),
    "YCbCr": (filled("YCbCr", (255, 128, 128)), "RGB", [(255, 255, 255)]),
    "HSV": (filled("HSV", (0, 255, 255), (0, 0, 128)), "RGB", [(255, 0, 0), (128, 128, 128)]),
    "I;16": (filled("I;16", 0, 257, 40000, 65535), "L", [0, 1, 156, 255]),
    "I;16L": (filled("I;16L", 0, 257, 40000, 65535), "L", [0, 1, 156, 255]),
    "I;16B": (filled("I;16B", 0, 257, 40000, 65535), "L", [0, 1, 156, 255]),
    "I;16 that is dark": (filled("I;16", 0, 257), "L", [0, 1]),
    "I of 8 bits": (filled("I", 0, 200), "L", [0, 200]),
    "I of 16 bits": (filled("I", 0, 257, 40000), "L", [0, 1, 156]),
    "I of 32 bits": (filled("I", -(2**31), 0, 2**31 - 1), "L", [0, 128, 255]),
    "F of fractions": (filled("F", 0.0, 0.5, 1.0), "L", [0, 128, 255]),
    "F of 8 bits": (filled("F", 0.0, 99.6, 255.0), "L", [0, 100, 255]),
    "F of 16 bits": (filled("F", 257.0, 65535.0), "L", [1, 255]),
    "F of anything": (filled("F", -10.0, 0.0, 10.0), "L", [0, 128, 255]),
    "F of one value": (filled("F", -3.0, -3.0), "L", [0, 0]),
}  # fmt: skip


@each_row("case", CASES)
def test_pixels_are_what_was_meant_in_every_mode(case: str) -> None:
    image, mode, expected = CASES[case]
    found = uploaded(image)
    assert (found.mode, pixels(found)) == (mode, expected)
    assert pixels(Image.open(io.BytesIO(shown(image)))) == expected


def shown(image: Any, **options: Any) -> bytes:
    """The bytes of the image part of a message."""
    return decoded("part", image_part(image, **options).image_url.url, "image").content


def test_lab_becomes_rgb_to_the_nearest_shade() -> None:
    found = uploaded(lab())
    assert found.mode == "RGB"
    reference = ImageCms.profileToProfile(
        lab(), ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert reference is not None
    assert pixels(found) == pixels(reference)


def test_numbers_that_are_none_do_not_spoil_the_others() -> None:
    assert pixels(uploaded(filled("F", 0.0, 7.0, math.nan)))[:2] == [0, 7]


def test_a_profile_of_other_colors_is_left_out_and_one_of_the_same_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept, dropped = (uploaded(with_info(Image.new(mode, SIZE), icc_profile=profile)) for mode in ("RGB", "CMYK"))
    assert (kept.info.get("icc_profile"), dropped.info.get("icc_profile")) == (profile, None)


TURNED = [
    # EXIF orientation: the upper left and the lower right of what is seen, from the marks of what is stored
    (1, "AD"), (2, "BC"), (3, "DA"), (4, "CB"), (5, "AD"), (6, "CB"), (7, "DA"), (8, "BC"), (9, "AD"), (0, "AD"),
]  # fmt: skip
MARKS = {"A": (0, 0), "B": (2, 0), "C": (0, 1), "D": (2, 1)}
COLORS = {"A": 10, "B": 80, "C": 150, "D": 220}


def photo(orientation: int, mode: str = "L", form: str = "PNG") -> bytes:
    image = Image.new(mode, SIZE)
    for mark, place in MARKS.items():
        image.putpixel(place, COLORS[mark] * (257 if mode == "I;16" else 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format=form, exif=exif)
    return buffer.getvalue()


@each_row("mode", ["L", "I;16"])
@each_row(("orientation", "corners"), TURNED)
def test_an_image_is_uploaded_upright(mode: str, orientation: int, corners: str) -> None:
    found = uploaded(Image.open(io.BytesIO(photo(orientation, mode))))
    seen = [found.getpixel((0, 0)), found.getpixel((found.width - 1, found.height - 1))]
    assert seen == [COLORS[mark] for mark in corners]
    assert (found.size, found.getexif().get(0x0112)) == (SIZE if orientation not in (5, 6, 7, 8) else SIZE[::-1], None)


def test_orientation_that_nobody_can_read_is_none() -> None:
    image = with_info(Image.new("RGB", SIZE), exif=b"Exif\0\0this is no TIFF")
    assert uploaded(image).size == SIZE


@pytest.mark.parametrize("mode", ["1", "P"])
def test_thin_lines_survive_a_smaller_picture(mode: str) -> None:
    image = Image.new("L", (4096, 8), 255)
    for x in range(2, 4096, 4):  # one column in four is black
        image.paste(0, (x, 0, x + 1, 8))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, format="PNG")
    small = Image.open(io.BytesIO(shown(buffer.getvalue(), resize=True))).convert("L")
    assert small.width == 1024
    shades = [small.getpixel((x, 0)) for x in range(8, 1016)]
    assert all(isinstance(shade, int) and 150 < shade < 230 for shade in shades)


@pytest.mark.parametrize(("form", "mode"), [("TIFF", "I;16"), ("PNG", "I;16"), ("TIFF", "F"), ("TIFF", "CMYK")])
def test_bytes_that_are_made_smaller_are_converted_alike(form: str, mode: str) -> None:
    color: Any = {"I;16": 40000, "F": 0.5, "CMYK": (0, 0, 0, 99)}[mode]
    buffer = io.BytesIO()
    Image.new(mode, (2048, 2), color).save(buffer, format=form)
    small = Image.open(io.BytesIO(shown(buffer.getvalue(), resize=True)))
    assert pixels(small)[:2] == pixels(uploaded(Image.new(mode, (2, 2), color)))


def test_a_plain_upright_image_is_not_copied() -> None:
    image = Image.new("RGB", SIZE)
    assert normalized(image) is image


def test_a_closed_image_is_refused() -> None:
    image = Image.open(io.BytesIO(photo(1)))
    image.close()
    with pytest.raises(ValidationError, match="cannot be written as PNG"):
        open_source("starting_image", image)
