"""Datasets as every page sees them: those that are here, and synthetic ones in a number that is soon drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from fkd.data import FETCHED, dataset_names, is_available, load_dataset, synthetic
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.errors import listed
from fkd.paths import data_root

SYNTHETIC = {"synthetic15": "kaggle15", "synthetic68": "ibug68"}
SYNTHETIC_FACES = 120  # enough to try everything on; more would take minutes to render


def available_names() -> list[str]:
    """The datasets that are here, those of real faces first."""
    return sorted(filter(is_available, dataset_names()), key=lambda name: name in SYNTHETIC)


def ways_to_get(names: Sequence[str]) -> str:
    """A sentence that says where datasets that are not here come from."""
    fetched, own = ([name for name in names if (name in FETCHED) is published] for published in (True, False))
    ways = [f"fetches {listed(fetched)}"] if fetched else []
    ways += [f"imports {listed(own)} from files that you have, as `docs/data.md` tells"] if own else []
    return f"The Explore page {' and '.join(ways)}."


def shared_dataset(name: str) -> Dataset:
    """The faces of a dataset, read once for all sessions and again when its files have changed."""
    return _shared(name, signature(name))


def signature(name: str) -> tuple:
    """Changes when the files of a dataset do."""
    folder = Path(synthetic.__file__).parent if name in SYNTHETIC else data_root() / name
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return (str(folder), *((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries))


def read_dataset(name: str) -> Dataset:
    """The faces of a dataset, read or drawn now."""
    if name not in SYNTHETIC:
        return load_dataset(name)
    return cached_dataset(
        f"{name}-{SYNTHETIC_FACES}",
        synthetic.DRAWN_BY,
        lambda: synthetic.synthetic_dataset(SYNTHETIC[name], SYNTHETIC_FACES),
    )


@st.cache_resource(show_spinner="Reading the faces …", show_time=True, max_entries=3)
def _shared(name: str, signature: tuple) -> Dataset:
    return read_dataset(name)
