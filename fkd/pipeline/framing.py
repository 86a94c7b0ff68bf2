"""How a face lies in its photo by its points: its tight box and its tilt, so that it can be framed upright."""

from __future__ import annotations

from functools import cache

import numpy as np

from fkd.crop import tight_boxes_from_points
from fkd.schema import Schema


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
