"""Pictures in, upright 8-bit RGB out, whatever the file holds.

    image_rgb_u8 = read_image("party.jpg")

What a file is called does not matter: its content says what it is, and only the decoders of
`FORMATS` are ever tried. The size is taken from the header, so that a file that claims to be
enormous is turned away before anything is decoded.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fkd.errors import FkdError

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
FORMATS_IN_WORDS = "PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF"
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
)
MAX_PIXELS = 160_000_000
# A picture is dark where a smaller share, less than a lit face would take, reaches the one lightness; it is
# lightened until that share has the other.
_DARK, _LIGHT, _LIT = 100, 200, 0.002
_HEIC = {b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"}
_LIGHT_ROWS = 60  # of how many rows the lightness is told


def read_image(source: str | Path | bytes, name: str | None = None) -> np.ndarray:
    """Read a picture as it is meant to be seen: upright, its transparent parts white.

    Args:
        source: a path, or the content of a file such as an upload.
        name: what messages call the picture; the path if not given.

    Returns:
        (h, w, 3) uint8 RGB. Only the first page or frame of a file that has several.

    Raises:
        FkdError: when it cannot be read; the sentence says why and what to do.
    """
    name = name or ("The picture" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else _read_file(Path(source), name)
    if not content:
        raise FkdError(f"{name} is empty (0 bytes); save or choose the picture again.")
    with _open(content, name) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise _too_large(name, f"{width:,} x {height:,} pixels")
        try:
            return _as_rgb_u8(_upright(picture))
        # Each decoder has its own ways to fail with a damaged file: OSError, struct.error, ValueError and more.
        except Exception as error:
            raise FkdError(f"{name} is damaged or cut short; copy or save the picture again.") from error


def lighted(image_gray_u8: np.ndarray) -> np.ndarray:
    """A (h, w) uint8 picture as it is, or, where even its lightest parts are dark, multiplied until they are light.

    Cascades and networks see no faces in what is much darker than photos are.
    """
    step = max(1, min(image_gray_u8.shape) // _LIGHT_ROWS)
    some = image_gray_u8[::step, ::step]
    if np.count_nonzero(some >= _DARK) > _LIT * some.size:
        return image_gray_u8
    light = max(8.0, float(np.quantile(some, 1 - _LIT)))
    return cv2.convertScaleAbs(image_gray_u8, alpha=_LIGHT / light)


def to_gray(image_rgb_u8: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB to (h, w) uint8 luma, as the networks and the cascade see it."""
    return cv2.cvtColor(image_rgb_u8, cv2.COLOR_RGB2GRAY)


def list_images(folder: str | Path, suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """Every file below `folder` whose name ends like a picture's, sorted; hidden ones are left out.

    Args:
        folder: searched with its subfolders.
        suffixes: endings in lower case, of pictures if not given.
    """
    folder = Path(folder)
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _read_file(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FkdError(f"{name} does not exist; check the path.") from error
    except OSError as error:
        raise FkdError(f"{name} cannot be read ({error.strerror}); check its permissions.") from error


def _open(content: bytes, name: str) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on; `MAX_PIXELS` is the limit here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(name, "too many pixels") from error
    except UnidentifiedImageError as error:
        is_heic = content[4:12] in _HEIC
        what = (
            "is in HEIC, as iPhones take photos, which cannot be read"
            if is_heic
            else "is not a picture that can be read"
        )
        raise FkdError(f"{name} {what}; convert it to {FORMATS_IN_WORDS}.") from error
    except Exception as error:  # a damaged header: each format fails in its own way
        raise FkdError(f"{name} is damaged; copy or save the picture again.") from error


def _too_large(name: str, size: str) -> FkdError:
    return FkdError(f"{name} has {size}; scale it down to at most {MAX_PIXELS // 10**6} megapixels.")


def _upright(picture: Image.Image) -> Image.Image:
    """The decoded picture, turned as the camera noted; an unreadable note is as good as none."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # Pillow parses EXIF lazily, and a broken block fails in many ways
        return picture


def _as_rgb_u8(picture: Image.Image) -> np.ndarray:
    """Any of Pillow's modes to (h, w, 3) uint8."""
    if picture.mode.startswith(("I", "F")):
        return _grey_to_rgb(np.asarray(picture))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def _grey_to_rgb(grey: np.ndarray) -> np.ndarray:
    """Grey values of more than 8 bits: 16-bit ones have a fixed white, others are stretched to fit."""
    grey_unit = np.nan_to_num(grey.astype(np.float32))
    if grey.dtype.kind == "u" and grey.dtype.itemsize == 2:
        grey_unit /= 65535
    else:
        low, high = grey_unit.min(), grey_unit.max()
        grey_unit = (grey_unit - low) / max(high - low, 1e-12)
    return np.repeat(np.round(grey_unit * 255).astype(np.uint8)[..., None], 3, axis=2)
