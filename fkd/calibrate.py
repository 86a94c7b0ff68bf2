"""Measure the constants that stand in the source: how data and detectors lie round a face.

    python -m fkd.calibrate [--faces 500]

Prints, each with the error or spread it leaves:
- where the tight box lies in a detection of each cascade (`fkd/pipeline/detect.py`),
- the tight box from 15 points (`fkd/crop.py`),
- how Kaggle's pictures lie round the tight box (`fkd/data/kaggle.py`),
- how far published labels lie beside what they name (`fkd/data/label_offsets.py`).

Reads the real faces under `FKD_DATA`, a fixed random choice of them without fold 0, and the shipped
weights `ibug68` and `kaggle15`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from fkd.crop import cut, tight_boxes, tight_boxes_from_points, transform
from fkd.data import load_dataset
from fkd.data.dataset import Dataset
from fkd.data.kaggle import SIDE
from fkd.data.label_offsets import LABEL_OFFSETS_PX
from fkd.data.points68 import group_of, read_points_table
from fkd.data.splits import fold_of
from fkd.evaluation.evaluate import crop_maps
from fkd.images import read_image, to_gray
from fkd.paths import data_root
from fkd.pipeline.detect import CASCADES, HaarOptions, load_cascade
from fkd.pipeline.framing import upright_frames
from fkd.pipeline.predict import Pipeline
from fkd.schema import IBUG68, KAGGLE15, kaggle15_from_ibug68
from fkd.weights import LoadedModel, load_model

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


def measure_kaggle_frame(faces: Dataset, model: LoadedModel) -> np.ndarray:
    """Kaggle's picture relative to the tight box round 68 points that a network sees in it.

    Args:
        faces: Kaggle's, with all 15 labels.
        model: weights of 68 points.

    Returns:
        (n, 3) scale, shift x and shift y as in `CropFrame`.
    """
    pipeline = Pipeline(model, refinements=2)
    rows = []
    for image_gray_u8, points_px in zip(faces.images_u8, faces.points_px, strict=True):
        box = tight_boxes_from_points(points_px[None], KAGGLE15)
        (face,) = pipeline(np.repeat(image_gray_u8[..., None], 3, axis=2), box)
        x0, y0, x1, y1 = tight_boxes(face.points_px)
        longer = max(x1 - x0, y1 - y0)
        middle = (SIDE - 1) / 2
        rows.append([SIDE / longer, (middle - (x0 + x1) / 2) / longer, (middle - (y0 + y1) / 2) / longer])
    return np.array(rows)


def measure_label_offset(faces: Dataset, model: LoadedModel) -> np.ndarray:
    """How far right of what they name a source's labels lie.

    The mean of what a network says of a picture and, mirrored back, of its mirror image favours no
    side, whatever the network was taught; labels that lie beside it do.

    Args:
        faces: rows of one source with all labels.
        model: weights of its schema.

    Returns:
        (n,) the mean offset of each face in pixels of the source's picture.
    """
    matrices = crop_maps(model, faces)
    size = model.card.input_size
    crops = np.stack([cut(image, m, size) for image, m in zip(faces.images_u8, matrices, strict=True)])
    direct = model.predict(crops).points_px
    mirrored = faces.schema.mirror(model.predict(np.ascontiguousarray(crops[:, :, ::-1])).points_px, size)
    sideless_px = transform((direct + mirrored) / 2, matrices)
    step = np.hypot(faces.to_source[:, 0, 0], faces.to_source[:, 1, 0])
    return (faces.points_px - sideless_px)[..., 0].mean(axis=1) * step


def _turned_upright(points_px: np.ndarray) -> np.ndarray:
    """Each face turned about the origin until its eyes are level."""
    radians = np.radians(upright_frames(points_px, IBUG68)[1])
    cos, sin = np.cos(radians), np.sin(radians)
    return points_px @ np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _sample(source: str, faces: int) -> tuple[list[Path], np.ndarray]:
    folder = data_root() / source
    table = read_points_table(folder / "training_frames_keypoints.csv")
    free = np.flatnonzero(fold_of(np.array([group_of(Path(name).stem) for name in table.names])) != 0)
    chosen = np.random.default_rng(0).permutation(free)[:faces]
    return [folder / "training" / table.names[i] for i in chosen], table.points_px[chosen]


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
    models = {weights: load_model(weights) for weights in ("ibug68", "kaggle15")}
    frames = measure_kaggle_frame(_some_rows("kaggle", faces), models["ibug68"])
    spread = np.percentile(frames, [10, 90], axis=0).round(3).tolist()
    print(f"Kaggle's frame, scale and shift: {np.median(frames, axis=0).round(3)}, from and to {spread}")
    for source in LABEL_OFFSETS_PX:
        chosen = _some_rows(source, faces)
        model = next(model for model in models.values() if model.card.schema is chosen.schema)
        offsets = measure_label_offset(chosen, model)
        error = offsets.std() / np.sqrt(len(offsets))
        print(f"{source}: labels lie {offsets.mean():+.2f} px to the right, standard error {error:.2f}")


def _some_rows(source: str, faces: int) -> Dataset:
    dataset = load_dataset(source)
    free = np.flatnonzero((fold_of(dataset.groups) != 0) & dataset.complete)
    return dataset.subset(np.random.default_rng(0).permutation(free)[:faces])


if __name__ == "__main__":
    main()
