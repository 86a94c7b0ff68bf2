"""Datasets by name: `load_dataset("youtube_faces+portraits68")`.

Every folder under `FKD_DATA` in one of the two layouts is a dataset and its name is the folder's;
`fkd.data.importing` and `fkd.data.fetch` put such folders there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset, concatenate
from fkd.data.kaggle import LABELLED, check_kaggle, load_kaggle
from fkd.data.points68 import TABLES, check_points68, load_points68
from fkd.errors import FkdError
from fkd.paths import data_root
from fkd.schema import IBUG68, KAGGLE15


def _synthetic(name: str) -> Dataset:
    from fkd.data import synthetic

    return cached_dataset(name, synthetic.DRAWN_BY, lambda: synthetic.synthetic_dataset(schema_of(name)))


# What `python -m fkd data fetch` calls the sources that it gets.
FETCHED = {"kaggle": "kaggle", "youtube_faces": "youtube-faces"}
SOURCES: dict[str, Callable[[], Dataset]] = {
    "kaggle": lambda: load_kaggle(data_root() / "kaggle"),
    "youtube_faces": lambda: load_points68(data_root() / "youtube_faces"),
    "portraits68": lambda: load_points68(data_root() / "portraits68"),
    "synthetic15": lambda: _synthetic("synthetic15"),
    "synthetic68": lambda: _synthetic("synthetic68"),
}


_PUBLISHED = ("kaggle", "youtube_faces", "portraits68")  # sources that are read from files; the others are drawn


def layout_of(folder: Path) -> str | None:
    """`kaggle` or `points68`, after the files in a folder; None for neither."""
    if any((folder / name).is_file() for name in LABELLED):
        return "kaggle"
    return "points68" if any(folder.glob(TABLES)) else None


def schema_of(name: str) -> str:
    """Name of the schema of one source's faces, without reading them; `FkdError` for an unknown source."""
    if name in SOURCES:
        return KAGGLE15.name if name in ("kaggle", "synthetic15") else IBUG68.name
    layout = layout_of(data_root() / name)
    if layout is None:
        raise _unknown(name)
    return KAGGLE15.name if layout == "kaggle" else IBUG68.name


def dataset_names() -> list[str]:
    """The known sources, then every other folder under `FKD_DATA` in one of the layouts."""
    root = data_root()
    folders = sorted(root.iterdir()) if root.is_dir() else []
    own = [folder.name for folder in folders if folder.is_dir() and not folder.name.startswith(".")]
    return [*SOURCES, *(name for name in own if name not in SOURCES and layout_of(root / name))]


def load_dataset(name: str) -> Dataset:
    """The dataset called `name`, or several joined with `+`.

    Raises:
        FkdError: the name is unknown, its files are missing or damaged, or schemas differ.
    """
    check_names(name)
    return concatenate([_load(part) for part in name.split("+")])


def check_names(name: str) -> None:
    """`FkdError` where `load_dataset` would find no files, damaged ones, or parts that cannot be joined.

    No face is read: of the files only that they can be opened and begin as they should.
    """
    parts = name.split("+")
    for part in parts:
        if part not in dataset_names():
            raise _unknown(part)
        if not is_available(part):
            fetch = f"run python -m fkd data fetch {FETCHED[part]}, " if part in FETCHED else ""
            drawn = "synthetic15" if schema_of(part) == KAGGLE15.name else "synthetic68"
            place = data_root() / part
            raise FkdError(f"The faces of {part} are not here: {fetch}put them into {place}, or take {drawn}.")
        if not is_drawn(part):
            check_files(data_root() / part)
    if len({schema_of(part) for part in parts}) > 1:
        raise FkdError(f"The datasets of {name!r} have different points and cannot be joined; take one away.")


def check_files(folder: Path) -> None:
    """`FkdError` where the files of a folder in one of the layouts cannot be opened, or do not begin as they should."""
    try:
        if layout_of(folder) == "kaggle":
            check_kaggle(folder)
        else:
            check_points68(folder)
    except OSError as error:
        told = f"{error.filename or folder} cannot be read ({error.strerror or error})"
        raise FkdError(f"{told}; see that it is there and readable.") from None


def _unknown(name: str) -> FkdError:
    """What is said of a name that no dataset has."""
    known = dataset_names()
    alike = difflib.get_close_matches(name, known, n=1)
    hint = f", perhaps {alike[0]} is meant" if alike else ""
    return FkdError(f"There is no dataset {name!r}{hint}; known are {', '.join(known)}.")


def _load(name: str) -> Dataset:
    if name in SOURCES:
        return SOURCES[name]()
    folder = data_root() / name
    return load_kaggle(folder) if layout_of(folder) == "kaggle" else load_points68(folder)


def is_drawn(name: str) -> bool:
    """Whether the faces of one source are made on demand, and so nobody's."""
    return name in SOURCES and name not in _PUBLISHED


def is_available(name: str) -> bool:
    """Whether the files of every part of `name` are in place."""
    return all(
        is_drawn(part) or (part in dataset_names() and layout_of(data_root() / part) is not None)
        for part in name.split("+")
    )
