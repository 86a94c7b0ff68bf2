"""Which faces are looked at, and in which order: filters by check, label, split and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fkd.data.quality import CHECKS
from fkd.data.splits import published_parts, shared_groups
from fkd.schema import Schema
from fkd.ui.explore.notes import Notes
from fkd.ui.explore.source import Source

ALL, COMPLETE, SHARED = "all faces", "complete", "shared between splits"
FLAGGED, CORRECTED, SELECTED = "flagged for review", "corrected", "selected in a figure"
ANY_SPLIT = "any split"
ROW_ORDER = "row"
HIGHEST, LOWEST = "Highest first", "Lowest first"
_WITHOUT = "without "


@dataclass(frozen=True)
class Choice:
    """What a person has chosen to see.

    Attributes:
        show: one of `filters`.
        threshold: where a check begins to flag; None for the check's own.
        split: a published split, or `ANY_SPLIT`.
        find: text that the row's or the group's name contains.
        sort: a measure, or `ROW_ORDER`.
        order: `HIGHEST` or `LOWEST`.
        selection: rows that were picked in a figure.
    """

    show: str = ALL
    threshold: float | None = None
    split: str = ANY_SPLIT
    find: str = ""
    sort: str = ROW_ORDER
    order: str = LOWEST
    selection: Sequence[int] = ()


def filters(schema: Schema) -> list[str]:
    """The names of all filters."""
    own = [ALL, COMPLETE, *CHECKS, SHARED, FLAGGED, CORRECTED, SELECTED]
    return own + [_WITHOUT + keypoint for keypoint in schema.keypoints]


def without(keypoint: str) -> str:
    """The filter of the faces that lack a keypoint's label."""
    return _WITHOUT + keypoint


def shared_between_splits(source: Source) -> list[str]:
    """Groups (people, or clusters of near-duplicates) that are in more than one published split."""
    pairs = shared_groups(source.faces.groups, published_parts(source.faces))
    return sorted({group for groups in pairs.values() for group in groups})


def rows_of(source: Source, choice: Choice, notes: Notes) -> np.ndarray:
    """The chosen row numbers of the dataset, in the chosen order; faces that lack the measure come last."""
    chosen = _filtered(source, choice, notes)
    faces = source.faces
    if choice.split != ANY_SPLIT:
        chosen &= faces.published_split == choice.split
    if choice.find:
        named = [
            choice.find.lower() in f"{row}\n{group}".lower()
            for row, group in zip(faces.rows, faces.groups, strict=True)
        ]
        chosen &= np.array(named)
    rows = np.flatnonzero(chosen)
    values = rows if choice.sort == ROW_ORDER else source.quality.measures[choice.sort][rows]
    ascending = values if choice.order == LOWEST else -values
    return rows[np.argsort(ascending, kind="stable")]


def _filtered(source: Source, choice: Choice, notes: Notes) -> np.ndarray:
    faces, show = source.faces, choice.show
    if show in CHECKS:
        return source.quality.flagged(show, choice.threshold)
    if show == COMPLETE:
        return faces.complete.copy()
    if show == SHARED:
        return np.isin(faces.groups, shared_between_splits(source))
    if show.startswith(_WITHOUT):
        keypoint = faces.schema.keypoints.index(show.removeprefix(_WITHOUT))
        return ~np.isfinite(faces.points_px[:, keypoint]).all(axis=1)
    chosen = {FLAGGED: list(notes.flags), CORRECTED: list(notes.corrections), SELECTED: list(choice.selection)}
    if show not in chosen:
        return np.ones(len(faces), bool)
    return np.isin(np.arange(len(faces)), chosen[show])
