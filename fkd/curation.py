"""A dataset's quality, judged by trained weights where there are any, computed once and cached."""

from __future__ import annotations

import hashlib

import numpy as np

from fkd.data import load_dataset
from fkd.data.cache import cached_arrays
from fkd.data.dataset import Dataset
from fkd.data.expect import tight_boxes_or_nan
from fkd.data.quality import MEASURES, REGRESSION, Quality, measure_quality
from fkd.errors import FkdError
from fkd.evaluation.evaluate import predict_with_scores
from fkd.weights import LoadedModel, find_weights, list_weights, load_model, read_card

_FORMAT = 3  # raised whenever the measures change
_FIELDS = ("shape_points", "disagreement_points", "expected_px", "twins")


def quality_of(dataset: Dataset | str, weights: str | None = "auto") -> Quality:
    """The quality of a dataset or of the one of that name.

    Args:
        dataset: faces; the result is stored under their content.
        weights: a name whose network judges the labels, `auto` for shipped ones of the schema, or None
            for the regression that needs none.

    Raises:
        FkdError: unknown dataset or weights, or weights of another schema.
    """
    faces = load_dataset(dataset) if isinstance(dataset, str) else dataset
    chosen = judge_of(faces.schema.name) if weights == "auto" else weights

    def build() -> dict[str, np.ndarray]:
        quality = _measure(faces, chosen)
        return {f: getattr(quality, f) for f in _FIELDS} | quality.measures

    stored = cached_arrays(f"{faces.name}-quality", _key(faces, chosen), (*_FIELDS, *MEASURES), build)
    measures = {name: stored[name] for name in MEASURES}
    return Quality(measures, **{field: stored[field] for field in _FIELDS}, judge=chosen or REGRESSION)


def judge_of(schema_name: str) -> str | None:
    """The shipped weights that judge a schema: those of its name before others; None without any."""
    fitting = []
    for name in list_weights():
        try:
            if read_card(name).schema.name == schema_name:
                fitting.append(name)
        except FkdError:  # damaged weights are reported by doctor
            continue
    return min(fitting, key=lambda name: (name != schema_name, name), default=None)


def _measure(faces: Dataset, weights: str | None) -> Quality:
    model = judge_model(faces, weights)
    if model is None:
        return measure_quality(faces)
    return measure_quality(faces, *expectations(model, faces), model.card.name)


def judge_model(faces: Dataset, weights: str | None = "auto") -> LoadedModel | None:
    """The network that judges these faces, None where a regression has to; arguments and errors as `quality_of`."""
    chosen = judge_of(faces.schema.name) if weights == "auto" else weights
    if chosen is None:
        return None
    model = load_model(chosen)
    if model.card.schema.name != faces.schema.name:
        raise FkdError(f"{chosen} gives {model.card.schema.name}, but {faces.name} has {faces.schema.name}.")
    return model


def expectations(model: LoadedModel, faces: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(n, k, 2) predictions and (n, k) their scores, by one look at each face; NaN where labels give no box for it.

    Mirrored looks take as long again and find no more wrong labels.
    """
    boxes = tight_boxes_or_nan(faces.points_px)
    rows = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    expected_px, scores = np.full(faces.points_px.shape, np.nan), np.full(faces.points_px.shape[:2], np.nan)
    if len(rows):
        # All of many faces are not copied only to leave none out.
        seen = predict_with_scores(model, faces if len(rows) == len(faces) else faces.subset(rows), flip=False)
        expected_px[rows], scores[rows] = seen.points_px, seen.point_scores
    return expected_px, scores


def _key(faces: Dataset, weights: str | None) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {faces.schema.name} {weights}".encode())
    for array in (faces.images_u8, faces.points_px, faces.to_source, faces.source_size, faces.groups):
        digest.update(np.ascontiguousarray(array).data)
    if weights is not None:
        stat = find_weights(weights).stat()
        digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
