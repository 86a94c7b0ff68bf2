"""Measuring weights on datasets: the figures of every card come from here.

Boxes are the true ones unless the detector's are asked for, so that the network and not the detector
is measured. Which faces the weights have seen follows from the split they were trained with.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fkd.crop import CropFrame, cut, invert, tight_boxes, tight_boxes_from_points, transform
from fkd.data import load_dataset
from fkd.data.dataset import Dataset
from fkd.data.splits import BY_FOLD
from fkd.errors import FkdError
from fkd.metrics import face_nme, summarise
from fkd.pipeline.look import contradicted
from fkd.progress import parts, steps
from fkd.runtime import Prediction
from fkd.training.config import TrainConfig
from fkd.training.faces import split_faces
from fkd.training.start import trained_with
from fkd.weights import Card, LoadedModel

SPLITS = ("test", "validation", "train", "published", "all")
_SEEN = ("train", "validation")
BOXES = ("true", "detect")
BoxError = tuple[float, float, float]
_NO_BOX_ERROR: BoxError = (0.0, 0.0, 1.0)
# Boxes that are off by 10 % of their side, too large and too small by 15 %, and all of it at once.
_BOX_ERRORS = tuple(
    (dx, dy, scale)
    for scale in (0.85, 1.0, 1.15)
    for dx, dy in ((0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))
    if (dx, dy, scale) != _NO_BOX_ERROR
)
_BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """What one set of weights scored on one dataset.

    Attributes:
        summary: every metric of `fkd.metrics.summarise`; with true boxes also `box_error_growth`, by how
            much NME grows, in percent of itself, when boxes are shifted by 10 % and scaled by 15 %, and faces
            whose points contradict such a box are looked at once more, round these points (weights that take
            whole pictures get them cut out by boxes for it, with all second looks of photos); with the
            detector's also `found`, the percentage of faces that it found, which alone are measured.
        rows: indices of the faces measured.
        predicted_px: (n, k, 2) in the pixels of the dataset's pictures.
        seen: how many of these faces the weights learned from or were chosen by.
        learned: how many of them they learned from.
    """

    summary: dict[str, Any]
    rows: np.ndarray
    predicted_px: np.ndarray
    seen: int
    learned: int


def evaluate(
    model: LoadedModel,
    dataset: Dataset,
    split: str = "test",
    *,
    boxes: str = "true",
    box_errors: bool = True,
    style: str | None = None,
) -> Evaluation:
    """Measure weights on the faces of a split that have every label.

    Args:
        model: weights of the dataset's schema.
        dataset: faces with true points.
        split: `test`, the faces that were held out from the weights; `validation` and `train`, those that
            training watched and learned from; `published`, the dataset's own test file; or `all`.
        boxes: `true` ones round the points, or `detect`: faces are searched for, as in photos.
        box_errors: also measure with wrong boxes, which takes fourteen times as long.
        style: the dataset as whose points weights that learned from several place them; of each face its own, where
            they know it, if not given.

    Raises:
        FkdError: schemas differ, weights lack the style, no face is left, or the detector finds none.
    """
    if model.card.schema.name != dataset.schema.name:
        own, labelled = len(model.card.schema), len(dataset.schema)
        raise FkdError(
            f"{model.card.name} predicts {own} points, and the faces of {dataset.name} are labelled with {labelled}; "
            "choose other weights or other data."
        )
    rows = np.flatnonzero(in_split(model.card, dataset, split) & dataset.complete)
    if not len(rows):
        raise FkdError(f"No face of {dataset.name} is in the split {split!r} of {model.card.name}; try --split all.")
    faces = dataset.subset(rows)
    if style is not None:
        model.in_style(style)
        faces = replace(faces, sources=np.full(len(faces), style))
    if boxes == "detect":
        predicted_px = detect_dataset(model, faces)
        found = np.isfinite(predicted_px).all(axis=(1, 2))
        if not found.any():
            raise FkdError(f"The detector finds no face in the pictures of {dataset.name}; measure with true boxes.")
        summary = {"found": round(100 * float(found.mean()), 2)}
        rows, faces, predicted_px = rows[found], faces.subset(found), predicted_px[found]
    else:
        predicted_px, summary = _with_box_errors(model, faces, _BOX_ERRORS if box_errors else ())
    summary = summarise(predicted_px, faces.points_px, faces.schema) | summary
    used = _used_in_training(model.card, dataset.subset(rows))
    return Evaluation(summary, rows, predicted_px, int(_either(used).sum()), int(used["train"].sum()))


def _with_box_errors(
    model: LoadedModel, faces: Dataset, box_errors: tuple[BoxError, ...]
) -> tuple[np.ndarray, dict[str, float]]:
    """Points in true boxes, and `box_error_growth` where there are errors; the progress is that of the whole."""
    told = f"measuring {model.card.name} on {faces.name}"
    if not model.card.takes_whole_picture:
        predicted = _framed_by_boxes(told, model, faces, box_errors)
        predicted_px = predicted[0]
    else:  # for its figures; with boxes, and so with wrong ones, pictures are cut as photos are
        boxes = true_boxes(faces)
        looks = [_moved(boxes, error) for error in (_NO_BOX_ERROR, *box_errors)] if box_errors else []
        predicted_px, *predicted = [
            predict_dataset(model, faces) if look is None else predict_in_boxes(model, faces, look)
            for look in parts(told, [None, *looks])
        ]
    if not box_errors:
        return predicted_px, {}
    true, *wrong = (np.nanmean(face_nme(points_px, faces.points_px, faces.schema)) for points_px in predicted)
    return predicted_px, {"box_error_growth": round(100 * float(np.mean(wrong) / true - 1), 2)}


def _framed_by_boxes(
    told: str, model: LoadedModel, faces: Dataset, box_errors: tuple[BoxError, ...]
) -> list[np.ndarray]:
    """What is predicted in true boxes, then in boxes with each error, with second looks."""
    looks = [(_NO_BOX_ERROR, False), *((error, again) for error in box_errors for again in (False, True))]
    predicted: list[np.ndarray] = []
    for error, again in parts(told, looks):
        if again:
            predicted[-1] = _looked_at_again(model, faces, predicted[-1], error)
        else:
            predicted.append(predict_dataset(model, faces, error))
    return predicted


def predict_in_boxes(
    model: LoadedModel, faces: Dataset, boxes_xyxy: np.ndarray, what: str = "predicting points"
) -> np.ndarray:
    """(n, k, 2) float32 points, predicted as those of photos are in (n, 4) known boxes, in the dataset's style."""
    from fkd.pipeline.predict import Pipeline  # which curation, that needs only true boxes, does without

    pipelines = {source: Pipeline(model.with_style(source)) for source in np.unique(faces.sources).tolist()}
    rows = list(zip(faces.sources.tolist(), faces.images_u8, boxes_xyxy, strict=True))
    return np.stack(
        [
            pipelines[source](np.repeat(image_gray_u8[..., None], 3, axis=2), boxes=box[None])[0].points_px
            for source, image_gray_u8, box in steps(what, rows)
        ]
    )


