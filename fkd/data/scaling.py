"""Scalings of pixels and points, each with the inverse that undoes it."""

from __future__ import annotations

import cv2
import numpy as np


def to_unit(images_u8: np.ndarray) -> np.ndarray:
    """uint8 grey values to float32 in [0, 1]."""
    return images_u8.astype(np.float32) / np.float32(255)


def from_unit(images: np.ndarray) -> np.ndarray:
    """The inverse of `to_unit`, exact for every grey value."""
    return np.round(images * np.float32(255)).clip(0, 255).astype(np.uint8)


def points_to_norm(points_px: np.ndarray, width: int, height: int) -> np.ndarray:
    """(..., 2) pixels to [-1, 1] from the centre of the first pixel to that of the last; float64."""
    return np.asarray(points_px, np.float64) * 2 / _last(width, height) - 1


def points_from_norm(points_norm: np.ndarray, width: int, height: int) -> np.ndarray:
    """The inverse of `points_to_norm`."""
    return (np.asarray(points_norm, np.float64) + 1) * _last(width, height) / 2


def _last(width: int, height: int) -> np.ndarray:
    return np.array([width - 1, height - 1], np.float64)


def rescale_then_crop(
    image_u8: np.ndarray,
    points_px: np.ndarray,
    rng: np.random.Generator | None = None,
    *,
    side: int = 240,
    crop: int = 224,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring the shorter side of a picture to `side` and cut a `crop` x `crop` window.

    Args:
        image_u8: (h, w) or (h, w, 3) uint8.
        points_px: (k, 2) in its pixels.
        rng: places the window at random; in the middle without.
        side: shorter side after rescaling, in pixels.
        crop: side of the window, in pixels, at most `side`.

    Returns:
        The window, the points in it, and the (2, 3) map from its pixels to the picture's, which
        `fkd.crop.transform` and `invert` take the points back and forth by.
    """
    height, width = image_u8.shape[:2]
    scale = side / min(height, width)
    new = max(crop, round(width * scale)), max(crop, round(height * scale))
    rescaled = cv2.resize(image_u8, new, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    room = np.array(new) - crop
    corner = room // 2 if rng is None else rng.integers(0, room + 1)
    window = rescaled[corner[1] : corner[1] + crop, corner[0] : corner[0] + crop]
    # Pixel centres are at integers on both scales.
    ratio = np.array([width, height]) / np.array(new)
    to_picture = np.concatenate([np.diag(ratio), (ratio * (corner + 0.5) - 0.5)[:, None]], axis=1)
    return window, (np.asarray(points_px, np.float64) - to_picture[:, 2]) / ratio, to_picture
