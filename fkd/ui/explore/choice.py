"""Which faces are looked at, and in which order: filters by check, score, label, split, group and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fkd.data.dataset import Dataset
from fkd.data.notes import Notes
from fkd.data.quality import CHECKS
from fkd.data.splits import published_parts, shared_groups
from fkd.schema import Schema
from fkd.ui.explore.source import Source

ALL, COMPLETE, SHARED = "all faces", "complete", "shared between splits"
FLAGGED, CORRECTED, SELECTED = "flagged for review", "corrected", "selected in a figure"
ANY_SPLIT = "any split"
ANY_GROUP = "anybody"
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
        group: a person or cluster of alike faces, or `ANY_GROUP`.
        find: text that the row's or the group's name contains.
        sort: a measure, or `ROW_ORDER`.
        order: `HIGHEST` or `LOWEST`.
        low: least value of the measure that is sorted by; None for any.
        high: greatest value of it.
        selection: rows that were picked in a figure.
    """

    show: str = ALL
    threshold: float | None = None
    split: str = ANY_SPLIT
    group: str = ANY_GROUP
    find: str = ""
    sort: str = ROW_ORDER
    order: str = LOWEST
    low: float | None = None
    high: float | None = None
    selection: Sequence[int] = ()


def filters(schema: Schema) -> list[str]:
    """The names of all filters."""
    own = [ALL, COMPLETE, *CHECKS, SHARED, FLAGGED, CORRECTED, SELECTED]
    return own + [_WITHOUT + keypoint for keypoint in schema.keypoints]


def without(keypoint: str) -> str:
    """The filter of the faces that lack a keypoint's label."""
    return _WITHOUT + keypoint


def groups_of_several(faces: Dataset) -> list[str]:
    """Groups with more than one face, by name."""
    names, counts = np.unique(faces.groups, return_counts=True)
    return names[counts > 1].tolist()


def shared_between_splits(source: Source) -> list[str]:
    """Groups (people, or clusters of near-duplicates) that are in more than one published split."""
    pairs = shared_groups(source.faces.groups, published_parts(source.faces))
    return sorted({group for groups in pairs.values() for group in groups})


def rows_of(source: Source, choice: Choice, notes: Notes) -> np.ndarray:
    """The chosen row numbers of the dataset, in the chosen order; faces that lack the measure come last."""
    chosen = _filtered(source, choice, notes) & _narrowed(source, choice)
    rows = np.flatnonzero(chosen)
    values = rows if choice.sort == ROW_ORDER else source.quality.measures[choice.sort][rows]
    ascending = values if choice.order == LOWEST else -values
    return rows[np.argsort(ascending, kind="stable")]


def _filtered(source: Source, choice: Choice, notes: Notes) -> np.ndarray:
    """(n,) bool: the faces of one of `filters`."""
    faces, show = source.faces, choice.show
    if show in CHECKS:
        return source.quality.flagged(show, choice.threshold)
    if show == COMPLETE:
        return faces.complete
    if show == SHARED:
        return np.isin(faces.groups, shared_between_splits(source))
    if show.startswith(_WITHOUT):
        keypoint = faces.schema.keypoints.index(show.removeprefix(_WITHOUT))
        return ~np.isfinite(faces.points_px[:, keypoint]).all(axis=1)
    chosen = {FLAGGED: list(notes.flags), CORRECTED: list(notes.corrections), SELECTED: list(choice.selection)}
    if show not in chosen:
        return np.ones(len(faces), bool)
    return np.isin(np.arange(len(faces)), chosen[show])


def _narrowed(source: Source, choice: Choice) -> np.ndarray:
    """(n,) bool: the faces of the split, group, text and range of scores."""
    faces = source.faces
    chosen = np.ones(len(faces), bool)
    if choice.split != ANY_SPLIT:
        chosen &= faces.published_split == choice.split
    if choice.group != ANY_GROUP:
        chosen &= faces.groups == choice.group
    if choice.find:
        text = choice.find.lower()
        row_named, group_named = (np.char.find(np.char.lower(names), text) >= 0 for names in (faces.rows, faces.groups))
        chosen &= row_named | group_named
    if choice.sort != ROW_ORDER:
        values = source.quality.measures[choice.sort]
        if choice.low is not None:
            chosen &= values >= choice.low
        if choice.high is not None:
            chosen &= values <= choice.high
    return chosen
