"""Kaggle's "Facial Keypoints Detection" in its published layout, plain or zipped.

`training.csv` or `KeyFacialPoints.csv`: 30 coordinate columns and `Image`, 9,216 space-separated
grey values; `test.csv`: `ImageId` and `Image`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fkd.crop import CropFrame
from fkd.data.archives import is_clutter, open_archive
from fkd.data.bad_rows import BadRow, far_outside, line_of
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.data.duplicates import near_duplicate_clusters
from fkd.errors import FkdError
from fkd.progress import report
from fkd.schema import KAGGLE15

SIDE = 96
# How the competition's pictures lie round a tight box of 68 points, so that photos can be cut alike.
# From a first network and faces of every fold; `python -m fkd.calibrate`, with the shipped weights and
# without fold 0, gives 1.19 and -0.174.
KAGGLE_FRAME = CropFrame(scale=1.23, shift=(0.0, -0.165))
LABELLED = ("training.zip", "training.csv", "KeyFacialPoints.zip", "KeyFacialPoints.csv")
UNLABELLED = ("test.zip", "test.csv")
LOOKUP = "IdLookupTable.csv"  # which coordinates of the unlabelled faces the competition asks for
COORDINATES = tuple(f"{keypoint}_{axis}" for keypoint in KAGGLE15.keypoints for axis in "xy")
_PIXELS = SIDE * SIDE
_ROWS_AT_ONCE = 16  # their text stays in the processor's cache: twice as fast as 256
LONGEST_LINE = 1 << 20  # a row has some 40,000 characters; what is much longer is no row


class _FaultError(Exception):
    """What is wrong with one of the rows that are read at once, and which it is."""

    def __init__(self, index: int, fault: str) -> None:
        self.index, self.fault = index, fault
        super().__init__(fault)


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def load_kaggle(folder: Path) -> Dataset:
    """The labelled faces of a folder in this layout, grouped by near-duplicates.

    Args:
        folder: holds one of `LABELLED`; `kaggle` names the competition's own.

    Raises:
        FkdError: no file, a column missing, or a row that is not a face (its line is named).
    """
    return _load(folder, folder.name, LABELLED)


def check_kaggle(folder: Path) -> None:
    """`FkdError` where `load_kaggle` would find no file, one that cannot be opened, or one without its columns."""
    path = _find(folder, LABELLED)
    with open_csv(path) as (file, _):
        _columns(file, path, labelled=True)


def load_kaggle_test(folder: Path) -> Dataset:
    """The unlabelled faces of `folder/test.zip` or `test.csv`: every point is NaN, `rows` are the `ImageId`s."""
    return _load(folder, f"{folder.name}_test", UNLABELLED)


def _load(folder: Path, name: str, files: tuple[str, ...]) -> Dataset:
    path = _find(folder, files)
    return cached_dataset(name, [path], lambda: _parse(path, name))


def _find(folder: Path, files: tuple[str, ...]) -> Path:
    path = next((folder / file for file in files if (folder / file).is_file()), None)
    if path is None:
        raise FkdError(
            f"Kaggle's faces are missing: put {files[0]} from the competition into {folder}, "
            "or see python -m fkd data list."
        )
    return path


def _parse(path: Path, name: str) -> Dataset:
    is_labelled = path.name in LABELLED
    parts = list(kaggle_rows(path, labelled=is_labelled))
    images_u8, points_px, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Dataset(
        name=name,
        schema=KAGGLE15,
        images_u8=images_u8,
        points_px=points_px,
        groups=np.array([f"cluster_{c}" for c in near_duplicate_clusters(images_u8)]),
        sources=np.full(len(numbers), name),
        rows=numbers.astype(str),
        published_split=np.full(len(numbers), "training" if is_labelled else "test"),
    )


def kaggle_rows(path: Path, bad_rows: list[BadRow] | None = None, *, labelled: bool = True) -> Iterator[Rows]:
    """The rows of a CSV, or of the one inside a zip, a few at a time, so that its text is never all in memory.

    Args:
        path: the file.
        bad_rows: takes the rows that are no faces; without it the first one is an error.
        labelled: whether there are coordinates.

    Yields:
        (n, 96, 96) uint8 pictures, (n, 15, 2) float32 points, NaN where missing, and (n,) row numbers or `ImageId`s.

    Raises:
        FkdError: not such a file, no usable row, or a bad row that nobody takes.
    """
    empty = True
    with open_csv(path) as (file, size):
        columns = _columns(file, path, labelled)
        for batch in _batches(file, path):
            report(f"reading {path.name}", file.tell() / max(size, 1))
            for rows in _parse_batch(batch, columns, path, bad_rows):
                empty = False
                yield rows
    if empty and bad_rows:
        raise FkdError(f"{path.name} has no row that can be used; the first: {bad_rows[0].reason}")
    if empty:
        raise FkdError(f"{path.name} holds no rows; download it again.")


@contextlib.contextmanager
def open_csv(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A CSV, or the first one in a zip, as a binary file, and its size in bytes once unpacked."""
    if path.suffix.lower() != ".zip":
        with path.open("rb", buffering=1 << 20) as file:
            yield file, path.stat().st_size
        return
    with open_archive(path) as archive:
        tables = [e for e in archive.infolist() if e.filename.endswith(".csv") and not is_clutter(e.filename)]
        if not tables:
            raise FkdError(f"{path.name} holds no CSV file; fetch it again.")
        with archive.open(tables[0]) as unpacked:
            yield unpacked, tables[0].file_size


