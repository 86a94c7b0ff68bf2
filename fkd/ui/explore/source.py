"""Which dataset the Explore page shows, read and judged once for all sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from fkd.curation import quality_of
from fkd.data import dataset_names, is_available, load_dataset, synthetic
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.data.quality import Quality
from fkd.errors import FkdError
from fkd.jobs import Job
from fkd.paths import data_root
from fkd.ui.explore import adding, keys
from fkd.ui.waiting import follow, wait_for

SYNTHETIC = {"synthetic15": "kaggle15", "synthetic68": "ibug68"}
SYNTHETIC_FACES = 120  # enough to try everything on; more would take minutes to render


@dataclass(frozen=True)
class Source:
    """A dataset as the page shows it.

    Attributes:
        key: changes with the dataset's content; what caches go by.
        faces: the dataset, every row of it.
        quality: what is measured of each face.
    """

    key: tuple
    faces: Dataset
    quality: Quality


def choose_source() -> Source:
    """The list of datasets that are here, those of real faces first, and the chosen one; ways to add others."""
    names = sorted(filter(is_available, dataset_names()), key=lambda name: name in SYNTHETIC)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Dataset", names, key=keys.DATA, bind="query-params", on_change=keys.forget_view, width=260)
        wanted = adding.OWN if st.button("Add a dataset", icon=":material/add:") else None
    adding.show_jobs()
    if all(other in SYNTHETIC for other in names):
        wanted = _say_how_to_begin() or wanted
    elif name in SYNTHETIC:
        st.caption(":material/smart_toy: Synthetic faces of people who do not exist, rendered here.")
    adding.open_dialog(wanted)
    signature = _signature(name)
    job = _job(name, signature)
    if adding.is_busy() and not job.done:
        follow(job, _show_faces)
        st.stop()
    wait_for(job)
    try:
        return job.result()
    except Exception:
        _job.clear(name, signature)  # so that the next visit tries again
        raise


def _show_faces() -> None:
    """Draw the page anew once its faces are there, but not under an open dialog: it would close."""
    if not adding.is_open():
        st.rerun()


def _say_how_to_begin() -> str | None:
    """What the synthetic faces are, and which side of the dialog is asked for."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(width=420, gap="xsmall"):
            st.markdown("**:material/smart_toy: These are synthetic faces**")
            st.caption("People who do not exist, drawn here to try everything on, as no dataset has been added yet.")
        own = st.button("Import your own", type="primary", icon=":material/upload:")
        published = st.button("Fetch a published one", icon=":material/download:")
    return adding.OWN if own else adding.KAGGLE if published else None


def _signature(name: str) -> tuple:
    """Changes when the files of a dataset do."""
    folder = Path(synthetic.__file__).parent if name in SYNTHETIC else data_root() / name
    entries = sorted(folder.iterdir())
    return (str(folder), *((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in entries))


@st.cache_resource(show_spinner=False, max_entries=3)
def _job(name: str, signature: tuple) -> Job[Source]:
    return Job(f"Looking at {name}", lambda: _load(name, signature))


def _load(name: str, signature: tuple) -> Source:
    faces = _synthetic_faces(name) if name in SYNTHETIC else load_dataset(name)
    if len(faces) < 2:
        raise FkdError(f"{name!r} has a single face, and faces are judged by comparing them; add more to its folder.")
    return Source((name, *signature), faces, quality_of(faces))


def _synthetic_faces(name: str) -> Dataset:
    return cached_dataset(
        f"{name}-{SYNTHETIC_FACES}",
        [Path(synthetic.__file__).parent],
        lambda: synthetic.synthetic_dataset(SYNTHETIC[name], SYNTHETIC_FACES),
    )
