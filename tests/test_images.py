"""Pictures of every kind come out as upright 8-bit RGB, and anything else as one sentence."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fkd.errors import FkdError
from fkd.images import lighted, list_images, read_image, to_gray

ROTATED_CLOCKWISE = 6  # EXIF: turn by 90 degrees clockwise to see it upright

_RAMP = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
RGB = np.dstack([_RAMP, _RAMP[:, ::-1], 255 - _RAMP // 2])


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header promises what its few bytes cannot hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("WEBP", 6), ("JPEG", 6), ("AVIF", 6), ("GIF", 8)],
)
def test_every_format_gives_its_pixels(kind: str, tolerance: float) -> None:
    read = read_image(encode(Image.fromarray(RGB), kind))
    assert read.dtype == np.uint8
    assert read.shape == RGB.shape
    assert np.abs(read.astype(int) - RGB).mean() <= tolerance


@pytest.mark.parametrize(
    ("picture", "kind", "tolerance"),
    [
        (Image.fromarray(_RAMP), "PNG", 0),  # grey
        (Image.fromarray(_RAMP.astype(np.uint16) * 257), "PNG", 0),  # 16 bits, white at 65535
        (Image.fromarray(_RAMP.astype(">u2") * 257), "TIFF", 0),  # the same, the other byte first
        (Image.fromarray(_RAMP.astype(np.int32) * 70_000), "TIFF", 0),  # 32 bits have no fixed white
        (Image.fromarray(_RAMP.astype(np.float32) / 255), "TIFF", 0),
        (Image.fromarray(_RAMP).quantize(256), "PNG", 1),  # palette
        (Image.fromarray(np.dstack([_RAMP, np.full_like(_RAMP, 255)]), "LA"), "PNG", 0),
    ],
    ids=["grey", "16-bit", "16-bit big-endian", "32-bit", "float", "palette", "grey with alpha"],
)
def test_every_kind_of_grey_becomes_8_bit_rgb(picture: Image.Image, kind: str, tolerance: int) -> None:
    read = read_image(encode(picture, kind))
    assert read.shape == (30, 40, 3)
    assert np.abs(read.astype(int) - _RAMP[..., None]).max() <= tolerance


@pytest.mark.parametrize(("kind", "tolerance"), [("TIFF", 0), ("JPEG", 4)])
def test_cmyk_is_not_inverted(kind: str, tolerance: float) -> None:
    read = read_image(encode(Image.fromarray(RGB).convert("CMYK"), kind))
    assert np.abs(read.astype(int) - RGB).mean() <= tolerance


def test_transparent_parts_are_white() -> None:
    alpha = np.zeros((30, 40), np.uint8)
    alpha[:, 20:] = 255
    read = read_image(encode(Image.fromarray(np.dstack([RGB, alpha])), "PNG"))
    assert (read[:, :20] == 255).all()
    assert (read[:, 20:] == RGB[:, 20:]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_rotated_photo_is_set_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = ROTATED_CLOCKWISE
    read = read_image(encode(Image.fromarray(RGB), kind, exif=exif))
    assert read.shape == (40, 30, 3)
    assert np.abs(read.astype(int) - np.rot90(RGB, -1)).mean() < 6


def test_a_broken_exif_block_does_not_cost_the_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = ROTATED_CLOCKWISE
    content = bytearray(encode(Image.fromarray(RGB), "JPEG", exif=exif))
    start = content.find(b"Exif\0\0") + 6
    content[start : start + 8] = b"nonsense"
    assert read_image(bytes(content)).shape == RGB.shape


def test_one_pixel_is_a_picture() -> None:
    assert read_image(encode(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


def test_144_megapixels_are_read_without_a_warning() -> None:
    content = encode(Image.new("L", (12_000, 12_000), 77), "PNG", compress_level=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_image(content)
    assert read.shape == (12_000, 12_000, 3)
    assert read[-1, -1].tolist() == [77, 77, 77]


_NOISE = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"This is a letter, not a picture.\n" * 20, "not a picture"),
        (encode(Image.fromarray(_NOISE), "JPEG")[:9000], "damaged or cut short"),
        (encode(Image.fromarray(_NOISE), "PNG")[:9000], "damaged or cut short"),
        (png_claiming(50_000, 50_000), "160 megapixels"),  # beyond what Pillow would open
        (png_claiming(13_000, 13_000), "13,000 x 13,000 pixels"),  # Pillow would open it
        (encode(Image.fromarray(_RAMP), "PCX"), "not a picture that can be read"),  # no decoder but the chosen ones
        (b"\0\0\0\x18ftypheic" + bytes(100), "is in HEIC, as iPhones take photos, .* convert it to PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a picture that can be read"),
    ],
    ids=["empty", "text", "cut JPEG", "cut PNG", "bomb", "too large", "pcx", "heic", "postscript"],
)
def test_bad_content_is_one_sentence_with_the_name_and_a_remedy(content: bytes, told: str) -> None:
    with pytest.raises(FkdError, match=told) as caught:
        read_image(content, name="holiday.jpg")
    sentence = str(caught.value)
    assert sentence.startswith("holiday.jpg")
    assert sentence.endswith(".")
    assert ";" in sentence  # what is wrong; what to do


def test_a_path_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FkdError, match=r"absent\.png does not exist"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(FkdError, match="cannot be read"):
        read_image(tmp_path)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(Image.fromarray(RGB), "PNG"))
    assert (read_image(path) == RGB).all()


def test_folders_are_listed_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/c.webp", "notes.txt", ".trash/d.png", ".e.png", "sub/folder.png/f.tiff"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["a.png", "b.JPG", "sub/c.webp", "sub/folder.png/f.tiff"]


def test_grey_weighs_colours_as_the_eye_does() -> None:
    colours = np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert to_gray(colours).tolist() == [[255, 76, 150, 29]]


def test_a_dark_picture_is_lightened_and_any_other_left_alone() -> None:
    light, dark = RGB[..., 0], RGB[..., 0] // 8
    assert lighted(light) is light
    brightest = lighted(dark).max()
    assert 190 <= brightest <= 255
    np.testing.assert_allclose(lighted(dark), dark * (brightest / dark.max()), atol=1)
    assert lighted(np.zeros((3, 5), np.uint8)).max() == 0
