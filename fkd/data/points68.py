"""Photos beside a CSV of 136 columns: the layout of `youtube_faces` and `portraits68`.

`training/` and `test/` hold the pictures, `training_frames_keypoints.csv` and
`test_frames_keypoints.csv` the file name and x, y of 68 points. Faces are cut out once, with enough
of their surroundings for any augmentation, and brought to one size.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fkd.crop import CropFrame, cut, invert, tight_boxes, transform
from fkd.data.bad_rows import BadRow, line_of
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.data.duplicates import near_duplicate_clusters
from fkd.errors import FkdError
from fkd.images import SUFFIXES, read_image, to_gray
from fkd.progress import steps
from fkd.schema import IBUG68

# A stored picture shows twice the tight box, at about the resolution the networks see.
SURROUNDINGS = CropFrame(scale=2.0)
STORED_SIDE = 208
TABLES = "*_frames_keypoints.csv"
_FEWEST_GROUPS, _FEW_FACES = 5, 20
# What stands for a slash in the name of a picture that was imported from a folder below its table's.
FOLDER_MARK = "--"
_PUBLISHED_PARTS = ("training", "test")
# A name that is a number, as frames and photos are counted. Folders of such, if there are some and none is larger, are
# each of one person.
_NUMBERED = re.compile(r"(?:image|img|frame|face|photo|picture|pic|dsc)?[\W_]*\d+", re.IGNORECASE)
_FEWEST_FOLDERS, _MOST_OF_A_PERSON = 3, 300
_COORDINATES = 2 * len(IBUG68)
_LONGEST_HEADER = 1 << 16
_FARTHEST_PX = 1_000_000  # a label may lie outside its picture, but not outside any picture


def load_points68(folder: Path) -> Dataset:
    """The faces of a folder in this layout, as (n, 208, 208) crops of twice the tight box.

    Groups are people where file names end in a frame number (`Person_Name_07.jpg`), or where pictures with mere
    numbers lie in folders (`Person_Name/007.jpg`, which an import keeps as `Person_Name--007.jpg`), else photos; where
    names tell nothing apart, as with `img_01.jpg` to `img_99.jpg`, or nothing together, as with
    `frame_0001.jpg` and on, clusters of near-duplicates.

    Raises:
        FkdError: no CSV, a CSV with other columns, or a picture that is missing or damaged.
    """
    tables = _tables(folder)
    pictures = [folder / _split_name(table) for table in tables]
    return cached_dataset(folder.name, [*tables, *pictures], lambda: _parse(folder.name, tables))


def check_points68(folder: Path) -> None:
    """`FkdError` where `load_points68` would find no table, no pictures, or a table without its columns."""
    for table in _tables(folder):
        next(_cells(table), None)


def _tables(folder: Path) -> list[Path]:
    """The tables of a folder, each beside its folder of pictures."""
    tables = sorted(folder.glob(TABLES))
    if not tables:
        raise FkdError(
            f"The faces of {folder.name!r} are missing: put its pictures and {TABLES} into {folder}, "
            "or see python -m fkd data list."
        )
    absent = next((table for table in tables if not (folder / _split_name(table)).is_dir()), None)
    if absent is not None:
        missing = folder / _split_name(absent)
        raise FkdError(f"The folder of pictures {missing} is missing; unpack the archive again.")
    return tables


def _split_name(table: Path) -> str:
    return table.name.removesuffix("_frames_keypoints.csv")


def _parse(name: str, tables: list[Path]) -> Dataset:
    files, splits, points = [], [], []
    for table in tables:
        read = read_points_table(table)
        files += [table.parent / _split_name(table) / file for file in read.names]
        splits += [_split_name(table)] * len(read.names)
        points.append(read.points_px)
    points_px = np.concatenate(points)
    matrices = SURROUNDINGS.matrices(tight_boxes(points_px), STORED_SIDE)
    images_u8 = np.empty((len(files), STORED_SIDE, STORED_SIDE), np.uint8)
    sizes = np.empty((len(files), 2), np.int32)
    for i, file in enumerate(steps(f"reading {name}", files)):
        picture = to_gray(read_image(file))
        images_u8[i], sizes[i] = cut(picture, matrices[i], STORED_SIDE), picture.shape[::-1]
    return Dataset(
        name=name,
        schema=IBUG68,
        images_u8=images_u8,
        points_px=transform(points_px, invert(matrices)).astype(np.float32),
        groups=_groups(files, images_u8),
        sources=np.full(len(files), name),
        rows=np.array([f"{split}/{file.name}" for split, file in zip(splits, files, strict=True)]),
        published_split=np.array(splits),
        to_source=matrices,
        source_size=sizes,
    )


@dataclass(frozen=True)
class PointsTable:
    """What a table holds: file names and (n, k, 2) float64 points in picture pixels, NaN where missing.

    Attributes:
        rows: the number of each among the rows of the file.
        places: where each can be looked up: a line of the file, or a file of its own.
    """

    names: list[str]
    points_px: np.ndarray
    rows: list[int]
    places: list[str]


def read_points_table(table: Path, left_out: list[BadRow] | None = None) -> PointsTable:
    """Read commas, or semicolons and then decimal commas too; with or without a byte-order mark.

    Rows that are no face go to `left_out` where it is given.

    Raises:
        FkdError: not such a table, or a row that is no face and `left_out` is None.
    """
    return gather_rows(table, _cells(table), _face_of, left_out)


def gather_rows(
    table: Path,
    lines: Iterable[tuple[int, list[str], bool]],
    face_of: Callable[[list[str], bool], tuple[str, np.ndarray]],
    left_out: list[BadRow] | None,
) -> PointsTable:
    """The faces of a table's rows.

    Args:
        table: the file.
        lines: of each row its line, its cells, and whether decimals may have commas.
        face_of: the picture and the points that such cells tell; `ValueError` says why they tell no face.
        left_out: takes the rows that are no face; without it the first one is an error.

    Raises:
        FkdError: no row is a face, or one is not and `left_out` is None.
    """
    names, points, rows, places = [], [], [], []
    for row, (line, cells, comma) in enumerate(lines):
        try:
            name, points_px = face_of(cells, comma)
        except ValueError as error:
            bad = BadRow.at(line_of(table, line), row, str(error))
            if left_out is None:
                raise bad.error() from None
            left_out.append(bad)
        else:
            names.append(name)
            points.append(points_px)
            rows.append(row)
            places.append(line_of(table, line))
    if not names:
        first = f"row that can be used; the first: {left_out[0].reason}" if left_out else "rows."
        raise FkdError(f"{table.name} has no {first}")
    return PointsTable(names, np.stack(points), rows, places)


def _cells(table: Path) -> Iterator[tuple[int, list[str], bool]]:
    """Line and cells of each row that is not blank, and whether decimals may have commas."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(_LONGEST_HEADER)
            comma = header.count(";") > header.count(",")
            delimiter = ";" if comma else ","
            _check_header(next(csv.reader([header], delimiter=delimiter), []), table)
            reader = csv.reader(file, delimiter=delimiter)
            for cells in reader:
                if any(cells):
                    yield 1 + reader.line_num, cells, comma
    except (UnicodeDecodeError, csv.Error) as error:
        raise FkdError(f"{table.name} is no CSV in UTF-8 ({error}); save it as one.") from None


