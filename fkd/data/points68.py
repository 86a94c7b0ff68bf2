"""Photos beside a CSV of 136 columns: the layout of `youtube_faces` and `portraits68`.

`training/` and `test/` hold the pictures, `training_frames_keypoints.csv` and
`test_frames_keypoints.csv` the file name and x, y of 68 points. Faces are cut out once, with enough
of their surroundings for any augmentation, and brought to one size.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from fkd.crop import CropFrame, cut, invert, tight_boxes, transform
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.data.duplicates import near_duplicate_clusters
from fkd.data.kaggle import BadRow
from fkd.errors import FkdError
from fkd.schema import IBUG68

# A stored picture shows twice the tight box, at about the resolution the networks see.
SURROUNDINGS = CropFrame(scale=2.0)
STORED_SIDE = 208
TABLES = "*_frames_keypoints.csv"
_FEWEST_GROUPS, _FEW_FACES = 5, 20


def load_points68(folder: Path) -> Dataset:
    """The faces of a folder in this layout, as (n, 208, 208) crops of twice the tight box.

    Groups are people where file names end in a frame number (`Person_Name_07.jpg`), else photos; where
    names tell nothing apart, as with `img_01.jpg` to `img_99.jpg`, clusters of near-duplicates.

    Raises:
        FkdError: no CSV, a CSV with other columns, or a picture that is missing or damaged.
    """
    tables = sorted(folder.glob(TABLES))
    if not tables:
        raise FkdError(f"The faces of {folder.name!r} are missing: put its pictures and {TABLES} into {folder}.")
    pictures = [folder / _split_name(table) for table in tables]
    absent = next((path for path in pictures if not path.is_dir()), None)
    if absent is not None:
        raise FkdError(f"The folder of pictures {absent} is missing; unpack the archive again.")
    return cached_dataset(folder.name, [*tables, *pictures], lambda: _parse(folder.name, tables))


def _split_name(table: Path) -> str:
    return table.name.removesuffix("_frames_keypoints.csv")


def _parse(name: str, tables: list[Path]) -> Dataset:
    files, splits, points = [], [], []
    for table in tables:
        names, coordinates = read_points_table(table)
        files += [table.parent / _split_name(table) / file for file in names]
        splits += [_split_name(table)] * len(names)
        points.append(coordinates)
    points_px = np.concatenate(points)
    matrices = SURROUNDINGS.matrices(tight_boxes(points_px), STORED_SIDE)
    images_u8 = np.empty((len(files), STORED_SIDE, STORED_SIDE), np.uint8)
    sizes = np.empty((len(files), 2), np.int32)
    for i, file in enumerate(tqdm(files, desc=f"reading {name}", leave=False)):
        picture = _read_gray(file)
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


def read_points_table(table: Path, left_out: list[BadRow] | None = None) -> tuple[list[str], np.ndarray]:
    """File names and (n, 68, 2) float64 points in picture pixels, NaN where missing.

    Commas or semicolons, with or without a byte-order mark. Rows that are no face go to `left_out`
    where it is given.

    Raises:
        FkdError: not such a table, or a row that is no face and `left_out` is None.
    """
    try:
        with table.open(encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","
        frame = pd.read_csv(table, sep=delimiter, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise FkdError(f"{table} cannot be read as a table of points ({error}); fetch it again.") from None
    coordinates = frame.iloc[:, 1:]
    if coordinates.shape[1] != 2 * len(IBUG68) or not len(frame):
        raise FkdError(
            f"{table} has {coordinates.shape[1]} columns of coordinates; 136 are needed, after the file name."
        )
    points = coordinates.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ((np.isnan(points) & coordinates.notna().to_numpy()) | np.isinf(points)).any(axis=1)
    points = points.reshape(len(points), -1, 2)
    few = np.isfinite(points).all(axis=2).sum(axis=1) < 2
    for row in np.flatnonzero(wrong | few):
        reason = "a coordinate is not a number" if wrong[row] else "fewer than two points are labelled"
        if left_out is None:
            raise FkdError(f"{table}, row {row}: {reason}.")
        left_out.append(BadRow(int(row), f"{table}, row {row}: {reason}."))
    good = ~(wrong | few)
    return frame.iloc[:, 0].astype(str)[good].tolist(), points[good]


def _groups(files: list[Path], images_u8: np.ndarray) -> np.ndarray:
    groups = np.array([group_of(file.stem) for file in files])
    if len(files) >= _FEW_FACES and len(np.unique(groups)) < _FEWEST_GROUPS:
        return np.array([f"cluster_{cluster}" for cluster in near_duplicate_clusters(images_u8)])
    return groups


def group_of(stem: str) -> str:
    """`Luis_Fonsi_21` is a frame of `Luis_Fonsi`; `helen_100040721_2` a face of `helen_100040721`.

    `lfpw_image_0001` keeps its number, which is the photo's and not a frame's.
    """
    return stem if re.fullmatch(r".*_image_\d+", stem) else re.sub(r"_\d{1,2}$", "", stem)


def _read_gray(path: Path) -> np.ndarray:
    image_bgr_u8 = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image_bgr_u8 is None:
        raise FkdError(f"{path} is missing or no picture; fetch the dataset again.")
    return cv2.cvtColor(image_bgr_u8, cv2.COLOR_BGR2GRAY)
