"""Parsed datasets, and what is computed from them, kept as arrays under a key that follows their source."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fkd.data.dataset import ARRAYS, Dataset
from fkd.paths import cache_root, put_in_place
from fkd.schema import get_schema

# Raised whenever parsing changes what it returns, so that older files are left aside.
_FORMAT = 6
# A file changed again within this time may keep its date; its hash is then not remembered.
_SETTLED_S = 2.0
_log = logging.getLogger(__name__)
_failures: dict[Path, str] = {}  # by the cache's folder, why nothing can be kept there


def cached_dataset(name: str, sources: list[Path], build: Callable[[], Dataset]) -> Dataset:
    """`build()`, or the arrays it made earlier from the same sources.

    Args:
        name: becomes part of the file name.
        sources: files, hashed by content, and folders, hashed by the names, sizes and times in them.
        build: parses the sources; called when no usable cache file exists.
    """

    def arrays() -> dict[str, np.ndarray]:
        dataset = build()
        texts = {"name": np.array(dataset.name), "schema": np.array(dataset.schema.name)}
        return texts | {field: getattr(dataset, field) for field in ARRAYS}

    return _as_dataset(cached_arrays(name, fingerprint(sources), ("name", "schema", *ARRAYS), arrays, _as_dataset))


def _as_dataset(stored: dict[str, np.ndarray]) -> Dataset:
    """Raises where the arrays do not belong together."""
    return Dataset(str(stored["name"]), get_schema(str(stored["schema"])), **{name: stored[name] for name in ARRAYS})


def cached_arrays(
    name: str,
    key: str,
    fields: tuple[str, ...],
    build: Callable[[], dict[str, np.ndarray]],
    check: Callable[[dict[str, np.ndarray]], object] | None = None,
) -> dict[str, np.ndarray]:
    """`build()`, or the arrays stored under `name` and `key` when all `fields` are there and whole.

    Args:
        name: the first half of the file's name.
        key: the other half, which changes with whatever the arrays are made from.
        fields: names of the arrays.
        build: makes them; called when no usable file exists.
        check: raises for stored arrays that cannot be what `build` made.
    """
    path = cache_root() / f"{name}-{key}.npz"
    arrays = _read(path, fields, check)
    if arrays is None:
        arrays = build()
        _write_aside(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    return arrays


def cache_failure() -> str | None:
    """A sentence on why nothing is kept from one time to the next, where a write has failed."""
    return _failures.get(cache_root())


def fingerprint(sources: list[Path]) -> str:
    """Sixteen hexadecimal digits that change with the content of files and the listing of folders."""
    digest = hashlib.sha256(f"format {_FORMAT}".encode())
    for source in sources:
        if source.is_dir():
            for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
                stat = entry.stat()
                digest.update(f"{entry.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        else:
            digest.update(_hash_file(source))
    return digest.hexdigest()[:16]


def _hash_file(path: Path) -> bytes:
    """SHA-256 of a file, remembered by its path, size and time: hashing 250 MB takes half a second."""
    stat = path.stat()
    identity = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}"
    note = cache_root() / "hashes" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return bytes.fromhex(json.loads(note.read_text(encoding="utf-8"))["sha256"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    if time.time() - stat.st_mtime > _SETTLED_S:
        text = json.dumps({"file": str(path), "sha256": digest.hex()})
        _write_aside(note, lambda file: file.write(text.encode()))
    return digest


def _read(
    path: Path, fields: tuple[str, ...], check: Callable[[dict[str, np.ndarray]], object] | None
) -> dict[str, np.ndarray] | None:
    """The arrays of a cache file; None where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {field: stored[field] for field in fields}
        if check is not None:
            check(arrays)
        return arrays
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # a damaged archive raises many kinds
        why = getattr(error, "strerror", None) or error
        _log.warning("The cache file %s is damaged (%s); it is made again.", path, why)
        return None


def _write_aside(path: Path, write: Callable) -> None:
    """Best effort: without a writable cache everything works, only slower."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            write(file)
        put_in_place(aside, path)
        _failures.pop(cache_root(), None)
    except OSError as error:
        _tell(error)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _tell(error: OSError) -> None:
    """Note why nothing could be kept, and say so once."""
    root = cache_root()
    if root not in _failures:
        _failures[root] = (
            f"Nothing can be kept in {root} ({error.strerror or error}), so everything is read and computed anew "
            "each time; set FKD_CACHE to a folder that can be written."
        )
        _log.warning(_failures[root])
