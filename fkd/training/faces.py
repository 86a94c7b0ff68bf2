"""The faces of a run: which it learns from, which it watches, and which it never sees."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from fkd.crop import has_tight_box
from fkd.data import load_dataset
from fkd.data.dataset import Dataset
from fkd.data.missing import treat_missing
from fkd.data.notes import POINT, Notes, apply_notes, csv_text, fit, parse_csv, read_notes
from fkd.data.splits import BY_FOLD, make_split, split
from fkd.errors import FkdError
from fkd.training.config import TrainConfig
from fkd.training.provenance import provenance
from fkd.training.run import RunFolder

_SPLIT, _NOTES = "split.csv", "notes.csv"


@dataclass(frozen=True)
class RunFaces:
    """What a run is made with.

    Attributes:
        train: faces to learn from, without flagged ones and with corrected points where the settings ask for
            it, and with their missing labels treated.
        validation: faces that training only watches, as their source has them. In both, only faces that can
            be cut out, unless whole pictures are taken.
        made_with: what config.json says of them.
        files: name and content of what the run's folder keeps of them.
    """

    train: Dataset
    validation: Dataset
    made_with: dict[str, Any]
    files: dict[str, str]

    def write(self, run: RunFolder) -> None:
        """Keep the files in the run's folder."""
        for name, text in self.files.items():
            run.write_text(name, text)


def load_faces(config: TrainConfig, run: RunFolder) -> RunFaces:
    """The faces that a configuration asks for; a resumed run takes the notes it was started with.

    Raises:
        FkdError: data missing, a split that it does not allow, damaged notes, or nothing left to train on.
    """
    dataset = load_dataset(config.data)
    masks = split_faces(dataset, config)
    notes = _notes(dataset, run) if config.notes else Notes()
    parts, left_out = used_faces(dataset, masks, notes, config)
    if not len(parts["train"]):
        others = ", or notes=false if its faces are flagged" if notes.flags else ""
        others += ", or whole_picture=true if its faces have too few points to be cut out" if any(left_out) else ""
        raise FkdError(f"No face of {config.data} is left to train on; try other data, or missing=mask{others}.")
    made_with = provenance(dataset, masks)
    if any(left_out):
        made_with["without_box"] = dict(zip(parts, left_out, strict=True))
    files = {_SPLIT: split_text(dataset, masks)}
    if config.notes:
        files[_NOTES] = csv_text(notes.lines)
        made_with["notes"] = _told(notes, masks["train"], files[_NOTES])
    return RunFaces(parts["train"], parts["validation"], made_with, files)


def used_faces(
    dataset: Dataset, masks: dict[str, np.ndarray], notes: Notes, config: TrainConfig
) -> tuple[dict[str, Dataset], list[int]]:
    """The faces `train` and `validation` as training takes them, and how many of each cannot be cut out.

    Those have too few points to tell their box; pictures that are taken whole need none.
    """
    train = treat_missing(apply_notes(dataset, notes, among=masks["train"]), config.missing)
    parts = {"train": train, "validation": dataset.subset(masks["validation"])}
    if config.whole_picture:
        return parts, [0, 0]
    framed = {part: _with_box(faces) for part, faces in parts.items()}
    return framed, [len(parts[part]) - len(framed[part]) for part in parts]


def _with_box(faces: Dataset) -> Dataset:
    known = has_tight_box(faces.points_px, faces.schema)
    return faces if known.all() else faces.subset(known)  # without a copy of all pictures


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


def _notes(dataset: Dataset, run: RunFolder) -> Notes:
    kept = run.read_text(_NOTES)
    return read_notes(dataset) if kept is None else fit(parse_csv(kept, _NOTES), dataset)


def _told(notes: Notes, learnt: np.ndarray, text: str) -> dict[str, Any]:
    """What notes did to the faces that are learnt from, and a fingerprint of them."""
    corrected = {row for row in notes.corrections if learnt[row]} - notes.flags
    return {
        "hash": hashlib.sha256(text.encode()).hexdigest()[:16],
        "flagged_faces": sum(bool(learnt[row]) for row in notes.flags),
        "corrected_faces": len(corrected),
        "corrected_points": sum(row in corrected and note.note == POINT for row, note in notes.fitting),
        "unfit_notes": len(notes.unfit),
    }
