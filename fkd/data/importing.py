"""Take a folder, a CSV or `.pts` files with their pictures, uploads, or a zip of any of these in as a dataset.

Everything is checked and written aside first and renamed at the end, so that a dataset is either
whole under `FKD_DATA` or not there at all.

    python -m fkd data import faces.zip --name mine
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fkd.data import SOURCES
from fkd.data.archives import is_clutter, unpack
from fkd.data.bad_rows import BadRow, far_outside
from fkd.data.kaggle import COORDINATES, LONGEST_LINE, LOOKUP, kaggle_rows, open_csv, read_header
from fkd.data.pictures15 import HEADER, names_pictures, read_named_table, row_of
from fkd.data.points68 import FOLDER_MARK, PointsTable, read_points_table
from fkd.data.pts import SUFFIX, read_pts_files
from fkd.errors import FkdError, UnwritableError
from fkd.images import read_image
from fkd.paths import data_root
from fkd.progress import report, steps

LAYOUTS = ("auto", "kaggle", "points68")
_LAYOUT_OF = {"kaggle": "kaggle", "youtube_faces": "points68", "portraits68": "points68"}
_LEAST_FACE_PX = 3.0
_FEWEST_COLUMNS = 100  # what has more is meant as a table of 68 points
_ABANDONED_S = 24 * 3600.0

# The name and the bytes of a file that was chosen in a browser.
Upload = tuple[str, bytes | memoryview]


@dataclass(frozen=True)
class Imported:
    """What an import brought in: where it lies, how many faces, and the rows left out with their reasons."""

    name: str
    folder: Path
    layout: str
    faces: int
    bad_rows: list[BadRow]


def import_dataset(
    source: Path | Sequence[Upload], name: str, *, layout: str = "auto", skip_bad_rows: bool = False
) -> Imported:
    """Check a source and store it under `FKD_DATA` as the dataset `name`.

    Args:
        source: a folder, a CSV (its pictures beside it), a zip, or uploads: one zip, or a CSV or `.pts` files with
            their pictures.
        name: letters, digits, `-` and `_`; that of a known source only for a dataset of its layout.
        layout: `kaggle`, `points68`, or `auto` to tell by the columns; `.pts` files hold 68 points.
        skip_bad_rows: leave rows out that cannot be used, and report them, instead of stopping at the first.

    Raises:
        FkdError: one sentence about what is wrong; nothing has been stored then.
    """
    folder = check_name(name)
    if layout not in LAYOUTS:
        raise FkdError(f"Unknown layout {layout!r}; known are {', '.join(LAYOUTS)}.")
    if isinstance(source, Path) and not source.exists():
        raise FkdError(f"{source} is not there; name a folder, a CSV or a zip.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(folder.parent)
        # Beside its destination, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=f".importing-{name}-", dir=folder.parent) as aside:
            ready = Path(aside) / "ready"
            ready.mkdir()
            files = _as_files(source, Path(aside))
            tables = _find_tables(files, layout)
            if _LAYOUT_OF.get(name, tables[0].layout) != tables[0].layout:
                raise FkdError(f"{name!r} is the name of a known source with other points; choose another.")
            store = _store_kaggle if tables[0].layout == "kaggle" else _store_points68
            faces, bad_rows = store(tables, ready, skip_bad_rows)
            for lookup in (path for path in files if path.name == LOOKUP):
                shutil.copyfile(lookup, ready / LOOKUP)
            ready.rename(folder)
    except OSError as error:
        raise storage_error(error) from None
    return Imported(name, folder, tables[0].layout, faces, bad_rows)


def storage_error(error: OSError) -> FkdError:
    """A sentence on what cannot be written under `FKD_DATA`, or cannot be read elsewhere."""
    root, why = data_root(), error.strerror or error
    place = Path(str(error.filename or root))
    if place.absolute().is_relative_to(root.absolute()):
        return UnwritableError(f"Nothing can be stored in {root} ({why}); set FKD_DATA to a folder that can hold it.")
    return FkdError(f"{place} cannot be read ({why}); check its permissions.")


def main_file(files: Sequence[str]) -> str:
    """Of the names of files, that of the first zip or table; else the first."""
    return next((file for file in files if file.lower().endswith((".zip", ".csv"))), files[0])


def name_from(files: Sequence[str]) -> str:
    """What a dataset may be called that comes from files of these names; empty without any."""
    stem = PurePosixPath(main_file(files)).stem if files else ""
    return re.sub("[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64]


def check_name(name: str) -> Path:
    """The folder of a new dataset; `FkdError` for a name that it cannot have."""
    if not name:
        raise FkdError("The dataset has no name; give it one of up to 64 letters, digits, '-' and '_'.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise FkdError(f"{name!r} cannot name a dataset; use up to 64 letters, digits, '-' and '_'.")
    if name in SOURCES and name not in _LAYOUT_OF:
        raise FkdError(f"{name!r} is the name of a known source; choose another.")
    folder = data_root() / name
    if folder.exists():
        raise FkdError(f"There is a dataset {name!r} already; choose another name, or delete {folder}.")
    return folder


def _clear_abandoned(root: Path) -> None:
    """Delete what an import left behind that was killed long ago."""
    for path in root.glob(".importing-*"):
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)


def _as_files(source: Path | Sequence[Upload], aside: Path) -> list[Path]:
    """The files of a source, with the ones that matter unpacked."""
    if not isinstance(source, Path):
        source = _write_uploads(source, aside / "uploads")
    if source.is_dir():
        root = source
    elif source.suffix.lower() == ".zip":
        root = aside / "unpacked"
        unpack(source, root)
    elif source.is_file():
        return [source]
    else:
        raise FkdError(f"There is no file or folder {source}.")
    return sorted(path for path in root.rglob("*") if path.is_file() and not is_clutter(str(path.relative_to(root))))


def _write_uploads(uploads: Sequence[Upload], folder: Path) -> Path:
    """The one file that was uploaded, or the folder of several; what browsers call them is no path here."""
    folder.mkdir()
    if not uploads:
        raise FkdError("No file was chosen; choose a zip, or a CSV and its pictures.")
    for name, content in uploads:
        path = folder / (PurePosixPath(name.replace("\\", "/")).name or "upload")
        if bytes(content[:2]) == b"PK":  # a zip by whatever name, as browsers and people rename them
            path = path.with_suffix(".zip")
        if path.exists():
            raise FkdError(f"Two files are called {path.name}; give them different names.")
        path.write_bytes(content)
    return path if len(uploads) == 1 else folder


@dataclass(frozen=True)
class _Table:
    path: Path  # of a CSV, or the folder of `.pts` files
    layout: str  # kaggle, kaggle_test or points68
    part: str = "training"  # what its faces are published as
    pts: tuple[Path, ...] = ()


def _find_tables(files: list[Path], layout: str) -> list[_Table]:
    """The tables of one layout, labelled ones first."""
    candidates = [path for path in files if path.suffix.lower() == ".csv" or _holds_csv(path)]
    tables = [_Table(path, kind, _part_of(path.stem)) for path in candidates if (kind := _kind_of(path))]
    if not tables:
        tables = _folders_of_pts(files)
    labelled = {table.layout for table in tables} - {"kaggle_test"}
    chosen = layout if layout != "auto" else next(iter(labelled)) if len(labelled) == 1 else ""
    if len(labelled) > 1 and not chosen:
        raise FkdError("There are tables in both layouts; choose kaggle, for 15 points, or points68.")
    if chosen not in labelled:
        found = ", ".join(path.name for path in candidates) or "no CSV"
        raise FkdError(
            "No table of keypoints found: a CSV, parted by commas or semicolons, needs Kaggle's 30 coordinate columns "
            "and grey values or the name of a picture, or a file name and 136 coordinates "
            f"({found} here); or a .pts file beside each picture."
        )
    wanted = (chosen, "kaggle_test") if chosen == "kaggle" else (chosen,)
    return sorted((t for t in tables if t.layout in wanted), key=lambda t: (wanted.index(t.layout), t.path))


def _part_of(name: str) -> str:
    """The part of a dataset that a table or folder of a name holds, such as `test`."""
    part = re.sub(r"[^A-Za-z0-9_-]+", "-", name.removesuffix("_frames_keypoints")).strip("-_")[:64]
    return {"": "training", "trainset": "training", "testset": "test"}.get(part, part)


def _folders_of_pts(files: list[Path]) -> list[_Table]:
    """Each folder that has points in files of their own; a part is called after its path below all of them."""
    pts = [path for path in files if path.suffix.lower() == SUFFIX]
    folders = sorted({path.parent for path in pts})
    common = Path(os.path.commonpath(folders)) if folders else Path()
    return [
        _Table(folder, "points68", _part_of(str(folder.relative_to(common)).replace(os.sep, "_")), tuple(here))
        for folder in folders
        if (here := [path for path in pts if path.parent == folder])
    ]


def _holds_csv(path: Path) -> bool:
    """Whether a file is a zip of one table, as Kaggle packs them."""
    return path.suffix.lower() == ".zip" and path.stem in ("training", "test", "KeyFacialPoints")


def _kind_of(path: Path) -> str | None:
    if path.stat().st_size == 0:
        raise FkdError(f"{path.name} is empty; save or download it again.")
    with open_csv(path) as (file, _):
        _, names = read_header(file)
    if set(COORDINATES) & set(names):
        return "kaggle"
    if "Image" in names:
        return "kaggle_test"
    return "points68" if len(names) > _FEWEST_COLUMNS else None


def _store_kaggle(tables: list[_Table], ready: Path, skip_bad_rows: bool) -> tuple[int, list[BadRow]]:
    labelled = [table.path for table in tables if table.layout == "kaggle"]
    if len(labelled) > 1:
        raise FkdError(f"{' and '.join(path.name for path in labelled)} both hold labels; import one of them.")
    faces, bad_rows = 0, []
    for table in tables:
        is_labelled = table.layout == "kaggle"
        target = ready / ("training.csv" if is_labelled else "test.csv")
        left_out: list[BadRow] | None = [] if skip_bad_rows else None
        if is_labelled and names_pictures(table.path):
            count = _cut_out(table.path, target, left_out)
        else:
            count = sum(len(numbers) for _, _, numbers in kaggle_rows(table.path, left_out, labelled=is_labelled))
            _copy_rows(table.path, target, {bad.row for bad in left_out or []})
        bad_rows += left_out or []
        faces += count if is_labelled else 0
    return faces, bad_rows


def _copy_rows(source: Path, target: Path, left_out: set[int]) -> None:
    with open_csv(source) as (file, size), target.open("wb") as copy:
        copy.write(file.readline())
        row = 0
        while line := file.readline(LONGEST_LINE):
            if line.strip():
                report(f"storing {source.name}", file.tell() / max(size, 1))
                if row not in left_out:
                    copy.write(line)
                row += 1


def _cut_out(table: Path, target: Path, left_out: list[BadRow] | None) -> int:
    """Write the faces of a table that names its pictures in Kaggle's layout; how many there are."""
    read = read_named_table(table, left_out)

    def write(i: int, name: str) -> None:
        picture = _find_picture(table, name)
        file.write(row_of(_read_checked(picture, name, read.points_px[i]), read.points_px[i]) + "\n")

    with target.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        return len(_take_each(table, read, left_out, write))


