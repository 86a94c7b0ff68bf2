"""Parsed datasets kept as arrays, under a key that follows their source."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fkd.data.dataset import Dataset
from fkd.paths import cache_root
from fkd.schema import get_schema

# Raised whenever parsing changes what it returns, so that older files are left aside.
_FORMAT = 2
_ARRAYS = ("images_u8", "points_px", "groups", "sources", "rows", "published_split")


def cached_dataset(name: str, sources: list[Path], build: Callable[[], Dataset]) -> Dataset:
    """`build()`, or the arrays it made earlier from the same sources.

    Args:
        name: becomes part of the file name.
        sources: files, hashed by content, and folders, hashed by the names, sizes and times in them.
        build: parses the sources; called when no usable cache file exists.
    """
    path = cache_root() / f"{name}-{_fingerprint(sources)}.npz"
    dataset = _read(path)
    if dataset is None:
        dataset = build()
        _write(path, dataset)
    return dataset


def _fingerprint(sources: list[Path]) -> str:
    digest = hashlib.sha256(f"format {_FORMAT}".encode())
    for source in sources:
        if source.is_dir():
            for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
                stat = entry.stat()
                digest.update(f"{entry.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        else:
            with source.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _read(path: Path) -> Dataset | None:
    """The dataset in a cache file; None where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {field: stored[field] for field in _ARRAYS}
            return Dataset(str(stored["name"]), get_schema(str(stored["schema"])), **arrays)
    except Exception:  # a damaged archive raises many kinds; each means: parse again
        return None


def _write(path: Path, dataset: Dataset) -> None:
    """Best effort: without a writable cache everything works, only slower."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            arrays = {field: getattr(dataset, field) for field in _ARRAYS}
            np.savez(file, name=dataset.name, schema=dataset.schema.name, **arrays)
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
