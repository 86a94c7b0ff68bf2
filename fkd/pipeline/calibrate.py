"""Measure the constants that lead from detections and from 15 points to the tight box.

    python -m fkd.pipeline.calibrate [--faces 500]

Reads `youtube_faces` and `portraits68` under `FKD_DATA` and prints what stands in
`fkd/pipeline/detect.py` and `fkd/pipeline/framing.py`, with the error each leaves, and how Kaggle's
pictures are framed. The sources are shuffled with a fixed seed and each weighs the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from fkd.data.kaggle import SIDE, load_kaggle
from fkd.data.points68 import read_points_table
from fkd.images import read_image, to_gray
from fkd.paths import data_root
from fkd.pipeline.crop import tight_boxes
from fkd.pipeline.detect import CASCADES, HaarOptions, load_cascade
from fkd.pipeline.framing import tight_boxes_from_points, upright_frames
from fkd.schema import IBUG68, KAGGLE15, kaggle15_from_ibug68

SOURCES = ("youtube_faces", "portraits68")


def measure_haar(cascade: str, pictures: list[Path], points_px: np.ndarray) -> np.ndarray:
    """Where the tight box lies in each detection of a true face.

    Args:
        cascade: one of `CASCADES`.
        pictures: n photos, each with
        points_px: (n, 68, 2) the points of one face in it.

    Returns:
        (found, 4): offset of the tight box's centre x, y, its width and its height, all in sides of
        the detected square. A face that the cascade misses has no row.
    """
    classifier, rows = load_cascade(cascade), []
    options = HaarOptions()
    for picture, (x0, y0, x1, y1) in zip(pictures, tight_boxes(points_px), strict=True):
        centre, longer = np.array([x0 + x1, y0 + y1]) / 2, max(x1 - x0, y1 - y0)
        image_gray_u8 = to_gray(read_image(picture))
        for x, y, side, _ in classifier.detectMultiScale(image_gray_u8, options.scale_factor, options.min_neighbors):
            offset = centre - (np.array([x, y]) + (side - 1) / 2)
            if np.hypot(*offset) < 0.35 * longer and 0.6 < side / longer < 1.7:  # this face, no other
                rows.append([*(offset / side), (x1 - x0) / side, (y1 - y0) / side])
    return np.array(rows).reshape(-1, 4)


def fit_15_to_tight(points_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares from the box round 15 points to the tight box, both of the upright face.

    Args:
        points_px: (n, 68, 2).

    Returns:
        (3, 2) factors of width and height, one row each for the tight box's centre below the other's,
        its width and its height; and (3,) median absolute errors in longer sides of the tight box.
    """
    upright = _turned_upright(points_px)
    wanted, given = tight_boxes(upright), tight_boxes(kaggle15_from_ibug68(upright))
    extent, tight_extent = (box[:, 2:] - box[:, :2] for box in (given, wanted))
    below = (wanted[:, 1] + wanted[:, 3] - given[:, 1] - given[:, 3]) / 2
    longer = tight_extent.max(axis=1)
    targets = np.column_stack([below, tight_extent]) / longer[:, None]
    factors = np.linalg.lstsq(extent / longer[:, None], targets, rcond=None)[0].T
    errors = np.abs(extent / longer[:, None] @ factors.T - targets)
    return factors, np.median(errors, axis=0)


def measure_kaggle_frame(points_px: np.ndarray) -> np.ndarray:
    """Kaggle's picture relative to the tight box: (n, 3) scale, shift x and shift y as in `CropFrame`."""
    boxes = tight_boxes_from_points(points_px[np.isfinite(points_px).all(axis=(1, 2))], KAGGLE15)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    shift = ((SIDE - 1) / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2) / longer
    return np.concatenate([SIDE / longer, shift], axis=1)


def _turned_upright(points_px: np.ndarray) -> np.ndarray:
    """Each face turned about the origin until its eyes are level."""
    radians = np.radians(upright_frames(points_px, IBUG68)[1])
    cos, sin = np.cos(radians), np.sin(radians)
    return points_px @ np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _sample(source: str, faces: int) -> tuple[list[Path], np.ndarray]:
    folder = data_root() / source
    names, points_px = read_points_table(folder / "training_frames_keypoints.csv")
    chosen = np.random.default_rng(0).permutation(len(names))[:faces]
    return [folder / "training" / names[i] for i in chosen], points_px[chosen]


def main() -> None:
    """Print the constants."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faces", type=int, default=500, help="faces of each source (default: %(default)s)")
    faces = parser.parse_args().faces
    cv2.setNumThreads(1)
    samples = [_sample(source, faces) for source in SOURCES]
    for cascade in CASCADES:
        measured = [measure_haar(cascade, *sample) for sample in samples]
        medians = [np.median(rows, axis=0) for rows in measured]
        for source, rows, median in zip(SOURCES, measured, medians, strict=True):
            print(f"{cascade}, {source}: found {len(rows)} of {faces}, x y width height {median.round(3)}")
        print(f"{cascade}: {np.mean(medians, axis=0).round(3)}")
    points_px = np.concatenate([points for _, points in samples])
    factors, errors = fit_15_to_tight(points_px)
    print(f"15 points to the tight box: {factors.round(3).tolist()}, median errors {errors.round(3)}")
    frames = measure_kaggle_frame(load_kaggle(data_root() / "kaggle").points_px)
    spread = np.percentile(frames, [10, 90], axis=0).round(3).tolist()
    print(f"Kaggle's frame, scale and shift: {np.median(frames, axis=0).round(3)}, from and to {spread}")


if __name__ == "__main__":
    main()