def _take_each(
    table: Path, read: PointsTable, left_out: list[BadRow] | None, take: Callable[[int, str], None]
) -> list[int]:
    """The rows that `take` takes, by index and name of the picture; those that it refuses are left out.

    Raises:
        FkdError: a row is refused and `left_out` is None, or all are.
    """
    kept = []
    for i, name in enumerate(steps(f"checking the pictures of {table.name}", read.names)):
        try:
            take(i, name)
        except FkdError as error:
            bad = BadRow.at(read.places[i], read.rows[i], str(error))
            if left_out is None:
                raise bad.error() from None
            left_out.append(bad)
        else:
            kept.append(i)
    if left_out:
        left_out.sort(key=lambda bad: bad.row)
    if not kept:
        raise FkdError(f"{table.name} has no row that can be used; the first: {(left_out or [])[0].reason}")
    return kept


def _store_points68(tables: list[_Table], ready: Path, skip_bad_rows: bool) -> tuple[int, list[BadRow]]:
    faces = 0
    bad_rows: list[BadRow] = []
    taken: dict[Path, Path] = {}
    for table in tables:
        if (ready / table.part).exists():
            raise FkdError(f"Two tables are called {table.path.name}; give them different names.")
        (ready / table.part).mkdir()
        left_out: list[BadRow] | None = [] if skip_bad_rows else None
        read = read_pts_files(table.pts, left_out) if table.pts else read_points_table(table.path, left_out)
        copy = partial(_copy_picture, table.path, read, ready / table.part, set(), taken)
        kept = _take_each(table.path, read, left_out, copy)
        names = [_flat(read.names[i]) for i in kept]
        frame = pd.DataFrame(read.points_px[kept].reshape(len(kept), -1), index=names)
        frame.to_csv(ready / f"{table.part}_frames_keypoints.csv", encoding="utf-8")
        faces, bad_rows = faces + len(kept), bad_rows + (left_out or [])
    return faces, bad_rows


