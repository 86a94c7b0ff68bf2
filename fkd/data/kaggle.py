"""Kaggle's "Facial Keypoints Detection" in its published layout.

`training.csv` (30 coordinate columns and `Image`, 9,216 space-separated grey values) plain or zipped.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.data.duplicates import near_duplicate_clusters
from fkd.errors import FkdError
from fkd.pipeline.crop import CropFrame
from fkd.schema import KAGGLE15

SIDE = 96
# How the competition's pictures lie round a tight box of 68 points, so that photos can be cut alike.
KAGGLE_FRAME = CropFrame(scale=1.23, shift=(0.0, -0.165))
_PIXELS = SIDE * SIDE
_ROWS_AT_ONCE = 256


def load_kaggle(folder: Path) -> Dataset:
    """The labelled faces of `folder/training.zip` or `training.csv`, grouped by near-duplicates.

    Raises:
        FkdError: no file, a column missing, or a row that is not a face (its number is named).
    """
    path = next((folder / name for name in ("training.zip", "training.csv") if (folder / name).is_file()), None)
    if path is None:
        raise FkdError(f"Kaggle's faces are missing: put training.zip from the competition into {folder}.")
    return cached_dataset("kaggle", [path], lambda: _parse(path))


def _parse(path: Path) -> Dataset:
    with _open_csv(path) as file:
        images_u8, points_px = _read_rows(file, path)
    n = len(images_u8)
    return Dataset(
        name="kaggle",
        schema=KAGGLE15,
        images_u8=images_u8,
        points_px=points_px,
        groups=np.array([f"cluster_{c}" for c in near_duplicate_clusters(images_u8)]),
        sources=np.full(n, "kaggle"),
        rows=np.arange(n).astype(str),
        published_split=np.full(n, "training"),
    )


def _open_csv(path: Path) -> IO[bytes]:
    if path.suffix != ".zip":
        return path.open("rb")
    try:
        archive = zipfile.ZipFile(path)
        name = next(name for name in archive.namelist() if name.endswith(".csv"))
        return archive.open(name)
    except (zipfile.BadZipFile, StopIteration):
        raise FkdError(f"{path} is not a complete zip with a CSV file in it; download it again.") from None


def _read_rows(file: IO[bytes], path: Path) -> tuple[np.ndarray, np.ndarray]:
    header = file.readline().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").strip()
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = [name.strip().strip('"') for name in header.split(delimiter)]
    wanted = [f"{keypoint}_{axis}" for keypoint in KAGGLE15.keypoints for axis in "xy"]
    for name in (*wanted, "Image"):
        if name not in names:
            raise FkdError(f"{path} lacks the column {name!r}; Kaggle's training file has 31 columns.")
    coordinates, image = [names.index(name) for name in wanted], names.index("Image")
    images, points = [], []
    for start, lines in _batches(file):
        fields = [line.strip().split(delimiter.encode()) for line in lines]
        short = next((i for i, row in enumerate(fields) if len(row) != len(names)), None)
        if short is not None:
            raise FkdError(f"{path}, row {start + short}: {len(fields[short])} columns instead of {len(names)}.")
        images.append(_parse_pixels([row[image].strip(b'" ') for row in fields], start, path))
        points.append(_parse_coordinates([[row[c] for c in coordinates] for row in fields], start, path))
    if not images:
        raise FkdError(f"{path} holds no rows; download it again.")
    return np.concatenate(images), np.concatenate(points)


def _batches(file: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Blank lines skipped, a few rows at a time so that the text of all is never in memory."""
    start, lines = 0, []
    for line in file:
        if line.strip():
            lines.append(line)
        if len(lines) == _ROWS_AT_ONCE:
            yield start, lines
            start, lines = start + len(lines), []
    if lines:
        yield start, lines


def _parse_pixels(texts: list[bytes], start: int, path: Path) -> np.ndarray:
    """Rows of space-separated numbers to (n, 96, 96) uint8, all digits at once."""
    for i, text in enumerate(texts):
        count = text.count(b" ") + 1
        if count != _PIXELS:
            raise FkdError(f"{path}, row {start + i}: {count} pixels instead of {_PIXELS}.")
    characters = np.frombuffer(b" ".join(texts) + b" ", np.uint8)
    ends = np.flatnonzero(characters == ord(" "))
    lengths = np.diff(ends, prepend=-1) - 1
    digits = characters.astype(np.int16) - ord("0")
    padded = np.concatenate([np.zeros(3, np.int16), digits])  # so that ends - 3 stays inside
    values = padded[ends + 2] + np.where(lengths > 1, 10 * padded[ends + 1], 0)
    values += np.where(lengths > 2, 100 * padded[ends], 0)
    outside = (digits < 0) | (digits > 9)
    outside[ends] = False
    bad = (lengths < 1) | (lengths > 3) | (values > 255)
    bad[np.searchsorted(ends, np.flatnonzero(outside))] = True
    if bad.any():
        row = int(np.argmax(bad)) // _PIXELS
        value = characters[ends[np.argmax(bad)] - lengths[np.argmax(bad)] : ends[np.argmax(bad)]].tobytes()
        raise FkdError(f"{path}, row {start + row}: pixel value {value.decode('utf-8', 'replace')!r} is not 0 to 255.")
    return values.astype(np.uint8).reshape(-1, SIDE, SIDE)


def _parse_coordinates(rows: list[list[bytes]], start: int, path: Path) -> np.ndarray:
    points = np.empty((len(rows), 2 * len(KAGGLE15)), np.float32)
    for i, row in enumerate(rows):
        try:
            points[i] = [float(text) if text else np.nan for text in row]
        except ValueError:
            raise FkdError(f"{path}, row {start + i}: a coordinate is not a number.") from None
    return points.reshape(len(rows), -1, 2)
