"""Wrong labels planted on purpose, and how many of them stand among the first that a dataset's ranking shows.

python -m fkd data proof kaggle --seeds 3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fkd.curation import expectations, judge_model
from fkd.data.dataset import Dataset
from fkd.data.quality import measure_quality, suspicion_of
from fkd.errors import FkdError, counted
from fkd.progress import parts
from fkd.weights import LoadedModel

KINDS = {
    "swapped": "a point and its mirror partner have changed places",
    "shifted": "all points lie 12 % of the face away, in one direction",
    "one point": "a single point lies 12 % of the face away",
    "another face": "the labels are those of another row",
    "mirrored": "picture and points are mirrored, and the partners not swapped",
}
ALL_KINDS = "all kinds"
_PLANTED, _FIRST = 40, 80
_MOVE = 0.12  # of the longer side of the points' box


@dataclass(frozen=True)
class Finding:
    """How many of the `planted` wrong labels of a kind stand among the first 80, summed over seeds."""

    kind: str
    planted: int
    found: int


def measure_finding(dataset: Dataset, weights: str | None = "auto", seeds: Sequence[int] = (1,)) -> list[Finding]:
    """Plant forty wrong labels of each kind, then of all kinds in turn, and count those among the first eighty.

    The faces that are suspicious by themselves stay, and take some of these places.

    Args:
        dataset: with more than forty complete faces.
        weights: who judges, as `fkd.curation.quality_of` takes it.
        seeds: each plants in other rows.

    Raises:
        FkdError: too few complete faces, or weights that do not fit.
    """
    if dataset.complete.sum() <= _PLANTED:
        has = counted(int(dataset.complete.sum()), "complete face")
        raise FkdError(f"{dataset.name} has {has}; to plant {_PLANTED} wrong labels, it needs more.")
    model = judge_model(dataset, weights)
    expected = None if model is None else expectations(model, dataset)
    findings = []
    for kind in parts("planting wrong labels", [*KINDS, ALL_KINDS]):
        found = 0
        for seed in seeds:
            planted, rows = plant(dataset, np.random.default_rng(seed), tuple(KINDS) if kind == ALL_KINDS else (kind,))
            ranking = np.argsort(-np.nan_to_num(_suspicion(planted, rows, model, expected)), kind="stable")
            found += int(np.isin(rows, ranking[:_FIRST]).sum())
        findings.append(Finding(kind, _PLANTED * len(seeds), found))
    return findings


def plant(
    dataset: Dataset, rng: np.random.Generator, kinds: Sequence[str] = tuple(KINDS)
) -> tuple[Dataset, np.ndarray]:
    """Wrong labels of these kinds in turn, in forty of the complete rows, whose numbers are given too."""
    rows = rng.choice(np.flatnonzero(dataset.complete), _PLANTED, replace=False)
    images_u8, points_px = dataset.images_u8.copy(), dataset.points_px.copy()
    for at, row in enumerate(rows.tolist()):
        images_u8[row], points_px[row] = _spoilt(dataset, row, kinds[at % len(kinds)], rng)
    return replace(dataset, images_u8=images_u8, points_px=points_px), rows


def _spoilt(dataset: Dataset, row: int, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The picture and the points of a row, with a wrong label of that kind."""
    image_u8, points_px = dataset.images_u8[row], dataset.points_px[row].copy()
    partners = dataset.schema.mirror_partners
    angle = rng.uniform(0, 2 * np.pi)
    move = _MOVE * np.ptp(points_px, axis=0).max() * np.array([np.cos(angle), np.sin(angle)])
    match kind:
        case "swapped":
            one = rng.choice(np.flatnonzero(partners != np.arange(len(partners))))
            points_px[[one, partners[one]]] = points_px[[partners[one], one]]
        case "shifted":
            points_px += move
        case "one point":
            points_px[rng.integers(len(partners))] += move
        case "another face":
            points_px = dataset.points_px[rng.choice(np.setdiff1d(np.flatnonzero(dataset.complete), row))]
        case "mirrored":
            image_u8 = image_u8[:, ::-1]
            points_px[:, 0] = image_u8.shape[1] - 1 - points_px[:, 0]
        case _:
            raise ValueError(f"unknown kind {kind!r}; known are {', '.join(KINDS)}")
    return image_u8, points_px


def _suspicion(
    planted: Dataset, rows: np.ndarray, model: LoadedModel | None, expected: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """(n,) suspicion; trained weights look again only at the rows that have changed."""
    if model is None or expected is None:
        return measure_quality(planted).measures["suspicion"]
    expected_px, scores = (values.copy() for values in expected)
    expected_px[rows], scores[rows] = expectations(model, planted.subset(rows))
    return suspicion_of(planted.points_px, expected_px, scores)
