"""From keypoints back to the tight box they belong to, so that a face can be framed by its points.

The tight box (brow to chin, jaw to jaw) is what every crop is measured by. Sixty-eight points span
it; the fifteen of Kaggle lack jaw and chin, and their box is widened by proportions measured on
faces that have all sixty-eight.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from fkd.crop import tight_boxes
from fkd.schema import IBUG68, KAGGLE15, Schema

# From the width and height of the box round the 15 points of an upright face: how far below its
# centre the tight box's centre lies, the tight box's width, and its height. Least squares over real
# faces, measured by `python -m fkd.calibrate`.
_TIGHT_FROM_15 = np.array([[0.056, 0.081], [0.799, 0.539], [0.219, 1.133]])


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


def upright_frames(points_px: np.ndarray, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """How to cut each face so that it stands upright.

    Args:
        points_px: (n, k, 2) points of faces tilted in any way.
        schema: which points they are.

    Returns:
        (n, 4) boxes with the centre, width and height of each face's tight box *in its own upright
        frame*, and (n,) degrees by which it is tilted clockwise: what `CropFrame.matrices` takes.
    """
    angles = eye_angles_deg(points_px, schema)
    radians = np.radians(angles)
    cos, sin = np.cos(radians), np.sin(radians)
    to_photo = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    boxes = tight_boxes_from_points(points_px @ to_photo, schema)  # row vectors: this turns them back
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    centre = np.einsum("nij,nj->ni", to_photo, centre)
    return np.concatenate([centre - half, centre + half], axis=1), angles


def eye_angles_deg(points_px: np.ndarray, schema: Schema) -> np.ndarray:
    """(n, k, 2) points to (n,) degrees by which the line through the eyes is tilted clockwise."""
    left, right = (points_px[:, _eye_points(schema.keypoints, side)].mean(axis=1) for side in ("left", "right"))
    across = left - right  # the subject's left eye has the larger x in an upright photo
    return np.degrees(np.arctan2(across[:, 1], across[:, 0]))


@cache
def _eye_points(keypoints: tuple[str, ...], side: str) -> list[int]:
    return [i for i, name in enumerate(keypoints) if name.startswith(f"{side}_eye_")]
