"""A dataset's quality, judged by trained weights where there are any, computed once and cached."""

from __future__ import annotations

import hashlib

import numpy as np

from fkd.data import load_dataset
from fkd.data.cache import cached_arrays
from fkd.data.dataset import Dataset
from fkd.data.quality import MEASURES, REGRESSION, Quality, measure_quality
from fkd.errors import FkdError
from fkd.evaluation.evaluate import predict_dataset
from fkd.weights import LoadedModel, find_weights, list_weights, load_model, read_card

_FORMAT = 1  # raised whenever the measures change
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
    if weights is None:
        return measure_quality(faces)
    model = load_model(weights)
    if model.card.schema.name != faces.schema.name:
        raise FkdError(f"{weights} gives {model.card.schema.name}, but {faces.name} has {faces.schema.name}.")
    return measure_quality(faces, predicted(model, faces), weights)


def predicted(model: LoadedModel, faces: Dataset) -> np.ndarray:
    """(n, k, 2) predictions; NaN for faces whose labels give no box to look at."""
    extent = np.nan_to_num(faces.points_px, nan=np.inf).min(axis=1) < np.nan_to_num(faces.points_px, nan=-np.inf).max(
        axis=1
    )
    rows = np.flatnonzero(extent.all(axis=1))
    expected_px = np.full(faces.points_px.shape, np.nan)
    if len(rows):
        expected_px[rows] = predict_dataset(model, faces.subset(rows))
    return expected_px


def _key(faces: Dataset, weights: str | None) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {faces.schema.name} {weights}".encode())
    for array in (faces.images_u8, faces.points_px, faces.to_source, faces.source_size, faces.groups):
        digest.update(np.ascontiguousarray(array).data)
    if weights is not None:
        stat = find_weights(weights).stat()
        digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
