"""Datasets as every page sees them: read once for all sessions, synthetic ones in a number that is soon drawn."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fkd.data import load_dataset, synthetic
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.paths import data_root

SYNTHETIC = {"synthetic15": "kaggle15", "synthetic68": "ibug68"}
SYNTHETIC_FACES = 120  # enough to try everything on; more would take minutes to render


def shared_dataset(name: str) -> Dataset:
    """The faces of a dataset; read again when its files have changed."""
    return _shared(name, signature(name))


def signature(name: str) -> tuple:
    """Changes when the files of a dataset do."""
    folder = Path(synthetic.__file__).parent if name in SYNTHETIC else data_root() / name
    entries = sorted(folder.iterdir())
    return (str(folder), *((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries))


@st.cache_resource(show_spinner="Reading the faces …", show_time=True, max_entries=3)
def _shared(name: str, signature: tuple) -> Dataset:
    if name not in SYNTHETIC:
        return load_dataset(name)
    return cached_dataset(
        f"{name}-{SYNTHETIC_FACES}",
        [Path(synthetic.__file__).parent],
        lambda: synthetic.synthetic_dataset(SYNTHETIC[name], SYNTHETIC_FACES),
    )