def _looked_at_again(model: LoadedModel, faces: Dataset, seen_px: np.ndarray, error: BoxError) -> np.ndarray:
    """The points with second ones, in the box round the first, where the first contradict the box that was given."""
    level, framed = np.zeros(len(faces)), replace(faces, points_px=seen_px)
    again = contradicted(_moved(true_boxes(faces), error), level, true_boxes(framed), level)
    if again.any():
        seen_px[again] = predict_dataset(model, framed.subset(again))
    return seen_px


def predict_dataset(model: LoadedModel, faces: Dataset, box_error: BoxError = _NO_BOX_ERROR) -> np.ndarray:
    """(n, k, 2) float32 points in the pixels of the dataset's pictures, in the dataset's style where weights know it.

    Args:
        model: any weights of the dataset's schema.
        faces: rows with true points, which give the boxes.
        box_error: shift in x and y in sides of the crop's box, and factor of its size.
    """
    return predict_with_scores(model, faces, box_error).points_px


def predict_with_scores(
    model: LoadedModel, faces: Dataset, box_error: BoxError = _NO_BOX_ERROR, flip: bool = True
) -> Prediction:
    """As `predict_dataset`, with the scores of points and faces; without `flip` in half the time, and less exact."""
    seen = [Prediction(np.empty((0, len(faces.schema), 2)), np.empty((0, len(faces.schema))), np.empty(0))]
    maps, batches = crop_maps(model, faces, box_error), _batches_of_one_source(faces)
    for rows in steps("predicting points", batches):
        crops = [
            cut(image, matrix, model.card.input_size)
            for image, matrix in zip(faces.images_u8[rows], maps[rows], strict=True)
        ]
        answer = model.with_style(str(faces.sources[rows[0]])).predict(np.stack(crops), flip)
        seen.append(replace(answer, points_px=transform(answer.points_px, maps[rows])))
    order = np.argsort(np.concatenate([*batches, np.empty(0, int)]))
    columns = zip(*(vars(part).values() for part in seen), strict=True)
    return Prediction(*(np.concatenate(column)[order].astype(np.float32) for column in columns))