def _copy_picture(
    table: Path, read: PointsTable, target: Path, copied: set[str], taken: dict[Path, Path], i: int, name: str
) -> None:
    """Check the picture of a row and copy it; `FkdError` says why it cannot be used.

    `copied` has the pictures of this table so far, `taken` the tables by their pictures.
    """
    picture = _find_picture(table, name)
    if _flat(name) in copied:
        again = "a second face in it needs a copy of the picture under a name of its own"
        raise FkdError(f"names the picture {name!r}, which an earlier row has: {again}.")
    if (other := taken.setdefault(picture, table)) != table:
        raise FkdError(f"names the picture {name!r}, which {other.name} has too: import one of these tables.")
    _read_checked(picture, name, read.points_px[i])
    shutil.copyfile(picture, target / _flat(name))
    copied.add(_flat(name))


def _find_picture(table: Path, name: str) -> Path:
    """The picture that a row of a table names, in the table's folder or below it; `FkdError` where there is none."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise FkdError(f"names the picture {name!r}, which leads out of its folder.")
    places = [table] if table.is_dir() else [table.parent / table.stem.removesuffix("_frames_keypoints"), table.parent]
    picture = next((place / path for place in places if (place / path).is_file()), None)
    if picture is None:
        raise FkdError(f"names the picture {name!r}, which is not there.")
    return picture


def _read_checked(picture: Path, name: str, points_px: np.ndarray) -> np.ndarray:
    """The picture of a row; `FkdError` where it cannot be read, or the points cannot be of a face in it."""
    if np.ptp(points_px[np.isfinite(points_px).all(axis=1)], axis=0).max() < _LEAST_FACE_PX:
        raise FkdError("has a face of hardly a pixel: coordinates are pixels of the picture, not shares of it.")
    image_rgb_u8 = read_image(picture, name)
    height, width = image_rgb_u8.shape[:2]
    if fault := far_outside(points_px, width, height):
        raise FkdError(fault)
    return image_rgb_u8


def _flat(name: str) -> str:
    """The name of a picture without folders, which tells the folder all the same."""
    return name.replace("\\", "/").replace("/", FOLDER_MARK)