@dataclass(frozen=True)
class _Columns:
    """Where a header has what is read."""

    delimiter: bytes
    count: int
    coordinates: list[int]
    image: int
    number: int | None


def read_header(file: IO[bytes]) -> tuple[str, list[str]]:
    """The delimiter and the column names of a CSV, whose first line is consumed."""
    header = file.readline(LONGEST_LINE).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").strip()
    delimiter = ";" if header.count(";") > header.count(",") else ","
    return delimiter, [name.strip().strip('"') for name in header.split(delimiter)]


def _columns(file: IO[bytes], path: Path, labelled: bool) -> _Columns:
    delimiter, names = read_header(file)
    wanted = COORDINATES if labelled else ()
    check_columns(names, (*wanted, "Image"), path)
    number = names.index("ImageId") if "ImageId" in names else None
    return _Columns(delimiter.encode(), len(names), [names.index(n) for n in wanted], names.index("Image"), number)


def check_columns(names: list[str], wanted: tuple[str, ...], path: Path) -> None:
    """`FkdError` where a header has not each of the wanted columns once."""
    for name in wanted:
        if names.count(name) != 1:
            if name in names:
                raise FkdError(f"{path.name} has the column {name!r} twice; keep one of them.")
            empty = ", with empty cells where it is not known" if name != "Image" else ""
            raise FkdError(f"{path.name} lacks the column {name!r}; add it{empty}.")


@dataclass(frozen=True)
class _Batch:
    """Some rows: the number of the first, their text, and the file's lines that they are at, the header's being 1."""

    start: int
    texts: list[bytes]
    lines: list[int]


def _parse_batch(batch: _Batch, columns: _Columns, path: Path, bad_rows: list[BadRow] | None) -> Iterator[Rows]:
    """All rows at once, or one by one where some are bad and `bad_rows` takes them."""
    try:
        yield _parse_lines(batch.texts, batch.start, columns)
    except _FaultError as error:
        if bad_rows is None:
            line = batch.lines[error.index]
            raise BadRow.at(line_of(path, line), batch.start + error.index, error.fault).error() from None
        for row, (text, line) in enumerate(zip(batch.texts, batch.lines, strict=True), batch.start):
            try:
                yield _parse_lines([text], row, columns)
            except _FaultError as error:
                bad_rows.append(BadRow.at(line_of(path, line), row, error.fault))


