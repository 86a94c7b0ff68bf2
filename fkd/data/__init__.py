"""Datasets by name: `load_dataset("youtube_faces+portraits68")`."""

from __future__ import annotations

from collections.abc import Callable

from fkd.data.dataset import Dataset, concatenate
from fkd.data.kaggle import load_kaggle
from fkd.data.points68 import load_points68
from fkd.errors import FkdError
from fkd.paths import data_root


def _synthetic(schema_name: str) -> Dataset:
    from fkd.data.synthetic import synthetic_dataset

    return synthetic_dataset(schema_name)


SOURCES: dict[str, Callable[[], Dataset]] = {
    "kaggle": lambda: load_kaggle(data_root() / "kaggle"),
    "youtube_faces": lambda: load_points68(data_root() / "youtube_faces"),
    "portraits68": lambda: load_points68(data_root() / "portraits68"),
    "synthetic15": lambda: _synthetic("kaggle15"),
    "synthetic68": lambda: _synthetic("ibug68"),
}


def load_dataset(name: str) -> Dataset:
    """The dataset called `name`, or several joined with `+`.

    Raises:
        FkdError: the name is unknown, its files are missing or damaged, or schemas differ.
    """
    parts = []
    for part in name.split("+"):
        if part not in SOURCES:
            raise FkdError(f"Unknown dataset {part!r}; known are {', '.join(SOURCES)}.")
        parts.append(SOURCES[part]())
    if len({part.schema.name for part in parts}) > 1:
        raise FkdError(f"The datasets of {name!r} have different schemas and cannot be joined.")
    return concatenate(parts)


def is_available(name: str) -> bool:
    """Whether the files of every part of `name` are in place."""
    markers = {"kaggle": "kaggle/training.*", "synthetic15": ".", "synthetic68": "."}
    return all(
        part.startswith("synthetic") or any(data_root().glob(markers.get(part, f"{part}/*_frames_keypoints.csv")))
        for part in name.split("+")
    )
