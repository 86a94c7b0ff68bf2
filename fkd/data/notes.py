"""What a person noted about faces: flags for review and corrected points. The source is never changed.

    from fkd.data.notes import apply_notes, read_notes
    notes = read_notes(faces)
    faces = apply_notes(faces, notes)  # without the flagged faces, with the corrected points

There is one file for each dataset, `<dataset>.csv` under `FKD_NOTES`, one line for each flag and for each
corrected point. The Explore page writes it at every change; it is also what the page exports and takes in again.

A line names its face by row and source, and by an id that follows from the face's labels. So notes stay with
their faces when rows are added, left out or renumbered, and where a face or its labels have changed, the note
no longer fits: it is kept and counted, but not used.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from fkd.crop import invert, transform
from fkd.data.dataset import Dataset
from fkd.errors import FkdError
from fkd.lock import FileLock
from fkd.paths import notes_root, written_aside

FLAG, POINT = "flag", "point"
_SAME_PX = 1e-3  # places nearer than this are the same place
_UNLABELLED = np.iinfo(np.int32).min


@dataclass(frozen=True)
class Note:
    """One line of a file of notes, all of it as text.

    Attributes:
        row: the face's row in its source.
        source: where it comes from.
        note: `flag` or `point`.
        keypoint: which point was corrected.
        x: its place in pixels of the source's picture; empty for a label that is removed.
        y: likewise.
        face: the `face_id` the face had when this was noted; empty in a file that was made by hand.
    """

    row: str
    source: str
    note: str
    keypoint: str = ""
    x: str = ""
    y: str = ""
    face: str = ""


COLUMNS = tuple(item.name for item in fields(Note))
_NEEDED = ("row", "source", "note")


@dataclass(frozen=True)
class Notes:
    """The notes about the faces of one dataset.

    Attributes:
        flags: rows to be reviewed.
        corrections: row to (k, 2) float64 points in pixels of the dataset's pictures.
        fitting: each note with the row it is about.
        unfit: notes about faces that are no longer there, or have other labels now.
    """

    flags: frozenset[int] = frozenset()
    corrections: Mapping[int, np.ndarray] = field(default_factory=dict)
    fitting: tuple[tuple[int, Note], ...] = ()
    unfit: tuple[Note, ...] = ()

    @property
    def lines(self) -> list[Note]:
        """Every note, also those that no longer fit."""
        return [*(note for _, note in self.fitting), *self.unfit]

    def points_px(self, faces: Dataset, row: int) -> np.ndarray:
        """(k, 2) points of a face, corrected where they have been."""
        return self.corrections.get(row, faces.points_px[row])


def read_notes(faces: Dataset) -> Notes:
    """What has been noted about a dataset; of a joint one, about each of its parts.

    Raises:
        FkdError: a file of notes is damaged; the sentence names it and the line.
    """
    lines: list[Note] = []
    for name in faces.name.split("+"):
        lines += _read(notes_path(name))
    return fit(lines, faces)


def apply_notes(faces: Dataset, notes: Notes, among: np.ndarray | None = None) -> Dataset:
    """The faces, or those among an (n,) bool mask, without the flagged ones and with corrected points."""
    points_px = faces.points_px.copy()
    for row, corrected_px in notes.corrections.items():
        points_px[row] = corrected_px
    kept = np.ones(len(faces), bool) if among is None else among.copy()
    kept[list(notes.flags)] = False
    return replace(faces, points_px=points_px).subset(kept)


def fit(lines: Iterable[Note], faces: Dataset) -> Notes:
    """Find the face of each line: by its row where that still has the same labels, else by its labels alone."""
    rows = _FaceFinder(faces)
    flags: set[int] = set()
    points: dict[int, np.ndarray] = {}
    fitting, unfit = [], []
    for line in lines:
        row = rows.find(line)
        if row is None or (line.note == POINT and line.keypoint not in faces.schema.keypoints):
            unfit.append(line)
            continue
        fitting.append((row, line))
        if line.note == FLAG:
            flags.add(row)
        else:
            place = (float(line.x or math.nan), float(line.y or math.nan))
            points.setdefault(row, in_source(faces, row))[faces.schema.keypoints.index(line.keypoint)] = place
    corrections = {row: transform(points[row], invert(faces.to_source[row])) for row in sorted(points)}
    return Notes(frozenset(flags), corrections, tuple(fitting), tuple(unfit))


class _FaceFinder:
    """Row numbers of a dataset by what notes say of a face."""

    def __init__(self, faces: Dataset) -> None:
        self._faces = faces
        self._by_name: dict[tuple[str, str], list[int]] | None = None
        self._by_id: dict[tuple[str, str], list[int]] | None = None

    def find(self, line: Note) -> int | None:
        """The one face that a line is about, or None."""
        if self._by_name is None:
            self._by_name = self._index(self._faces.rows)
        named = self._by_name.get((line.source, line.row), [])
        same = [row for row in named if face_id(self._faces, row) == line.face]
        if same:
            return same[0]
        found = self._alike(line) if line.face else named
        return found[0] if len(found) == 1 else None

    def _alike(self, line: Note) -> list[int]:
        if self._by_id is None:
            self._by_id = self._index(face_id(self._faces, row) for row in range(len(self._faces)))
        return self._by_id.get((line.source, line.face), [])

    def _index(self, names: Iterable[str]) -> dict[tuple[str, str], list[int]]:
        index = defaultdict(list)
        for row, (source, name) in enumerate(zip(self._faces.sources, names, strict=True)):
            index[str(source), str(name)].append(row)
        return index


def face_id(faces: Dataset, row: int) -> str:
    """Twelve hexadecimal digits that follow from a face's labels, to a tenth of a pixel, and its picture's size."""
    tenths = np.round(10 * in_source(faces, row))
    whole = np.where(np.isfinite(tenths), tenths, _UNLABELLED).astype(np.int32)
    size = faces.source_size[row].astype(np.int32)
    return hashlib.blake2b(whole.tobytes() + size.tobytes(), digest_size=6).hexdigest()


def in_source(faces: Dataset, row: int | np.ndarray, points_px: np.ndarray | None = None) -> np.ndarray:
    """(..., k, 2) float64 points in pixels of the sources' pictures: the given ones, or the faces' own labels."""
    points = faces.points_px[row] if points_px is None else points_px
    return transform(points.astype(np.float64), faces.to_source[row])


def set_flag(faces: Dataset, row: int, is_flagged: bool) -> None:
    """Flag a face for review, or take the flag back."""

    def changed(notes: Notes) -> list[Note]:
        others = _without(notes, row, FLAG)
        return [*others, _note(faces, row, FLAG)] if is_flagged else others

    _change(faces, changed)


def correct(faces: Dataset, row: int, cells: Mapping[int, Mapping[str, float | None]]) -> None:
    """Move points of a face.

    Args:
        faces: the dataset.
        row: the face.
        cells: keypoint's index to its new `x`, `y` or both, in pixels of the source's picture; None removes
            the label.
    """

    def corrected(notes: Notes) -> list[Note]:
        points = in_source(faces, row, notes.points_px(faces, row))
        for keypoint, place in cells.items():
            for axis, name in enumerate("xy"):
                if name in place:
                    value = place[name]
                    points[keypoint, axis] = math.nan if value is None else value
        return [*_without(notes, row, POINT), *_moved(faces, row, points)]

    _change(faces, corrected)


def take_back(faces: Dataset, row: int) -> None:
    """Forget what was corrected of a face."""
    _change(faces, lambda notes: _without(notes, row, POINT))


def merge(faces: Dataset, text: str, file_name: str) -> tuple[int, int]:
    """Add the notes of an exported file, which win over those there are about the same thing.

    Args:
        faces: the dataset.
        text: the file's content.
        file_name: what the file is called in errors.

    Returns:
        How many notes of the file fit the faces and were added, and how many were left aside.

    Raises:
        FkdError: no such file, or none of its notes fits.
    """
    given = fit(parse_csv(text, file_name), faces)
    if not given.fitting:
        raise FkdError(
            f"None of the {len(given.unfit)} notes in {file_name} is about faces of {faces.name}; "
            "choose the dataset they were made for."
        )
    told = {(row, note.note, note.keypoint) for row, note in given.fitting}

    def merged(notes: Notes) -> list[Note]:
        kept = [note for row, note in notes.fitting if (row, note.note, note.keypoint) not in told]
        added = [replace(note, row=str(faces.rows[row]), face=face_id(faces, row)) for row, note in given.fitting]
        return [*kept, *added, *notes.unfit]

    _change(faces, merged)
    return len(given.fitting), len(given.unfit)


def csv_text(lines: Iterable[Note]) -> str:
    """The file that holds these notes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(astuple, lines))
    return text.getvalue()