def _parse_lines(lines: list[bytes], start: int, columns: _Columns) -> Rows:
    fields = [line.strip().split(columns.delimiter) for line in lines]
    short = next((i for i, row in enumerate(fields) if len(row) != columns.count), None)
    if short is not None:
        raise _FaultError(short, f"{len(fields[short])} columns instead of {columns.count}")
    images = _parse_pixels([row[columns.image].strip(b'" ') for row in fields])
    comma = columns.delimiter == b";"  # where fields are parted so, decimals are written with a comma
    texts = [[row[c].replace(b",", b".") if comma else row[c] for c in columns.coordinates] for row in fields]
    points = _parse_coordinates(texts)
    if columns.number is None:
        return images, points, np.arange(start, start + len(lines))
    return images, points, np.array([row[columns.number].decode("utf-8", "replace") for row in fields], object)


def _batches(file: IO[bytes], path: Path) -> Iterator[_Batch]:
    """Blank lines skipped, a few rows at a time."""
    batch, number = _Batch(0, [], []), 1
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise FkdError(f"{path.name}, line {number}: more than {LONGEST_LINE:,} characters; this is no face.")
        if line.strip():
            batch.texts.append(line)
            batch.lines.append(number)
        if len(batch.texts) == _ROWS_AT_ONCE:
            yield batch
            batch = _Batch(batch.start + _ROWS_AT_ONCE, [], [])
    if batch.texts:
        yield batch


def _parse_pixels(texts: list[bytes]) -> np.ndarray:
    """Rows of space-separated numbers to (n, 96, 96) uint8, all digits at once."""
    characters = np.frombuffer(b"   " + b" ".join(texts) + b" ", np.uint8)
    is_space = characters == ord(" ")
    ends = np.flatnonzero(is_space)[2:]
    starts = 2 + np.cumsum([0] + [len(text) + 1 for text in texts])
    counts = np.diff(np.searchsorted(ends, starts))
    wrong = next((i for i, count in enumerate(counts) if count != _PIXELS), None)
    if wrong is not None:
        raise _FaultError(wrong, f"{counts[wrong]} pixels instead of {_PIXELS}")
    lengths, ends = np.diff(ends) - 1, ends[1:]
    digits = (characters - np.uint8(ord("0"))) * ~is_space
    values = digits[ends - 1].astype(np.int16) + 10 * digits[ends - 2].astype(np.int16)
    values += 100 * digits[ends - 3].astype(np.int16) * (lengths > 2)
    if digits.max() > 9 or lengths.min() < 1 or lengths.max() > 3 or values.max() > 255:
        raise _bad_pixel(texts)
    return values.astype(np.uint8).reshape(-1, SIDE, SIDE)


def _bad_pixel(texts: list[bytes]) -> _FaultError:
    tokens = ((i, token) for i, text in enumerate(texts) for token in text.split(b" "))
    i, token = next((i, t) for i, t in tokens if not (t.isdigit() and len(t) <= 3 and int(t) <= 255))
    return _FaultError(i, f"pixel value {token[:20].decode('utf-8', 'replace')!r} is not 0 to 255")


def _parse_coordinates(rows: list[list[bytes]]) -> np.ndarray:
    points_px = np.full((len(rows), len(KAGGLE15), 2), np.nan, np.float32)
    for i, row in enumerate(rows):
        try:
            points_px[i].reshape(-1)[: len(row)] = [float(text.strip(b'" ') or "nan") for text in row]
        except ValueError:
            raise _FaultError(i, "a coordinate is not a number") from None
        if fault := far_outside(points_px[i], SIDE, SIDE):
            raise _FaultError(i, fault)
    points_px[np.isnan(points_px).any(axis=2)] = np.nan  # half a label is none
    return points_px
