"""Measuring weights on datasets: the figures of every card come from here.

Boxes are the true ones unless said otherwise, so that the network and not the detector is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fkd.crop import CropFrame, cut, tight_boxes, transform
from fkd.data.dataset import Dataset
from fkd.data.splits import fold_of
from fkd.errors import FkdError
from fkd.metrics import face_nme, summarise
from fkd.weights import LoadedModel

SPLITS = ("test", "train", "all")
# Boxes that are off by 10 % of their side, too large and too small by 15 %, and all of it at once.
_BOX_ERRORS = tuple(
    (dx, dy, scale)
    for scale in (0.85, 1.0, 1.15)
    for dx, dy in ((0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))
    if (dx, dy, scale) != (0.0, 0.0, 1.0)
)
_BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """What one set of weights scored on one dataset.

    Attributes:
        summary: every metric of `fkd.metrics.summarise`, with `box_error_growth`: by how much NME grows,
            in percent of itself, when boxes are shifted by 10 % and scaled by 15 %.
        rows: indices of the faces measured.
        predicted_px: (n, k, 2) in the pixels of the dataset's pictures.
        seen_in_training: whether the weights were trained on any of these faces.
    """

    summary: dict[str, Any]
    rows: np.ndarray
    predicted_px: np.ndarray
    seen_in_training: bool


def evaluate(model: LoadedModel, dataset: Dataset, split: str = "test", *, box_errors: bool = True) -> Evaluation:
    """Measure weights on the faces of a split that have every label.

    Args:
        model: weights of the dataset's schema.
        dataset: faces with true points.
        split: `test`, the fold the weights were trained without; `train`, the others; or `all`.
        box_errors: also measure with wrong boxes, which takes fourteen times as long.

    Raises:
        FkdError: schemas differ, or no face is left.
    """
    if model.card.schema.name != dataset.schema.name:
        wrong = f"{model.card.name} gives {model.card.schema.name}"
        raise FkdError(f"{wrong}, but {dataset.name} is labelled with {dataset.schema.name}.")
    rows = np.flatnonzero(_in_split(model, dataset, split) & dataset.complete)
    if not len(rows):
        raise FkdError(f"No face of {dataset.name} is in the split {split!r}.")
    faces = dataset.subset(rows)
    predicted_px = predict_dataset(model, faces)
    summary = summarise(predicted_px, faces.points_px, faces.schema)
    if box_errors:
        shaken = np.mean([_mean_nme(predict_dataset(model, faces, error), faces) for error in _BOX_ERRORS])
        summary["box_error_growth"] = round(100 * float(shaken / _mean_nme(predicted_px, faces) - 1), 2)
    return Evaluation(summary, rows, predicted_px, _was_trained_on(model, dataset, split))


def _mean_nme(predicted_px: np.ndarray, faces: Dataset) -> float:
    return float(np.nanmean(face_nme(predicted_px, faces.points_px, faces.schema)))


def predict_dataset(
    model: LoadedModel, faces: Dataset, box_error: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """(n, k, 2) float32 points in the pixels of the dataset's pictures.

    Args:
        model: any weights of the dataset's schema.
        faces: rows with true points, which give the boxes.
        box_error: shift in x and y in sides of the crop's box, and factor of its size.
    """
    predicted = []
    for start, matrices in _batched(crop_maps(model, faces, box_error)):
        crops = [
            cut(image, matrix, model.card.input_size)
            for image, matrix in zip(faces.images_u8[start : start + _BATCH], matrices, strict=True)
        ]
        predicted.append(transform(model.predict(np.stack(crops)).points_px, matrices))
    return np.concatenate(predicted).astype(np.float32)


def crop_maps(
    model: LoadedModel, faces: Dataset, box_error: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """(n, 2, 3) maps from the network's crop to the dataset's pictures.

    Pictures that are crops already, as Kaggle's, are taken whole by weights trained on them so.
    """
    if model.card.training.get("config", {}).get("whole_picture"):
        height, width = faces.images_u8.shape[1:]
        boxes = np.tile(np.array([-0.5, -0.5, width - 0.5, height - 0.5]), (len(faces), 1))
        frame = CropFrame(1.0)
    else:
        boxes, frame = tight_boxes(faces.points_px).astype(np.float64), model.card.crop
    dx, dy, factor = box_error
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + side * np.array([dx, dy])
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    return frame.matrices(np.concatenate([centre - half, centre + half], axis=1), model.card.input_size)


def _batched(matrices: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(matrices), _BATCH):
        yield start, matrices[start : start + _BATCH]


def _held_out_fold(model: LoadedModel) -> int:
    return model.card.training.get("config", {}).get("fold", -1)


def _in_split(model: LoadedModel, dataset: Dataset, split: str) -> np.ndarray:
    if split not in SPLITS:
        raise FkdError(f"Unknown split {split!r}; known are {', '.join(SPLITS)}.")
    held_out = fold_of(dataset.groups) == _held_out_fold(model)
    return {"test": held_out, "train": ~held_out, "all": np.ones(len(dataset), bool)}[split]


def _was_trained_on(model: LoadedModel, dataset: Dataset, split: str) -> bool:
    trained_on = set(str(model.card.training.get("config", {}).get("data", "")).split("+"))
    return split != "test" and bool(trained_on & set(dataset.name.split("+")))