def parse_csv(text: str, file_name: str) -> list[Note]:
    """The notes of a file, with commas or semicolons.

    Raises:
        FkdError: a missing column, or a line that is no note, by its number.
    """
    text = text.removeprefix("\ufeff")
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ",")
    absent = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if absent:
        raise FkdError(f"{file_name} is no file of notes: its first line lacks {', '.join(absent)}.")
    try:
        return list(_parsed(reader, file_name))
    except csv.Error as error:
        raise FkdError(f"{file_name}, line {reader.line_num} cannot be read ({error}).") from None


def _parsed(reader: csv.DictReader, file_name: str) -> Iterator[Note]:
    for values in reader:
        note = Note(**{name: (values.get(name) or "").strip() for name in COLUMNS})
        if note.note not in (FLAG, POINT) or (note.note == POINT and not note.keypoint):
            raise FkdError(f"{file_name}, line {reader.line_num}: a note is a {FLAG}, or a {POINT} with its keypoint.")
        if not (_is_place(note.x) and _is_place(note.y)):
            raise FkdError(f"{file_name}, line {reader.line_num}: {note.x!r}, {note.y!r} is no place in a picture.")
        yield note


def _is_place(text: str) -> bool:
    try:
        return not text or math.isfinite(float(text))
    except ValueError:
        return False


