"""The square that a network sees, cut from a picture round a face's tight box.

The tight box (brow to chin, jaw to jaw) is what every crop is measured by. Sixty-eight points span
it; the fifteen of Kaggle lack jaw and chin, and their box is widened by proportions measured on
faces that have all sixty-eight.

Training data and detection are cut by the same two functions, so that the margin a network was
trained with is the margin it meets later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from fkd.schema import IBUG68, KAGGLE15, Schema

_WIDEST_WARP = 32_766  # OpenCV warps no picture with a longer side
_LEAST_SIDE_PX = 1.0
# From the width and height of the box round the 15 points of an upright face: how far below its
# centre the tight box's centre lies, the tight box's width, and its height. Least squares over real
# faces, measured by `python -m fkd.calibrate`.
_TIGHT_FROM_15 = np.array([[0.056, 0.081], [0.799, 0.539], [0.219, 1.133]])
_OUTERMOST_OF_15 = [
    KAGGLE15.keypoints.index(name)
    for name in ("left_eyebrow_outer_end", "right_eyebrow_outer_end", "mouth_center_bottom_lip")
]


@dataclass(frozen=True)
class CropFrame:
    """Where the square lies relative to a tight box (round the points, brow to chin, jaw to jaw).

    Attributes:
        scale: side of the square divided by the longer side of the box.
        shift: offset of the square's centre from the box's, as x, y in longer sides of the box.
    """

    scale: float
    shift: tuple[float, float] = (0.0, 0.0)

    def as_dict(self) -> dict:
        """Plain values, ready for JSON."""
        return asdict(self)

    def matrices(self, boxes_xyxy: np.ndarray, size: int, angles_deg: np.ndarray | float = 0.0) -> np.ndarray:
        """Maps from crop pixels to picture pixels.

        Args:
            boxes_xyxy: (n, 4) tight boxes in picture pixels; one of less than a pixel, as of points that a network
                puts in one spot, counts as a pixel wide, so that every map has an inverse.
            size: side of the crop in pixels.
            angles_deg: (n,) or one angle by which the face is tilted clockwise in the picture;
                the crop shows it upright.

        Returns:
            (n, 2, 3) float64.
        """
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        longer = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), _LEAST_SIDE_PX)
        angles = np.radians(np.broadcast_to(np.asarray(angles_deg, np.float64), longer.shape))
        cos, sin = np.cos(angles), np.sin(angles)
        rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        centre = centre + np.einsum("nij,j->ni", rotation, np.asarray(self.shift)) * longer[:, None]
        linear = rotation * (self.scale * longer / size)[:, None, None]
        # Pixel centres are at integers, so the middle of the crop is at (size - 1) / 2.
        offset = centre - linear.sum(axis=-1) * (size - 1) / 2
        return np.concatenate([linear, offset[..., None]], axis=-1)


def tight_boxes(points_px: np.ndarray) -> np.ndarray:
    """(..., k, 2) points to (..., 4) boxes round the labelled ones; NaN without any."""
    return np.concatenate([np.nanmin(points_px, axis=-2), np.nanmax(points_px, axis=-2)], axis=-1)


def tight_boxes_from_points(points_px: np.ndarray, schema: Schema) -> np.ndarray:
    """(n, k, 2) points of upright faces to (n, 4) tight boxes, in the same frame.

    The box is exact where the schema reaches jaw and chin, and estimated where it does not.

    Raises:
        ValueError: the schema is neither `ibug68` nor `kaggle15`.
    """
    boxes = tight_boxes(points_px)
    if schema.name == IBUG68.name:
        return boxes
    if schema.name != KAGGLE15.name:
        raise ValueError(f"no tight box is known for points of schema {schema.name!r}")
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    below, width, height = (extent @ _TIGHT_FROM_15.T).T
    centre = centre + np.stack([np.zeros_like(below), below], axis=1)
    half = np.stack([width, height], axis=1) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def has_tight_box(points_px: np.ndarray, schema: Schema) -> np.ndarray:
    """(n,) bool: which of (n, k, 2) points tell the tight box of their face.

    They don't where fewer than two places are labelled, nor where of 15 points, whose box is widened by
    proportions, the outermost are not.
    """
    extents = np.fmax.reduce(points_px, axis=1) - np.fmin.reduce(points_px, axis=1)  # NaN is left out
    known = (extents > 0).any(axis=1)
    if schema.name == KAGGLE15.name:
        known &= np.isfinite(points_px[:, _OUTERMOST_OF_15]).all(axis=(1, 2))
    return known


def cut(image_u8: np.ndarray, crop_to_image: np.ndarray, size: int) -> np.ndarray:
    """Cut a (size, size) crop out of a picture, smoothed before it is made smaller.

    Args:
        image_u8: (h, w) or (h, w, 3) uint8.
        crop_to_image: (2, 3) similarity from crop to picture pixels.
        size: side of the crop in pixels.

    Returns:
        (size, size) or (size, size, 3) uint8; beyond the picture its border is repeated.
    """
    matrix = np.asarray(crop_to_image, np.float64).copy()
    step = float(np.hypot(matrix[0, 0], matrix[1, 0]))  # picture pixels per crop pixel
    if step > 1.5 or max(image_u8.shape[:2]) > _WIDEST_WARP:
        image_u8, matrix = _shrink_surroundings(image_u8, matrix, size, max(step, 1.0))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image_u8, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _shrink_surroundings(
    image_u8: np.ndarray, matrix: np.ndarray, size: int, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Average the picture round the crop down to crop resolution, and the map that goes with it."""
    corners = transform(np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64), matrix)
    height, width = image_u8.shape[:2]
    limits = np.array([width - 1, height - 1])
    low = np.clip(np.floor(corners.min(axis=0) - 2 * step), 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + 2 * step), 0, limits).astype(int) + 1
    part = image_u8[low[1] : high[1], low[0] : high[0]]
    extent = high - low
    target = np.maximum(np.round(extent / step), 1).astype(int)
    small = cv2.resize(part, (int(target[0]), int(target[1])), interpolation=cv2.INTER_AREA)
    ratio = target / extent
    moved = matrix.copy()
    moved[:, 2] -= low
    moved = moved * ratio[:, None]
    moved[:, 2] += (ratio - 1) / 2  # pixel centres at integers on both scales
    return small, moved


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply (..., 2, 3) affine maps to (..., k, 2) points."""
    return points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The (..., 2, 3) maps that undo (..., 2, 3) affine maps."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)