def detect_dataset(model: LoadedModel, faces: Dataset) -> np.ndarray:
    """(n, k, 2) float32 points of the face that a search of each picture finds at the true one; NaN where none is.

    The search is the one of photos, in the picture that the dataset holds.
    """
    from fkd.pipeline.predict import Pipeline  # which curation, that needs only true boxes, does without

    pipelines = {source: Pipeline(model.with_style(source)) for source in np.unique(faces.sources).tolist()}
    predicted_px = np.full(faces.points_px.shape, np.nan, np.float32)
    round_points = tight_boxes(faces.points_px)
    for row, true_box in enumerate(steps("searching for faces", round_points)):
        candidates = pipelines[faces.sources[row]](np.repeat(faces.images_u8[row][..., None], 3, axis=2))
        boxes = np.array([tight_boxes(face.points_px) for face in candidates]).reshape(-1, 4)
        apart = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] - true_box[:2] - true_box[2:], axis=1) / 2
        if len(apart) and apart.min() < (true_box[2:] - true_box[:2]).max() / 2:
            predicted_px[row] = candidates[int(apart.argmin())].points_px
    return predicted_px


def predict_mean_shape(model: LoadedModel, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """(n, k, 2) points of the constant mean shape on the chosen rows, framed as the weights frame them.

    The mean is taken over the faces of the dataset that are neither held out from the weights nor watched:
    the floor that every network has to beat.
    """
    maps = crop_maps(model, dataset)
    learned = in_split(model.card, dataset, "train")
    if not model.card.takes_whole_picture:
        learned &= dataset.complete  # boxes round a part of the points would frame these faces otherwise
    mean_shape = np.nanmean(transform(dataset.points_px[learned], invert(maps[learned])), axis=0)
    return transform(np.broadcast_to(mean_shape, (len(rows), *mean_shape.shape)), maps[rows])


def mean_shape_summary(model: LoadedModel, dataset: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """The metrics of `predict_mean_shape` on the chosen rows."""
    return summarise(predict_mean_shape(model, dataset, rows), dataset.points_px[rows], dataset.schema)


def crop_maps(model: LoadedModel, faces: Dataset, box_error: BoxError = _NO_BOX_ERROR) -> np.ndarray:
    """(n, 2, 3) maps from the network's crop to the dataset's pictures.

    Pictures that are crops already, as Kaggle's, are taken whole by weights trained on them so.
    """
    if model.card.takes_whole_picture:
        height, width = faces.images_u8.shape[1:]
        boxes = np.tile(np.array([-0.5, -0.5, width - 0.5, height - 0.5]), (len(faces), 1))
        frame = CropFrame(1.0)
    else:
        boxes, frame = true_boxes(faces), model.card.crop
    return frame.matrices(_moved(boxes, box_error), model.card.input_size)


def true_boxes(faces: Dataset) -> np.ndarray:
    """(n, 4) float64 tight boxes of faces with every label, brow to chin and jaw to jaw, as those of photos are."""
    return tight_boxes_from_points(faces.points_px.astype(np.float64), faces.schema)


def _moved(boxes_xyxy: np.ndarray, error: BoxError) -> np.ndarray:
    """(n, 4) boxes shifted by shares of their longer side, and scaled."""
    dx, dy, factor = error
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1, keepdims=True)
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 + side * np.array([dx, dy])
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / 2 * factor
    return np.concatenate([centre - half, centre + half], axis=1)


def _batches_of_one_source(faces: Dataset) -> list[np.ndarray]:
    """Rows of the dataset, all of them once."""
    found: list[np.ndarray] = []
    for source in np.unique(faces.sources):
        rows = np.flatnonzero(faces.sources == source)
        found += np.array_split(rows, range(_BATCH, len(rows), _BATCH))
    return found


def training_config(card: Card) -> TrainConfig | None:
    """The settings that weights were trained with; None where the card does not say."""
    stored = card.training.get("config")
    return TrainConfig.from_dict(stored) if stored else None


def in_split(card: Card, dataset: Dataset, split: str) -> np.ndarray:
    """(n,) bool: the faces of a split of `SPLITS`, as the weights were trained.

    Faces of another dataset than they were trained on are split likewise, so that the same faces are
    measured with any weights.
    """
    if split not in SPLITS:
        raise FkdError(f"Unknown split {split!r}; known are {', '.join(SPLITS)}.")
    if split == "all":
        return np.ones(len(dataset), bool)
    if split == "published":
        return dataset.published_split == "test"
    config = training_config(card) or TrainConfig()
    return _parts(config, dataset)[split]


def _parts(config: TrainConfig, dataset: Dataset) -> dict[str, np.ndarray]:
    """Masks `train`, `validation` and `test` over the faces of any dataset."""
    if config.split == BY_FOLD:  # which part a face is in follows from its group alone
        return split_faces(dataset, config)
    known = load_dataset(config.data)
    part_of = {
        identity: part
        for part, mask in split_faces(known, config).items()
        for identity in _identities(known.subset(mask))
    }
    parts = np.array([part_of.get(identity, "test") for identity in _identities(dataset)])
    return {part: parts == part for part in ("train", "validation", "test")}


def seen_in_training(card: Card, faces: Dataset) -> np.ndarray:
    """(n,) bool: faces that the weights learned from or were chosen by.

    What the weights that they started from had seen counts too. Copies of a picture in a dataset of another
    name are recognised where the training data is at hand.
    """
    return _either(_used_in_training(card, faces))


def _either(masks: dict[str, np.ndarray]) -> np.ndarray:
    return np.any(list(masks.values()), axis=0)


def _used_in_training(card: Card, faces: Dataset) -> dict[str, np.ndarray]:
    """(n,) bool each: faces that the weights learned from, `train`, and were chosen by, `validation`."""
    used = {part: np.zeros(len(faces), bool) for part in _SEEN}
    for config in trained_with(card.training):
        for part, mask in _used_under(config, faces).items():
            used[part] |= mask
    return used


def _used_under(config: TrainConfig, faces: Dataset) -> dict[str, np.ndarray]:
    own = np.isin(faces.sources, config.data.split("+"))
    used = {part: np.zeros(len(faces), bool) for part in _SEEN}
    if own.any():
        masks = _parts(config, faces)
        used = {part: own & masks[part] for part in _SEEN}
    if not own.all():
        others, known = np.array(_digests(faces.images_u8[~own])), _digests_of(config)
        for part in _SEEN:
            used[part][~own] = np.isin(others, known[part])
    return used


def _digests_of(config: TrainConfig) -> dict[str, list[str]]:
    """Of the pictures in each part of the training data, as far as it is at hand."""
    digests: dict[str, list[str]] = {part: [] for part in _SEEN}
    for name in config.data.split("+"):
        with suppress(FkdError):
            known = load_dataset(name)
            masks = _parts(config, known)
            for part in _SEEN:
                digests[part] += _digests(known.images_u8[masks[part]])
    return digests


def _identities(dataset: Dataset) -> list[tuple[str, str]]:
    return list(zip(dataset.sources.tolist(), dataset.rows.tolist(), strict=True))


def _digests(images_u8: np.ndarray) -> list[str]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images_u8]