def _check_header(names: list[str], table: Path) -> None:
    count = len(names) - 1
    if count != _COORDINATES:
        numbered = [name.strip() for name in names[1:]]
        absent = [str(i) for i in range(_COORDINATES) if str(i) not in numbered]
        which = f" ({absent[0]!r} is missing)" if len(absent) == 1 else ""
        raise FkdError(
            f"{table.name} has {count} columns of coordinates{which}; {_COORDINATES} are needed, after the file name."
        )
    if Path(names[0]).suffix.lower() in SUFFIXES:
        raise FkdError(f"{table.name} begins with a face; it needs a first line that names the columns.")


def _face_of(cells: list[str], comma: bool) -> tuple[str, np.ndarray]:
    """The picture and (68, 2) points of one row; `ValueError` says why it is no face."""
    if len(cells) != _COORDINATES + 1:
        raise ValueError(f"{len(cells)} columns instead of {_COORDINATES + 1}")
    if not cells[0].strip():
        raise ValueError("no picture is named")
    return cells[0].strip(), checked_points(cells[1:], comma)


def checked_points(numbers: Sequence[str], comma: bool = False) -> np.ndarray:
    """(k, 2) float64 of 2k written numbers, NaN for those left blank; `ValueError` says why it is no face."""
    try:
        numbers = [number.replace(",", ".") for number in numbers] if comma else numbers
        points_px = np.array([float(number.strip() or "nan") for number in numbers]).reshape(-1, 2)
    except ValueError:
        raise ValueError("a coordinate is not a number") from None
    if (np.abs(points_px) > _FARTHEST_PX).any():
        raise ValueError(f"a coordinate is beyond {_FARTHEST_PX:,} pixels")
    points_px[np.isnan(points_px).any(axis=1)] = np.nan  # half a label is none
    labelled = points_px[np.isfinite(points_px).all(axis=1)]
    if len(labelled) < 2 or not np.ptp(labelled, axis=0).any():
        raise ValueError("fewer than two points are labelled, or all at one place")
    return points_px


def _groups(files: list[Path], images_u8: np.ndarray) -> np.ndarray:
    places = [_folder_and_name(file) for file in files]
    numbered = Counter(folder for folder, name in places if folder and _NUMBERED.fullmatch(name))
    are_people = len(numbered) >= _FEWEST_FOLDERS and max(numbered.values()) <= _MOST_OF_A_PERSON
    groups = np.array([_group_in(folder, name, are_people) for folder, name in places])
    count = len(np.unique(groups))
    if len(files) >= _FEW_FACES and (count < _FEWEST_GROUPS or count == len(files)):
        return np.array([f"cluster_{cluster}" for cluster in near_duplicate_clusters(images_u8)])
    return groups


def _folder_and_name(file: Path) -> tuple[str, str]:
    """The folder that a picture came in, empty for the one of a published part, and its name there without ending."""
    *inner, name = file.stem.split(FOLDER_MARK)
    part = "" if file.parent.name in _PUBLISHED_PARTS else file.parent.name
    return FOLDER_MARK.join(inner) or part, name


def _group_in(folder: str, name: str, folders_are_people: bool) -> str:
    """The group of a face: in folders a mere number tells nobody, and another folder may have it too."""
    if not folder or not _NUMBERED.fullmatch(name):
        return group_of(name)
    return folder if folders_are_people else f"{folder}{FOLDER_MARK}{name}"


def group_of(stem: str) -> str:
    """`Luis_Fonsi_21` is a frame of `Luis_Fonsi`; `helen_100040721_2` a face of `helen_100040721`.

    `lfpw_image_0001` keeps its number, which is the photo's and not a frame's.
    """
    return stem if re.fullmatch(r".*_image_\d+", stem) else re.sub(r"_\d{1,2}$", "", stem)
