"""Where fkd finds and puts files; each place can be moved by an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

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