def notes_path(name: str) -> Path:
    """The file of the notes about a dataset."""
    return notes_root() / f"{name}.csv"


def _read(path: Path) -> list[Note]:
    try:
        return parse_csv(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise FkdError(f"The notes in {path} cannot be read ({error}); mend or move the file.") from None


def _change(faces: Dataset, change: Callable[[Notes], list[Note]]) -> None:
    """Replace the file by what `change` makes of the notes in it; two sessions take turns."""
    path = notes_path(faces.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            lines = change(fit(_read(path), faces))
            with written_aside(path) as aside:
                aside.write_text(csv_text(lines), encoding="utf-8")
    except OSError as error:
        raise FkdError(f"Notes cannot be kept in {path.parent} ({error.strerror}); set FKD_NOTES to another.") from None


def _note(faces: Dataset, row: int, note: str, *values: str) -> Note:
    keypoint, x, y = values or ("", "", "")
    return Note(str(faces.rows[row]), str(faces.sources[row]), note, keypoint, x, y, face_id(faces, row))


def _without(notes: Notes, row: int, kind: str) -> list[Note]:
    kept = [note for about, note in notes.fitting if about != row or note.note != kind]
    return [*kept, *notes.unfit]


def _moved(faces: Dataset, row: int, points: np.ndarray) -> list[Note]:
    """A note for each point that is elsewhere than its label, both in pixels of the source's picture."""
    points = np.where(np.isnan(points).any(axis=1, keepdims=True), np.nan, points)  # half a place is none
    same = np.isclose(points, in_source(faces, row), rtol=0, atol=_SAME_PX, equal_nan=True).all(axis=1)
    texts = [["" if math.isnan(value) else f"{value:.3f}" for value in place] for place in points]
    return [_note(faces, row, POINT, faces.schema.keypoints[i], *texts[i]) for i in np.flatnonzero(~same)]
