"""The faces of a run: which it learns from, which it watches, and which it never sees."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from fkd.data import load_dataset
from fkd.data.dataset import Dataset
from fkd.data.missing import treat_missing
from fkd.data.splits import BY_FOLD, make_split, split
from fkd.errors import FkdError
from fkd.training.config import TrainConfig
from fkd.training.provenance import provenance


@dataclass(frozen=True)
class RunFaces:
    """What a run is made with.

    Attributes:
        train: faces to learn from, their missing labels treated as asked.
        validation: faces that training only watches, as their source has them.
        made_with: what config.json says of them.
        split_csv: one line for each face of the data: source, row, and its part of the split.
    """

    train: Dataset
    validation: Dataset
    made_with: dict[str, Any]
    split_csv: str


def load_faces(config: TrainConfig) -> RunFaces:
    """The faces that a configuration asks for.

    Raises:
        FkdError: data missing, a split that it does not allow, or nothing left to train on.
    """
    dataset = load_dataset(config.data)
    masks = split_faces(dataset, config)
    train = treat_missing(dataset.subset(masks["train"]), config.missing)
    if not len(train):
        raise FkdError(f"No face of {config.data} is left to train on; try other data, or --set missing=mask.")
    return RunFaces(train, dataset.subset(masks["validation"]), provenance(dataset, masks), split_text(dataset, masks))


def split_faces(dataset: Dataset, config: TrainConfig) -> dict[str, np.ndarray]:
    """Boolean masks `train`, `validation` and `test` over the rows."""
    if config.split == BY_FOLD:
        return split(dataset, None if config.fold < 0 else config.fold, config.validation_share)
    return make_split(
        dataset,
        config.split,
        test_share=config.test_share,
        validation_share=config.validation_share,
        seed=config.split_seed,
    )


def split_text(dataset: Dataset, masks: dict[str, np.ndarray]) -> str:
    """CSV with the columns `source`, `row` and `part`."""
    parts = np.empty(len(dataset), dtype=object)
    for part, mask in masks.items():
        parts[mask] = part
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("source", "row", "part"))
    writer.writerows(zip(dataset.sources, dataset.rows, parts, strict=True))
    return text.getvalue()
