"""Where fkd finds and puts files; each place can be moved by an environment variable, and no file is seen half."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from fkd.errors import UnwritableError

# Windows lets no file be replaced while somebody reads it; whoever does is done in a moment.
_READERS_HINDER = os.name == "nt"
_ATTEMPTS, _BETWEEN_S = 20, 0.05

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def data_root() -> Path:
    """Folder with the datasets: `FKD_DATA`, or `data/` in the project."""
    return Path(os.environ.get("FKD_DATA") or PROJECT_ROOT / "data")


def cache_root() -> Path:
    """Folder for arrays made from datasets, safe to delete: `FKD_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("FKD_CACHE") or platformdirs.user_cache_dir("fkd"))


def weights_root() -> Path:
    """Folder with the shipped weights: `FKD_WEIGHTS`, or `weights/` in the project."""
    return Path(os.environ.get("FKD_WEIGHTS") or PROJECT_ROOT / "weights")


def runs_root() -> Path:
    """Folder with one folder per training run: `FKD_RUNS`, or `runs/` in the project."""
    return Path(os.environ.get("FKD_RUNS") or PROJECT_ROOT / "runs")


def results_root() -> Path:
    """Folder with what was measured of recipes and weights: `FKD_RESULTS`, or `results/` in the project."""
    return Path(os.environ.get("FKD_RESULTS") or PROJECT_ROOT / "results")


def notes_root() -> Path:
    """Folder with what people noted about faces: `FKD_NOTES`, or `notes/` in the project."""
    return Path(os.environ.get("FKD_NOTES") or PROJECT_ROOT / "notes")


def put_in_place(aside: Path, path: Path) -> None:
    """Rename a file that is complete to the name under which it is read; what was there before is gone.

    Raises:
        OSError: it cannot be renamed, or somebody has read the old one for too long.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            aside.replace(path)
            return
        except PermissionError:
            if not _READERS_HINDER or not left:
                raise
            time.sleep(_BETWEEN_S)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Another name beside `path` to write to; what is there when the block ends well is renamed to `path`.

    So nobody ever sees half a file, and a write that fails leaves what was there before.

    Raises:
        UnwritableError: the place cannot be written to.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        put_in_place(aside, path)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written ({error.strerror or error}); name another place.") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
