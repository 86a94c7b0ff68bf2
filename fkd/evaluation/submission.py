"""A submission for Kaggle's "Facial Keypoints Detection": `RowId,Location` for every value that is asked for.

python -m fkd submit --weights kaggle15 --out submission.csv
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from fkd.data.dataset import Dataset
from fkd.data.kaggle import COORDINATES, LOOKUP, SIDE, UNLABELLED, load_kaggle_test
from fkd.errors import FkdError
from fkd.evaluation.evaluate import predict_dataset
from fkd.paths import written_aside
from fkd.weights import LoadedModel

_ASKED = ("RowId", "ImageId", "FeatureName")
_HEADER = ("RowId", "Location")


def make_submission(model: LoadedModel, folder: Path) -> list[tuple[str, float]]:
    """Row number and coordinate in pixels of the 96x96 picture, within the frame, in the order of the table.

    Args:
        model: weights that were trained on Kaggle's pictures, taken whole.
        folder: holds the competition's `test.zip` (or `test.csv`) and `IdLookupTable.csv`.

    Raises:
        FkdError: other weights, or files that are missing or do not fit together.
    """
    if "kaggle" not in model.card.trained_on or not model.card.takes_whole_picture:
        raise FkdError(f"{model.card.name} was not trained on Kaggle's pictures; take weights such as kaggle15.")
    _require_files(folder)
    asked = read_lookup(folder / LOOKUP)
    test = load_kaggle_test(folder)
    coordinates = np.clip(predict_dataset(model, test).reshape(len(test), -1), 0, SIDE)
    rows, columns = _places(asked, test, folder)
    return list(zip(asked["RowId"], coordinates[rows, columns].astype(float).round(4).tolist(), strict=True))


def _require_files(folder: Path) -> None:
    """`FkdError` that names, together, which of the competition's files are not there."""
    wanted = ((UNLABELLED[0], UNLABELLED), (LOOKUP, (LOOKUP,)))
    absent = [told for told, names in wanted if not any((folder / name).is_file() for name in names)]
    if absent:
        are = "is" if len(absent) == 1 else "are"
        raise FkdError(
            f"Kaggle's {' and '.join(absent)} {are} missing: put {UNLABELLED[0]} and {LOOKUP} of the competition into "
            f"{folder}, or name the folder that has them with --folder."
        )


def read_lookup(path: Path) -> pd.DataFrame:
    """The values asked for, as texts in the columns `RowId`, `ImageId` and `FeatureName`."""
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig")[list(_ASKED)]
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise FkdError(f"{path} is not Kaggle's list of values ({error}); download it again.") from None
    if not len(table) or table.isna().any(axis=None) or table["RowId"].duplicated().any():
        raise FkdError(f"{path} is empty, has gaps, or asks for a row twice; download it again.")
    return table


def _places(asked: pd.DataFrame, test: Dataset, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """For each value asked for, the row of its picture and the column of its coordinate."""
    row_of = {image: row for row, image in enumerate(test.rows.tolist())}
    column_of = {name: column for column, name in enumerate(COORDINATES)}
    for column, known, what in (("ImageId", row_of, "picture"), ("FeatureName", column_of, "coordinate")):
        unknown = asked[~asked[column].isin(list(known))]
        if len(unknown):
            row, value = unknown.iloc[0]["RowId"], unknown.iloc[0][column]
            raise FkdError(f"{folder / LOOKUP}, RowId {row}: there is no {what} {value!r}; download both files again.")
    return asked["ImageId"].map(row_of).to_numpy(), asked["FeatureName"].map(column_of).to_numpy()


def write_submission(path: Path, values: list[tuple[str, float]]) -> None:
    """Write the CSV, and read it again as Kaggle would before it takes the place of an older one."""
    with written_aside(path) as aside:
        with aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows((row, f"{value:.4f}") for row, value in values)
        check_submission(aside, [row for row, _ in values])


def check_submission(path: Path, row_ids: list[str]) -> None:
    """`FkdError` unless a file has Kaggle's header and, for each asked row in order, a number within the frame."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if tuple(header) != _HEADER or [row[0] for row in rows] != row_ids:
        raise FkdError(f"{path} does not answer each of the {len(row_ids):,} rows asked for, in their order.")
    values = np.array([row[1:] for row in rows], np.float64)
    if values.shape != (len(rows), 1) or not ((values >= 0) & (values <= SIDE)).all():
        raise FkdError(f"{path} holds a value that lies outside the frame of {SIDE} pixels.")
