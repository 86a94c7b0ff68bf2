"""What weights reached on each dataset: over five folds where those are stored, else on the held-out fold.

    of = standing("ibug68")["youtube_faces"]
    of.mean["nme"], of.deviation["nme"], of.folds

Read from what is stored alone: no face is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fkd.evaluation.assessment import CURVE_NME, Assessment, find_assessment
from fkd.evaluation.folds import MEASURED, FoldErrors, folds_path, read_folds
from fkd.weights import Card, read_card

_TABLES = ("nme_by_group", "nme_by_keypoint")


@dataclass(frozen=True)
class Standing:
    """Figures with true boxes on one dataset.

    Attributes:
        faces: how many were measured, all with every label.
        folds: how many folds they are of: 1 for the held-out one.
        mean: the metrics of `fkd.metrics.summarise`, for several folds their mean.
        deviation: their sample standard deviation over folds; empty for a single one.
        curve: percentage of faces up to each NME of `CURVE_NME`; empty where only the header is known.
    """

    faces: int
    folds: int
    mean: dict[str, Any]
    deviation: dict[str, Any]
    curve: list[float]


def standing(name_or_path: str | Path) -> dict[str, Standing]:
    """By dataset; from the weights' header alone where nothing else is stored of them."""
    card, found = read_card(name_or_path), find_assessment(str(name_or_path))
    folds = find_folds(card)
    if folds is not None:
        return {data: _over_folds(folds, data) for data in folds.about["data"]}
    return {data: _of_one(data, metrics, found) for data, metrics in card.metrics.items()}


def find_folds(card: Card) -> FoldErrors | None:
    """The stored errors of five folds; None where there are none, or they are of other settings than the weights."""
    if not folds_path(card.name).is_file():
        return None
    found = read_folds(card.name)
    config = {key: value for key, value in card.training.get("config", {}).items() if key != "fold"}
    stored = {key: value for key, value in found.about["config"].items() if key in config}
    return found if stored == config else None


def _of_one(data: str, metrics: dict[str, Any], found: Assessment | None) -> Standing:
    if found is None or data not in found.data:
        return Standing(metrics["faces"], 1, metrics, {}, [])
    measured = found.data[data]
    return Standing(measured["true"]["faces"], 1, measured["true"], {}, measured["curve"])


def _over_folds(found: FoldErrors, data: str) -> Standing:
    folds = found.by_fold(data)
    columns = {key: np.array([fold[key] for fold in folds]) for key in MEASURED}
    mean: dict[str, Any] = {key: float(column.mean()) for key, column in columns.items()}
    deviation: dict[str, Any] = {key: _deviation(column) for key, column in columns.items()}
    for table in _TABLES:
        parts = {part: np.array([fold[table][part] for fold in folds]) for part in folds[0][table]}
        mean[table] = {part: float(column.mean()) for part, column in parts.items()}
        deviation[table] = {part: _deviation(column) for part, column in parts.items()}
    here = (found.sources == found.about["data"].index(data)) & found.errors.complete
    curve = cumulative(100 * found.errors.subset(here).nme)
    return Standing(int(here.sum()), len(folds), mean, deviation, curve)


def cumulative(nme: np.ndarray) -> list[float]:
    """Percentage of faces with an NME (in percent) of at most each value of `CURVE_NME`."""
    return np.round(100 * np.searchsorted(np.sort(nme), CURVE_NME, "right") / len(nme), 3).tolist()


def _deviation(column: np.ndarray) -> float:
    return float(column.std(ddof=1)) if len(column) > 1 else 0.0
