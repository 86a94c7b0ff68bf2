"""What to do about missing labels: drop the rows, interpolate, or mask (keep NaN, the default)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fkd.data.dataset import Dataset
from fkd.errors import FkdError

TREATMENTS = ("mask", "drop", "interpolate")


def treat_missing(dataset: Dataset, treatment: str = "mask") -> Dataset:
    """The dataset as training sees it.

    `mask` keeps NaN, which every loss and metric leaves out; `drop` keeps complete rows only;
    `interpolate` invents labels, see `interpolate_columns`.
    """
    if treatment not in TREATMENTS:
        raise FkdError(f"Unknown treatment {treatment!r} of missing labels; known are {', '.join(TREATMENTS)}.")
    if treatment == "drop":
        return dataset.subset(dataset.complete)
    if treatment == "interpolate":
        return replace(dataset, points_px=interpolate_columns(dataset.points_px))
    return dataset


def missing_most(dataset: Dataset) -> tuple[list[str], int]:
    """The keypoints that the most faces lack, and how many faces that is."""
    missing = (~np.isfinite(dataset.points_px).all(axis=2)).sum(axis=0)
    return [dataset.schema.keypoints[i] for i in np.flatnonzero(missing == missing.max())], int(missing.max())


def invented(dataset: Dataset, treated: Dataset) -> np.ndarray:
    """(n, k) bool: the points that `interpolate` made up, so that they can be shown as such."""
    return ~np.isfinite(dataset.points_px).all(axis=2) & np.isfinite(treated.points_px).all(axis=2)


def interpolate_columns(points_px: np.ndarray) -> np.ndarray:
    """Fill each coordinate column of (n, k, 2) linearly between the rows above and below.

    As `pandas.DataFrame.interpolate` does by default: gaps at the end repeat the last value, gaps at
    the beginning stay. Neighbouring rows are other people, so the points are invented; kept to show it.
    """
    flat = points_px.reshape(len(points_px), -1).copy()
    rows = np.arange(len(flat))
    for column in flat.T:
        known = np.flatnonzero(np.isfinite(column))
        if len(known):
            gaps = rows[known[0] :][~np.isfinite(column[known[0] :])]
            column[gaps] = np.interp(gaps, known, column[known])
    return flat.reshape(points_px.shape)
