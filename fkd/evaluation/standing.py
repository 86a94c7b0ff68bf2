"""What weights reached on each dataset: over five folds where those are stored, else on the held-out fold.

    of = standing("ibug68")["youtube_faces"]
    of.mean["nme"], of.deviation["nme"], of.folds
    held_out("ibug68")["youtube_faces"].mean["nme"]  # on the held-out fold alone, as every other weights'

Read from what is stored alone: no face is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fkd.evaluation.assessment import CURVE_NME, Assessment, find_assessment
from fkd.evaluation.folds import FoldErrors, find_folds, mean_and_deviation
from fkd.training.config import TrainConfig
from fkd.weights import read_card

_TABLES = ("nme_by_group", "nme_by_keypoint")


@dataclass(frozen=True)
class Standing:
    """Figures with true boxes on one dataset.

    Attributes:
        faces: how many were measured, all with every label.
        folds: how many folds they are of: 1 for the held-out one.
        mean: the metrics of `fkd.metrics.summarise`, for several folds their mean.
        deviation: their sample standard deviation over folds; empty for a single one.
        curve: of the held-out fold, the percentage of faces up to each NME of `CURVE_NME`; empty for several folds,
            and where only the header is known.
    """

    faces: int
    folds: int
    mean: dict[str, Any]
    deviation: dict[str, Any]
    curve: list[float]


def standing(name_or_path: str | Path) -> dict[str, Standing]:
    """By dataset; from the weights' header alone where nothing else is stored of them."""
    folds = find_folds(name_or_path)
    if folds is not None:
        return {data: _over_folds(folds, data) for data in folds.about["data"]}
    return held_out(name_or_path)


def held_out(name_or_path: str | Path) -> dict[str, Standing]:
    """By dataset, on the faces that the weights hold out: with the same split the same faces for all weights."""
    card, found = read_card(name_or_path), find_assessment(str(name_or_path))
    return {data: _of_one(data, metrics, found) for data, metrics in card.metrics.items()}


def _of_one(data: str, metrics: dict[str, Any], found: Assessment | None) -> Standing:
    if found is None or data not in found.data:
        return Standing(metrics["faces"], 1, metrics, {}, [])
    measured = found.data[data]
    return Standing(measured["true"]["faces"], 1, measured["true"], {}, measured["curve"])


def _over_folds(found: FoldErrors, data: str) -> Standing:
    folds = found.by_fold(data)
    mean, deviation = _parted(found.mean_and_deviation(data))
    for table in _TABLES:
        parts = {part: mean_and_deviation([fold[table][part] for fold in folds]) for part in folds[0][table]}
        mean[table], deviation[table] = _parted(parts)
    here = (found.sources == found.about["data"].index(data)) & found.errors.complete
    return Standing(int(here.sum()), len(folds), mean, deviation, [])


def hold_out_the_same(first: str, second: str) -> bool:
    """Whether two weights were trained with the same split, whatever share of the others training watched."""
    made = [read_card(name).training.get("config", {}) for name in (first, second)]
    one, other = (TrainConfig.from_dict(config | {"validation_share": 0.0}).split_settings() for config in made)
    return first == second or (all(made) and one == other)


def cumulative(nme: np.ndarray) -> list[float]:
    """Percentage of faces with an NME (in percent) of at most each value of `CURVE_NME`."""
    return np.round(100 * np.searchsorted(np.sort(nme), CURVE_NME, "right") / len(nme), 3).tolist()


def _parted(figures: dict[str, tuple[float, float]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Means and deviations by themselves."""
    return {key: mean for key, (mean, _) in figures.items()}, {key: spread for key, (_, spread) in figures.items()}
